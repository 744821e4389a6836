"""What an IMAP server cuts out of the header of a message, for the shelves that have no server.

It knows where fields begin and end (RFC 5322, section 2.2) and nothing of what stands in them. CRLF and LF line ends
are taken (WIRE-FORMAT 2.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:.*(?:\n[ \t].*)*(?:\n|\Z)")
_METADATA = frozenset({b"x-ifap", b"x-mailfile"})


def fields(message: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields of the header in their order: the name in lower case, and all bytes with the line end.

    The header ends at the first empty line, or at the first line that is no field.
    """
    position = 0
    while found := _FIELD.match(message, position):
        yield found[1].lower(), found[0]
        position = found.end()


def metadata_fields(message: bytes) -> bytes:
    """The X-IFAP and X-Mailfile fields as they stand in the message (FORMAT 1.4); empty for foreign mail."""
    return b"".join(field for name, field in fields(message) if name in _METADATA)


def names_sealed_id(message: bytes, sealed_id: str) -> bool:
    """Whether a Message-ID field holds this sealed id (FORMAT 2.4), as ``SEARCH HEADER`` would say."""
    wanted = sealed_id.lower().encode("utf-8", "surrogateescape")
    return any(name == b"message-id" and wanted in field.lower() for name, field in fields(message))
