"""What the server can do, as it said last: asked anew whenever it may have changed."""

from __future__ import annotations

from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.grammar import Data, Reply, Status, number
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.wire import Wire

__all__ = ["Capabilities"]

_SMALL: Final = 4096
"""LITERAL- allows non-synchronising literals up to this (RFC 7888)."""


class Capabilities:
    """The capabilities of one connection.

    :ivar words: as they were told, upper case; empty while they are not known.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.words: frozenset[bytes] = frozenset()

    def __contains__(self, word: bytes) -> bool:
        return word in self.words

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms on offer, upper case."""
        return frozenset(word[5:] for word in self.words if word.startswith(b"AUTH="))

    @property
    def has_quota(self) -> bool:
        """QUOTA in any of its parts (RFC 9208)."""
        return any(word.partition(b"=")[0] == b"QUOTA" for word in self.words)

    @property
    def append_limit(self) -> int | None:
        """The largest message, in bytes; None when it depends on the folder or is not told (RFC 7889)."""
        for word in self.words:
            if word.startswith(b"APPENDLIMIT=") and word[12:].isdigit():
                return number(word[12:])
        return None

    def forget(self) -> None:
        """They may have changed."""
        self.words = frozenset()

    def note(self, words: bytes) -> None:
        """The server told them, in any case."""
        self.words = frozenset(words.upper().split())
        if b"LITERAL+" in self.words:
            self._wire.pipeline.literal_plus = limits.LITERAL
        else:
            self._wire.pipeline.literal_plus = _SMALL if b"LITERAL-" in self.words else -1

    def observe(self, reply: Reply) -> bool:
        """Take note of an untagged reply that tells them; False for any other."""
        if isinstance(reply, Data) and reply.name == b"CAPABILITY":
            self.note(b" ".join(word for word in reply.values if isinstance(word, bytes)))
        elif isinstance(reply, Status) and reply.code == b"CAPABILITY" and reply.status == b"OK":
            self.note(reply.arguments)
        else:
            return False
        return True

    async def ask(self) -> None:
        """CAPABILITY."""
        await self._wire.perform(Request(b"CAPABILITY", what="tell what it can do"))
        if not self.words:
            raise ProtocolViolation("The mail server does not tell what it can do.")
