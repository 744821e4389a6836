"""The secret by which a folder cuts and names chunks (FORMAT 7.1, 8.2)."""

from __future__ import annotations

from ifap_twisted.core.chunks import chunk_key
from ifap_twisted.errors import Damaged
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.view import View


class Naming:
    """Reads the sub-key for the names of chunks from the folder object.

    It never changes while that can be read. A repair draws another one in place of what is lost, and all go by that.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._key: bytes | None = None
        self._objects: frozenset[str] = frozenset()

    async def key(self) -> bytes:
        """32 bytes.

        :raises Damaged: the folder object is gone. :raises DataError, StoreError: it cannot be read, or not now.
        """
        view = self._view
        objects = frozenset(one.version.vid for one in view.index.objects(folder.FOLDER_OBJECTS) if not one.missing)
        if self._key is None or not objects <= self._objects:
            found = [one for one in folder.folder_objects(view.index) if not one.missing]
            if not found:
                raise Damaged("The folder object, which names the chunks of large files, is gone.")
            read = await folder.read_winner(view.store, view.index, found, view.dialect, view.keys)
            self._key, self._objects = chunk_key(read.chunk_key), objects
        return self._key
