"""Reading the objects by which devices agree: plans, collection records, checkpoints (FORMAT 5.3, 6.1, 9.2).

One that cannot be read hides no other. It is tried again with the next reading when the server failed, never when what
it says cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from twisted.logger import Logger

from ifap_twisted.core.checkpoints import CHECKPOINTS, Checkpoint, Published
from ifap_twisted.core.history import Placed
from ifap_twisted.core.plans import PLANS, Plan
from ifap_twisted.core.records import RECORDS, Record, path_hash
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import DataError, StoreError
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.workers import Worker

T = TypeVar("T")


class _Kept(Generic[T]):
    """What objects of one kind say, by id: read once, because a message never changes; None for a bad one."""

    _log = Logger()

    def __init__(self, reader: Reader, worker: Worker, parse: Callable[[bytes, str], T]) -> None:
        self._reader = reader
        self._worker = worker
        self._parse = parse
        self.found: dict[str, T | None] = {}

    async def read(self, placed: Iterable[Placed]) -> None:
        """Read what is not known yet, all at once."""
        await settled([self._one(one) for one in placed if one.version.vid not in self.found])

    @deferred
    async def _one(self, placed: Placed) -> None:
        version = placed.version
        try:
            content = await self._reader.content(placed)
            self.found[version.vid] = await self._worker(lambda: self._parse(content, version.path))
        except DataError as error:
            self._log.warn("an object of the folder cannot be used: {reason}", reason=str(error))
            self.found[version.vid] = None
        except StoreError as error:
            self._log.info("an object of the folder could not be read yet: {reason}", reason=str(error))


class Objects:
    """The plans, records and checkpoints of a folder, as far as they were read."""

    def __init__(self, known: Known, reader: Reader, worker: Worker) -> None:
        self._known = known
        self._worker = worker
        self._plans = _Kept(reader, worker, Plan.decode)
        self._records = _Kept(reader, worker, Record.decode)
        self._checkpoints = _Kept(reader, worker, Checkpoint.decode)
        self._noted: set[str] = set()

    async def plans(self) -> list[tuple[Placed, Plan | None]]:
        """The plans that are there; None where what one says cannot be read, or not now."""
        placed = self._known.index.objects(PLANS)
        await self._plans.read(placed)
        return [(one, self._plans.found.get(one.version.vid)) for one in placed]

    async def records(self) -> list[tuple[Placed, Record]]:
        """The collection records that are there and can be read; what they say is known from then on."""
        await self.read_records()
        placed = self._known.index.objects(RECORDS)
        return [(one, record) for one in placed if (record := self._records.found.get(one.version.vid)) is not None]

    async def read_checkpoints(self) -> None:
        """Read those that are not known yet."""
        await self._checkpoints.read(self._known.index.objects(CHECKPOINTS))

    def checkpoints(self) -> list[Published]:
        """The checkpoints that are there and were read."""
        found = self._checkpoints.found
        return [
            Published(one.rank, one.version.vid, one.version.written, checkpoint)
            for one in self._known.index.objects(CHECKPOINTS)
            if (checkpoint := found.get(one.version.vid)) is not None
        ]

    @property
    def knows_records(self) -> bool:
        """What every collection record that is there says is known."""
        return all(one.version.vid in self._noted for one in self._known.index.objects(RECORDS))

    def unusable(self) -> list[Placed]:
        """The objects that are there, were read, and say nothing that can be used."""
        kinds: tuple[tuple[_Kept[Any], str], ...] = (
            (self._plans, PLANS),
            (self._records, RECORDS),
            (self._checkpoints, CHECKPOINTS),
        )
        return [
            one
            for kept, kind in kinds
            for one in self._known.index.objects(kind)
            if one.version.vid in kept.found and kept.found[one.version.vid] is None
        ]

    async def read_records(self) -> None:
        """Let the index know what is on record; before the home is known nobody can tell of which folder that is."""
        if self._known.home is None:
            return
        placed = self._known.index.objects(RECORDS)
        if all(one.version.vid in self._noted for one in placed):
            return
        await self._records.read(placed)
        for one in placed:
            record = self._records.found.get(one.version.vid)
            if record is not None and one.version.vid not in self._noted:
                await self._note(record)
                self._noted.add(one.version.vid)

    async def _note(self, record: Record) -> None:
        hashes = self._known.records.add(record.gone)
        if not hashes:
            return
        names = list(self._known.index.paths())
        touched = await self._worker(lambda: [name for name in names if path_hash(name) in hashes])
        self._known.index.reconsider(touched)
        self._known.changed()
