"""Checksums (CRC-32) of what is in the database: they tell accidents of the disk.

Who forges a message is found out by the format, not here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

__all__ = ["PIECE", "is_intact", "piece_checksums", "row_checksum"]

PIECE = 4
"""Bytes of the checksum of a piece."""

Buffer = bytes | bytearray | memoryview


def row_checksum(*values: int | str | bytes | None) -> int:
    """The checksum of a row: a difference in any value, or in its type, gives another one."""
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))


def piece_checksums(pieces: Sequence[Buffer], place: int) -> bytes:
    """Those of the pieces of a message: header, text, and what of the text is in parts."""
    found = [_of_piece(piece, place, number) for number, piece in enumerate(pieces)]
    return struct.pack(f">{len(found)}I", *found)


def is_intact(piece: Buffer, place: int, number: int, checksums: bytes) -> bool:
    """Whether a piece is what was stored, there and under this number."""
    start = PIECE * number
    return checksums[start : start + PIECE] == struct.pack(">I", _of_piece(piece, place, number))


def _of_piece(piece: Buffer, place: int, number: int) -> int:
    return zlib.crc32(piece, zlib.crc32(struct.pack(">qq", place, number)))
