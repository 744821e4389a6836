"""Chunks: the messages that hold the content of large files, named by what is in them (FORMAT 7.1).

A name tells nothing to who has no key: it is made with a sub-key of the folder. Length tells a little: so chunks are
padded, as by Padmé. A chunk is sealed as any file is; what its header says follows from its content alone, so that
equal chunks of two writers are places of one version (FORMAT 2.2).
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.values import Draft
from ifap_twisted.errors import Malformed

__all__ = [
    "CHUNKS",
    "WRITER",
    "chunk_draft",
    "chunk_key",
    "chunk_name",
    "chunk_path",
    "is_chunk_name",
    "padded",
    "padded_length",
    "unpadded",
]

CHUNKS: Final = "IFAP/chunks/"
"""What the reserved names of chunks begin with (FORMAT 6.1)."""

WRITER: Final = "chunks"
"""Equal chunks have equal headers: no device has this name, and no history is begun with it."""
_VID_LENGTH: Final = 22
_PADDING: Final = b"\0"


def chunk_key(text: str) -> bytes:
    """The sub-key for names, from the text that the folder object has (FORMAT 8.2): 32 bytes."""
    return urlsafe_b64decode(text)


def chunk_name(key: bytes, content: bytes) -> str:
    """The name of a chunk: HMAC-SHA-256 of its padded content in base64url, 43 characters."""
    return urlsafe_b64encode(hmac.digest(key, content, sha256)).rstrip(b"=").decode("ascii")


def is_chunk_name(key: bytes, content: bytes, name: str) -> bool:
    """Whether a padded content is that of a name."""
    return hmac.compare_digest(chunk_name(key, content).encode(), name.encode("utf-8", "surrogatepass"))


def chunk_path(name: str) -> str:
    """Where a chunk lies."""
    return CHUNKS + name


def padded_length(length: int) -> int:
    """How long the content of a chunk is with its padding: at most 1/32 more, 32 lengths for each power of two."""
    unit = 1 << max(0, length.bit_length() - limits.CHUNK_PADDING_BITS - 1)
    return -(-length // unit) * unit


def padded(data: bytes) -> bytes:
    """The content of a chunk: a part of a file, and NULs behind it."""
    return data + bytes(padded_length(len(data)) - len(data))


def unpadded(content: bytes, length: int) -> bytes:
    """The inverse of :func:`padded`, for what a manifest says of the length.

    :raises Malformed: it is not padded as that length is.
    """
    if not 0 <= length <= len(content) == padded_length(length) or content[length:].strip(_PADDING):
        raise Malformed("A chunk is of another length than its file says.", section="body")
    return content[:length]


def chunk_draft(name: str, home: str) -> Draft:
    """What the header of a chunk says: nothing but its name and its folder."""
    return Draft(
        path=chunk_path(name),
        vid=name[:_VID_LENGTH],
        writer=WRITER,
        clock={WRITER: 1},
        home=home,
        modified=0.0,
        keep=limits.WIRE_VERSIONS,
    )
