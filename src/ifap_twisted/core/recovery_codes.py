"""Recovery codes: 32 random bytes as four rows that can be written down, each with a checksum (FORMAT 8.4).

A row says by itself whether it was copied well, so a person is told which one to look at again; nothing that was typed
is ever part of an error.
"""

from __future__ import annotations

import hashlib
from typing import Final

from ifap_twisted.errors import CallerError

__all__ = ["CODE_BYTES", "decode", "encode"]

CODE_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_ROWS: Final = 4
_ROW_BYTES: Final = CODE_BYTES // _ROWS
_CHECK_BYTES: Final = 2
_ROW: Final = 16
_GROUP: Final = 4
_CONTEXT: Final = b"ifap-recovery/1"
_IGNORED: Final = {ord(character): None for character in " \t\r\n-\u2010\u2011\u2012\u2013"}


def encode(secret: bytes) -> str:
    """The four rows of a secret, one in a line, in groups of four characters (Crockford's base 32)."""
    if len(secret) != CODE_BYTES:
        raise ValueError("a recovery code has 32 bytes")
    return "\n".join(_row(number, secret[number * _ROW_BYTES :][:_ROW_BYTES]) for number in range(_ROWS))


def decode(text: str) -> bytes:
    """The secret of a code as a person typed it: any case, blanks, dashes and line ends, O for 0, I and L for 1.

    :raises CallerError: it is no code, or a row was mistyped: it says which.
    """
    characters = text.translate(_IGNORED).upper()
    if len(characters) != _ROWS * _ROW:
        raise CallerError(
            f"The recovery code has {_ROWS * _ROW} letters and digits in {_ROWS} rows, not {len(characters)}."
        )
    return b"".join(_secret(number, characters[number * _ROW :][:_ROW]) for number in range(_ROWS))


def _row(number: int, secret: bytes) -> str:
    value = int.from_bytes(secret + _check(number, secret), "big")
    characters = "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_ROW)))
    return " ".join(characters[start : start + _GROUP] for start in range(0, _ROW, _GROUP))


def _secret(number: int, characters: str) -> bytes:
    value = 0
    for character in characters:
        if character not in _VALUES:
            raise _mistyped(number)
        value = value << 5 | _VALUES[character]
    row = value.to_bytes(_ROW_BYTES + _CHECK_BYTES, "big")
    secret, check = row[:_ROW_BYTES], row[_ROW_BYTES:]
    if check != _check(number, secret):
        raise _mistyped(number)
    return secret


def _check(number: int, secret: bytes) -> bytes:
    """It depends on the row's place, so that two rows in the wrong order are noticed."""
    return hashlib.sha256(_CONTEXT + bytes([number]) + secret).digest()[:_CHECK_BYTES]


def _mistyped(number: int) -> CallerError:
    return CallerError(f"Row {number + 1} of the recovery code is mistyped.")
