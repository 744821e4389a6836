"""Every error that a caller can meet, in one tree, by whose fault it is.

Nothing here knows a front end: exit statuses, HTTP statuses and errnos are tables of the front ends. Each class has a
stable ``code`` that scripts may compare, says whether trying again may help (``retryable``), and its docstring's first
sentence is fit to be shown to a person. Bugs are not wrapped: an ``AttributeError`` stays one.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AlreadyExists",
    "AuthenticationRefused",
    "BadSettings",
    "BasedirInUse",
    "CallerError",
    "ChunkLost",
    "Conflict",
    "Damaged",
    "DataError",
    "DirectoryNotEmpty",
    "Extended",
    "Forbidden",
    "ForeignFolder",
    "ForeignKey",
    "IFAPError",
    "IncompleteSource",
    "InvalidPath",
    "IsADirectory",
    "KeyChanged",
    "KeyRequired",
    "LeaseLost",
    "Locked",
    "Malformed",
    "MarkedByOthers",
    "MessageGone",
    "NewerVersionNeeded",
    "NoRoom",
    "NotADirectory",
    "NotFound",
    "NotSupported",
    "NotTrusted",
    "OtherDialect",
    "OutcomeUnknown",
    "Oversized",
    "PassphraseRequired",
    "Plaintext",
    "ProtocolViolation",
    "QuotaExceeded",
    "ReadOnly",
    "Refused",
    "Renumbered",
    "RevokedKey",
    "RolledBack",
    "SnapshotCorrupt",
    "Spliced",
    "StoreError",
    "StoredAsConflict",
    "Tampered",
    "Throttled",
    "TimedOut",
    "TooLarge",
    "Truncated",
    "Unauthorised",
    "Unavailable",
    "Unbound",
    "UnknownVersion",
    "UnsupportedDialect",
    "VidCollision",
    "WeakPassphrase",
    "WrongKey",
]


class IFAPError(Exception):
    """Something went wrong.

    :ivar detail: one plain sentence that says what happened and, where it helps, what to do; never a secret.
    :ivar path: the remote path that it is about, or None.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, path: str | None = None) -> None:
        super().__init__(detail or self.title())
        self.path = path

    @classmethod
    def title(cls) -> str:
        """The first sentence of the docstring, for a person."""
        return (cls.__doc__ or cls.__name__).split("\n", 1)[0].rstrip(".")

    @property
    def detail(self) -> str:
        """What happened, in one sentence."""
        return str(self)


class NoRoom(IFAPError):
    """The disk of this machine is full."""

    code = "no-room"


class CallerError(IFAPError):
    """What was asked for cannot be done as asked."""

    code = "caller-error"


class InvalidPath(CallerError):
    """This path cannot name a file here."""

    code = "invalid-path"


class NotFound(CallerError):
    """There is no such file or directory."""

    code = "not-found"


class AlreadyExists(CallerError):
    """A file or directory of that name exists already."""

    code = "already-exists"


class IsADirectory(CallerError):
    """The path is a directory."""

    code = "is-a-directory"


class NotADirectory(CallerError):
    """The path is not a directory."""

    code = "not-a-directory"


class DirectoryNotEmpty(CallerError):
    """The directory is not empty."""

    code = "directory-not-empty"


class Conflict(CallerError):
    """The file was changed by somebody else meanwhile.

    :ivar expected: the version that the caller expected, or None when it expected no file.
    :ivar found: the version that is current, or None when there is none.
    """

    code = "conflict"

    def __init__(
        self, detail: str = "", *, path: str | None = None, expected: str | None = None, found: str | None = None
    ) -> None:
        super().__init__(detail, path=path)
        self.expected = expected
        self.found = found


class StoredAsConflict(Conflict):
    """The file was changed by somebody else meanwhile, and what was written could not be taken back.

    It is kept as a version in conflict (FORMAT 4.4).
    """

    code = "stored-as-conflict"


class Locked(CallerError):
    """Somebody else holds a lock on the path.

    :ivar holder: who, in words for people.
    :ivar seconds: how long the lock lasts after each renewal, or None when that is not known.
    """

    code = "locked"

    def __init__(
        self, detail: str = "", *, path: str | None = None, holder: str = "", seconds: int | None = None
    ) -> None:
        super().__init__(detail, path=path)
        self.holder = holder
        self.seconds = seconds


class LeaseLost(CallerError):
    """The lock under which the file was to be changed is over, and somebody else may have had it since."""

    code = "lease-lost"


class UnknownVersion(CallerError):
    """The file has no such version."""

    code = "unknown-version"


class TooLarge(CallerError):
    """The file is larger than can be stored.

    :ivar limit: the greatest number of bytes that is possible.
    :ivar size: the size asked for in bytes, or None when it was not known.
    """

    code = "too-large"

    def __init__(
        self, detail: str = "", *, path: str | None = None, limit: int | None = None, size: int | None = None
    ) -> None:
        super().__init__(detail, path=path)
        self.limit = limit
        self.size = size


class IncompleteSource(CallerError):
    """What was to be stored ended early, or is longer than announced; nothing was stored."""

    code = "incomplete-source"


class BadSettings(CallerError):
    """A setting or option is wrong."""

    code = "bad-settings"


class WeakPassphrase(CallerError):
    """The passphrase is too easy to guess."""

    code = "weak-passphrase"


class NotSupported(CallerError):
    """This server or folder cannot do that."""

    code = "not-supported"


class MarkedByOthers(CallerError):
    """Messages that are not to be removed are marked as deleted, and plain EXPUNGE would remove them."""

    code = "marked-by-others"


class ReadOnly(CallerError):
    """The folder can be read but not written to."""

    code = "read-only"


class Unauthorised(CallerError):
    """The token is missing or wrong."""

    code = "unauthorised"


class Forbidden(CallerError):
    """This request is not allowed from there."""

    code = "forbidden"


class DataError(IFAPError):
    """Data in the folder cannot be used."""

    code = "data-error"


class Malformed(DataError):
    """A message is not in the format.

    :ivar section: the part that is wrong: ``header``, ``metadata``, ``body``.
    """

    code = "malformed"

    def __init__(self, detail: str = "", *, path: str | None = None, section: str = "") -> None:
        super().__init__(detail, path=path)
        self.section = section


class OtherDialect(Malformed):
    """A message is of the other dialect."""

    code = "other-dialect"


class Oversized(Malformed):
    """A message is larger than any that is read."""

    code = "oversized"


class Damaged(DataError):
    """What the mail server keeps on its disk is damaged."""

    code = "damaged"


class WrongKey(DataError):
    """The key does not open this folder."""

    code = "wrong-key"


class KeyRequired(DataError):
    """The folder is encrypted and no key for it is known here."""

    code = "key-required"


class PassphraseRequired(KeyRequired):
    """The key of the folder is wrapped under a passphrase, which was not given."""

    code = "passphrase-required"


class ForeignKey(DataError):
    """A message is sealed with a key that is not known here."""

    code = "foreign-key"


class RevokedKey(DataError):
    """A message came under a key that had been revoked.

    :ivar found: the version that it says it is, for whoever asks for it by its id; it counts for nothing.
    """

    code = "revoked-key"
    found: Any = None


class Tampered(DataError):
    """The content of a message was damaged or changed after it was written."""

    code = "tampered"


class Truncated(Tampered):
    """The content of a message was cut off."""

    code = "truncated"


class Extended(Tampered):
    """Something was added to the content of a message."""

    code = "extended"


class ChunkLost(DataError):
    """A part of a large file is not there any more, or damaged.

    :ivar offset: in the file, in bytes; None where a list of chunks is lost and with it all that it tells of.
    :ivar length: how many bytes are lost from there on.
    """

    code = "chunk-lost"

    def __init__(
        self, detail: str = "", *, path: str | None = None, offset: int | None = None, length: int | None = None
    ) -> None:
        super().__init__(detail, path=path)
        self.offset = offset
        self.length = length


class RolledBack(DataError):
    """The mail server shows an older state than this device has seen."""

    code = "rolled-back"


class Spliced(DataError):
    """The content does not belong to the header that it came with."""

    code = "spliced"


class Plaintext(DataError):
    """A message that is not encrypted lies in an encrypted folder."""

    code = "plaintext"


class Unbound(DataError):
    """Nothing proves that the content belongs to this name, and ``require_bound`` is set."""

    code = "unbound"


class ForeignFolder(DataError):
    """A message was written for another folder."""

    code = "foreign-folder"


class VidCollision(DataError):
    """Two different versions carry the same version id."""

    code = "vid-collision"


class NewerVersionNeeded(DataError):
    """A newer version of ifap-twisted is needed to read this."""

    code = "newer-version-needed"


class SnapshotCorrupt(DataError):
    """A snapshot cannot be used; the messages themselves are read instead."""

    code = "snapshot-corrupt"


class UnsupportedDialect(DataError):
    """The folder holds both dialects, or not the one that was asked for."""

    code = "unsupported-dialect"


class StoreError(IFAPError):
    """The mail server could not do what was needed."""

    code = "store-error"


class Unavailable(StoreError):
    """The mail server cannot be reached now."""

    code = "unavailable"
    retryable = True


class Throttled(Unavailable):
    """The mail server asks to slow down.

    :ivar seconds: how long it asks to wait, or None when it does not say.
    """

    code = "throttled"

    def __init__(self, detail: str = "", *, path: str | None = None, seconds: float | None = None) -> None:
        super().__init__(detail, path=path)
        self.seconds = seconds


class TimedOut(StoreError):
    """The mail server did not answer in time."""

    code = "timed-out"
    retryable = True


class OutcomeUnknown(StoreError):
    """The connection broke while the file was being stored: it may or may not be there."""

    code = "outcome-unknown"
    retryable = True


class Refused(StoreError):
    """The mail server refused.

    :ivar status: ``NO``, ``BAD`` or ``BYE``.
    :ivar response_code: the response code in brackets, upper case (``NOPERM``), or an empty string.
    """

    code = "refused"

    def __init__(
        self, detail: str = "", *, path: str | None = None, status: str = "NO", response_code: str = ""
    ) -> None:
        super().__init__(detail, path=path)
        self.status = status
        self.response_code = response_code


class AuthenticationRefused(StoreError):
    """The mail server does not accept the user name or password."""

    code = "authentication-refused"


class KeyChanged(StoreError):
    """The key of the folder was revoked: log in with the new passphrase, recovery code or key (`ifap login`)."""

    code = "key-changed"


class NotTrusted(StoreError):
    """The connection to the mail server is not secure."""

    code = "not-trusted"


class QuotaExceeded(StoreError):
    """The mailbox is full."""

    code = "quota-exceeded"


class MessageGone(StoreError):
    """A message that was there is not there any more."""

    code = "message-gone"
    retryable = True


class Renumbered(StoreError):
    """The mail server renumbered the folder meanwhile."""

    code = "renumbered"
    retryable = True


class ProtocolViolation(StoreError):
    """The mail server broke the IMAP protocol."""

    code = "protocol-violation"


class BasedirInUse(StoreError):
    """Another process has this account open.

    :ivar pid: the number of that process, or None.
    """

    code = "basedir-in-use"
    retryable = True

    def __init__(self, detail: str = "", *, path: str | None = None, pid: int | None = None) -> None:
        super().__init__(detail, path=path)
        self.pid = pid
