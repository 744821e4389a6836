"""A version as an RFC 5322 message: sealed with its content, and read back (FORMAT 1, WIRE-FORMAT 2 and 7).

It returns no content that does not fit the header it came with, never mends one, and with a key it never takes
plaintext for anything.

A blank line before the ``!`` of a body (the vectors' verdict ``policy``) is skipped, as white space anywhere in a text
is: what follows is authenticated or refused as if it were not there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ifap_twisted.core import capacity, limits, metadata, sealing
from ifap_twisted.core.dialects import DIALECTS, Dialect, dialects_of
from ifap_twisted.core.keys import Key
from ifap_twisted.core.metadata import exceeds_reference
from ifap_twisted.core.mime import data_part, head_end
from ifap_twisted.core.values import Draft, Sealed, Version
from ifap_twisted.core.vocabulary import LATEST
from ifap_twisted.errors import (
    Extended,
    ForeignFolder,
    ForeignKey,
    Malformed,
    NewerVersionNeeded,
    OtherDialect,
    Oversized,
    Plaintext,
    Spliced,
    Tampered,
    Truncated,
    Unbound,
)

__all__ = [
    "Raw",
    "content_hash",
    "exceeds_reference",
    "is_foreign",
    "is_sealed",
    "raw",
    "read_header",
    "read_message",
    "reseal",
    "same_bytes",
    "same_size",
    "seal",
    "sealed_id",
    "sealed_id_of",
]

_WHITE: Final = b"\r\n \t"
_ID_LENGTH: Final = 22
_IV: Final = 16
_BLANK: Final = b" "
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LEADING_WHITE: Final = re.compile(rb"[\r\n \t]*")
_FIELDS: Final = {
    dialect.name: re.compile(rb"^" + dialect.header.encode() + rb"[ \t]*:", re.IGNORECASE | re.MULTILINE)
    for dialect in DIALECTS.values()
}
_FIELD_END: Final = re.compile(rb"\n(?![ \t])")
"""Looked for by itself: a pattern of a whole field takes 36 bytes for each of it, and a server may send 96 MiB."""
_ALONE: Final = {
    dialect.name: re.compile(dialect.header.encode() + rb":((?:.*\r\n[ \t])*.*)\r\n\r\n", re.IGNORECASE)
    for dialect in DIALECTS.values()
}


# ---------------------------------------------------------------- writing


def seal(
    draft: Draft, content: bytes, *, dialect: Dialect, key: Key | None, now: float, random: Callable[[int], bytes]
) -> Sealed:
    """The message of a new version; plaintext when ``key`` is None.

    :param now: Unix time of the sealing; anybody can read it.
    :param random: gives that many random bytes.
    :raises InvalidPath, CallerError, TooLarge: as :func:`ifap_twisted.core.metadata.encode`.
    """
    text, version_of = metadata.write(draft, length=len(content), sha256=content_hash(content), sealed=key is not None)
    seconds = int(now)
    if key is not None:
        blanks = _BLANK * (limits.CONTENT_BLOCK - len(content) % limits.CONTENT_BLOCK)
        message, name = _sealed_message(text, (content, blanks), dialect=dialect, key=key, now=seconds, random=random)
        return Sealed(message=message, sealed_id=name, version=version_of(name, seconds))
    buffer = io.BytesIO()
    name = _write_head(buffer, dialect, base64.b64encode(text), seconds, encoding="base64")
    sealing.encode_base64(buffer.write, _pieces(content), columns=limits.BODY_COLUMNS)
    buffer.write(b"\r\n")
    return Sealed(message=buffer.getvalue(), sealed_id=name, version=version_of(name, None))


def _sealed_message(
    text: bytes, content: Sequence[bytes], *, dialect: Dialect, key: Key, now: int, random: Callable[[int], bytes]
) -> tuple[bytes, str]:
    """A message of a metadata text and a padded content, and its sealed id."""
    buffer = io.BytesIO()
    token = sealing.seal(key, text, now=now, iv=random(_IV))
    name = _write_head(buffer, dialect, token, now, encoding="7bit")
    sealing.seal_to(buffer.write, key, content, now=now, iv=random(_IV), columns=limits.BODY_COLUMNS)
    buffer.write(b"\r\n")
    return buffer.getvalue(), name


def _write_head(buffer: io.BytesIO, dialect: Dialect, token: bytes, seconds: int, *, encoding: str) -> str:
    """Write the header block; gives the sealed id, which its Message-ID names (FORMAT 2.4)."""
    name = sealed_id(token)
    folded = sealing.fold(token, limits.HEADER_COLUMNS, b"\r\n ")
    before, after = _other_fields(dialect, encoding)
    changing = f"Date: {_date(seconds)}\r\nMessage-ID: <{name}@ifap.invalid>\r\n".encode("ascii")
    buffer.write(b"".join((dialect.header.encode(), b":\r\n ", folded, b"\r\n", before, changing, after)))
    return name


@cache
def _other_fields(dialect: Dialect, encoding: str) -> tuple[bytes, bytes]:
    """What is the same in all messages: the fields before the date, and those after the Message-ID."""
    before = [("To", dialect.to), ("From", dialect.sender), ("Subject", dialect.subject), *dialect.extra_headers]
    after = [
        ("MIME-Version", "1.0"),
        ("Content-Type", dialect.media_type),
        ("Content-Transfer-Encoding", encoding),
        ("Content-Disposition", f'attachment; filename="{dialect.filename}"'),
    ]
    return _lines(before), _lines(after) + b"\r\n"


def _lines(fields: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{field}: {value}\r\n" for field, value in fields).encode("ascii")


@lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    month = _MONTHS[moment.month - 1]
    return f"{_DAYS[moment.weekday()]}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} +0000"


def _pieces(content: bytes) -> Iterator[memoryview]:
    view = memoryview(content)
    for start in range(0, len(view), limits.INLINE_BYTES):
        yield view[start : start + limits.INLINE_BYTES]


def content_hash(content: bytes) -> str:
    """What ``sha256`` names (FORMAT 1, table)."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")


# ---------------------------------------------------------------- sealing anew


class Raw(NamedTuple):
    """What the two tokens of a message hold, whatever it means.

    :ivar text: the metadata; ``body`` the content with its padding.
    :ivar written: when it was sealed, in Unix time.
    """

    text: bytes
    body: bytes
    written: int


def raw(message: bytes, *, dialect: Dialect, keys: Sequence[Key]) -> Raw:
    """Open a message without asking what it means.

    :raises Malformed, Oversized, ForeignKey, Plaintext, Spliced, Truncated, Tampered: it cannot be opened.
    """
    head = message[: head_end(message)[0]]
    token = _token(head, dialect)
    if token[:1] != sealing.MARK:
        raise Plaintext
    text, key = _opened(token, keys)
    body = _body_of(message, dialect)
    if len(body) == 0:
        raise Truncated("The content is missing.")
    if bytes(body[:1]) != sealing.MARK:
        raise Plaintext("The content is not encrypted.")
    try:
        buffer, _ = sealing.open_into((key,), body)
    except (ForeignKey, Malformed):
        raise Tampered from None
    return Raw(text, buffer.getvalue(), sealing.time_of(token))


def reseal(
    found: Raw, version: Version, *, dialect: Dialect, key: Key, home: str, random: Callable[[int], bytes]
) -> tuple[Sealed, Raw]:
    """The same version under a key, sealed at the same time; and what its message holds (FORMAT 2.2, 8.5).

    Ours says the same to the byte. One of the reference keeps id and place in history, and is bound to its content.

    :param version: what the opened message tells of, checked with its content by :func:`read_message`.
    :param home: of the folder.
    :raises TooLarge: the metadata becomes longer than readers accept.
    """
    text = found.text
    if not (version.ours or version.bound):
        content = memoryview(found.body)[: version.length]
        text = metadata.resealed(version, sha256=content_hash(bytes(content)), home=home)
    seconds = min(found.written, LATEST)
    message, name = _sealed_message(text, (found.body,), dialect=dialect, key=key, now=seconds, random=random)
    anew = metadata.decode(text, sealed_id=name, written=seconds)
    return Sealed(message=message, sealed_id=name, version=anew), Raw(text, found.body, seconds)


# ---------------------------------------------------------------- identity


def sealed_id(token: bytes) -> str:
    """22 characters that name a metadata token, its ``!`` included and white space left out (FORMAT 2.1)."""
    digest = hashlib.sha256(token.translate(None, _WHITE)).digest()
    return base64.urlsafe_b64encode(digest)[:_ID_LENGTH].decode("ascii")


def sealed_id_of(fields: bytes, dialect: Dialect) -> str:
    """The sealed id of the message with this header block; needs no key.

    :raises Malformed: the dialect's metadata field does not occur exactly once.
    """
    return sealed_id(_token(fields, dialect))


def same_bytes(sealed: Sealed, fields: bytes, size: int, dialect: Dialect) -> bool:
    """Whether a message found on the server is this one: its metadata token and its size (FORMAT 4.2, 4.3).

    :param size: RFC822.SIZE, which may exceed what was sent by ``limits.SIZE_SLACK`` (FORMAT 4.5).
    """
    try:
        return sealed_id_of(fields, dialect) == sealed.sealed_id and same_size(sealed, size)
    except Malformed:
        return False


def same_size(sealed: Sealed, size: int) -> bool:
    """Whether RFC822.SIZE is that of the message, or of one to which a server added a little (FORMAT 4.5)."""
    return len(sealed.message) <= size <= len(sealed.message) + limits.SIZE_SLACK


def is_sealed(fields: bytes) -> bool:
    """Whether a header block holds a metadata field, of either dialect, whose value is sealed, with whatever key."""
    head = _head(fields)
    return any(
        value.lstrip(_WHITE).startswith(sealing.MARK)
        for dialect in DIALECTS.values()
        for value in _values(head, dialect)
    )


def is_foreign(fields: bytes, dialect: Dialect) -> bool:
    """Whether a message with this header block is none of the dialect's: ordinary mail, or the other dialect's."""
    return dialect.name not in dialects_of(_head(fields))


# ---------------------------------------------------------------- reading


def read_header(fields: bytes, *, dialect: Dialect, keys: Sequence[Key], home: str | None) -> Version:
    """The version that a header block tells of.

    :param fields: the metadata fields, or any header block that holds them, raw.
    :param keys: the keys of the folder; none when encryption is off.
    :param home: the folder's, once it is known: a message of ours from another folder is refused (FORMAT 1, table).
    :raises Malformed: no metadata field or more than one, or it is not in the format.
    :raises OtherDialect: it has the other dialect's only.
    :raises Oversized: the metadata field is longer than any that is read.
    :raises ForeignKey: it is sealed and no key opens it, or it was damaged.
    :raises Plaintext: it is not sealed and there are keys.
    :raises Spliced: a payload stands in the place of the metadata (WIRE-FORMAT 7.3).
    :raises ForeignFolder: it was written for another folder.
    """
    return _read_header(fields, dialect, keys, home)[0]


def read_header_by(
    fields: bytes, *, dialect: Dialect, keys: Sequence[Key], home: str | None
) -> tuple[Version, Key | None]:
    """As :func:`read_header`, and the key that opened it; None when it is not sealed."""
    return _read_header(fields, dialect, keys, home)


def read_message(
    message: bytes, *, dialect: Dialect, keys: Sequence[Key], home: str | None, require_bound: bool = False
) -> tuple[Version, bytes]:
    """The version and the content of a whole message, belonging together as far as can be known (FORMAT 1.5).

    :raises Malformed: as :func:`read_header`, or there is no part with content.
    :raises Plaintext: the metadata or the content is not sealed and there are keys.
    :raises Tampered: the content is damaged; Truncated, Extended: it is too short or too long for its header.
    :raises Spliced: the content is not the one that the metadata tells of.
    :raises Unbound: ``require_bound`` is set and the metadata names no hash.
    :raises NewerVersionNeeded: the content means something that this release does not know.
    """
    head = message[: head_end(message)[0]]
    version, key = _read_header(head, dialect, keys, home)
    if not version.understood:
        raise NewerVersionNeeded(path=version.path)
    if require_bound and not version.bound:
        raise Unbound(path=version.path)
    body = _body_of(message, dialect, version.path)
    content = _plain_content(body, version) if key is None else _sealed_content(body, version, key)
    if version.sha256 is not None and content_hash(content) != version.sha256:
        raise Spliced("The content is not the one that the header names.", path=version.path)
    return version, content


def _body_of(message: bytes, dialect: Dialect, path: str | None = None) -> memoryview:
    part = data_part(message, dialect.media_type)
    if part is None:
        raise Malformed("The message has no part with content.", path=path, section="body")
    white = _LEADING_WHITE.match(message, *part)
    start = white.end() if white else part[0]
    return memoryview(message)[start : part[1]]


def _read_header(fields: bytes, dialect: Dialect, keys: Sequence[Key], home: str | None) -> tuple[Version, Key | None]:
    token = _token(fields, dialect)
    if token[:1] == sealing.MARK:
        text, key = _opened(token, keys)
        written = sealing.time_of(token)
    elif keys:
        raise Plaintext
    else:
        text, key, written = _decoded(token), None, None
    version = metadata.decode(text, sealed_id=sealed_id(token), written=written)
    if home is not None and (version.ours or version.bound) and version.home != home:
        if version.home is None:
            raise Malformed("The metadata names no folder.", path=version.path, section="metadata")
        raise ForeignFolder(path=version.path)
    return version, key


def _head(fields: bytes) -> bytes:
    return fields[: head_end(fields)[0]]


def _values(head: bytes, dialect: Dialect) -> Iterator[bytes]:
    """The values of the dialect's fields in a header block, folded as they are."""
    for field in _FIELDS[dialect.name].finditer(head):
        end = _FIELD_END.search(head, field.end())
        yield head[field.end() : end.start() if end else len(head)]


def _token(fields: bytes, dialect: Dialect) -> bytes:
    # By far the most are alone: what a server is asked for is nothing else.
    alone = _ALONE[dialect.name].fullmatch(fields) if len(fields) <= limits.HEADER_FIELDS else None
    found = [alone[1]] if alone else list(_values(_head(fields), dialect))
    if not found and dialects_of(_head(fields)):
        raise OtherDialect("The metadata field is that of the other dialect.", section="header")
    if len(found) != 1:
        raise Malformed(f"There are {len(found)} metadata fields instead of one.", section="header")
    value: bytes = found[0]
    if len(value) > limits.HEADER_FIELDS:
        raise Oversized("The metadata field is too long.", section="header")
    return value.translate(None, _WHITE)


def _opened(token: bytes, keys: Sequence[Key]) -> tuple[bytes, Key]:
    try:
        text, key = sealing.open_with(keys, token)
    except Malformed as error:
        raise Malformed(error.detail, section="header") from None
    if not text.endswith(b"}"):
        raise Spliced("Something else was put in the place of the metadata.")
    if len(text) % limits.METADATA_BLOCK != limits.METADATA_REST:
        raise Malformed("The metadata has an impossible length.", section="metadata")
    return text, key


def _decoded(token: bytes) -> bytes:
    try:
        return b"".join(sealing.decode_base64(token))
    except Malformed as error:
        raise Malformed(error.detail, section="header") from None


def _sealed_content(body: memoryview, version: Version, key: Key) -> bytes:
    if len(body) == 0:
        raise Truncated("The content is missing.", path=version.path)
    if bytes(body[:1]) != sealing.MARK:
        raise Plaintext("The content is not encrypted.", path=version.path)
    try:
        buffer, _ = sealing.open_into((key,), body)
    except (ForeignKey, Malformed):
        # The key is right, since it opened the header.
        raise _damaged(body, version) from None
    with buffer.getbuffer() as view:
        length = len(view)
        blanks = bytes(view[version.length :])
    if length % limits.CONTENT_BLOCK or not 1 <= len(blanks) <= limits.CONTENT_BLOCK or blanks.strip(_BLANK):
        raise Spliced("The content is not as long as the header says.", path=version.path)
    buffer.truncate(version.length)
    return buffer.getvalue()


def _damaged(body: memoryview, version: Version) -> Tampered:
    """Cut, lengthened or changed: an honest body of this header has exactly so many characters."""
    found, honest = len(bytes(body).translate(None, _WHITE)), capacity.token_characters(version.length)
    if found == honest:
        return Tampered(path=version.path)
    return Truncated(path=version.path) if found < honest else Extended(path=version.path)


def _plain_content(body: memoryview, version: Version) -> bytes:
    if bytes(body[:1]) == sealing.MARK:
        raise ForeignKey("The content is sealed and there is no key.", path=version.path)
    buffer = io.BytesIO()
    try:
        for piece in sealing.decode_base64(body):
            buffer.write(piece)
    except Malformed:
        raise Tampered(path=version.path) from None
    if buffer.tell() != version.length:
        raise Spliced("The content is not as long as the header says.", path=version.path)
    return buffer.getvalue()
