"""How STORE changes the flags of a message. Keywords are compared without case, and keep the spelling they came in."""

from __future__ import annotations

from collections.abc import Callable

from ifap_twisted.errors import QuotaExceeded
from ifap_twisted.server import limits

Flags = tuple[str, ...]

SYSTEM: Flags = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")


def replaced_by(named: Flags) -> Callable[[Flags], Flags]:
    """``FLAGS``: exactly these."""
    return lambda _before: named


def added(named: Flags) -> Callable[[Flags], Flags]:
    """``+FLAGS``: these too.

    :raises QuotaExceeded: when called, if a message would get more than ``limits.FLAGS_BYTES``.
    """

    def add(before: Flags) -> Flags:
        present = {flag.lower() for flag in before}
        after = (*before, *(flag for flag in named if flag.lower() not in present))
        if len(" ".join(after)) > limits.FLAGS_BYTES:
            raise QuotaExceeded("The message has too many flags.")
        return after

    return add


def removed(named: Flags) -> Callable[[Flags], Flags]:
    """``-FLAGS``: these no more."""
    unwanted = {flag.lower() for flag in named}
    return lambda before: tuple(flag for flag in before if flag.lower() not in unwanted)


def rendered(flags: Flags, *, recent: bool = False) -> bytes:
    """A flag list of a response."""
    return b"(" + " ".join((*flags, "\\Recent") if recent else flags).encode("ascii") + b")"
