"""Where a file is cut into chunks: by its content, under a key (FORMAT 7.1).

A boundary lies where a hash of the bytes before it begins with zeros, so that an insertion moves the boundaries near
it and no others. The hash is the gear hash of FastCDC [Xia et al., 2016] with a table made from the folder's secret:
with a public table, as the usual libraries have, the lengths of chunks would tell which known file somebody stores.

The hash of a place depends on the 32 bytes before it only, so that numpy finds all of them at once, doubling the
number of bytes that they take in with each step; it lets go of the interpreter meanwhile, so that this is work for a
thread.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ifap_twisted.core import limits
from ifap_twisted.core.cutting import Cutting

__all__ = ["Chunker"]

_LABEL: Final = b"ifap-twisted/1/boundaries"
_BLOCK: Final = 64 * limits.KIB
"""So much is looked at together: it fits into the cache of a processor."""


class Chunker:
    """Finds boundaries; the same in all programs that have the folder's sub-key.

    :param key: the sub-key for the names of chunks (FORMAT 8.2).
    """

    def __init__(self, key: bytes, cutting: Cutting | None = None) -> None:
        self.cutting = Cutting() if cutting is None else cutting
        self._mask = np.uint32(((1 << self.cutting.bits) - 1) << (32 - self.cutting.bits))
        drawn = hashlib.shake_256(_LABEL + b"\0" + key).digest(4 * 256)
        self._table: NDArray[np.uint32] = np.frombuffer(drawn, dtype="<u4").astype(np.uint32)

    def cut(self, data: bytes | bytearray | memoryview) -> int:
        """The length of the first chunk of some bytes.

        :param data: at least ``cutting.most`` of them, or all up to the end of the file.
        """
        view = memoryview(data)[: self.cutting.most]
        for start in range(self.cutting.least, len(view), _BLOCK):
            stop = min(start + _BLOCK, len(view))
            found = self._boundary(view[start - limits.CHUNK_WINDOW : stop - 1])
            if found is not None:
                return start + found
        return len(view)

    def _boundary(self, view: memoryview) -> int | None:
        """How many bytes behind the first window the first boundary is."""
        sums = self._table.take(np.frombuffer(view, dtype=np.uint8))
        width = 1
        while width < limits.CHUNK_WINDOW:
            sums[width:] += sums[:-width] << np.uint32(width)
            width *= 2
        places = np.flatnonzero((sums[limits.CHUNK_WINDOW - 1 :] & self._mask) == 0)
        return int(places[0]) if places.size else None
