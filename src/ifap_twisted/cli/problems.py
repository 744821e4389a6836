"""Errors as a shell sees them: an exit status, one line, or the JSON object of DESIGN 4.5.

The table holds every class of ``ifap_twisted.errors``; a test walks the tree for holes. Local files fail with the
``OSError`` of the system, which has a table of its own. Anything else is a bug of ours and says so.
"""

from __future__ import annotations

import errno
from typing import Final

import click

from ifap_twisted import errors
from ifap_twisted.core.values import JSON

DONE: Final = 0
OTHER: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 4
LOCKED: Final = 5
TOO_LARGE: Final = 6
DAMAGED: Final = 7
TEMPORARY: Final = 8
REFUSED: Final = 9
INTERRUPTED: Final = 130

STATUSES: Final[dict[type[errors.IFAPError], int]] = {
    errors.IFAPError: OTHER,
    errors.NoRoom: TOO_LARGE,
    errors.CallerError: OTHER,
    errors.InvalidPath: USAGE,
    errors.NotFound: NOT_FOUND,
    errors.AlreadyExists: CONFLICT,
    errors.IsADirectory: USAGE,
    errors.NotADirectory: CONFLICT,
    errors.DirectoryNotEmpty: CONFLICT,
    errors.Conflict: CONFLICT,
    errors.StoredAsConflict: CONFLICT,
    errors.Locked: LOCKED,
    errors.LeaseLost: LOCKED,
    errors.UnknownVersion: NOT_FOUND,
    errors.TooLarge: TOO_LARGE,
    errors.IncompleteSource: OTHER,
    errors.BadSettings: USAGE,
    errors.WeakPassphrase: USAGE,
    errors.NotSupported: DAMAGED,
    errors.MarkedByOthers: CONFLICT,
    errors.ReadOnly: DAMAGED,
    errors.Unauthorised: REFUSED,
    errors.Forbidden: REFUSED,
    errors.DataError: DAMAGED,
    errors.Malformed: DAMAGED,
    errors.OtherDialect: DAMAGED,
    errors.Oversized: DAMAGED,
    errors.Damaged: DAMAGED,
    errors.WrongKey: DAMAGED,
    errors.KeyRequired: DAMAGED,
    errors.PassphraseRequired: DAMAGED,
    errors.ForeignKey: DAMAGED,
    errors.RevokedKey: DAMAGED,
    errors.Tampered: DAMAGED,
    errors.Truncated: DAMAGED,
    errors.Extended: DAMAGED,
    errors.RolledBack: DAMAGED,
    errors.Spliced: DAMAGED,
    errors.Plaintext: DAMAGED,
    errors.Unbound: DAMAGED,
    errors.ForeignFolder: DAMAGED,
    errors.VidCollision: DAMAGED,
    errors.ChunkLost: DAMAGED,
    errors.NewerVersionNeeded: DAMAGED,
    errors.SnapshotCorrupt: DAMAGED,
    errors.UnsupportedDialect: USAGE,
    errors.StoreError: OTHER,
    errors.Unavailable: TEMPORARY,
    errors.Throttled: TEMPORARY,
    errors.TimedOut: TEMPORARY,
    errors.OutcomeUnknown: TEMPORARY,
    errors.Refused: REFUSED,
    errors.AuthenticationRefused: REFUSED,
    errors.NotTrusted: REFUSED,
    errors.KeyChanged: REFUSED,
    errors.QuotaExceeded: TOO_LARGE,
    errors.MessageGone: TEMPORARY,
    errors.Renumbered: TEMPORARY,
    errors.ProtocolViolation: REFUSED,
    errors.BasedirInUse: TEMPORARY,
}
"""DESIGN §7; "both dialects present without --dialect is an error (2)" is DESIGN 4.1."""

LOCAL_STATUSES: Final = {
    errno.ENOENT: NOT_FOUND,
    errno.EEXIST: CONFLICT,
    errno.ENOTEMPTY: CONFLICT,
    errno.ENOTDIR: USAGE,
    errno.EISDIR: USAGE,
    errno.ELOOP: USAGE,
    errno.ENAMETOOLONG: USAGE,
    errno.EILSEQ: USAGE,
    errno.EACCES: REFUSED,
    errno.EPERM: REFUSED,
    errno.EROFS: REFUSED,
    errno.ENOSPC: TOO_LARGE,
    errno.EDQUOT: TOO_LARGE,
    errno.EFBIG: TOO_LARGE,
    errno.ESTALE: TEMPORARY,
    errno.EBUSY: TEMPORARY,
}
"""What a failure with a local file gives; any other is 1."""

EXPECTED: Final = (errors.IFAPError, OSError)
"""What one file of many may fail with while the others go on; anything else ends the verb."""


def exit_status(error: BaseException) -> int:
    """The exit status for an error."""
    if isinstance(error, errors.IFAPError):
        return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    if isinstance(error, click.UsageError):
        return USAGE
    if isinstance(error, OSError):
        return LOCAL_STATUSES.get(error.errno or 0, OTHER)
    return OTHER


def sentence(error: BaseException, about: str | None = None) -> str:
    """What happened and what to do, in one line.

    :param about: the remote path that was worked on, for an error that does not know.
    """
    if isinstance(error, errors.IFAPError):
        path = (error.path if error.path is not None else about) or ""
        shortened = isinstance(error, errors.InvalidPath)  # which names it, and escaped
        told = not path or f"/{path}" in error.detail or shortened
        return error.detail if told else f"/{path}: {error.detail}"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{_text(error.filename)}: {error.strerror}"
    return f"This is a bug of ifap: {type(error).__name__}. Run again with -v to see where, and report it."


def problem(error: BaseException, about: str | None = None) -> dict[str, JSON]:
    """The JSON object of DESIGN 4.5, the same that HTTP gives."""
    from ifap_twisted.control import problems as http  # noqa: PLC0415 -- only with --json

    if isinstance(error, errors.IFAPError):
        told = http.problem(error, conditional=isinstance(error, errors.Conflict))
        return told if about is None or error.path is not None else {**told, "path": "/" + about}
    code, title, status = _foreign(error)
    return {
        "type": http.TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": sentence(error),
        "code": code,
        "path": None,
        "retryable": exit_status(error) == TEMPORARY,
    }


def _foreign(error: BaseException) -> tuple[str, str, int]:
    if isinstance(error, click.ClickException):
        return "usage", "The command line is wrong", 400
    if isinstance(error, OSError):
        return "local-file", "A local file cannot be used", 500
    return "bug", "This is a bug of ifap", 500


def _text(name: str | bytes | int) -> str:
    return name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name)
