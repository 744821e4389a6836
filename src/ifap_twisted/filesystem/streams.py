"""The content of a version, read a part at a time: of a large file only the chunks that are needed (FORMAT 7.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from copy import copy
from io import BytesIO

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.core.manifests import Manifest, Stretch
from ifap_twisted.core.values import Entry
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import ChunkLost, IFAPError
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.desk import Desk, Found
from ifap_twisted.filesystem.sources import check_length


class WholeStream:
    """The content of a small file: it is one message, and was read whole."""

    def __init__(self, entry: Entry, data: bytes) -> None:
        self.entry = entry
        self._data = data

    @deferred
    async def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` or to the end."""
        return self._data[max(start, 0) : max(stop, 0)]


class ChunkedStream:
    """The content of a large file, which is its manifest and its chunks.

    :ivar manifest: its row of pieces, as its message has it.
    """

    def __init__(self, entry: Entry, manifest: Manifest, chunks: ChunkReader) -> None:
        self.entry = entry
        self.manifest = manifest
        self._chunks = chunks

    @deferred
    async def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` or to the end.

        :raises TooLarge: it is asked for more at once than is held in memory for one file.
        :raises ChunkLost: naming the first range of bytes that is lost.
        """
        start, stop = max(start, 0), min(stop, self.entry.size)
        check_length(stop - start, self.entry.path)
        goes_on = self._chunks.goes_on(self.entry.version, start, stop)
        found = BytesIO()
        async for part in self._parts(start, stop):
            found.write(part)
        if goes_on and stop < self.entry.size:
            self._chunks.read_ahead(lambda: self._read_ahead(stop))
        return found.getvalue()

    async def _parts(self, start: int, stop: int) -> AsyncIterator[memoryview]:
        """What is in a range, in order; some chunks are fetched at a time."""
        under_way: deque[Deferred[memoryview]] = deque()
        try:
            async for work in self._begun(start, stop):
                under_way.append(work)
                if len(under_way) > limits.CHUNKS_AHEAD:
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for work in under_way:
                _give_up(work)

    async def _begun(self, start: int, stop: int) -> AsyncIterator[Deferred[memoryview]]:
        """Begin to fetch what is in a range; a list of chunks that fails is the last: what is before it comes first."""
        try:
            async for stretch in self.stretches(start, stop):
                yield Deferred.fromCoroutine(self._part(stretch))
        except IFAPError as error:
            yield fail(error)

    async def _part(self, stretch: Stretch) -> memoryview:
        try:
            content = await self._chunks.content(stretch.piece)
        except IFAPError as error:
            raise self._about(error, stretch) from None
        return memoryview(content)[stretch.start : stretch.stop]

    async def stretches(self, start: int, stop: int) -> AsyncIterator[Stretch]:
        """What of which chunks is needed for a range of bytes, in order; manifests on the way are read."""
        rows = [(0, self.manifest, self.manifest.stretches(start, stop))]
        while rows:
            base, manifest, row = rows[-1]
            stretch = next(row, None)
            if stretch is None:
                rows.pop()
                continue
            stretch = stretch._replace(offset=base + stretch.offset)
            if not manifest.depth:
                yield stretch
                continue
            below = await self._below(stretch, manifest.depth - 1)
            rows.append((stretch.offset, below, below.stretches(stretch.start, stretch.stop)))

    async def check_listed(self) -> None:
        """All its chunks are among what the server lists; of them only the lists of chunks are read.

        :raises ChunkLost: naming the first range of bytes of which the chunk is not there.
        :raises DataError, StoreError: that cannot be told.
        """
        async for stretch in self.stretches(0, self.entry.size):
            try:
                self._chunks.check_listed(stretch.piece)
            except IFAPError as error:
                raise self._about(error, stretch) from None

    async def _below(self, stretch: Stretch, depth: int) -> Manifest:
        try:
            return await self._chunks.manifest(stretch.piece, depth)
        except IFAPError as error:
            raise self._about(error, stretch) from None

    async def _read_ahead(self, position: int) -> None:
        """Fetch the chunks that begin next; whoever asks for them is told when one cannot be read."""
        begun: list[Deferred[bytes]] = []
        try:
            async for stretch in self.stretches(position, self.entry.size):
                if not stretch.start:
                    begun.append(Deferred.fromCoroutine(self._chunks.content(stretch.piece)))
                if len(begun) == limits.CHUNKS_AHEAD:
                    break
        finally:
            await settled(begun)

    def _about(self, error: IFAPError, stretch: Stretch) -> IFAPError:
        """The same failure, of this file; where something is lost, which part of it."""
        path, length = self.entry.path, stretch.piece.length
        if isinstance(error, ChunkLost):
            last = stretch.offset + length - 1
            text = f"The bytes {stretch.offset} to {last} of /{path} are lost: {error.detail}"
            return ChunkLost(text, path=path, offset=stretch.offset, length=length)
        found = copy(error)  # others may read the same chunk for another file
        found.path = path
        return found


async def open_chunked(desk: Desk, found: Found) -> ChunkedStream:
    """The content of a large file.

    :raises Malformed: what its message holds is no manifest of a file of that size.
    """
    version = found.placed.version
    async with desk.admitted(version.length):
        content = await desk.reader.content(found.placed)
    manifest = Manifest.decode(content, size=version.size, path=version.path)
    return ChunkedStream(desk.entry_of(found), manifest, desk.chunks_read)


def _give_up(work: Deferred[memoryview]) -> None:
    """Nobody needs it any more: a part before it could not be read, and its reader was told of that."""
    work.addErrback(_ended_by_that)  # type: ignore[unused-awaitable]
    work.cancel()


def _ended_by_that(failure: Failure) -> memoryview:
    failure.trap(IFAPError, CancelledError)  # type: ignore[no-untyped-call]
    return memoryview(b"")
