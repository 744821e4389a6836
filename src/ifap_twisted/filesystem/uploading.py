"""The upload of one large file: its bytes come in, a manifest comes out, and every chunk of it is on the server.

No more than a window of it is held. While some chunks are on their way the next are cut and sealed, in threads; the
source is not asked for more while the window is full. One failure stops it, and nothing is under way when it is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import chunk_name, padded
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.rows import Row
from ifap_twisted.deferreds import Waiters
from ifap_twisted.errors import TooLarge
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.chunk_writing import ChunkWriter
from ifap_twisted.filesystem.splicing import Splicing
from ifap_twisted.workers import Worker

if TYPE_CHECKING:
    from ifap_twisted.core.chunking import Chunker

__all__ = ["Upload"]

KEPT_TOGETHER = 1000
"""Chunks of a changed file that stay as they are are named a few milliseconds at a time."""


class Chunk(NamedTuple):
    """A piece of a file, and what is stored of it: its content with padding."""

    piece: Piece
    content: bytes


class Upload:
    """Cuts what comes into chunks and stores them; for one file.

    :param path: for errors.
    """

    def __init__(self, chunks: ChunkWriter, worker: Worker, path: str, *, window: int = limits.UPLOAD_WINDOW) -> None:
        self._chunks = chunks
        self._worker = worker
        self._path = path
        self._window = Budget(window)
        self._levels: list[list[Piece]] = [[]]
        self._running = 0
        self._idle = Waiters()
        self._failure: Failure | None = None
        self._feed_work: Coroutine[Any, Any, Manifest] | None = None
        self._feeding: Deferred[Manifest] | None = None
        self._row: Row | None = None

    async def run(self, pieces: AsyncIterator[bytes | memoryview]) -> Manifest:
        """Store what the pieces are together; gives the highest manifest, which is not stored.

        :raises TooLarge: it has more chunks than manifests can name.
        :raises StoreError: what the first chunk met with that could not be stored; and what the source raises.
        """
        return await self._store(lambda key, chunker: self._cut(pieces, key, chunker))

    async def splice(self, splicing: Splicing, *, whole: bool) -> tuple[Manifest, Row]:
        """Store what changed of a file; gives the highest manifest, and the row of all chunks.

        :param whole: as for :meth:`Splicing.chunks`. :raises TooLarge, StoreError: as :meth:`run`.
        """
        self._row = row = Row()
        manifest = await self._store(lambda key, chunker: self._changed(splicing, key, chunker, whole=whole))
        return manifest, row

    async def _store(self, chunks: Callable[[bytes, Chunker], AsyncIterator[Chunk | Piece]]) -> Manifest:
        await self._chunks.places.look()
        self._feed_work = self._feed(chunks(*await self._chunks.chunker(self._path)))
        self._feeding = Deferred.fromCoroutine(self._feed_work)
        try:
            manifest = await self._feeding
        except Exception:
            await self._all_ended()
            self._check()  # why the feeding was given up
            raise
        await self._all_ended()
        self._check()
        return manifest

    async def _feed(self, chunks: AsyncIterator[Chunk | Piece]) -> Manifest:
        kept = 0
        async for chunk in chunks:
            piece = chunk.piece if isinstance(chunk, Chunk) else chunk
            if self._row is not None:
                self._row.add(piece)
            if isinstance(chunk, Chunk):
                await self._add(chunk)
            else:
                await self._name(piece)
                kept += 1
                if kept % KEPT_TOGETHER == 0:  # nothing of these is waited for: the reactor has its turn
                    await self._worker(_nothing)
        return await self._top()

    async def _cut(
        self, pieces: AsyncIterator[bytes | memoryview], key: bytes, chunker: Chunker
    ) -> AsyncIterator[Chunk]:
        """The chunks of what comes."""
        buffer = bytearray()

        def cut() -> Chunk:
            data = bytes(memoryview(buffer)[: chunker.cut(buffer)])
            del buffer[: len(data)]
            return _chunk(key, data)

        async for piece in pieces:
            buffer += piece
            while len(buffer) >= chunker.cutting.most:
                yield await self._worker(cut)
        while buffer:
            yield await self._worker(cut)

    async def _changed(
        self, splicing: Splicing, key: bytes, chunker: Chunker, *, whole: bool
    ) -> AsyncIterator[Chunk | Piece]:
        """The chunks of a changed file; of those that stay the names."""
        async for one in splicing.chunks(chunker, self._worker, whole=whole):
            yield one if isinstance(one, Piece) else await self._worker(partial(_chunk, key, one))

    async def _name(self, piece: Piece, depth: int = 0) -> None:
        """The next piece of the manifests of a depth."""
        if depth == len(self._levels):
            self._levels.append([])
        if len(self._levels[depth]) == limits.MANIFEST_PIECES:
            await self._pack(depth)
        self._levels[depth].append(piece)

    async def _add(self, chunk: Chunk, depth: int = 0) -> None:
        """Store a chunk, as the next piece of the manifests of a depth."""
        await self._name(chunk.piece, depth)
        name, size = chunk.piece.name, len(chunk.content)
        if self._chunks.places.is_there(name):
            return
        await self._window.acquire(size)
        self._check()
        self._running += 1
        storing = Deferred.fromCoroutine(self._chunks.store(name, chunk.content))
        storing.addBoth(self._ended, size)  # type: ignore[unused-awaitable]
        self._check()

    async def _pack(self, depth: int) -> None:
        """Let a manifest stand for all pieces of a depth that wait, one deeper."""
        if depth == limits.MANIFEST_DEPTH:
            raise TooLarge("The file has more parts than can be stored.", path=self._path)
        manifest = Manifest(tuple(self._levels[depth]), depth)
        self._levels[depth].clear()
        content = padded(manifest.encode())
        name = await self._chunks.name(content)
        await self._add(Chunk(Piece(name, manifest.size), content), depth + 1)

    async def _top(self) -> Manifest:
        depth = 0
        while depth + 1 < len(self._levels):
            await self._pack(depth)
            depth += 1
        return Manifest(tuple(self._levels[depth]), depth)

    def _ended(self, result: Failure | None, size: int) -> None:
        self._running -= 1
        if isinstance(result, Failure) and self._failure is None:
            self._failure = result
            self._give_up()
        self._window.release(size)
        if not self._running:
            self._idle.tell()

    def _give_up(self) -> None:
        """Wait no longer for the source, which may say nothing; who is not waiting looks by himself."""
        if self._feeding is not None and not getattr(self._feed_work, "cr_running", False):
            self._feeding.cancel()

    def _check(self) -> None:
        if self._failure is not None:
            self._failure.raiseException()

    async def _all_ended(self) -> None:
        """Wait for what is under way, also when that is given up: it would go on all the same."""
        given_up: CancelledError | None = None
        while self._running:
            try:
                await self._idle.wait()
            except CancelledError as error:
                given_up = error
        if given_up is not None:
            raise given_up


def _chunk(key: bytes, data: bytes) -> Chunk:
    content = padded(data)
    return Chunk(Piece(chunk_name(key, content), len(data)), content)


def _nothing() -> None:
    """It is over when it is its turn."""
