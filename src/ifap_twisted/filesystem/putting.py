"""One put: from its source to the version that was read back.

A thousand of them may be on their way at once, so that each is few objects.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred

from ifap_twisted.core import paths, planning
from ifap_twisted.core.values import Entry, Expect, Sealed
from ifap_twisted.filesystem.batches import Batch
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.lasting import Lasting, closed_error
from ifap_twisted.filesystem.sources import check_size, gather, known_size
from ifap_twisted.interfaces import RemotePath, Source


def change_of(mode: int | None, mime: str | None, modified: float | None) -> Change:
    """What a put says of a file; of the mode only the permission bits."""
    return Change(mode=None if mode is None else mode & 0o7777, mime=mime, modified=modified)


@dataclass(slots=True, kw_only=True, eq=False)
class Putting:
    """What is put, where, and how far it is.

    :ivar queue: while the server is away, it is accepted and kept in the journal.
    :ivar batch: what it belongs to; ``early`` then is told when it is on its way.
    :ivar under_way: its message was handed to the shelf: it cannot be stopped without a trace.
    """

    desk: Desk
    lasting: Lasting
    path: RemotePath
    data: Source
    size: int | None
    change: Change
    expect: Expect
    queue: bool = False
    batch: Batch | None = None
    early: Deferred[Entry] | None = None
    name: str = ""
    under_way: bool = False

    def may_stop(self) -> bool:
        """Whether cancelling leaves nothing behind."""
        return not self.under_way

    async def run(self) -> Entry:
        """Store it.

        :raises CallerError, TooLarge, Conflict, Unavailable: as ``IFilesystem.put`` says.
        """
        desk = self.desk
        self.name = name = paths.clean_file(self.path)
        limit = desk.options.max_file_size
        length = known_size(self.data, self.size)
        check_size(length, limit, name)
        if self.expect is not None and self.batch is not None:
            await self.batch.arrived()
        await (desk.writer.looks_fresh() if self.queue else desk.view.current())
        desk.check_place(name)
        planning.check_expectation(desk.writer.history(name), self.expect, name, locked=desk.locking.holds(name))
        held = limit if length is None else length
        await desk.budget.acquire(held)
        try:
            content = await self._content(limit)
            placed = await desk.writer.write(
                name,
                content,
                self.change,
                expect=self.expect,
                check=self._check,
                sent=self._sent,
                queue=self.queue,
            )
        finally:
            desk.budget.release(held)
        return desk.entry(name, placed)

    def _check(self) -> None:
        self.desk.check_place(self.name)

    def _sent(self, sealed: Sealed) -> None:
        self.under_way = True
        if self.batch is not None and self.early is not None:
            self.batch.sent(self.early, sealed)

    async def _content(self, limit: int) -> bytes:
        """Read the source; a stream that has not ended when the filesystem is closed is given up."""
        if isinstance(self.data, bytes) and self.size is None:
            return self.data
        if self.lasting.closed and known_size(self.data, None) is None:
            raise closed_error(self.name)
        reading = gather(self.data, size=self.size, limit=limit, path=self.name, worker=self.desk.worker)
        gathering = Deferred.fromCoroutine(reading)
        self.lasting.streams.add(gathering)
        try:
            return await gathering
        except CancelledError:
            if self.lasting.closed:
                raise closed_error(self.name) from None
            raise
        finally:
            self.lasting.streams.discard(gathering)
