"""A content that is being changed through an open file: what was there before, and what was written over it.

It is what a put takes. Over a folder that is open here a put sends only the chunks that changed, and what is written
does not stay in memory: whole chunks of it are stored when it becomes much. They are in no file before the put.
"""

from __future__ import annotations

from ifap_twisted.core import limits
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.core.rows import Row
from ifap_twisted.filesystem.changes import PIECE, HeldChanges
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.sources import check_size
from ifap_twisted.filesystem.splicing import Splicing
from ifap_twisted.filesystem.streams import ChunkedStream
from ifap_twisted.filesystem.uploading import Upload
from ifap_twisted.interfaces import IStream


class StoredChanges(HeldChanges):
    """Changes in a folder that is open here: what is too much for memory is stored as it comes.

    :param path: for errors.
    """

    def __init__(self, desk: Desk, base: IStream | None, path: str) -> None:
        super().__init__(base)
        self._desk = desk
        self._path = path
        self._row: Row | None = None

    async def content(self, start: int, stop: int) -> bytes:
        """A part of the content as it is now."""
        return await (
            super().content(start, stop) if self._row is None else self._splicing(self._row).content(start, stop)
        )

    async def write(self, offset: int, data: bytes) -> None:
        """Put bytes somewhere; may wait until others were stored.

        :raises TooLarge: no file can be as long as it would be.
        """
        self._check(offset + len(data))
        for start in range(0, len(data), limits.UPLOAD_WINDOW):
            self._overlay.write(offset + start, data[start : start + limits.UPLOAD_WINDOW])
            if self._overlay.held > limits.UPLOAD_WINDOW and self._desk.options.chunk_threshold:
                await self._store()

    def truncate(self, size: int) -> None:
        """Cut the content, or extend it with NULs.

        :raises TooLarge: no file can be that long.
        """
        self._check(size)
        super().truncate(size)

    def _check(self, size: int) -> None:
        check_size(size, self._desk.options.largest, self._path)

    def is_of(self, desk: Desk) -> bool:
        """Whether what is stored already lies in that folder, as it is open now."""
        return self._desk is desk

    async def upload(self) -> Manifest:
        """Bring all chunks that changed to the server, up to the end; gives the highest manifest."""
        row = await self._known_row()
        manifest, self._row = await self._upload().splice(self._splicing(row), whole=True)
        self._overlay = Overlay(self._row.size)
        return manifest

    async def _store(self) -> None:
        """Store the chunks that are certain, and keep the rest."""
        before = self._splicing(await self._known_row())
        _manifest, row = await self._upload().splice(before, whole=False)
        rest = await before.content(row.size, self.size)
        self._row, self._overlay = row, Overlay(row.size)  # both or none: what is not in one is in the other
        self._overlay.write(row.size, rest)

    async def _known_row(self) -> Row:
        """The chunks of before; what was no large file counts as written now."""
        if self._row is None and isinstance(self._base, ChunkedStream):
            self._row = Row([one.piece async for one in self._base.stretches(0, self._base.entry.size)])
        elif self._row is None:
            overlay = self._overlay
            for start in range(0, overlay.intact, PIECE):
                overlay.write(start, await self.content(start, min(start + PIECE, overlay.intact)))
            self._row, overlay.intact = Row(), 0
        return self._row

    def _upload(self) -> Upload:
        return Upload(self._desk.chunks, self._desk.worker, self._path)

    def _splicing(self, row: Row) -> Splicing:
        return Splicing(row, self._overlay, self._desk.chunks_read.content)
