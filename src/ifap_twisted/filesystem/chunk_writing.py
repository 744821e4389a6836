"""Storing chunks: each that is not there once, sealed, appended and read back as any message is (FORMAT 4.3, 7.1).

They are in no journal: who begins again finds by their names those that arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.core import capacity, limits
from ifap_twisted.core.chunks import chunk_name, padded_length
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.deferreds import Waiters
from ifap_twisted.errors import TooLarge
from ifap_twisted.filesystem.chunk_places import ChunkPlaces
from ifap_twisted.filesystem.drafting import Drafting
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.sending import Sending
from ifap_twisted.filesystem.view import View
from ifap_twisted.workers import Worker

if TYPE_CHECKING:
    from ifap_twisted.core.chunking import Chunker

__all__ = ["ChunkWriter"]

HEAD_BYTES = 2 * limits.KIB
"""The header of a sealed chunk has about 1 KiB."""


class ChunkWriter:
    """Brings chunks to the server.

    :ivar places: which are there; ``cutting`` how long new ones are.
    """

    def __init__(
        self,
        view: View,
        places: ChunkPlaces,
        drafting: Drafting,
        sending: Sending,
        naming: Naming,
        *,
        cutting: Cutting,
        worker: Worker,
    ) -> None:
        self.places = places
        self.cutting = cutting
        self._view = view
        self._drafting = drafting
        self._sending = sending
        self._naming = naming
        self._worker = worker
        self._storing: dict[str, Waiters] = {}

    async def chunker(self, path: str) -> tuple[bytes, Chunker]:
        """The sub-key for names, and what finds the boundaries.

        :raises TooLarge: the mail server takes no messages as long as chunks are. ``path`` is for that error.
        :raises Damaged, StoreError: the folder object, which has the key, cannot be read.
        """
        most = self._view.store.traits.max_message
        longest = HEAD_BYTES + capacity.body_length(padded_length(self.cutting.most))
        if most is not None and longest > most:
            raise TooLarge(
                f"A large file goes out in messages of up to {longest} bytes; the mail server takes at most {most}.",
                path=path,
                limit=most,
            )
        key = await self._naming.key()
        return key, await self._worker(lambda: _chunker(key, self.cutting))

    async def name(self, content: bytes) -> str:
        """The name of a short chunk, such as a manifest."""
        return chunk_name(await self._naming.key(), content)

    async def store(self, name: str, content: bytes) -> None:
        """Store a chunk unless it is there; who wants the same one meanwhile waits for that.

        :param content: with its padding.
        :raises StoreError, KeyChanged: as for any message.
        """
        while not self.places.is_there(name):
            other = self._storing.get(name)
            if other is None:
                sealing = self._sealed(name, content)
                del content  # sealed it is held once
                await sealing
                return
            await other.wait()

    async def _sealed(self, name: str, content: bytes) -> None:
        storing = self._storing[name] = Waiters()
        try:
            sealed = await self._drafting.sealed_chunk(name, content)
            del content
            await self._sending.stored(sealed, None)
        finally:
            del self._storing[name]
            storing.tell()


def _chunker(key: bytes, cutting: Cutting) -> Chunker:
    from ifap_twisted.core.chunking import Chunker  # noqa: PLC0415 -- with numpy, for who stores a large file

    return Chunker(key, cutting)
