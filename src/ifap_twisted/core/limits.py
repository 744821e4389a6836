"""Every number that bounds something, named, with its reason."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# The format (WIRE-FORMAT 2.2)
METADATA_BLOCK: Final = 148
"""The text of sealed metadata is longer than a multiple of this by ``METADATA_REST``."""
METADATA_REST: Final = 11
CONTENT_BLOCK: Final = 2048
"""Content is padded with blanks to a multiple of this; at least one blank, at most a block."""
HEADER_COLUMNS: Final = 77
BODY_COLUMNS: Final = 78
REFERENCE_METADATA_IFAP: Final = 591
"""The longest JSON without padding that ifaplib sees in its window of 1,024 bytes (FORMAT 1.6)."""
REFERENCE_METADATA_MAILFILE: Final = 443

# What a hostile folder may make us hold
HEADER_FIELDS: Final = 64 * KIB
"""The longest metadata header that is read; ours stay below 1 KiB, a path of 4,096 bytes below 12 KiB."""
JSON_DEPTH: Final = 16
SNAPSHOT_INFLATED: Final = 64 * MIB
"""A snapshot that inflates beyond this is refused (vector sec-snapshot-bomb): about 500,000 files."""

# Names (FORMAT 11.1)
SEGMENT_BYTES: Final = 255
PATH_BYTES: Final = 4096

# History
CLOCK_ENTRIES: Final = 8
"""Above this a new version leaves out writers of whom nothing is present any more (FORMAT 3.6)."""
WIRE_VERSIONS: Final = 5
"""``versions`` is never written below this, because the reference deletes the rest by it (FORMAT 1.5)."""

# The wire
LINE: Final = 1 * MIB
"""A response line without its literals; Twisted's 16,384 drop the answer to a SEARCH of 3,000 messages."""
LITERAL: Final = 96 * MIB
"""A single literal: a message of the largest file that may be configured, sealed (37 % more)."""
RESPONSE_BACKLOG: Final = 128 * MIB
"""All untagged data of one command that is held before it is handed on."""
UIDS_IN_A_RANGE: Final = 2000
"""UIDs asked for by one FETCH of headers, so that memory and time between two reactor turns stay bounded."""
APPENDS_IN_FLIGHT: Final = 64
BYTES_IN_FLIGHT: Final = 4 * MIB
"""Bytes of APPENDs on the wire before the next waits (one message may be larger, alone)."""
SIZE_SLACK: Final = 4
"""By how many bytes RFC822.SIZE may exceed what was sent: a final CRLF, a blank after a colon (FORMAT 4.5)."""
CONNECTIONS: Final = 2

# Waits, in seconds
CONNECT_SECONDS: Final = 30.0
COMMAND_SECONDS: Final = 60.0
"""Without any byte arriving or leaving; a long transfer that moves is not cut."""
RECONNECT_SECONDS: Final = 10.0
"""After a failure the next attempt comes no earlier than this."""
RECONNECT_MAX_SECONDS: Final = 300.0
IDLE_SECONDS: Final = 540.0
"""IDLE is renewed before NATs forget the connection (bar R19: a change is noticed within 10 minutes)."""
POLL_SECONDS: Final = 60.0
"""Without IDLE."""
LOGOUT_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 60.0
"""How long an APPEND with an unknown outcome is looked for before the caller is told ``outcome-unknown``."""

# Local
MAX_FILE_SIZE: Final = 24 * MIB
FILES_IN_FLIGHT: Final = 2
"""Plaintext held in memory at a time, in files of the greatest size; the rest waits."""
JSON_BODY: Final = 64 * KIB
"""The largest JSON body of a control request."""
INLINE_BYTES: Final = 64 * KIB
"""Up to this sealing and opening take less than a thread switch is worth; above they go to a worker."""
