"""Contents of snapshots (FORMAT 6.2): compressed, and the text inside."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from ifap_twisted.core.snapshot import encode, entries
from ifap_twisted.errors import SnapshotCorrupt

TEXT: Final = 1
"""The rest of the input is a text, to be compressed before it is read."""
WORDS: Final = tuple(b'{"seen": [|"tree": {|": [1, {|}, [1]]|NaN|1e999|\\ud800|4294967296|[[[[|\x78\x9c'.split(b"|"))
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """A tree or ``SnapshotCorrupt``; a tree can be written again and comes back."""
    content = zlib.compress(data[1:], 1) if data[:1] and data[0] & TEXT else data[1:]
    try:
        tree = dict(entries(content))
    except SnapshotCorrupt:
        return
    for uid, _, uids in tree.values():
        assert uid in uids
    assert dict(entries(encode(tree))) == tree


def seeds() -> Iterator[bytes]:
    """Small trees, and what only looks like one."""
    trees = (
        {},
        {"a": (2, {"bytes": 1}, (1, 2))},
        {"d/\u00e4\ud800": (7, {"fn": "d/\u00e4", "clock": {"w": 1}, "x": [None, 1.5, {"y": True}]}, (7,))},
    )
    for tree in trees:
        yield b"\0" + encode(tree)
        yield bytes([TEXT]) + zlib.decompress(encode(tree))
    for text in (
        b'{"tree": {"a": [1, {}, [1]], "a": [1, {}, [1]]}, "seen": [1]}',
        b'{"seen": [1e3], "tree": {"a": [1, {"b": NaN}, [1]]}}',
        b'{"seen": [], "tree": ' + b'{"a":[1,' * 40 + b"0" + b"]}" * 40 + b"}",
        b"[" * 2000,
        b'{"seen": [' + b"9" * 5000 + b'], "tree": {}}',
    ):
        yield bytes([TEXT]) + text
    yield b"\0" + zlib.compress(b" " * 300_000)
