"""The texts of NO responses: one fixed line for each error, with its code of RFC 5530 or RFC 9051 section 7.1.

What an exception says never goes to the peer.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from ifap_twisted import errors
from ifap_twisted.server.searching import BadCharset

__all__ = ["NoSuchTarget", "TooBig", "refusal"]


class TooBig(errors.TooLarge):
    """A message is over the limit."""


class NoSuchTarget(errors.NotFound):
    """The mailbox to append to does not exist, but could be made."""


_REFUSALS: Final[tuple[tuple[type[Exception], bytes], ...]] = (
    (BadCharset, b"[BADCHARSET (US-ASCII UTF-8)] Unknown character set"),
    (errors.AuthenticationRefused, b"[AUTHENTICATIONFAILED] Wrong user name or password"),
    (errors.NotTrusted, b"[PRIVACYREQUIRED] Log in over TLS, the loopback interface or a UNIX socket"),
    (NoSuchTarget, b"[TRYCREATE] There is no such mailbox"),
    (errors.NotFound, b"[NONEXISTENT] There is no such mailbox"),
    (errors.AlreadyExists, b"[ALREADYEXISTS] The mailbox exists already"),
    (errors.DirectoryNotEmpty, b"[HASCHILDREN] There are mailboxes below it"),
    (errors.InvalidPath, b"[CANNOT] A mailbox cannot have this name"),
    (errors.ReadOnly, b"[CANNOT] This cannot be changed"),
    (errors.TooLarge, b"[TOOBIG] The message is too large"),
    (errors.QuotaExceeded, b"[LIMIT] This is more than the server keeps"),
    (errors.Damaged, b"[CORRUPTION] This is damaged on the disk of the server, its log says more"),
    (errors.Unavailable, b"[UNAVAILABLE] The server cannot do this now"),
    (errors.NotSupported, b"[CANNOT] The server does not do this"),
)


_DATABASE_REFUSALS: Final = {
    sqlite3.SQLITE_FULL: b"[OVERQUOTA] The disk is full",
    sqlite3.SQLITE_IOERR: b"[UNAVAILABLE] The disk cannot be written to or read now",
    sqlite3.SQLITE_READONLY: b"[UNAVAILABLE] The disk cannot be written to",
    sqlite3.SQLITE_BUSY: b"[INUSE] Another program holds the database",
}


def refusal(error: Exception) -> bytes | None:
    """The text of a NO for an error that is to be expected; None for one that is a fault of the server."""
    if isinstance(error, sqlite3.Error):
        # The lower byte of an extended code is the kind of error.
        return _DATABASE_REFUSALS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return next((text for kind, text in _REFUSALS if isinstance(error, kind)), None)
