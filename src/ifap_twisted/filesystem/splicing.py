"""The chunks of a changed file: those of before where nothing changed, new ones where something did (FORMAT 7.1).

Boundaries depend on the content from one boundary on. So it is cut anew from the boundary before a change, until a new
boundary falls onto one of before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from ifap_twisted.core.manifests import Piece
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.core.rows import Row
from ifap_twisted.workers import Worker

if TYPE_CHECKING:
    from ifap_twisted.core.chunking import Chunker

__all__ = ["Splicing"]


class Splicing:
    """A content, what was written over it, and the chunks of both together.

    :param before: the chunks of the content; ``overlay`` what was written over it.
    :param read: gives the content of a chunk.
    """

    def __init__(self, before: Row, overlay: Overlay, read: Callable[[Piece], Awaitable[bytes]]) -> None:
        self._before = before
        self._overlay = overlay
        self._read = read

    async def content(self, start: int, stop: int) -> bytes:
        """What a stretch of it holds; it is cut to what is there."""
        found: list[bytes] = []
        for part in self._overlay.parts(start, stop):
            if part.data is not None:
                found.append(part.data)
                continue
            stretches = self._before.stretches(part.start, part.stop)
            found += [(await self._read(one.piece))[one.start : one.stop] for one in stretches]
        return b"".join(found)

    async def chunks(self, chunker: Chunker, worker: Worker, *, whole: bool) -> AsyncIterator[Piece | bytes]:
        """In order: chunks of before as their names, new ones as their contents.

        :param whole: up to its end; otherwise what may yet become a longer chunk is left out.
        """
        position, most = 0, chunker.cutting.most
        while position < self._overlay.size:
            kept = self._before.beginning_at(position)
            if kept is not None and self._stays(position, kept):
                yield kept
                position += kept.length
                continue
            data = await self.content(position, position + most)
            if len(data) < most and not whole:
                return
            length = await worker(partial(chunker.cut, data))
            yield data[:length]
            position += length

    def _stays(self, position: int, piece: Piece) -> bool:
        """Nothing in it changed, and where it ended with the file, the file still ends there."""
        end = position + piece.length
        return self._overlay.is_clean(position, end) and (end < self._before.size or end == self._overlay.size)
