"""Where a file is cut into chunks: by its content, under a key (FORMAT 7.1).

A boundary lies where the 32 bytes before it are chosen by a function that only the folder's secret makes, so that an
insertion moves the boundaries near it and no others. With a function that everybody has, as in the usual libraries, the
lengths of chunks would tell which known file somebody stores. A hash with a secret table is not enough: who knows some
of the files computes the table from their lengths, and with it those of all others [Truong et al., 2025]. So a gear
hash [Xia et al., 2016] finds candidates, and a CBC-MAC with AES chooses among them: what is seen of its choices tells
nothing of the next.

The hash of a place depends on 32 bytes only, so that numpy finds all of them at once, doubling the number of bytes that
they take in with each step; it lets go of the interpreter meanwhile, so that this is work for a thread.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ifap_twisted.core import limits
from ifap_twisted.core.cutting import Cutting

__all__ = ["Chunker"]

_LABEL: Final = b"ifap-twisted/1/boundaries"
_TABLE: Final = 4 * 256
_AES: Final = 16
_HASHED: Final = 3
"""One in so many of the bits that choose are those of the hash."""
_BLOCK: Final = 64 * limits.KIB
"""So much is looked at together: it fits into the cache of a processor."""


class Chunker:
    """Finds boundaries; the same in all programs that have the folder's sub-key.

    :param key: the sub-key for the names of chunks (FORMAT 8.2).
    """

    def __init__(self, key: bytes, cutting: Cutting | None = None) -> None:
        self.cutting = Cutting() if cutting is None else cutting
        hashed = self.cutting.bits // _HASHED
        self._candidate, self._chosen = _leading(hashed), _leading(self.cutting.bits - hashed)
        drawn = hashlib.shake_256(_LABEL + b"\0" + key).digest(_TABLE + _AES)
        self._table: NDArray[np.uint32] = np.frombuffer(drawn[:_TABLE], dtype="<u4").astype(np.uint32)
        self._cipher = Cipher(algorithms.AES(drawn[_TABLE:]), modes.ECB())  # noqa: S305 -- of single blocks

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
        data = np.frombuffer(view, dtype=np.uint8)
        sums = self._table.take(data)
        width = 1
        while width < limits.CHUNK_WINDOW:
            sums[width:] += sums[:-width] << np.uint32(width)
            width *= 2
        places = np.flatnonzero((sums[limits.CHUNK_WINDOW - 1 :] & self._candidate) == 0)
        if places.size:
            places = places[self._choose(sliding_window_view(data, limits.CHUNK_WINDOW)[places])]
        return int(places[0]) if places.size else None

    def _choose(self, windows: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which windows have a boundary behind them, by their CBC-MAC."""
        chained = self._encrypted(windows[:, :_AES]) ^ windows[:, _AES:]
        codes: NDArray[np.uint32] = self._encrypted(chained).view(">u4")[:, 0]
        chosen: NDArray[np.bool_] = (codes & self._chosen) == 0
        return chosen

    def _encrypted(self, blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.frombuffer(self._cipher.encryptor().update(blocks.tobytes()), dtype=np.uint8).reshape(-1, _AES)


def _leading(bits: int) -> np.uint32:
    return np.uint32(((1 << bits) - 1) << (32 - bits))
