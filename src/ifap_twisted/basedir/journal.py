"""The journal of pending writes: what was accepted, until it is on the server (FORMAT 4.1).

Entries that come together are one file (``NAME.pending``), written with one sync; it goes when all of them have ended.
An entry that ended on the server stays until then: to send it again is harmless. One that is not stored is taken out of
its file at once, before anybody is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.basedir.pending import Found, PendingFiles, Place
from ifap_twisted.core import limits
from ifap_twisted.core.frozen import Frozen, JournalContent
from ifap_twisted.core.keys import Key
from ifap_twisted.deferreds import Waiters, deferred, detach
from ifap_twisted.errors import Malformed, OutcomeUnknown
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import Worker

__all__ = ["FileJournal"]

_FILE_BYTES: Final = 8 * limits.MIB
"""What goes into one file, but for one message that is larger."""


@dataclass(slots=True)
class _File:
    """A file that was written or read: where its messages lie, by sealed id, and which of them have not ended.

    :ivar foreign: it holds records that cannot be opened here.
    :ivar unwanted: what somebody wanted to be discarded; what is still kept of it could not be, or not for good.
    """

    places: dict[str, Place]
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
        self._pending = PendingFiles(basedir, keys, random=random)
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
        self._pending.keys = tuple(keys)

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
            return self._taken_in(await self._worker(self._pending.read_all), known)
        finally:
            self._working = False
            self._idle.tell()
            self._work_on()

    def _taken_in(self, found: Found, known: Collection[str]) -> JournalContent:
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
        found = None
        if file is not None:
            found = await self._worker(partial(self._pending.load, file.places[sealed_id], sealed_id))
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
                self._number = await self._worker(self._pending.last_number)
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
            places = await self._worker(partial(self._pending.store, name, members))
        except OutcomeUnknown:  # whoever gave up meanwhile does not hear that, and has to be able to discard it
            self._remember(name, members, [Place(name, 0, 0)] * len(members))
            raise
        self._remember(name, members, places)

    def _remember(self, name: str, members: Sequence[Frozen], places: Sequence[Place]) -> None:
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
            places = await self._worker(partial(self._pending.rewrite, name, kept, discarded))
        else:
            places = await self._worker(partial(self._pending.remove, name))
        for sealed_id in file.places.keys() - places.keys():
            if self._names.get(sealed_id) == name:
                del self._names[sealed_id]
        file.places = places
        file.kept.intersection_update(kept)
        if not places and not file.foreign:
            del self._files[name]
        elif places and not file.kept:  # the others have ended meanwhile
            self._spent.append(name)
