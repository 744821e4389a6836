"""Which chunks large files need: what their manifests name, all taken together (FORMAT 5.3, 7.2).

It decides from manifests that somebody read; what it derives is never stored. A manifest that is not known makes the
answer none: what it names cannot be told, so that nothing may go.
"""

from __future__ import annotations

from array import array
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from ifap_twisted.core.manifests import Manifest, Piece

__all__ = ["Loss", "Losses", "Part", "Row", "named", "parts"]

_DIGEST: Final = 32
RANGES: Final = 16
"""Lost ranges of one file that are told one by one."""
LOOKED_AT: Final = 1_000_000
"""Pieces that are looked at for them: a manifest may name one below it again and again."""


class Row(NamedTuple):
    """A manifest as it is kept: 40 bytes for each piece, and not some 200."""

    depth: int
    digests: bytes
    lengths: array[int]

    @classmethod
    def of(cls, manifest: Manifest) -> Row:
        """What a manifest says."""
        digests = b"".join(urlsafe_b64decode(piece.name + "=") for piece in manifest.pieces)
        return cls(manifest.depth, digests, array("Q", [piece.length for piece in manifest.pieces]))

    def pieces(self) -> Iterator[Piece]:
        """As the manifest has them."""
        for number, length in enumerate(self.lengths):
            digest = self.digests[number * _DIGEST : (number + 1) * _DIGEST]
            yield Piece(urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"), length)


class Part(NamedTuple):
    """A manifest that another one names: with the same content it says the same wherever it is named."""

    name: str
    length: int
    depth: int


class Loss(NamedTuple):
    """A range of a file that cannot be read, in bytes: from ``start`` up to ``stop``."""

    start: int
    stop: int


def parts(row: Row) -> Iterator[Part]:
    """The manifests that a manifest names."""
    if row.depth:
        yield from (Part(piece.name, piece.length, row.depth - 1) for piece in row.pieces())


def named(rows: Iterable[Row]) -> set[str]:
    """The names of all chunks that these manifests name themselves, manifests among them."""
    return {piece.name for row in rows for piece in row.pieces()}


class Losses:
    """Tells what is lost of files, by manifests of which any may be named again and again.

    :param below: the manifests below those of files; None, or none: it is lost itself, or cannot be used.
    :param whole: the names of the chunks that are there and of which nothing bad is known.
    """

    def __init__(self, below: Mapping[Part, Row | None], whole: Collection[str]) -> None:
        self._below = below
        self._whole = whole
        self._known: dict[Part, bool] = {}
        self._left = 0

    def of(self, row: Row) -> tuple[Loss, ...]:
        """The ranges that are lost, in order, joined where they meet: at most ``RANGES``.

        The last one takes in all that follow, as far as ``LOOKED_AT`` pieces tell.
        """
        if self.is_whole(row):
            return ()
        self._left = LOOKED_AT
        found: list[Loss] = []
        for one in self._ranges(row, 0):
            if found and (found[-1].stop == one.start or len(found) == RANGES):
                found[-1] = Loss(found[-1].start, one.stop)
            else:
                found.append(one)
        return tuple(found)

    def is_whole(self, row: Row) -> bool:
        """Whether nothing of a manifest, and of what it names, is lost."""
        there = all(piece.name in self._whole for piece in row.pieces())
        return there and all(self._is_part_whole(part) for part in parts(row))

    def _is_part_whole(self, part: Part) -> bool:
        if part not in self._known:
            row = self._below.get(part)
            self._known[part] = row is not None and self.is_whole(row)
        return self._known[part]

    def _ranges(self, row: Row, offset: int) -> Iterator[Loss]:
        for piece in row.pieces():
            self._left -= 1
            if self._left < 0:
                return
            part = Part(piece.name, piece.length, row.depth - 1)
            below = self._below.get(part) if row.depth else None
            if piece.name not in self._whole or (row.depth and below is None):
                yield Loss(offset, offset + piece.length)
            elif below is not None and not self._is_part_whole(part):
                yield from self._ranges(below, offset)
            offset += piece.length
