"""Manifests of large files (FORMAT 7.1), as whoever has the key may write them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import padded, unpadded
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.errors import DataError, Malformed

NESTED: Final = 1
"""It is stored as a chunk: the next bits of the first byte are the depth that it has to have."""
PADDED: Final = 128
"""The rest of the input is a chunk, for which the first byte says how long its content has to be."""
_SIZE: Final = 8
_NAME: Final = "A" * 43
WORDS: Final = (
    *b'"depth":|"pieces":[|"scheme":1|"size":|"v":1|["%b",0,1],|null|true|1e309|NaN|9223372036854775808|[[[['.split(
        b"|"
    ),
    _NAME.encode(),
    bytes(_SIZE),
    b"9" * 400,
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """A manifest whose pieces are the file, one after the other, in bounded numbers; or one of our errors."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    if flags & PADDED:
        _unpad(rest, flags & ~PADDED)
        return
    depth = flags >> 1 if flags & NESTED else None
    size, content = int.from_bytes(rest[:_SIZE], "big"), rest[_SIZE:]
    try:
        manifest = Manifest.decode(content, size=size, depth=depth)
    except DataError:
        return
    assert depth in (None, manifest.depth)
    assert manifest.size == size <= limits.CHUNKED_SIZE
    assert len(manifest.pieces) <= limits.MANIFEST_PIECES
    written = manifest.encode()
    assert len(written) <= limits.MANIFEST_BYTES
    assert Manifest.decode(padded(written), size=size, depth=manifest.depth) == manifest
    _walk(manifest)


def seeds() -> Iterator[bytes]:
    """Small manifests of all depths, and what one would change in them."""
    rows = ((), ((_NAME, 5),), (("B" * 42 + "A", limits.CHUNK_MOST), (_NAME, 1)))
    for row in rows:
        for depth in (0, 1, limits.MANIFEST_DEPTH):
            manifest = Manifest(tuple(Piece(*piece) for piece in row), depth)
            size = manifest.size.to_bytes(_SIZE, "big")
            yield b"\0" + size + manifest.encode()
            yield bytes([NESTED | depth << 1]) + size + padded(manifest.encode())
            value: dict[str, Any] = json.loads(manifest.encode())
            for name, odd in (
                ("v", 2),
                ("scheme", True),
                ("size", 10**400),
                ("depth", -1),
                ("pieces", [[_NAME, 1, 0]]),
            ):
                yield b"\0" + size + json.dumps({**value, name: odd}).encode("ascii")
    many = Manifest((Piece(_NAME, 1),) * limits.MANIFEST_PIECES)
    yield b"\0" + many.size.to_bytes(_SIZE, "big") + many.encode()
    yield b"\0" + bytes(_SIZE) + b"[" * 3000
    for length in (0, 63, 65, 127):
        yield bytes([PADDED | length]) + padded(b"x" * length)
        yield bytes([PADDED | length]) + b"x" * length + b"\0"


def _walk(manifest: Manifest) -> None:
    """What a reader asks of it."""
    behind = 0
    for stretch in manifest.stretches(0, manifest.size):
        assert (stretch.offset, stretch.start, stretch.stop) == (behind, 0, stretch.piece.length)
        behind += stretch.piece.length
    assert behind == manifest.size
    middle = manifest.size // 2
    assert sum(one.stop - one.start for one in manifest.stretches(middle, manifest.size)) == manifest.size - middle


def _unpad(content: bytes, length: int) -> None:
    try:
        data = unpadded(content, length)
    except Malformed:
        return
    assert len(data) == length
    assert padded(data) == content
