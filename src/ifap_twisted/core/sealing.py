"""Sealed tokens: ``!`` and a Fernet token in urlsafe base64, of any size, in little more memory than their own.

It is Fernet, byte for byte, written over AES and HMAC because the stock class holds five copies of what it seals. It
returns no byte of plaintext before the HMAC was found right, and looks at no age.

A token that fits no key and a token that was damaged look alike to an HMAC: both are :class:`ForeignKey` here. Only a
caller who knows that the key opened something else of the same message can call it tampered.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import io
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ifap_twisted.core.keys import Key
from ifap_twisted.errors import ForeignKey, Malformed

__all__ = [
    "MARK",
    "decode_base64",
    "encode_base64",
    "fold",
    "open_into",
    "open_token",
    "open_with",
    "seal",
    "seal_to",
    "time_of",
]

MARK: Final = b"!"
"""The first character of what is sealed; base64 has no such character."""

Sink = Callable[[bytes], object]
"""Takes the next bytes of what is written."""

_WHITE: Final = b"\r\n \t"
_TO_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE: Final = bytes.maketrans(b"-_+/", b"+/\0\0")
_STANDARD: Final = bytes.maketrans(b"", b"")

_VERSION: Final = b"\x80"
_PREFIX: Final = 1 + 8 + 16
_MAC: Final = 32
_BLOCK: Final = 16
_LEAST: Final = _PREFIX + _BLOCK + _MAC
_PIECE: Final = 192 * 1024
"""Bytes handled at a time: a multiple of 3, 4 and 16."""
_ONE_PIECE: Final = 64 * 1024
"""Up to this many bytes a token is made in one go."""
_SMALL: Final = 16 * 1024
"""Up to this many characters a token is opened in one go."""


def seal(key: Key, data: bytes, *, now: int, iv: bytes) -> bytes:
    """Seal: ``!`` and the token of ``data``, unfolded.

    :param now: Unix time, which anybody can read in the token.
    :param iv: 16 random bytes, never used before.
    """
    buffer = io.BytesIO()
    seal_to(buffer.write, key, (data,), now=now, iv=iv)
    return buffer.getvalue()


def seal_to(sink: Sink, key: Key, parts: Iterable[bytes], *, now: int, iv: bytes, columns: int = 0) -> None:
    """Seal the concatenation of ``parts``, folded by CRLF at ``columns`` unless 0; large ones piece by piece."""
    parts = tuple(parts)
    if sum(map(len, parts)) <= _ONE_PIECE:
        text = _small_token(key, b"".join(parts), now, iv)
        sink(fold(text, columns) if columns else text)
        return
    encode_base64(sink, _token(key, parts, now, iv), columns=columns, mark=MARK, urlsafe=True)


def open_token(keys: Key | Sequence[Key], text: bytes | memoryview) -> bytes:
    """Open a sealed text, its ``!`` included; CR, LF, blanks and tabs between the characters are allowed.

    :raises ForeignKey: the HMAC fits none of the keys, because the key is another or the token was damaged.
    :raises Malformed: it is no token.
    """
    return open_with((keys,) if isinstance(keys, Key) else keys, text)[0]


def open_with(keys: Sequence[Key], text: bytes | memoryview) -> tuple[bytes, Key]:
    """As :func:`open_token`, with the key that opened it."""
    if len(text) <= _SMALL:
        return _open_small(keys, bytes(text))
    buffer, key = open_into(keys, text)
    return buffer.getvalue(), key


def open_into(keys: Sequence[Key], text: bytes | memoryview) -> tuple[io.BytesIO, Key]:
    """As :func:`open_with`, into a buffer that can be cut and taken without another copy."""
    for key in keys:
        buffer = _open_large(key, memoryview(text))
        if buffer is not None:
            return buffer, key
    raise ForeignKey


def time_of(token: bytes) -> int:
    """When a token was sealed, in Unix time: to be believed only once it was opened.

    :param token: as it was opened, without white space.
    """
    return int.from_bytes(binascii.a2b_base64(token[1:13].translate(_FROM_URLSAFE))[1:], "big")


def fold(text: bytes, columns: int, separator: bytes = b"\r\n") -> bytes:
    """Cut into pieces of ``columns`` characters, the last one shorter but never empty, joined by ``separator``."""
    return separator.join([text[start : start + columns] for start in range(0, len(text), columns)])


def encode_base64(
    sink: Sink, pieces: Iterable[bytes | memoryview], *, columns: int = 0, mark: bytes = b"", urlsafe: bool = False
) -> None:
    """Write ``mark`` and the base64 text of all pieces together, folded by CRLF at ``columns`` unless that is 0."""
    raw, line, separator = b"", mark, b""
    for piece in pieces:
        joined = raw + bytes(piece)
        whole = len(joined) // 3 * 3
        raw = joined[whole:]
        line += _characters(joined[:whole], urlsafe=urlsafe)
        # The last line is held back, so that a separator comes only when something follows.
        cut = max(len(line) - 1, 0) // columns * columns if columns else len(line)
        if cut:
            sink(separator + fold(line[:cut], columns or cut))
            separator, line = b"\r\n" if columns else b"", line[cut:]
    line += _characters(raw, urlsafe=urlsafe)
    if line:
        sink(separator + fold(line, columns or len(line)))


def decode_base64(text: bytes | memoryview, *, urlsafe: bool = False) -> Iterator[bytes]:
    """The bytes of a base64 text in pieces; only CR, LF, blanks and tabs may stand between its characters.

    :raises Malformed: a foreign character, wrong padding, or bits left over in the last character: one content has
        one text, or the sealed id (FORMAT 2.1) of a message could be changed by anybody.
    """
    view, table, rest = memoryview(text), _FROM_URLSAFE if urlsafe else _STANDARD, b""
    for start in range(0, len(view), _PIECE):
        characters = rest + bytes(view[start : start + _PIECE]).translate(table, _WHITE)
        whole = max(len(characters) - 1, 0) // 4 * 4
        piece = _bytes(characters[:whole])
        if len(piece) != whole // 4 * 3:
            raise Malformed("A base64 text goes on after its end.")
        rest = characters[whole:]
        yield piece
    yield _last_bytes(rest)


def _characters(data: bytes, *, urlsafe: bool) -> bytes:
    text = binascii.b2a_base64(data, newline=False)
    return text.translate(_TO_URLSAFE) if urlsafe else text


def _bytes(characters: bytes) -> bytes:
    try:
        return binascii.a2b_base64(characters, strict_mode=True)
    except binascii.Error:
        raise Malformed("A base64 text holds what base64 does not have.") from None


def _last_bytes(characters: bytes) -> bytes:
    last = _bytes(characters)
    if binascii.b2a_base64(last, newline=False) != characters:
        raise Malformed("A base64 text does not end as it should.")
    return last


def _small_token(key: Key, data: bytes, now: int, iv: bytes) -> bytes:
    """As :func:`_token` with base64 and mark, in one go: a third of the time for a small file."""
    _check_iv(iv)
    padding = _BLOCK - len(data) % _BLOCK
    encryptor = Cipher(AES128(key.encryption), CBC(iv)).encryptor()
    encrypted = encryptor.update(data + bytes([padding]) * padding) + encryptor.finalize()
    signed = _VERSION + now.to_bytes(8, "big") + iv + encrypted
    return MARK + urlsafe_b64encode(signed + hmac.digest(key.signing, signed, "sha256"))


def _check_iv(iv: bytes) -> None:
    if len(iv) != _BLOCK:
        raise ValueError("an initialisation vector has 16 bytes")


def _token(key: Key, parts: Iterable[bytes], now: int, iv: bytes) -> Iterator[bytes]:
    _check_iv(iv)
    mac = hmac.new(key.signing, digestmod=hashlib.sha256)
    encryptor = Cipher(AES128(key.encryption), CBC(iv)).encryptor()
    prefix = _VERSION + now.to_bytes(8, "big") + iv
    mac.update(prefix)
    yield prefix
    total = 0
    for piece in _sliced(parts):
        total += len(piece)
        encrypted = encryptor.update(piece)
        mac.update(encrypted)
        yield encrypted
    padding = _BLOCK - total % _BLOCK
    encrypted = encryptor.update(bytes([padding]) * padding) + encryptor.finalize()
    mac.update(encrypted)
    yield encrypted + mac.digest()


def _sliced(parts: Iterable[bytes]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]


def _open_small(keys: Sequence[Key], text: bytes) -> tuple[bytes, Key]:
    characters = text.translate(_FROM_URLSAFE, _WHITE)
    _check_mark(characters)
    raw = _bytes(characters[1:])
    length = len(raw)
    if length % 3:
        _last_bytes(characters[-4:])
    _check_shape(length, raw[:1])
    signed, mac = raw[:-_MAC], raw[-_MAC:]
    for key in keys:
        if hmac.compare_digest(hmac.digest(key.signing, signed, "sha256"), mac):
            decryptor = Cipher(AES128(key.encryption), CBC(signed[9:_PREFIX])).decryptor()
            plain = decryptor.update(signed[_PREFIX:]) + decryptor.finalize()
            return plain[: -_padding(plain[-_BLOCK:])], key
    raise ForeignKey


def _open_large(key: Key, text: memoryview) -> io.BytesIO | None:
    """Open with one key, or None when the HMAC does not fit: then what was decrypted meanwhile is dropped unseen."""
    _check_mark(bytes(text[:1]))
    pieces = decode_base64(text[1:], urlsafe=True)
    first = _at_least(_LEAST, pieces)
    _check_shape(None, first[:1])
    mac = hmac.new(key.signing, first[:_PREFIX], digestmod=hashlib.sha256)
    decryptor = Cipher(AES128(key.encryption), CBC(first[9:_PREFIX])).decryptor()
    buffer, held, total = io.BytesIO(), first[_PREFIX:], len(first)
    for piece in pieces:
        total += len(piece)
        held += piece
        ready, held = held[:-_MAC], held[-_MAC:]
        mac.update(ready)
        buffer.write(decryptor.update(ready))
    ready, held = held[:-_MAC], held[-_MAC:]
    mac.update(ready)
    _check_shape(total, _VERSION)
    if not hmac.compare_digest(mac.digest(), held):
        return None
    buffer.write(decryptor.update(ready) + decryptor.finalize())
    _cut_padding(buffer)
    return buffer


def _at_least(count: int, pieces: Iterator[bytes]) -> bytes:
    first = b""
    while len(first) < count:
        piece = next(pieces, None)
        if piece is None:
            raise Malformed("A sealed text is too short.")
        first += piece
    return first


def _check_mark(text: bytes) -> None:
    if text[:1] != MARK:
        raise Malformed("A sealed text does not start with its mark.")


def _check_shape(length: int | None, version: bytes) -> None:
    if version != _VERSION:
        raise Malformed("A sealed text is of an unknown kind.")
    if length is not None and (length < _LEAST or (length - _LEAST) % _BLOCK):
        raise Malformed("A sealed text has an impossible length.")


def _cut_padding(buffer: io.BytesIO) -> None:
    with buffer.getbuffer() as view:
        length = len(view)
        last = bytes(view[-_BLOCK:])
    buffer.truncate(length - _padding(last))


def _padding(last: bytes) -> int:
    """How many bytes of padding an authentic token ends with (PKCS#7)."""
    count = last[-1]
    # Of 0 and of more than a block the two sides differ in length.
    if last[-count:] != bytes([count]) * count:
        raise Malformed("A sealed text is padded wrongly.")
    return count
