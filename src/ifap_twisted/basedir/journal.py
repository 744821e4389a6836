"""The journal of pending writes: what was accepted, until it is on the server (FORMAT 4.1).

Entries that come together are one file (``NAME.pending``), written with one sync; it goes when all of them have ended.
What is damaged is set aside (``NAME.damaged``) and never holds up the rest; what was sealed with another key stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from ifap_twisted.errors import ForeignKey
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import Worker

__all__ = ["FileJournal"]

_PENDING: Final = ".pending"
_DAMAGED: Final = ".damaged"
_NUMBERED: Final = re.compile(r"(\d{12})\.(?:pending|damaged)", re.ASCII)
_FILE_BYTES: Final = 8 * limits.MIB
"""What goes into one file, but for one message that is larger."""
_LARGEST: Final = 2 * limits.LITERAL


@dataclass(frozen=True, slots=True)
class _Found:
    """What one file holds."""

    frozen: tuple[Frozen, ...] = ()
    foreign: int = 0
    damaged: tuple[bytes, ...] = ()
    good: tuple[bytes, ...] = ()


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
        self._file_of: dict[str, str] = {}
        self._spent: list[str] = []
        self._working = False
        self._idle = Waiters()

    # IJournal

    def begin(self, frozen: Frozen) -> Deferred[None]:
        """Keep a message."""
        kept: Deferred[None] = Deferred(lambda _kept: None)
        self._waiting.append((frozen, kept))
        self._work_on()
        return kept

    def settle(self, frozen: Frozen) -> None:
        """Let go of a message."""
        name = self._file_of.pop(frozen.sealed_id, None)
        if name is None:  # it is being written just now
            if any(waiting.sealed_id == frozen.sealed_id for waiting, _kept in self._waiting) or self._working:
                self._let_go.add(frozen.sealed_id)
            return
        self._leave(name, frozen.sealed_id)
        self._work_on()

    @deferred
    async def left(self) -> JournalContent:
        """What an earlier process left behind."""
        found, damaged = await self._worker(self._read_all)
        content: list[Frozen] = []
        foreign = 0
        for name, file in found.items():
            foreign += file.foreign
            content += file.frozen
            self._members[name] = {frozen.sealed_id for frozen in file.frozen} | ({""} if file.foreign else set())
            self._file_of.update((frozen.sealed_id, name) for frozen in file.frozen)
        return JournalContent(frozen=tuple(content), foreign=foreign, damaged=damaged)

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
            await self._worker(partial(self._store, name, members))
        except Exception as error:  # noqa: BLE001 -- it is the answer of those who wait
            for _frozen, kept in batch:
                if not kept.called:
                    kept.errback(error)
            return
        self._members[name] = {frozen.sealed_id for frozen in members}
        self._file_of.update((frozen.sealed_id, name) for frozen in members)
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

    def _store(self, name: str, members: Sequence[Frozen]) -> None:
        key = self._keys[0] if self._keys else None
        pieces = [piece for frozen in members for piece in freeze(frozen, key, self._random)]
        self._directory().write(name, *pieces)

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._directory().remove(name)

    def _numbers(self) -> list[int]:
        return sorted(int(match[1]) for name in self._directory().names() if (match := _NUMBERED.fullmatch(name)))

    def _read_all(self) -> tuple[dict[str, _Found], int]:
        directory = self._directory()
        directory.sweep()
        present = sorted(name for name in directory.names() if _NUMBERED.fullmatch(name))
        pending = [name for name in present if name.endswith(_PENDING) and name not in self._members]
        found = {name: self._read(directory, name) for name in pending}
        damaged = sum(name.endswith(_DAMAGED) for name in directory.names() if _NUMBERED.fullmatch(name))
        return {name: file for name, file in found.items() if file.frozen or file.foreign}, damaged

    def _read(self, directory: Directory, name: str) -> _Found:
        found = _Found()
        for record, entry in thaw(directory.read(name, _LARGEST) or b"", self._keys):
            if isinstance(entry, Frozen):
                found = replace(found, frozen=(*found.frozen, entry), good=(*found.good, record))
            elif isinstance(entry, ForeignKey):
                found = replace(found, foreign=found.foreign + 1, good=(*found.good, record))
            else:
                found = replace(found, damaged=(*found.damaged, record))
        if found.damaged:
            self._set_aside(directory, name, found)
        return found

    def _set_aside(self, directory: Directory, name: str, found: _Found) -> None:
        """Keep the damaged bytes for whoever can make something of them, and the good ones by themselves."""
        directory.write(name.removesuffix(_PENDING) + _DAMAGED, *found.damaged)
        if found.good:
            directory.write(name, *found.good)
        else:
            directory.remove(name)
