"""The fields of a key slot in JSON: each of one form only, anything else is refused (FORMAT 8.4)."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Final

from ifap_twisted.core.values import JSON
from ifap_twisted.errors import Malformed

__all__ = ["decode_bytes", "encode_bytes", "malformed", "short_text", "whole"]

_TEXT: Final = 64


def encode_bytes(data: bytes) -> str:
    """Standard base64."""
    return b64encode(data).decode("ascii")


def decode_bytes(value: JSON, length: int | None = None) -> bytes:
    """The bytes of a text in standard base64, not empty; of one length if that is given.

    :raises Malformed:
    """
    try:
        found = b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise malformed() from None
    if (length is not None and len(found) != length) or not found or encode_bytes(found) != value:
        raise malformed()
    return found


def short_text(value: JSON) -> str:
    """A printable ASCII text of at most 64 characters.

    :raises Malformed:
    """
    if not isinstance(value, str) or len(value) > _TEXT or not (value.isascii() and (value.isprintable() or not value)):
        raise malformed()
    return value


def whole(value: JSON) -> int:
    """A number from 1 to 2**53 - 1.

    :raises Malformed:
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**53:
        raise malformed()
    return value


def malformed() -> Malformed:
    """The error for everything that is not as it should be."""
    return Malformed("A key slot is not in the format.", section="slot")
