"""The chunks of a changed file: those of before where nothing changed, new ones where something did (FORMAT 7.1).

Boundaries depend on the content from one boundary on. So it is cut anew from the boundary before a change, until a new
boundary falls onto one of before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.manifests import Piece
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.core.rows import Row
from ifap_twisted.deferreds import Slots, deferred, settled
from ifap_twisted.workers import Worker

TOGETHER = 8
"""So many chunks are read, or on their way, at a time."""


class Splicing:
    """Stores what changed of one file.

    :param read: gives a piece of before: its name and length are known.
    :param store: stores a chunk, or finds that it is there; may let its caller wait.
    """

    def __init__(
        self,
        chunker: Chunker,
        worker: Worker,
        *,
        read: Callable[[Piece], Awaitable[bytes]],
        store: Callable[[bytes], Awaitable[Piece]],
    ) -> None:
        self._chunker = chunker
        self._worker = worker
        self._read = read
        self._store = store
        self._slots = Slots(TOGETHER)
        self._failed = False

    async def content(self, before: Row, overlay: Overlay, start: int, stop: int) -> bytes:
        """What a stretch of the changed file holds."""
        found: list[bytes] = []
        for part in overlay.parts(start, stop):
            if part.data is not None:
                found.append(part.data)
                continue
            stretches = before.stretches(part.start, part.stop)
            found += [(await self._read(one.piece))[one.start : one.stop] for one in stretches]
        return b"".join(found)

    async def spliced(self, before: Row, overlay: Overlay, *, whole: bool) -> Row:
        """The row of the changed file, everything in it stored.

        :param whole: up to its end; otherwise what may yet become a longer chunk is left out.
        """
        pieces: list[Deferred[Piece]] = []
        try:
            await self._splice(before, overlay, pieces, whole=whole)
        except Exception:
            await settled([piece.addErrback(_is_told) for piece in pieces])
            raise
        return Row(await settled(pieces))

    async def _splice(self, before: Row, overlay: Overlay, pieces: list[Deferred[Piece]], *, whole: bool) -> None:
        position, most = 0, self._chunker.cutting.most
        while position < overlay.size and not self._failed:
            kept = before.beginning_at(position)
            if kept is not None and self._stays(before, overlay, position, kept):
                pieces.append(succeed(kept))
                position += kept.length
                continue
            async with self._slots:
                data = await self.content(before, overlay, position, position + most)
                if len(data) < most and not whole:
                    return
                length = await self._worker(partial(self._chunker.cut, data))
            await self._slots.acquire()
            pieces.append(self._stored(data[:length]))
            position += length

    def _stays(self, before: Row, overlay: Overlay, position: int, piece: Piece) -> bool:
        """Nothing in it changed, and where it ended with the file, the file still ends there."""
        end = position + piece.length
        return overlay.is_clean(position, end) and (end < before.size or end == overlay.size)

    @deferred
    async def _stored(self, data: bytes) -> Piece:
        try:
            return await self._store(data)
        except BaseException:
            self._failed = True
            raise
        finally:
            self._slots.release()


def _is_told(_failure: Failure) -> None:
    """Another one was first."""
