"""Whether all chunks of a manifest are there, before it is sent and again before its writer is told (FORMAT 7.2).

What a collection may be about to remove is stored anew, from the copy that is there still. It guesses nothing: a chunk
that cannot be seen now is neither there nor lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import ChunkLost
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.chunk_writing import ChunkWriter
from ifap_twisted.filesystem.slices import Slices
from ifap_twisted.filesystem.view import View

__all__ = ["SecondLook"]

TOGETHER: Final = limits.CHUNKS_FETCHED
"""So many chunks are stored anew at a time."""


class Part(NamedTuple):
    """A chunk that a file needs, and where in the file its content begins."""

    piece: Piece
    offset: int


class SecondLook:
    """Looks after the chunks of what is written."""

    def __init__(self, view: View, read: ChunkReader, write: ChunkWriter, slices: Slices) -> None:
        self._view = view
        self._read = read
        self._write = write
        self._slices = slices

    async def look(self, content: bytes, size: int, path: str) -> None:
        """See to it that every chunk is there, and that no plan names it.

        :param content: of the manifest of a file of that ``size``; ``path`` is that of the file.
        :raises ChunkLost: naming the first part of the file that is lost.
        :raises Malformed: it is no manifest. :raises StoreError: it cannot be seen, or not be stored anew, now.
        """
        await self._view.refresh()
        await self._write.places.look()
        anew: list[Part] = []
        async for part in self._parts(Manifest.decode(content, size=size, path=path), 0, path):
            await self._slices.next()
            if not self._write.places.is_there(part.piece.name):
                anew.append(part)
        for start in range(0, len(anew), TOGETHER):
            await settled([self._renew(part, path) for part in anew[start : start + TOGETHER]])

    async def _parts(self, manifest: Manifest, offset: int, path: str) -> AsyncIterator[Part]:
        """All chunks, those that are manifests before what they tell of."""
        for piece in manifest.pieces:
            part = Part(piece, offset)
            yield part
            if manifest.depth:
                try:
                    below = await self._read.manifest(piece, manifest.depth - 1)
                except ChunkLost as error:
                    raise _lost(part, path, error) from None
                async for one in self._parts(below, offset, path):
                    yield one
            offset += piece.length

    @deferred
    async def _renew(self, part: Part, path: str) -> None:
        name = part.piece.name
        if self._write.places.is_there(name):  # another part of the file needed it as well
            return
        try:
            content = await self._read.stored(name)
        except ChunkLost as error:
            raise _lost(part, path, error) from None
        await self._write.store(name, content)


def _lost(part: Part, path: str, error: ChunkLost) -> ChunkLost:
    offset, length = part.offset, part.piece.length
    text = f"The bytes {offset} to {offset + length - 1} of /{path} are lost: {error.detail}"
    return ChunkLost(text, path=path, offset=offset, length=length)
