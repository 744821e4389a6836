"""One version and all its places: what makes two messages copies of one version (FORMAT 2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import JSON, Version


class Copies:
    """One version and its places; the sealed bytes of each place may differ (FORMAT 2.2).

    :ivar version: of the reference's the bound one, once a place says it.
    :ivar seen: since when it is known; ``spell`` how long it was there, when it went.
    :ivar last: the rank of one that has no place any more.
    :ivar missed: it was missing once: what replaces it settles that (FORMAT 5.5).
    :ivar recalled: it was missing when this process began, and is since (FORMAT 9.1).
    """

    __slots__ = ("last", "missed", "recalled", "sealed", "seen", "spell", "version")

    def __init__(self, version: Version, seen: float = -inf, *, last: float = inf) -> None:
        self.version = version
        self.sealed: dict[int, Version] = {}
        self.last = last
        self.missed = False
        self.recalled = False
        self.seen = seen
        self.spell = inf

    def placed(self) -> Placed:
        """As histories know it."""
        places = tuple(sorted(self.sealed))
        if places:
            bound = self.version.bound and not self.version.ours
            return Placed(self.version if bound else self.sealed[places[0]], places)
        return Placed(self.version, (), self.last, self.recalled)

    def is_copy(self, version: Version) -> bool:
        """A message of it is there, or was: the same version, or the very same sealed bytes."""
        return same_version(self.version, version) or any(
            one.sealed_id == version.sealed_id for one in (self.version, *self.sealed.values())
        )


_OF_PLACES: Final = frozenset({"sealed_id", "encrypted", "written"})
_OF_READERS: Final = frozenset({"chunks", "extra", "understood"})
"""What an older release, which understood less, remembers otherwise of the same message."""
_OF_BOUND_PLACES: Final = _OF_PLACES | {"home", "sha256"}
"""What only one place of a version of the reference says: the one that was sealed anew, bound (FORMAT 8.5)."""


def is_identified(version: Version) -> bool:
    """Its id tells it from every other version.

    Not so a message of the reference that is not encrypted: its id is a hash of metadata without any randomness, and
    two saves of one length in one second have the same. Each of its places is taken for a version of its own.
    """
    return version.ours or version.encrypted


def by_rank(copies: Iterable[Copies]) -> list[Copies]:
    """In the order of their ranks."""
    return sorted(copies, key=lambda known: known.placed().rank)


def remembered(copies: Iterable[Copies], heads: Iterable[Placed]) -> list[Copies]:
    """Without the lowest of those that are gone and no heads: others may expunge on and on (`GONE_KEPT`)."""
    missing = [head.version for head in heads if head.missing]
    found = list(copies)
    gone = [known for known in found if not known.sealed and known.version not in missing]
    dropped = {id(known) for known in by_rank(gone)[: -limits.GONE_KEPT]}
    return [known for known in found if id(known) not in dropped]


def take_equal(there: list[Copies], version: Version) -> Copies | None:
    """The version, if it is among them; and take it out: each stands for one only."""
    for known in there:
        if same_version(known.version, version):
            there.remove(known)
            return known
    return None


def same_version(one: Version, other: Version) -> bool:
    """Equal in id and metadata; the sealing may differ (FORMAT 2.2)."""
    return one == other or (one.vid == other.vid and _agree(one, other))


def _agree(one: Version, other: Version) -> bool:
    differing = _OF_PLACES if one.ours or (one.bound and other.bound) else _OF_BOUND_PLACES
    if one.understood != other.understood:
        differing |= _OF_READERS
        if _carried(one) != _carried(other):
            return False
    return all(getattr(one, name) == getattr(other, name) for name in Version._fields if name not in differing)


def _carried(version: Version) -> dict[str, JSON]:
    """The foreign keys that are kept of what is not understood, too."""
    return {name: value for name, value in version.extra.items() if len(name) > 1}
