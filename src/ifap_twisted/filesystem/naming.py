"""The secret by which a folder cuts and names chunks (FORMAT 7.1, 8.2)."""

from __future__ import annotations

from ifap_twisted.core.chunks import chunk_key
from ifap_twisted.errors import Damaged
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.view import View


class Naming:
    """Reads the sub-key for the names of chunks from the folder object, once: it never changes."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._key: bytes | None = None

    async def key(self) -> bytes:
        """32 bytes.

        :raises Damaged: the folder object is gone. :raises DataError, StoreError: it cannot be read, or not now.
        """
        if self._key is None:
            view = self._view
            found = [one for one in folder.folder_objects(view.index) if not one.missing]
            if not found:
                raise Damaged("The folder object, which names the chunks of large files, is gone.")
            read = await folder.read_winner(view.store, view.index, found, view.dialect, view.keys)
            self._key = chunk_key(read.chunk_key)
        return self._key
