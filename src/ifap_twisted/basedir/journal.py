"""The journal of pending writes: what was accepted, until it is on the server (FORMAT 4.1).

Entries that come together are one file (``NAME.pending``), written with one sync; it goes when all of them have ended.
What is damaged, or no file of ours, is set aside (``NAME.damaged``) and never holds up the rest; what was sealed with
another key stays, and so does what this machine cannot read or set aside now: the next process may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.basedir.directory import Directory
from ifap_twisted.core import limits
from ifap_twisted.core.frozen import Frozen, JournalContent, freeze, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.deferreds import Waiters, deferred, detach
from ifap_twisted.errors import DataError, IFAPError, Malformed
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import Worker

__all__ = ["FileJournal"]

_PENDING: Final = ".pending"
_DAMAGED: Final = ".damaged"
_NUMBERED: Final = re.compile(r"(\d{12,})\.(?:pending|damaged)", re.ASCII)
_FILE_BYTES: Final = 8 * limits.MIB
"""What goes into one file, but for one message that is larger."""
_LARGEST: Final = 2 * limits.LITERAL


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the record of a message lies."""

    file: str
    offset: int
    length: int


@dataclass(slots=True)
class _Found:
    """What files hold, each message by its head; ``foreign`` are files with records that cannot be opened here."""

    frozen: list[tuple[Frozen, _Place]]
    foreign: dict[str, int]
    damaged: int = 0
    unread: int = 0


@implementer(IJournal)
class FileJournal:
    """The journal of a basedir, which the caller holds.

    :param keys: those of the folder; the first seals.
    """

    _log = Logger()

    def __init__(self, basedir: Basedir, keys: Sequence[Key], *, random: Random, worker: Worker) -> None:
        basedir.require_hold()
        self._basedir = basedir
        self._keys = tuple(keys)
        self._random = random
        self._worker = worker
        self._number: int | None = None
        self._waiting: list[tuple[Frozen, Deferred[None]]] = []
        self._let_go: set[str] = set()
        self._members: dict[str, set[str]] = {}
        self._places: dict[str, _Place] = {}
        self._spent: list[str] = []
        self._working = False
        self._idle = Waiters()

    def use(self, keys: Sequence[Key]) -> None:
        """Take these keys from now on; the first seals."""
        self._keys = tuple(keys)

    # IJournal

    def begin(self, frozen: Frozen) -> Deferred[None]:
        """Keep a message."""
        kept: Deferred[None] = Deferred(lambda _kept: None)
        self._waiting.append((frozen, kept))
        self._work_on()
        return kept

    def settle(self, frozen: Frozen) -> None:
        """Let go of a message."""
        place = self._places.pop(frozen.sealed_id, None)
        if place is None:  # it is being written just now
            if any(waiting.sealed_id == frozen.sealed_id for waiting, _kept in self._waiting) or self._working:
                self._let_go.add(frozen.sealed_id)
            return
        self._leave(place.file, frozen.sealed_id)
        self._work_on()

    @deferred
    async def left(self) -> JournalContent:
        """What is kept and not settled."""
        found, known = await self._alone()
        ours = {file: set(self._members.get(file, ())) for file in known}
        frozen = []
        for one, place in found.frozen:
            if place.file in ours and one.sealed_id not in ours[place.file]:
                continue  # it has ended: it waits for the others of its file, or for the file to be removed
            self._members.setdefault(place.file, set()).add(one.sealed_id)
            self._places[one.sealed_id] = place
            frozen.append(one)
        for file in found.foreign:
            self._members.setdefault(file, set()).add("")
        return JournalContent(
            frozen=tuple(frozen), foreign=sum(found.foreign.values()), damaged=found.damaged, unread=found.unread
        )

    async def _alone(self) -> tuple[_Found, Collection[str]]:
        """Read everything while nothing is written: what is half written would be swept away.

        Also of which files it was known before what is in them: meanwhile some of it may have ended.
        """
        while self._working:
            await self._idle.wait()
        self._working = True
        known = list(self._members)
        try:
            return await self._worker(self._read_all), known
        finally:
            self._working = False
            self._idle.tell()
            self._work_on()

    @deferred
    async def load(self, frozen: Frozen) -> Frozen:
        """The whole message of one that is kept."""
        place = self._places.get(frozen.sealed_id)
        found = None if place is None else await self._worker(partial(self._load, place))
        if isinstance(found, DataError):
            raise found
        if found is None or found.sealed_id != frozen.sealed_id:
            raise Malformed("A journal entry is not where it was.", section="journal")
        return found

    def close(self) -> Deferred[None]:
        """Fires when what was let go is gone from the disk."""
        return self._idle.wait() if self._working else succeed(None)

    # Writing

    def _work_on(self) -> None:
        if not self._working and (self._waiting or self._spent):
            self._working = True
            detach(self._work(), self._log, "keeping the journal")

    @deferred
    async def _work(self) -> None:
        try:
            while self._waiting or self._spent:
                if self._waiting:
                    await self._write(self._next())
                else:
                    spent, self._spent = self._spent, []
                    await self._clear(spent)
        finally:
            self._working = False
            self._let_go.clear()
            self._idle.tell()

    def _next(self) -> list[tuple[Frozen, Deferred[None]]]:
        size = count = 0
        for frozen, _kept in self._waiting:
            size += len(frozen.message)
            if count and size > _FILE_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _write(self, batch: list[tuple[Frozen, Deferred[None]]]) -> None:
        members = [frozen for frozen, _kept in batch]
        try:
            if self._number is None:
                self._number = max(await self._worker(self._numbers), default=0)
            self._number += 1
            name = f"{self._number:012}.pending"
            places = await self._worker(partial(self._store, name, members))
        except Exception as error:  # noqa: BLE001 -- it is the answer of those who wait
            for _frozen, kept in batch:
                if not kept.called:
                    kept.errback(error)
            return
        self._members[name] = {frozen.sealed_id for frozen in members}
        self._places.update(zip((frozen.sealed_id for frozen in members), places, strict=True))
        for frozen, kept in batch:
            if frozen.sealed_id in self._let_go:
                self.settle(frozen)
            if not kept.called:
                kept.callback(None)

    async def _clear(self, spent: Sequence[str]) -> None:
        """Remove files whose entries have ended; one that stays costs the next process a look at the server."""
        try:
            await self._worker(partial(self._remove, spent))
        except Exception:  # noqa: BLE001 -- those who wait for the next file must not suffer for it
            self._log.failure("removing what is done from the journal")

    def _leave(self, name: str, sealed_id: str) -> None:
        members = self._members[name]
        members.discard(sealed_id)
        if not members:
            del self._members[name]
            self._spent.append(name)

    # In the worker

    def _directory(self) -> Directory:
        return self._basedir.journal

    def _store(self, name: str, members: Sequence[Frozen]) -> list[_Place]:
        key = self._keys[0] if self._keys else None
        records = [freeze(frozen, key, self._random) for frozen in members]
        self._directory().write(name, *(piece for record in records for piece in record))
        return _places(name, [sum(map(len, record)) for record in records])

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._directory().remove(name)

    def _numbers(self) -> list[int]:
        return sorted(_numbered(self._directory()).values())

    def _read_all(self) -> _Found:
        directory = self._directory()
        directory.sweep()
        found = _Found([], {})
        numbers = _numbered(directory)
        for name in sorted(numbers, key=numbers.__getitem__):
            if name.endswith(_PENDING):
                self._read(directory, name, found)
        found.damaged += sum(name.endswith(_DAMAGED) for name in _numbered(directory))
        return found

    def _read(self, directory: Directory, name: str, found: _Found) -> None:
        data = self._data(directory, name, found)
        records = list(thaw(data, self._keys))
        damaged = [record for record, entry in records if isinstance(entry, Malformed)]
        if damaged:
            good = [(record, entry) for record, entry in records if not isinstance(entry, Malformed)]
            if self._set_aside(directory, name, damaged, [record for record, _entry in good]):
                records = good
            else:
                found.damaged += len(damaged)
            found.unread += len(damaged)
        places = _places(name, [len(record) for record, _entry in records])
        for (_record, entry), place in zip(records, places, strict=True):
            if isinstance(entry, Frozen):
                found.frozen.append((entry.head(), place))
            elif not isinstance(entry, Malformed):
                found.foreign[name] = found.foreign.get(name, 0) + 1

    def _data(self, directory: Directory, name: str, found: _Found) -> bytes:
        """What is in a file; nothing, and it is counted, when it is none of ours or cannot be read now."""
        try:
            return directory.read(name, _LARGEST) or b""
        except IFAPError as error:
            self._log.warn("an entry of the journal cannot be read: {reason}", reason=str(error))
            found.unread += 1
            if isinstance(error.__cause__, OSError) or not self._rename(directory, name):
                found.damaged += 1
            return b""

    def _rename(self, directory: Directory, name: str) -> bool:
        """Set aside what is no file of ours, whatever it is; whether that was possible.

        Not a file of another user: it may be whole, and is read when it was given back.
        """
        try:
            if directory.is_anothers(name):
                return False
            directory.rename(name, _aside(name))
        except IFAPError as error:
            self._log.warn("an entry of the journal cannot be set aside: {reason}", reason=str(error))
            return False
        return True

    def _set_aside(self, directory: Directory, name: str, damaged: Sequence[bytes], good: Sequence[bytes]) -> bool:
        """Keep the damaged bytes for whoever can make something of them, and the good ones by themselves.

        :returns: whether that was possible; when not, the file is as it was.
        """
        try:
            before, apart = directory.read(_aside(name), _LARGEST) or b"", b"".join(damaged)
            if apart not in before:  # else a cut came between the two files
                directory.write(_aside(name), before, apart)
            if good:
                directory.write(name, *good)
            else:
                directory.remove(name)
        except IFAPError as error:
            self._log.warn("a damaged entry of the journal cannot be set aside: {reason}", reason=str(error))
            return False
        return True

    def _load(self, place: _Place) -> Frozen | DataError:
        record = self._directory().read_part(place.file, place.offset, place.length)
        return next((entry for _record, entry in thaw(record, self._keys)), Malformed(section="journal"))


def _numbered(directory: Directory) -> dict[str, int]:
    """The names in a journal that are those of its files, and their numbers."""
    return {name: int(match[1]) for name in directory.names() if (match := _NUMBERED.fullmatch(name))}


def _aside(name: str) -> str:
    return name.removesuffix(_PENDING) + _DAMAGED


def _places(file: str, lengths: Sequence[int]) -> list[_Place]:
    """Where records of these lengths lie in a file, one behind the other."""
    ends = list(accumulate(lengths))
    return [_Place(file, end - length, length) for end, length in zip(ends, lengths, strict=True)]
