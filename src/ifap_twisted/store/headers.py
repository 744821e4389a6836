"""What an IMAP server cuts out of the header of a message, for the shelves that have no server.

It knows where fields begin and end (RFC 5322, section 2.2) and nothing of what stands in them. CRLF and LF line ends
are taken (WIRE-FORMAT 2.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:.*(?:\n[ \t].*)*(?:\n|\Z)")
_EMPTY = re.compile(rb"\r?\n|\r?\Z")
_LINE = re.compile(rb".*(?:\n|\Z)")
_METADATA = frozenset({b"x-ifap", b"x-mailfile"})


def header_end(message: bytes) -> int:
    """Where the header ends: at the first empty line, which does not belong to it, or with the message."""
    end = 0
    for end in _ends(message):  # noqa: B007 -- the last one is wanted
        pass
    return end


def fields(message: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields of the header in their order: the name in lower case, and all bytes with the line end.

    A line of the header that is no field is passed over.
    """
    start = 0
    for end in _ends(message):
        if found := _FIELD.match(message, start, end):
            yield found[1].lower(), found[0]
        start = end


def metadata_fields(message: bytes) -> bytes:
    """The X-IFAP and X-Mailfile fields as they stand in the message (FORMAT 1.4); empty for foreign mail."""
    return b"".join(field for name, field in fields(message) if name in _METADATA)


def message_id(message: bytes) -> bytes | None:
    """The Message-ID field, without white space and in lower case, or None."""
    found = next((field for name, field in fields(message) if name == b"message-id"), None)
    return None if found is None else found.partition(b":")[2].strip().lower()


def _ends(message: bytes) -> Iterator[int]:
    """Where the fields, and the lines that are none, end."""
    position = 0
    while not _EMPTY.match(message, position):
        found = _FIELD.match(message, position) or _LINE.match(message, position)
        position = found.end() if found else len(message)
        yield position
