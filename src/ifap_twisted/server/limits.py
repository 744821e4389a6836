"""Every number that bounds the embedded server, named, with its reason."""

from __future__ import annotations

from typing import Final

from ifap_twisted.core.limits import KIB, LITERAL, MIB

MESSAGE: Final = LITERAL
"""APPENDLIMIT: what our own client reads as a literal is what it may append."""
TEXT: Final = 64 * KIB
"""A command line between two literals; Dovecot's bound. A FETCH of 5,000 single UIDs fits."""
ARGUMENT: Final = 64 * KIB
"""All literals of a command together that are not the message of an APPEND."""
LITERALS: Final = 64
"""Literals in one command."""
NUMBER: Final = 2**32 - 1
"""``number`` and ``nz-number`` of RFC 9051 section 9; also the highest UID."""
UID_BITS: Final = 32
BACKLOG: Final = 8 * MIB
"""Received commands that wait for their turn: above this, the connection is not read from."""
BACKLOG_COMMANDS: Final = 4096
BATCH: Final = 8 * MIB
"""Bytes of pipelined APPENDs in one transaction (one message may be larger, alone)."""
BATCH_COMMANDS: Final = 512
RESPONSE: Final = 1 * MIB
"""FETCH responses rendered ahead of what the peer has read (one message may be larger, alone)."""
BLOCK: Final = 256
"""Messages looked at by one call of the worker, so that no session waits long for another's search."""
PART: Final = 1 * MIB
"""Longer texts are kept in parts of this: SQLite copies what it writes and reads twice."""
LOG: Final = 64 * MIB
"""To this the write-ahead log is cut after a checkpoint."""
CHUNK: Final = 256 * KIB
"""Bytes handed to the transport at a time."""
USER_CHARACTERS: Final = 255
CONNECTIONS: Final = 64
"""Connections at a time; the next is closed at once."""

MAILBOX_BYTES: Final = 1024
MAILBOXES: Final = 10_000
"""Mailboxes of one user."""
FLAGS_BYTES: Final = 1024
"""All flags of a message."""
SEARCH_DEPTH: Final = 32
"""Parentheses, NOTs and ORs inside each other."""
BAD_COMMANDS: Final = 5
"""Commands that are none, before login: it is a port scan or a browser, not a mail client."""
BAD_LOGINS: Final = 5

# Waits, in seconds
LOGIN_SECONDS: Final = 60
IDLE_SECONDS: Final = 1860
"""RFC 9051 section 5.4 demands 30 minutes at least; IDLE must be renewed within 29."""
REFUSAL_SECONDS: Final = 1.0
"""The answer to a wrong password waits this long, times the wrong ones before it."""
SHUTDOWN_SECONDS: Final = 10.0
"""Commands that have not ended by then are cut off when the server stops."""
LOCK_SECONDS: Final = 10.0
"""How long a lock of another process on the database, a backup's say, is waited for."""
