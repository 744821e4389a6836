"""The secret by which a folder cuts and names chunks (FORMAT 7.1, 8.2)."""

from __future__ import annotations

from ifap_twisted.core.chunks import chunk_key
from ifap_twisted.errors import Damaged, DataError, Renumbered
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.view import View

LOOKS = 4
"""How often it is looked for while the server changes the numbers."""


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
        for _ in range(LOOKS):
            if view.renumbering:
                await view.refresh()
            generation = view.generation
            objects = frozenset(one.version.vid for one in view.index.objects(folder.FOLDER_OBJECTS) if not one.missing)
            if self._key is not None and objects <= self._objects:
                return self._key
            try:
                key = await self._read()
            except DataError:
                if generation == view.generation:
                    raise
                continue  # at the numbers that it had there is something else now
            if generation == view.generation:
                self._key, self._objects = key, objects
                return key
        raise Renumbered("The mail server renumbered the folder again and again.")

    async def _read(self) -> bytes:
        view = self._view
        found = [one for one in folder.folder_objects(view.index) if not one.missing]
        if not found:
            raise Damaged("The folder object, which names the chunks of large files, is gone.")
        return chunk_key((await folder.read_winner(view.store, view.index, found, view.dialect, view.keys)).chunk_key)
