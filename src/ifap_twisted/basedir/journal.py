"""The journal of pending writes: what was accepted, until it is on the server (FORMAT 4.1).

Entries that come together are one file (``NAME.pending``), written with one sync; it goes when all of them have ended.
An entry that ended on the server stays until then: to send it again is harmless. One that is not stored is taken out of
its file at once, before anybody is told.

What is damaged, or no file of ours, is set aside (``NAME.damaged``) and never holds up the rest; what was sealed with
another key stays, and so does what this machine cannot read or set aside now: the next process may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
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
from ifap_twisted.errors import IFAPError, Malformed, OutcomeUnknown
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


@dataclass(slots=True)
class _File:
    """A file that was written or read: where its messages lie, by sealed id, and which of them have not ended.

    :ivar foreign: it holds records that cannot be opened here.
    :ivar unwanted: what somebody wanted to be discarded; what is still kept of it could not be, or not for good.
    """

    places: dict[str, _Place]
    kept: set[str]
    foreign: bool = False
    unwanted: set[str] = field(default_factory=set)


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
        self._discarding: list[tuple[str, Deferred[None]]] = []
        self._files: dict[str, _File] = {}
        self._names: dict[str, str] = {}
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
        """Let go of a message that is on the server."""
        name = self._names.get(frozen.sealed_id)
        if name is None:
            return
        file = self._files[name]
        file.kept.discard(frozen.sealed_id)
        if not file.kept:
            self._spent.append(name)
            self._work_on()

    def discard(self, frozen: Frozen) -> Deferred[None]:
        """Take a message from the disk."""
        gone: Deferred[None] = Deferred(lambda _gone: None)
        self._waiting = [one for one in self._waiting if one[0].sealed_id != frozen.sealed_id]
        self._discarding.append((frozen.sealed_id, gone))
        self._work_on()
        return gone

    def keeps(self, frozen: Frozen) -> bool:
        """Whether a message is kept and has not ended."""
        name = self._names.get(frozen.sealed_id)
        return name is not None and frozen.sealed_id in self._files[name].kept

    @deferred
    async def left(self) -> JournalContent:
        """What is kept and not settled."""
        while self._working:  # what is half written would be swept away
            await self._idle.wait()
        self._working = True
        known = set(self._files)  # some of what is in them may end meanwhile
        try:
            return self._taken_in(await self._worker(self._read_all), known)
        finally:
            self._working = False
            self._idle.tell()
            self._work_on()

    def _taken_in(self, found: _Found, known: Collection[str]) -> JournalContent:
        frozen = []
        for one, place in found.frozen:
            file = self._files.setdefault(place.file, _File({}, set()))
            file.places[one.sealed_id] = place
            self._names[one.sealed_id] = place.file
            if place.file not in known:
                file.kept.add(one.sealed_id)
            if one.sealed_id in file.kept:  # else it has ended, and waits for the others of its file
                frozen.append(one)
        for name in found.foreign:
            self._files.setdefault(name, _File({}, set())).foreign = True
        return JournalContent(
            frozen=tuple(frozen), foreign=sum(found.foreign.values()), damaged=found.damaged, unread=found.unread
        )

    @deferred
    async def load(self, frozen: Frozen) -> Frozen | None:
        """The whole message of one that is kept; None when it was to be discarded, and is gone for good by now."""
        sealed_id = frozen.sealed_id
        file = self._files[self._names[sealed_id]] if self.keeps(frozen) else None
        found = None if file is None else await self._worker(partial(self._load, file.places[sealed_id], sealed_id))
        if found is None and file is not None and sealed_id in file.unwanted:
            await self.discard(frozen)  # that it is not seen does not say that it stays away
        elif found is None:
            raise Malformed("A journal entry is not there any more, or damaged.", section="journal")
        return found

    def close(self) -> Deferred[None]:
        """Fires when what was let go is gone from the disk."""
        return self._idle.wait() if self._working else succeed(None)

    # Writing

    def _work_on(self) -> None:
        if not self._working and (self._waiting or self._discarding or self._spent):
            self._working = True
            detach(self._work(), self._log, "keeping the journal")

    @deferred
    async def _work(self) -> None:
        try:
            while self._waiting or self._discarding or self._spent:
                if self._waiting and not self._discarding:
                    await self._write(self._next())
                else:
                    await self._clear()
        finally:
            self._working = False
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
            await self._keep(f"{self._number:012}.pending", members)
        except Exception as error:  # noqa: BLE001 -- it is the answer of those who wait
            for _frozen, kept in batch:
                if not kept.called:
                    kept.errback(error)
            return
        for _frozen, kept in batch:
            if not kept.called:
                kept.callback(None)

    async def _keep(self, name: str, members: Sequence[Frozen]) -> None:
        try:
            places = await self._worker(partial(self._store, name, members))
        except OutcomeUnknown:  # whoever gave up meanwhile does not hear that, and has to be able to discard it
            self._remember(name, members, [_Place(name, 0, 0)] * len(members))
            raise
        self._remember(name, members, places)

    def _remember(self, name: str, members: Sequence[Frozen], places: Sequence[_Place]) -> None:
        where = {frozen.sealed_id: place for frozen, place in zip(members, places, strict=True)}
        self._files[name] = _File(where, set(where))
        self._names.update(dict.fromkeys(where, name))

    async def _clear(self) -> None:
        """Take from the disk what was discarded, and all files whose entries have ended."""
        spent, self._spent = self._spent, []
        discarding, self._discarding = self._discarding, []
        gone = dict.fromkeys(sealed_id for sealed_id, _told in discarding)
        names = dict.fromkeys((*spent, *(self._names[one] for one in gone if one in self._names)))
        failures: dict[str, Exception] = {}
        for name in [name for name in names if name in self._files]:
            try:
                await self._shorten(name, gone)
            except Exception as error:  # noqa: BLE001 -- those who wait for another file must not suffer for it
                self._log.failure("removing what is done from the journal")
                failures[name] = error
        for sealed_id, told in discarding:
            failure = failures.get(self._names.get(sealed_id, ""))
            if told.called:
                continue
            if failure is None:
                told.callback(None)
            else:
                told.errback(failure)

    async def _shorten(self, name: str, gone: Collection[str]) -> None:
        """Leave in a file what has not ended and is not discarded, and what cannot be opened here."""
        file = self._files[name]
        kept = file.kept.difference(gone)
        discarded = file.places.keys() & set(gone)
        file.unwanted |= discarded
        if kept or file.foreign:
            places = await self._worker(partial(self._rewrite, name, kept, discarded))
        else:
            places = await self._worker(partial(self._remove, name))
        for sealed_id in file.places.keys() - places.keys():
            if self._names.get(sealed_id) == name:
                del self._names[sealed_id]
        file.places = places
        file.kept.intersection_update(kept)
        if not places and not file.foreign:
            del self._files[name]
        elif places and not file.kept:  # the others have ended meanwhile
            self._spent.append(name)

    # In the worker

    def _directory(self) -> Directory:
        return self._basedir.journal

    def _store(self, name: str, members: Sequence[Frozen]) -> list[_Place]:
        key = self._keys[0] if self._keys else None
        records = [freeze(frozen, key, self._random) for frozen in members]
        try:
            self._directory().write(name, *(piece for record in records for piece in record))
        except IFAPError as error:
            self._take_back(name, error)
            raise
        return _places(name, [sum(map(len, record)) for record in records])

    def _take_back(self, name: str, error: IFAPError) -> None:
        """Remove a file that could not be written: its name may be there all the same.

        :raises OutcomeUnknown: that is not certain; the next process may find it.
        """
        try:
            self._directory().remove(name)
        except IFAPError:
            raise OutcomeUnknown(f"{error} Whether it is in the journal is not known; it may be sent later.") from error

    def _remove(self, name: str) -> dict[str, _Place]:
        self._directory().remove(name)
        return {}

    def _rewrite(self, name: str, kept: Collection[str], discarded: Collection[str]) -> dict[str, _Place]:
        """Leave some messages in a file, and what cannot be opened; where they lie then.

        :raises Malformed: what is to go is none of those that can be opened.
        """
        records = list(thaw(self._directory().read(name, _LARGEST) or b"", self._keys))
        opened = [entry.sealed_id for _record, entry in records if isinstance(entry, Frozen)]
        if len(opened) < len(records) and not set(opened).issuperset(discarded):
            raise Malformed("A journal entry cannot be told from others, and stays.", section="journal")
        stay = [one for one in records if not isinstance(one[1], Frozen) or one[1].sealed_id in kept]
        if stay:
            self._directory().write(name, *(record for record, _entry in stay))
        else:
            self._directory().remove(name)
        places = _places(name, [len(record) for record, _entry in stay])
        found = zip(stay, places, strict=True)
        return {entry.sealed_id: place for (_record, entry), place in found if isinstance(entry, Frozen)}

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

    def _load(self, place: _Place, sealed_id: str) -> Frozen | None:
        """A message at its place, or wherever it is in the file by now."""
        directory = self._directory()
        found = self._find(directory.read_part(place.file, place.offset, place.length), sealed_id)
        return found or self._find(directory.read(place.file, _LARGEST) or b"", sealed_id)

    def _find(self, data: bytes, sealed_id: str) -> Frozen | None:
        entries = (entry for _record, entry in thaw(data, self._keys))
        return next((one for one in entries if isinstance(one, Frozen) and one.sealed_id == sealed_id), None)


def _numbered(directory: Directory) -> dict[str, int]:
    """The names in a journal that are those of its files, and their numbers."""
    return {name: int(match[1]) for name in directory.names() if (match := _NUMBERED.fullmatch(name))}


def _aside(name: str) -> str:
    return name.removesuffix(_PENDING) + _DAMAGED


def _places(file: str, lengths: Sequence[int]) -> list[_Place]:
    """Where records of these lengths lie in a file, one behind the other."""
    ends = list(accumulate(lengths))
    return [_Place(file, end - length, length) for end, length in zip(ends, lengths, strict=True)]
