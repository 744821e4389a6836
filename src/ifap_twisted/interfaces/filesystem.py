"""What front ends and programs see: an encrypted, versioned filesystem."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import IO, TypeAlias

from twisted.internet.defer import Deferred
from zope.interface import Interface

from ifap_twisted.core.collection import Collection
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import Entry, Event, Expect, Lock, Record, Status
from ifap_twisted.interfaces.blocks import IBatch, ILeasing, IOpening, IStream

__all__ = ["IFilesystem", "Listener", "Progress", "RemotePath", "Source"]

RemotePath: TypeAlias = str | PurePath
"""A path in the folder; a leading slash is not needed, ``..`` is refused."""

Source: TypeAlias = bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
"""What a put takes."""

Progress: TypeAlias = Callable[[int, int], None] | None
"""Told how many of how many are done."""

Listener: TypeAlias = Callable[[Event], None]


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
        unless_equal: bool = False,
    ) -> Deferred[Entry]:
        """Store a file as a new version; what is not given is inherited (``modified``: now).

        One longer than ``chunk_threshold`` goes out in chunks while it is read (FORMAT 7.1); nothing of it is seen
        before all of them are there.

        :param size: the length of a stream, when known: a larger one than can be stored is refused before it is read,
            one of another length fails and nothing is stored.
        :param queue: while the server is away, keep it in the journal of the basedir, durably, and send it when the
            server is back: the entry then says ``pending``. It descends from what this device knew; where it meets
            another change, both stay and the conflict is reported, whatever was expected. Reading shows it when it
            has arrived.
        :param unless_equal: where the current version has the same content, and the mode and media type that were
            given, nothing is stored and its entry is the result; ``modified`` counts for nothing. Where that is in
            doubt (a conflict, a message that is missing, or could not be used when it was read last) it is stored.
        :raises NotSupported: ``queue`` without a basedir.
        :raises Unavailable: the server is away; what goes out in chunks cannot be queued.
        :raises InvalidPath, IsADirectory, NotADirectory, Conflict, StoredAsConflict, TooLarge, NewerVersionNeeded:
        :raises IncompleteSource: it is not as long as announced, or a file that was changed while it was read.
        """

    def get(path: RemotePath, *, version: str | None = None) -> Deferred[bytes]:
        """The content of the current version, or of the given one (an id, or a unique prefix of 4 or more).

        :raises NotFound, IsADirectory, UnknownVersion: and any ``DataError`` when it cannot be trusted.
        :raises TooLarge: it has more than 256 MiB: :meth:`stream` and :meth:`open` give it a part at a time.
        """

    def read(path: RemotePath, *, version: str | None = None) -> Deferred[Record]:
        """Content and entry of one version, belonging together."""

    def stream(path: RemotePath, *, version: str | None = None) -> Deferred[IStream]:
        """The content of a version, to be read a part at a time: of a large file only what is asked for is fetched.

        :raises NotFound, IsADirectory, UnknownVersion: as :meth:`get`.
        """

    def open(path: RemotePath, mode: str = "r", *, expect: Expect = None) -> IOpening:
        """Open a file: ``r``, ``w``, ``a``, ``x``, ``r+`` as text (UTF-8), with ``b`` as bytes.

        With ``rb`` only what is read is fetched, of the version that was opened.
        """

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

    def usage(path: RemotePath = "/") -> Deferred[Sequence[Usage]]:
        """How much room files take: of all that is directly in a directory, by name, and last of all of it.

        Of a file only that. What was removed counts as long as versions of it are there. The first time in the life of
        a process the lists of chunks of all large files are read for it.

        :raises NotFound: there is nothing at that path, and no version of it.
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

        Where a newer version is missing (``vanished``, ``rolled-back``) the one that is named takes its place.

        :raises NotFound: the path is not in conflict, and none was named or nothing is missing.
        :raises UnknownVersion:
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

    def check(
        *,
        read_data: float = 0.0,
        bind: bool = False,
        repair: bool = False,
        accept: bool = False,
        sources: Path | None = None,
        progress: Progress = None,
    ) -> Deferred[Checkup]:
        """Look whether everything is whole: all headers, the objects of the folder, and contents.

        It changes nothing unless it is asked to.

        :param read_data: the percentage of the messages whose contents are read, 0 to 100; chosen at random.
        :param bind: before that, write the newest versions that the reference programs wrote anew, bound to their
            contents, as the same versions (FORMAT 1.5, 2.2, 8.5); the unbound copies of these go with a collection,
            when their grace is over. Older versions stay unbound.
        :param repair: after that, do what `Finding.remedy` names about what is found, or was found by checks and reads
            before. Nothing is removed; while not everything is listed nothing is done.
        :param accept: where others have seen what is ``hidden`` from this device, tell all devices that it is gone for
            good, and no warning any more (FORMAT 9.2); while not everything is listed nothing is told.
        :param sources: a directory of this machine, or a file: with ``repair``, chunks of large files that are lost are
            stored again where regular files there have them. No link below it is followed.
        :param progress: told how many contents of how many were read. Cancelling ends it after those under way.
        :raises CallerError: it is no percentage; there is nothing at ``sources``, or it is no repair.
        :raises NotSupported, ReadOnly: nothing can be bound in a folder that is not encrypted; nothing can be bound or
            mended in one that can only be read.
        :raises Renumbered: the mail server renumbered the folder meanwhile; try again.
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
