"""What takes the answers of each command on a folder: recognises its own by UID and content, holds them, is bounded.

Each ``receive`` is a :class:`~ifap_twisted.imap.requests.Request`'s: True when the reply is its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.dates import unix_time
from ifap_twisted.imap.grammar import Fetch, Numbered, Reply, Search, Status, number
from ifap_twisted.imap.replies import Parts

__all__ = ["Body", "Dates", "Found", "Headers", "Listing", "Selection"]

_OVERHEAD: Final = 200
"""Bytes that the headers of a message cost besides their text."""
_SECTION: Final = b"BODY[HEADER.FIELDS]"


class Selection:
    """What a SELECT says."""

    def __init__(self) -> None:
        self.uidvalidity: int | None = None
        self.uidnext: int | None = None
        self.exists = 0

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take note of one untagged reply."""
        if isinstance(reply, Numbered) and reply.name == b"EXISTS":
            self.exists = reply.number
        elif isinstance(reply, Status) and reply.code == b"UIDVALIDITY":
            self.uidvalidity = number(reply.arguments)
        elif isinstance(reply, Status) and reply.code == b"UIDNEXT":
            self.uidnext = number(reply.arguments)
        return True


class Listing:
    """The UIDs that any FETCH names; it leaves each to whoever else may want it.

    :param most: so many are held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.uids: set[int] = set()

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take note of a UID."""
        uid = reply.uid if isinstance(reply, Fetch) else None
        if uid is not None:
            self.uids.add(uid)
            if len(self.uids) > self._most:
                raise ProtocolViolation("The mail server lists more messages than can be held.")
        return False


class Headers:
    """Headers and sizes of the messages in a range.

    Headers longer than any of ours are cut: whoever reads them finds them too long, and they cost no more memory.
    """

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._held = 0
        self.blocks: dict[int, HeaderBlock] = {}
        self.most = 0

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take the headers of a message in the range."""
        block = self._block(reply) if isinstance(reply, Fetch) else None
        if block is None or not self._first <= block.uid <= self._last:
            return False
        self.blocks[block.uid] = block
        self._held += len(block.fields) + _OVERHEAD
        if self._held > self.most:
            raise ProtocolViolation("The mail server's answer is too large.")
        return True

    def _block(self, reply: Fetch) -> HeaderBlock | None:
        if _SECTION not in reply.items:
            return None
        uid, size, fields = reply.uid, reply.items.get(b"RFC822.SIZE"), reply.items[_SECTION]
        if uid is None or size is None or isinstance(fields, list):
            return None
        return HeaderBlock(uid=uid, size=number(size), fields=(fields or b"")[: limits.HEADER_FIELDS + 1])


class Dates:
    """The INTERNALDATE of some messages.

    :param wanted: their UIDs; others are left to whoever asked for them.
    """

    def __init__(self, wanted: Collection[int]) -> None:
        self._wanted = wanted
        self.dates: dict[int, float] = {}

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take the date of a message."""
        if not isinstance(reply, Fetch) or reply.uid is None or reply.uid not in self._wanted:
            return False
        value = reply.items.get(b"INTERNALDATE")
        if not isinstance(value, bytes):
            return False
        moment = unix_time(value)
        if moment is not None:
            self.dates[reply.uid] = moment
        return True


class Body:
    """One whole message."""

    def __init__(self, uid: int) -> None:
        self._uid = uid
        self.message: bytes | None = None

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take the first whole message of this UID; another is for another who asked for the same."""
        if self.message is not None or not isinstance(reply, Fetch) or reply.uid != self._uid:
            return False
        value = reply.items.get(b"BODY[]")
        if isinstance(value, bytes):
            self.message = value
        return self.message is not None


class Found:
    """What a SEARCH found.

    :param most: so many are held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.uids: set[int] = set()

    def receive(self, reply: Reply, _parts: Parts) -> bool:
        """Take the numbers."""
        if not isinstance(reply, Search):
            return False
        self.uids.update(reply.numbers)
        if len(self.uids) > self._most:
            raise ProtocolViolation("The mail server finds more messages than can be held.")
        return True
