"""The chunks of a file in a row, however many manifests tell of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Piece", "Row", "Stretch"]


class Piece(NamedTuple):
    """A part of a file: the name of its chunk, and its length in bytes without padding."""

    name: str
    length: int


class Stretch(NamedTuple):
    """What is needed of one piece: from ``start`` of it up to ``stop``; it begins at ``offset`` of the file."""

    piece: Piece
    offset: int
    start: int
    stop: int


class Row:
    """Pieces of content, and where each begins.

    :ivar pieces: in order; ``size`` is the bytes of all.
    """

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self.pieces: list[Piece] = []
        self._offsets: list[int] = []
        self.size = 0
        for piece in pieces:
            self.add(piece)

    def add(self, piece: Piece) -> None:
        """One more at the end."""
        self.pieces.append(piece)
        self._offsets.append(self.size)
        self.size += piece.length

    def beginning_at(self, offset: int) -> Piece | None:
        """The piece that begins exactly there."""
        number = bisect_left(self._offsets, offset)
        found = number < len(self._offsets) and self._offsets[number] == offset
        return self.pieces[number] if found else None

    def stretches(self, start: int, stop: int) -> Iterator[Stretch]:
        """What of which pieces is needed for a range of bytes, in order; the range is cut to what is there."""
        start, stop = max(start, 0), min(stop, self.size)
        number = bisect_right(self._offsets, start) - 1
        while start < stop:
            piece, offset = self.pieces[number], self._offsets[number]
            end = min(stop, offset + piece.length)
            yield Stretch(piece, offset, start - offset, end - offset)
            start, number = end, number + 1
