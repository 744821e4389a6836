"""Metadata texts (FORMAT 1.2, 1.3), as whoever has the key, or a folder without one, may bring them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from ifap_twisted.core.metadata import decode, reference_metadata
from ifap_twisted.core.paths import is_reserved, is_writable, local_parts
from ifap_twisted.core.vocabulary import FORMAT_KEYS
from ifap_twisted.errors import InvalidPath, Malformed
from tests.core.vectors import MANIFEST
from tests.vectors_own.generate import HERE

SEALED: Final = 1
_ID: Final = "A" * 22
_LARGEST: Final = 4 * 1024
WORDS: Final = (
    *(b'"%b":' % name.encode() for name in sorted(FORMAT_KEYS)),
    *b'{"|{\n|"_":"|null|true|1e309|-0.0|NaN|\\ud800|\\u0000|9223372036854775808|..|"IFAP/'.split(b"|"),
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """A version or ``Malformed``; of a version everything can be asked, and a local name never leads out."""
    written = 1_700_000_000 if data[:1] and data[0] & SEALED else None
    text = data[1:]
    try:
        version = decode(text, sealed_id=_ID, written=written)
    except Malformed:
        return
    assert version == decode(text, sealed_id=_ID, written=written)
    assert version.length >= 0
    assert version.encrypted == (written is not None)
    json.dumps(reference_metadata(version), allow_nan=False)
    is_reserved(version.path)
    _local(version.path)


def seeds() -> Iterator[bytes]:
    """The texts of all vectors that are not long, sealed and in clear."""
    own = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))["messages"]
    for entry in (*MANIFEST["messages"], *own):
        text = entry.get("metadata_text")
        if text is not None and len(text) <= _LARGEST:
            encoded = text.encode("utf-8", "surrogatepass")
            yield from (bytes([SEALED]) + encoded, b"\0" + encoded)


def _local(path: str) -> None:
    try:
        parts = local_parts(path)
    except InvalidPath:
        return
    assert parts
    assert "/".join(parts) == path or not is_writable(path)
    assert not any(part in {"", ".", ".."} or "/" in part or "\0" in part for part in parts)
