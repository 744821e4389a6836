"""The seams: what a shelf of messages promises, and what a filesystem promises.

``IMessageStore`` is below the filesystem, ``IFilesystem`` above it. Every asynchronous method returns a Deferred that
can be cancelled. The contract suites ``tests/contract/message_store.py`` and ``tests/contract/filesystem.py`` hold
every implementation to the sentences here.
"""

from __future__ import annotations

from collections import abc
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import IO, Any, Protocol, Self, TypeAlias

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from ifap_twisted.core.collection import Collection
from ifap_twisted.core.frozen import Frozen, JournalContent
from ifap_twisted.core.values import (
    Entry,
    Event,
    Expect,
    FolderState,
    HeaderBlock,
    Lock,
    Receipt,
    Record,
    Status,
    Traits,
)

RemotePath: TypeAlias = str | PurePath
"""A path in the folder; a leading slash is not needed, ``..`` is refused."""

Source: TypeAlias = bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
"""What a put takes."""

Progress: TypeAlias = Callable[[int, int], None] | None
"""Told how many of how many are done."""

Listener: TypeAlias = Callable[[Event], None]


class IFolderListener(Interface):
    """Told of what happens to a shelf; called from the reactor, must not raise."""

    def arrived(state: FolderState) -> None:
        """There may be messages that were not there before: read the headers above the last known UID."""

    def vanished(uids: abc.Collection[int]) -> None:
        """The server said that exactly these are gone (EXPUNGE, VANISHED)."""

    def renumbered(uidvalidity: int) -> None:
        """All UIDs known before mean nothing any more (FORMAT 2.5)."""

    def connected() -> None:
        """The shelf can be reached (again); what happened meanwhile is not known: poll and read."""

    def disconnected(reason: BaseException) -> None:
        """The shelf cannot be reached; it goes on trying by itself."""


class IMessageStore(Interface):
    """A shelf of immutable messages with ascending numbers, which only this folder's messages and foreign mail share.

    Calls while the shelf cannot be reached wait for it up to ``limits.CONNECT_SECONDS`` and then fail with
    ``Unavailable``. Reading is tried again on a new connection; appending never is, once a byte may have left.
    Calls may overlap freely; a shelf pipelines what it can, and appends are stored in the order of the calls.
    """

    traits: Traits = Attribute("what this shelf can do; right once ``open`` has fired")

    def open(*, create: bool = True) -> Deferred[FolderState]:
        """Open the folder, creating it when it is absent and ``create`` is set.

        :raises NotFound: it is absent and ``create`` is not set.
        :raises AuthenticationRefused, NotTrusted, Refused, Unavailable: as the server says.
        """

    def poll(*, thorough: bool = False) -> Deferred[FolderState]:
        """Ask the server for news (NOOP); ``thorough`` selects the folder anew, for servers that show appends late.

        Vanished messages are told to the listeners before this fires.
        """

    def uids(first: int, last: int | None = None) -> Deferred[Sequence[int]]:
        """The UIDs of the messages from ``first`` to ``last`` (None: the highest), ascending.

        Only UIDs inside the range are given, whatever the server answers. A refused listing raises; it is never
        an empty one.
        """

    def headers(first: int, last: int | None = None) -> Deferred[Mapping[int, HeaderBlock]]:
        """The metadata headers of all messages in a range, in bounded portions; an absent UID is an absent key."""

    def message(uid: int) -> Deferred[bytes]:
        """The whole message; never changes its flags.

        :raises MessageGone: there is no such message now.
        """

    def dates(uids: abc.Collection[int]) -> Deferred[Mapping[int, float]]:
        """When the shelf received messages (INTERNALDATE), in Unix time; an absent UID is an absent key.

        It is the server's clock, in whole seconds at best; a date that cannot be one is left out.
        """

    def append(message: bytes) -> Deferred[Receipt]:
        """Add a message, without flags and date; durable on the server when this fires.

        :raises TooLarge: it is larger than the server takes; nothing was sent.
        :raises QuotaExceeded, Refused, Throttled, Unavailable: it was certainly not stored.
        :raises OutcomeUnknown: the connection broke, or the call was cancelled or timed out, after a byte of the
            message may have left: it may or may not be stored.
        """

    def remove(uids: abc.Collection[int], uidvalidity: int, due: abc.Collection[int] | None = None) -> Deferred[None]:
        """Remove exactly these messages for good; no other message is touched; an absent one is no error.

        :param uidvalidity: under which the UIDs were learnt: under another one they are those of others (FORMAT 2.5).
        :param due: where single messages cannot be removed (no UIDPLUS), allows a plain EXPUNGE while no others are
            marked as deleted than these and those to be removed before or after them (FORMAT 5.4). Between that
            look and the EXPUNGE others may mark a message, and lose it.
            Unless the connection is lost, a removal that fails leaves no message marked that is to stay.
        :raises Renumbered: UIDVALIDITY is another one; nothing was removed from then on.
        :raises NotSupported: the shelf cannot remove single messages, and ``due`` is None; nothing was changed.
        :raises MarkedByOthers: others are marked; nothing was removed.
        """

    def marked() -> Deferred[abc.Collection[int]]:
        """The UIDs of the messages that are marked as deleted, whoever marked them: any EXPUNGE removes them."""

    def unmark(uids: abc.Collection[int], uidvalidity: int) -> Deferred[None]:
        """Let these messages not be marked as deleted; an absent one is no error.

        :raises Renumbered: UIDVALIDITY is another one than that under which the UIDs were learnt.
        :raises ReadOnly: the folder can only be read.
        """

    def listen(listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener from now on; returns a callable that stops it."""

    def close() -> Deferred[None]:
        """Let go of the folder; pending calls fail with ``Unavailable`` or ``OutcomeUnknown``. Never raises."""


class IWriterIdentity(Interface):
    """The name of this device in the folder's history, and its ascending numbers (FORMAT 3.1, 3.2)."""

    writer: str = Attribute("36 random bits in 6 characters")

    def take(count: int, above: int = 0) -> Deferred[int]:
        """Reserve ``count`` numbers, greater than ``above`` and than all taken before; fires with the first.

        They are stored durably before this fires; numbers may be left out.
        """

    def renew() -> Deferred[None]:
        """Draw a new writer, because the old one may be used by a copy of this device (FORMAT 3.2)."""


class ILockMemory(Interface):
    """The locks that this device took, kept over the end of the process (FORMAT 10)."""

    def find(name: str) -> tuple[str, int] | None:
        """The id of the lock that is kept under a name, and its seconds; None when there is none."""

    def keep(name: str, lock: str, seconds: int) -> Deferred[None]:
        """Keep a lock under a name that tells nobody the path; durable when this fires.

        :raises IFAPError: it cannot be kept (the disk is full, for example).
        """

    def forget(name: str) -> Deferred[None]:
        """Forget the lock of that name; harmless when there is none.

        :raises IFAPError: another process may still find it.
        """


class IJournal(Interface):
    """What was accepted and may not be on the server yet, kept over the end of the process (FORMAT 4.1)."""

    def begin(frozen: Frozen) -> Deferred[None]:
        """Keep a message; durable on this machine when this fires. Cancelling it does not take it back.

        :raises IFAPError: it cannot be kept (the disk is full, for example).
        """

    def settle(frozen: Frozen) -> None:
        """Let go of a message that is on the server, or certainly not and never to be; soon, not at once."""

    def left() -> Deferred[JournalContent]:
        """What is kept and not settled, in the order in which it was kept: of each message the head."""

    def load(frozen: Frozen) -> Deferred[Frozen]:
        """The whole of a message that is kept and that was let go from memory.

        :raises DataError: it cannot be read any more.
        """

    def close() -> Deferred[None]:
        """Fires when what was let go is gone from the disk. Never raises."""


class IFile(Protocol):
    """An open file (``IFilesystem.open``); text modes take and give ``str``, binary ones ``bytes``."""

    def read(self, size: int = -1) -> Deferred[bytes] | Deferred[str]:
        """Read from the position up to ``size`` bytes or characters, or to the end."""

    def write(self, data: bytes | str) -> Deferred[int]:
        """Write at the position; fires with how much was written."""

    def seek(self, offset: int, whence: int = 0) -> Deferred[int]:
        """Move the position; fires with the new one."""

    def truncate(self, size: int | None = None) -> Deferred[int]:
        """Cut or extend to a size, by default to the position."""

    def close(self) -> Deferred[Entry | None]:
        """Store what was written, once; fires with the entry, or None when nothing was to be stored."""

    def abort(self) -> Deferred[None]:
        """Forget what was written."""


class IOpening(Protocol):
    """What ``IFilesystem.open`` returns: awaitable for the file, and an ``async with`` around it.

    Nothing is stored when the block raises.
    """

    def __await__(self) -> Generator[Any, Any, IFile]:
        """Open; gives the file."""

    async def __aenter__(self) -> IFile:
        """Open; gives the file."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close, or abort when the block raised."""


class IBatch(Protocol):
    """What ``IFilesystem.batch`` returns: awaitable, and an ``async with``.

    Inside it the puts of the same coroutine fire as soon as they are on their way, so that they go out together;
    leaving it waits until all are durable and raises the first failure.
    """

    def __await__(self) -> Generator[Any, Any, IBatch]:
        """Begin; gives the batch itself."""

    def close(self) -> Deferred[None]:
        """Wait until everything put since is durable."""

    def abort(self) -> Deferred[None]:
        """Give up what has not gone out yet; what has gone out stays."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close, or abort when the block raised."""


class ILeasing(Protocol):
    """What ``IFilesystem.lock`` returns: a Deferred of the lock, and an ``async with``.

    In the block the lock is renewed; after it, it is given back. Leaving the block raises ``LeaseLost`` when the lock
    was lost meanwhile.
    """

    def __await__(self) -> Generator[Any, Any, Lock]:
        """Take the lock."""

    def cancel(self) -> None:
        """Give up; a lock that comes all the same is given back."""

    async def __aenter__(self) -> Lock:
        """Take the lock."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give it back."""


class IFilesystem(Interface):
    """An encrypted, versioned filesystem.

    ``expect`` on a write: None takes whatever is there, ``ABSENT`` wants no live file, a version id wants that one to
    be current; otherwise the write fails with ``Conflict`` and nothing changes (FORMAT 4.4). Success means that the
    data is durable on the server and was read back (FORMAT 4.3). Every method may also raise any ``StoreError``, and a
    write that changes what is there ``Locked`` and ``LeaseLost``.
    """

    def put(
        path: RemotePath,
        data: Source,
        *,
        expect: Expect = None,
        mode: int | None = None,
        mime: str | None = None,
        modified: float | None = None,
        size: int | None = None,
        queue: bool = False,
    ) -> Deferred[Entry]:
        """Store a file as a new version; what is not given is inherited (``modified``: now).

        :param size: the length of a stream, when known: a larger one than can be stored is refused before it is read,
            one of another length fails and nothing is stored.
        :param queue: while the server is away, keep it in the journal of the basedir, durably, and send it when the
            server is back: the entry then says ``pending``. It descends from what this device knew; where it meets
            another change, both stay and the conflict is reported, whatever was expected. Reading shows it when it
            has arrived.
        :raises NotSupported: ``queue`` without a basedir.
        :raises InvalidPath, IsADirectory, NotADirectory, Conflict, StoredAsConflict, TooLarge, NewerVersionNeeded:
        """

    def get(path: RemotePath, *, version: str | None = None) -> Deferred[bytes]:
        """The content of the current version, or of the given one (an id, or a unique prefix of 4 or more).

        :raises NotFound, IsADirectory, UnknownVersion: and any ``DataError`` when it cannot be trusted.
        """

    def read(path: RemotePath, *, version: str | None = None) -> Deferred[Record]:
        """Content and entry of one version, belonging together."""

    def open(path: RemotePath, mode: str = "r", *, expect: Expect = None) -> IOpening:
        """Open a file: ``r``, ``w``, ``a``, ``x``, ``r+`` as text (UTF-8), with ``b`` as bytes."""

    def stat(path: RemotePath, *, version: str | None = None) -> Deferred[Entry]:
        """The entry of a file, a directory or a version.

        :raises NotFound, UnknownVersion:
        """

    def list(
        path: RemotePath = "/", *, recursive: bool = False, everything: bool = False, at: float | None = None
    ) -> Deferred[Sequence[Entry]]:
        """The entries of a directory in the order of their names, or the one of a file.

        :param everything: tombstones, reserved files and names that we would not write, too.
        :param at: Unix time: as it was then, as far as versions are still there.
        :raises NotFound:
        """

    def remove(path: RemotePath, *, recursive: bool = False, expect: Expect = None) -> Deferred[None]:
        """Remove a file, or a tree when ``recursive``: a tombstone, the versions stay (FORMAT 5.1).

        :raises NotFound, IsADirectory, Conflict:
        """

    def undelete(path: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Bring a removed file back as it was before (FORMAT 5.2).

        :raises NotFound: nothing of it is left. :raises AlreadyExists: it is not removed.
        """

    def move(source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Move a file or a directory to a new name that is free (FORMAT 11.3); ``expect`` is about the source.

        :raises NotFound, AlreadyExists, InvalidPath:
        """

    def copy(source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Copy a file or a directory; ``expect`` is about the destination."""

    def make_directory(path: RemotePath, *, parents: bool = False) -> Deferred[Entry]:
        """Make an empty directory; with ``parents`` it may exist and those above are made too.

        :raises AlreadyExists, NotFound, NotADirectory:
        """

    def remove_directory(path: RemotePath) -> Deferred[None]:
        """Remove an empty directory.

        :raises NotFound, NotADirectory, DirectoryNotEmpty:
        """

    def versions(path: RemotePath) -> Deferred[Sequence[Entry]]:
        """All versions of a path that are there, tombstones included, newest first.

        :raises NotFound:
        """

    def keep(path: RemotePath, count: int, *, expect: Expect = None) -> Deferred[Entry]:
        """Set how many versions of a file are kept (1 or more), as a new version."""

    def restore(path: RemotePath, version: str, *, expect: Expect = None) -> Deferred[Entry]:
        """Make the content of an old version current, as a new version (FORMAT 5.2)."""

    def conflicts(path: RemotePath | None = None) -> Deferred[Sequence[Entry]]:
        """All heads of all files in conflict, or of one file or tree (FORMAT 3.4)."""

    def resolve(
        path: RemotePath, *, version: str | None = None, both: bool = False, expect: Expect = None
    ) -> Deferred[Entry]:
        """End a conflict: make one head current, or keep all, the others under new names beside it.

        :raises NotFound: the path is not in conflict. :raises UnknownVersion:
        """

    def lock(path: RemotePath, *, seconds: int = 300, holder: str | None = None, renew: str | None = None) -> ILeasing:
        """Take the lock on a path for so many seconds, or renew it (FORMAT 10).

        A lock is advisory and belongs to a device, not to a process. While another device holds one, the file is not
        overwritten and not removed; reading it, and adding where there is no file, need no lock and wait for none. The
        path need not exist.

        :param seconds: how long it lasts after the last renewal; 1 second to 7 days.
        :param holder: a name for people, up to 128 characters; by default that of the user and the machine.
        :param renew: the id of a lock that this device holds: it lasts anew from now on.
        :raises Locked: somebody holds a lock on it, this device itself included.
        :raises LeaseLost: the lock to be renewed is over.
        """

    def unlock(path: RemotePath, *, force: bool = False) -> Deferred[Lock]:
        """End this device's lock on a path, or with ``force`` that of another; fires with the lock that it was.

        :raises NotFound: it is not locked. :raises Locked: another device holds it. :raises LeaseLost: it was lost.
        """

    def locks(path: RemotePath | None = None) -> Deferred[Sequence[Lock]]:
        """The locks that hold, of everything or at and below a path, as far as can be told."""

    def refresh() -> Deferred[None]:
        """See what others did, now."""

    def collect(*, dry_run: bool = False, progress: Progress = None) -> Deferred[Collection]:
        """Plan what retention lets go, and remove for good what was planned a grace ago (FORMAT 5.3).

        :param dry_run: say what would be done, and write nothing. Cancelling ends it at once; it can be taken up again.
        """

    def snapshot() -> Deferred[None]:
        """Write a snapshot for new devices and for the reference programs (FORMAT 6.2)."""

    def batch() -> IBatch:
        """Let many puts go out together."""

    def watch(listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event from now on; returns a callable that stops it."""

    def status() -> Deferred[Status]:
        """The present state; never fails and never waits for the server."""

    def close() -> Deferred[None]:
        """Wait until what was accepted has ended, and let go."""
