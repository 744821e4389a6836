"""The name of this device in a folder's history, and its ascending numbers (FORMAT 3.1, 3.2).

Numbers are reserved on the disk in blocks: one durable write buys many, and after a crash the next start begins above
the block, so that no number is ever used twice. A copy of a basedir, restored or cloned, is told by a file that nobody
ever writes to, and draws a new name at its first start: the numbers in it may be used by the original. Whether the last
process knew and left behind all that it wrote is kept beside the numbers; when else a device has to draw a new name is
not decided here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.basedir.directory import Directory
from ifap_twisted.basedir.versioned import Upgrades, read_versioned, write_versioned
from ifap_twisted.core import limits
from ifap_twisted.core.chunks import WRITER as CHUNKS
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings, IFAPError
from ifap_twisted.interfaces import IWriterIdentity
from ifap_twisted.workers import Worker

__all__ = ["FileWriter", "MemoryWriter", "new_writer", "place_of"]

NAME: Final = "writer.json"
MARK: Final = "writer.mark"
"""Never written to after it was made: its inode and change time are the place's own."""
MACHINE: Final = Path("/etc/machine-id")
FORMAT: Final = 1
UPGRADES: Final[Upgrades] = {}
WRITER: Final = re.compile(r"[A-Za-z0-9_-]{6}", re.ASCII)


def new_writer(random: Random) -> str:
    """A name for a device: 36 random bits in 6 characters of base64url; not the one that all chunks bear."""
    drawn = CHUNKS
    while drawn == CHUNKS:
        drawn = base64.urlsafe_b64encode(random(5))[:6].decode("ascii")
    return drawn


def _other_writer(random: Random, writer: str) -> str:
    drawn = writer
    while drawn == writer:
        drawn = new_writer(random)
    return drawn


def _first_of(count: int, following: int, above: int) -> int:
    if count < 1 or above < 0:
        raise ValueError("count is 1 or more, above 0 or more")
    first = max(following, above + 1)
    if first + count - 1 > limits.WRITER_NUMBER:
        raise IFAPError("This device has no numbers left in the folder's history: a new writer has to be drawn.")
    return first


class Stored(NamedTuple):
    """What the disk says.

    :ivar following: the first number that is not reserved.
    :ivar settled: the last process said that the next one will know all that was written under this name.
    """

    writer: str
    following: int
    settled: bool


@implementer(IWriterIdentity)
class MemoryWriter:
    """The identity of a connection without a basedir: a new writer each time, nothing is kept."""

    has_past = unsettled = False

    def __init__(self, random: Random) -> None:
        self.writer = new_writer(random)
        self._random = random
        self._following = 1

    def take(self, count: int, above: int = 0) -> Deferred[int]:
        """Reserve ``count`` numbers greater than ``above``; fires with the first."""
        try:
            first = _first_of(count, self._following, above)
        except (ValueError, IFAPError):
            return fail()
        self._following = first + count
        return succeed(first)

    @deferred
    async def renew(self) -> None:
        """Draw a new writer."""
        self.writer = _other_writer(self._random, self.writer)
        self._following = 1

    def settle(self) -> Deferred[None]:
        """There is no next process."""
        return succeed(None)


def place_of(directory: Directory) -> list[int | str]:
    """What tells this place from every copy of it, and from an image of the disk in another machine."""
    directory.write_new(MARK, b"")
    return [*(directory.identity(MARK) or ()), _machine()]


def _machine() -> str:
    """A hash of the machine's id, which shall be known to nobody else (machine-id(5)); empty where it has none."""
    try:
        found = MACHINE.read_bytes()
    except OSError:
        return ""
    return hashlib.blake2b(found.strip(), digest_size=12, person=b"ifap-twisted").hexdigest()


class _Shelf:
    """``writer.json``, written in threads: a write that was overtaken by a later one is left out."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._guard = threading.Lock()
        self._latest = 0

    def read(self) -> Stored | None:
        """What was stored last; None before the first write, and in a copy."""
        content = read_versioned(self._directory, NAME, FORMAT, UPGRADES)
        if content is None:
            return None
        writer: JSON = content.get("writer")
        following: JSON = content.get("next")
        named = isinstance(writer, str) and WRITER.fullmatch(writer)
        if named and type(following) is int and 1 <= following <= limits.WRITER_NUMBER + 1:
            here = content.get("place") == place_of(self._directory)
            return Stored(str(writer), following, content.get("settled") is True) if here else None
        place = self._directory.path / NAME
        raise BadSettings(f"{place} is damaged: move it away, and this device gets a new name in the history.")

    def write(self, ticket: int, stored: Stored) -> None:
        """Store durably what the ticket's owner decided, unless somebody with a later ticket has."""
        with self._guard:
            if ticket > self._latest:
                content = {
                    "writer": stored.writer,
                    "next": stored.following,
                    "settled": stored.settled,
                    "place": place_of(self._directory),
                }
                write_versioned(self._directory, NAME, content, FORMAT)
                self._latest = ticket


@implementer(IWriterIdentity)
class FileWriter:
    """The identity of the device that a basedir belongs to; made by :meth:`open`."""

    def __init__(self, shelf: _Shelf, stored: Stored, random: Random, worker: Worker, *, has_past: bool) -> None:
        self.writer = stored.writer
        self.has_past = has_past
        self.unsettled = not stored.settled
        self._shelf = shelf
        self._random = random
        self._worker = worker
        self._following = stored.following
        self._reserved = stored.following
        self._tickets = 0
        self._storing = False
        self._waiting: list[Deferred[None]] = []

    @classmethod
    @deferred
    async def open(cls, basedir: Basedir, random: Random, worker: Worker) -> FileWriter:
        """Read ``journal/writer.json``, or draw a new writer, which the first :meth:`take` stores (FORMAT 3.2).

        :raises BadSettings: the file is damaged or of a newer version.
        """
        basedir.require_hold()
        shelf = await worker(lambda: _Shelf(basedir.journal))
        stored = await worker(shelf.read)
        new = Stored(new_writer(random), 1, settled=True)
        return cls(shelf, stored or new, random, worker, has_past=stored is not None)

    def take(self, count: int, above: int = 0) -> Deferred[int]:
        """Reserve ``count`` numbers greater than ``above`` and than all taken before; fires with the first.

        They are stored durably before this fires. One that is cancelled or fails leaves numbers out.

        :raises IFAPError: they cannot be stored.
        """
        if not self._storing and count >= 1 and max(self._following, above + 1) + count <= self._reserved:
            first = max(self._following, above + 1)
            self._following = first + count
            return succeed(first)
        return self._take(count, above)

    @deferred
    async def _take(self, count: int, above: int) -> int:
        await self._my_turn()
        first = _first_of(count, self._following, above)
        following = first + count
        if following > self._reserved:
            reserved = min(following + limits.WRITER_BLOCK, limits.WRITER_NUMBER + 1)
            await self._store(Stored(self.writer, reserved, settled=False), following)
        else:
            self._following = following
        return first

    @deferred
    async def renew(self) -> None:
        """Draw a new writer, which is stored durably before this fires; its numbers begin anew."""
        await self._my_turn()
        await self._store(Stored(_other_writer(self._random, self.writer), 1, settled=True), 1)

    @deferred
    async def settle(self) -> None:
        """Let the next process go on with this name, and the numbers that are left."""
        await self._my_turn()
        if self.unsettled:
            self._reserved = self._following  # should this fail when it is on the disk: the next number is stored first
            await self._store(Stored(self.writer, self._following, settled=True), self._following)

    async def _my_turn(self) -> None:
        """Wait until nothing is being stored.

        Not a DeferredLock: one that passes from waiter to waiter nests a call in each, and many would be too deep.
        """
        while self._storing:
            waiter: Deferred[None] = Deferred()
            self._waiting.append(waiter)
            await waiter

    async def _store(self, stored: Stored, following: int) -> None:
        """Store the name and what is reserved, and have a first number that is not taken; then who waited goes on."""
        self._tickets += 1
        self._storing = True
        try:
            await self._worker(partial(self._shelf.write, self._tickets, stored))
            self.writer, self._reserved, self.unsettled = stored.writer, stored.following, not stored.settled
            self._following, self.has_past = following, True
        finally:
            self._storing = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.called:
                    waiter.callback(None)
