"""Manifests: which chunks make up a large file (FORMAT 7.1).

A manifest is canonical JSON, ``{"depth":D,"pieces":[[NAME,OFFSET,LENGTH],…],"scheme":1,"size":N,"v":1}``. Its pieces
follow one another without gap or overlap. With depth 0 they are chunks; above, each is a manifest of the depth below,
which is stored as a chunk and counts its offsets from its own beginning. So an equal stretch of two files has equal
manifests, and a copy of a large file sends little. A later release may say more: keys that are not known are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.metadata import SCHEME
from ifap_twisted.core.rows import Piece, Row, Stretch
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import Malformed, NewerVersionNeeded

__all__ = ["Manifest", "Piece", "Stretch", "grouped"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_VERSION: Final = 1
_KEYS: Final = frozenset({"depth", "pieces", "scheme", "size", "v"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file, or a part of one, as a row of pieces.

    :ivar pieces: at most ``limits.MANIFEST_PIECES``, each with at least one byte.
    :ivar depth: 0: the pieces are chunks of content; above, manifests of the depth below.
    """

    pieces: tuple[Piece, ...] = ()
    depth: int = 0

    @property
    def size(self) -> int:
        """Bytes of content."""
        return sum(piece.length for piece in self.pieces)

    def encode(self) -> bytes:
        """Canonical JSON."""
        offsets = accumulate((piece.length for piece in self.pieces), initial=0)
        pieces = [[piece.name, offset, piece.length] for piece, offset in zip(self.pieces, offsets, strict=False)]
        value = {"depth": self.depth, "pieces": pieces, "scheme": SCHEME, "size": self.size, "v": _VERSION}
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, *, size: int, depth: int | None = None, path: str | None = None) -> Manifest:
        """The inverse of :meth:`encode`.

        :param size: what the header of the file, or the manifest above, says of the length.
        :param depth: what it has to be, for one that is stored as a chunk, padding and all; None: any that is allowed.
        :raises Malformed: gaps, overlaps, another size or depth, anything else that is odd, or too long.
        :raises NewerVersionNeeded: it is of a newer scheme.
        """
        try:
            if len(content) > limits.MANIFEST_BYTES:
                raise ValueError("it is too long")
            text = content.decode("ascii") if depth is None else content.rstrip(b"\0").decode("ascii")
            return cls(*_parsed(strict_json(text), size, depth, path))
        except ValueError as error:
            reason = "it is not ASCII" if isinstance(error, UnicodeError) else str(error)
            raise Malformed(f"The list of chunks cannot be used: {reason}.", section="body", path=path) from None

    def stretches(self, start: int, stop: int) -> Iterator[Stretch]:
        """What of which pieces is needed for a range of bytes, in order; the range is cut to what is there."""
        return Row(self.pieces).stretches(start, stop)


def grouped(pieces: Sequence[Piece], depth: int) -> Iterator[Manifest]:
    """The manifests of a depth for a row of pieces: one where they fit into one, else as many as are needed."""
    for start in range(0, max(len(pieces), 1), limits.MANIFEST_PIECES):
        yield Manifest(tuple(pieces[start : start + limits.MANIFEST_PIECES]), depth)


def _parsed(value: JSON, size: int, depth: int | None, path: str | None) -> tuple[tuple[Piece, ...], int]:
    if type(value) is not dict:
        raise ValueError("it has the wrong shape")
    _check_scheme(value, path)
    if not value.keys() >= _KEYS:
        raise ValueError("it has the wrong shape")
    found, pieces = value["depth"], value["pieces"]
    if type(found) is not int or not 0 <= found <= limits.MANIFEST_DEPTH or depth not in (None, found):
        raise ValueError("its depth is wrong")
    if type(pieces) is not list or len(pieces) > limits.MANIFEST_PIECES:
        raise ValueError("it has too many pieces" if type(pieces) is list else "it has the wrong shape")
    row = tuple(_in_order(pieces, limits.CHUNK_MOST * limits.MANIFEST_PIECES**found))
    length = sum(piece.length for piece in row)
    if type(value["size"]) is not int or not length == value["size"] == size <= limits.CHUNKED_SIZE:
        raise ValueError("it is of another length than the file")
    return row, found


def _check_scheme(value: dict[str, JSON], path: str | None) -> None:
    """First of all: nothing is known of the shape of a newer one."""
    for name, right in (("v", _VERSION), ("scheme", SCHEME)):
        found = value.get(name)
        if type(found) is not int or found < right:
            raise ValueError("it has the wrong shape")
        if found > right:
            raise NewerVersionNeeded("A newer version of ifap-twisted wrote the list of chunks.", path=path)


def _in_order(pieces: Iterable[JSON], longest: int) -> Iterator[Piece]:
    behind = 0
    for one in pieces:
        if type(one) is not list or len(one) != 3:
            raise ValueError("a piece has the wrong shape")
        name, offset, length = one
        if type(name) is not str or not _NAME.fullmatch(name) or type(offset) is not int or type(length) is not int:
            raise ValueError("a piece has the wrong shape")
        if offset != behind:
            raise ValueError("its pieces overlap" if offset < behind else "there is a gap between its pieces")
        if not 0 < length <= longest:
            raise ValueError("the length of a piece is wrong")
        behind += length
        yield Piece(name, length)
