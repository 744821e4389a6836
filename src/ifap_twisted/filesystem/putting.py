"""One put: from its source to the version that was read back.

A thousand of them may be on their way at once, so that each is few objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass, replace
from typing import cast

from twisted.internet.defer import CancelledError, Deferred

from ifap_twisted.core import paths, planning
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.values import Entry, Expect, Sealed
from ifap_twisted.errors import IncompleteSource, Unavailable
from ifap_twisted.filesystem.admission import Share
from ifap_twisted.filesystem.batches import Batch
from ifap_twisted.filesystem.changing import StoredChanges
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.equality import equal_entry
from ifap_twisted.filesystem.lasting import Lasting, closed_error
from ifap_twisted.filesystem.sources import Input, check_size, known_size
from ifap_twisted.filesystem.uploading import Upload
from ifap_twisted.filesystem.writing import Mend
from ifap_twisted.interfaces import RemotePath, Source


def change_of(mode: int | None, mime: str | None, modified: float | None) -> Change:
    """What a put says of a file; of the mode only the permission bits."""
    return Change(mode=None if mode is None else mode & 0o7777, mime=mime, modified=modified)


@dataclass(slots=True, kw_only=True, eq=False)
class Putting:
    """What is put, where, and how far it is.

    :ivar queue: while the server is away, it is accepted and kept in the journal; not what goes out in chunks.
    :ivar unless_equal: nothing is stored where the same is there already.
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
    unless_equal: bool = False
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
        length = known_size(self.data, self.size)
        check_size(length, desk.options.largest, name)
        if self.expect is not None and self.batch is not None:
            await self.batch.arrived()
        await (desk.writer.looks_fresh() if self.queue else desk.view.current())
        desk.check_place(name)
        planning.check_expectation(desk.writer.history(name), self.expect, name, locked=desk.locking.holds(name))
        options = desk.options
        held = length if length is not None and length <= options.whole else options.held
        share = Share(desk.budget, held, desk.lenders, desk.clock)
        await share.take()
        try:
            content, change, mend = await self._content(length, share)
            if self.unless_equal and (there := await self._equal(content, change)) is not None:
                return there
            placed = await desk.writer.write(
                name,
                content,
                change,
                expect=self.expect,
                check=self._check,
                sent=self._sent,
                queue=self.queue and change.size is None,
                mend=mend,
            )
        finally:
            share.give_back()
        return desk.entry(name, placed)

    async def _equal(self, content: bytes, change: Change) -> Entry | None:
        """What is there, if it is the same and what is expected."""
        if not await self.desk.writer.looks_fresh():
            return None
        there = await equal_entry(self.desk, self.name, content, change)
        if there is not None:
            planning.check_expectation(self.desk.writer.history(self.name), self.expect, self.name)
        return there

    def _check(self) -> None:
        self.desk.check_place(self.name)

    def _sent(self, sealed: Sealed) -> None:
        self.under_way = True
        if self.batch is not None and self.early is not None:
            self.batch.sent(self.early, sealed)

    async def _content(self, length: int | None, share: Share) -> tuple[bytes, Change, Mend | None]:
        """Read the source; a stream that has not ended when the filesystem is closed is given up.

        One that says nothing for long keeps nobody else waiting.
        """
        if isinstance(self.data, bytes) and self.size is None and len(self.data) <= self.desk.options.whole:
            return self.data, self.change, None
        if known_size(self.data, None) is not None:
            return await self._gathered(length, share)
        if self.lasting.closed:
            raise closed_error(self.name)
        gathering = Deferred.fromCoroutine(self._gathered(length, share))
        self.lasting.streams.add(gathering)
        try:
            return await gathering
        except CancelledError:
            if self.lasting.closed:
                raise closed_error(self.name) from None
            raise
        finally:
            self.lasting.streams.discard(gathering)

    async def _gathered(self, length: int | None, share: Share) -> tuple[bytes, Change, Mend | None]:
        """The content of the message that is to be written, and what that says: of a large file its manifest.

        And what stores its chunks once more.
        """
        options, changes = self.desk.options, self.data
        large = options.chunk_threshold and isinstance(changes, StoredChanges) and changes.size > options.whole
        if isinstance(changes, StoredChanges) and large and changes.is_of(self.desk):
            with self.desk.writer.underway:
                manifest = await changes.upload()
            return manifest.encode(), replace(self.change, size=manifest.size), None
        data = self.data
        if hasattr(data, "__aiter__") and not hasattr(data, "read"):  # it may say nothing for long
            data = share.pieces(cast("AsyncIterable[bytes]", data))
        source = Input(data, size=self.size, limit=options.largest, path=self.name, worker=self.desk.worker)
        if length is None or length <= options.whole or not options.chunk_threshold:
            content = await source.small(options.whole)
            if content is not None:
                return content, self.change, None
        if self.queue and not await self.desk.writer.looks_fresh():
            raise Unavailable(
                "The mail server is away, and a large file cannot wait in the journal: put it when the server is back.",
                path=self.name,
            )
        manifest = await self._uploaded(source)

        async def mend() -> bool:
            try:
                return await source.again() and await self._uploaded(source) == manifest
            except (IncompleteSource, OSError, ValueError):  # it is not there any more as it was
                return False

        return manifest.encode(), replace(self.change, size=manifest.size), mend

    async def _uploaded(self, source: Input) -> Manifest:
        with self.desk.writer.underway:
            return await Upload(self.desk.chunks, self.desk.worker, self.name).run(source.pieces())
