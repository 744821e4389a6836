"""The filesystem over any shelf: each method checks its arguments and hands over to the room that does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ifap_twisted.core import limits, paths
from ifap_twisted.core.collection import Collection
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import Entry, Event, Expect, Lock, Notice, Record, Status
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import NotFound, Unavailable
from ifap_twisted.filesystem import conflicts, keeping, removal, renaming, showing
from ifap_twisted.filesystem.batches import Batch, present_batch
from ifap_twisted.filesystem.binding import Binding
from ifap_twisted.filesystem.changing import StoredChanges
from ifap_twisted.filesystem.checking import Checker
from ifap_twisted.filesystem.checkpointing import Checkpointing
from ifap_twisted.filesystem.collecting import Collector
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.files import Opening
from ifap_twisted.filesystem.lasting import Lasting, closed_error
from ifap_twisted.filesystem.leasing import Leasing, Taking
from ifap_twisted.filesystem.manifest_reading import ManifestReading
from ifap_twisted.filesystem.marking import Marking
from ifap_twisted.filesystem.mending import Mending
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.notices import notices, redated
from ifap_twisted.filesystem.putting import Putting, change_of
from ifap_twisted.filesystem.recovery import Recovery
from ifap_twisted.filesystem.refilling import Refilling
from ifap_twisted.filesystem.sending import no_journal_error
from ifap_twisted.filesystem.snapshots import Snapshots
from ifap_twisted.filesystem.surveying import Surveyor
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.undone import Undone
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFilesystem, IJournal, IStream, Listener, Progress, RemotePath, Source

T = TypeVar("T")


@implementer(IFilesystem)
class Filesystem:
    """An open folder.

    :param random: gives that many random bytes.
    :param account: shown in the status; never holds a password.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        watchers: Watchers,
        clock: IReactorTime,
        random: Callable[[int], bytes],
        account: str = "",
        folder: str = "",
        warnings: Sequence[Notice] = (),
        journal: IJournal | None = None,
        recovery: Recovery | None = None,
        marking: Marking | None = None,
    ) -> None:
        self.desk = desk
        self._watchers = watchers
        self._clock = clock
        self._account = account
        self._folder = folder
        self._warnings = tuple(warnings)
        self._journal = journal
        self._recovery = recovery
        self._marking = marking
        self._snapshots = Snapshots(desk, clock=clock, begin=self._snapshot)
        unfinished = _none_unfinished if recovery is None else recovery.paths
        naming = Naming(desk.view)
        manifests = ManifestReading(desk, naming)
        self._manifests = manifests
        surveyor = Surveyor(desk, manifests, clock=clock, unfinished=unfinished)
        self._collector = Collector(desk, surveyor, self._snapshots.renew)
        self._lasting = Lasting(self._snapshots.note_write)
        self._checkpointing = Checkpointing(
            desk, marking=marking, clock=clock, every=desk.options.checkpoint_every, begin=self._publish
        )
        mending = Mending(desk, random=random, snapshot=self._snapshots.write)
        self._checker = Checker(
            desk,
            Binding(desk, random=random),
            mending,
            Refilling(desk, manifests),
            manifests,
            naming,
            self._checkpointing,
            Undone(desk, surveyor, clock),
            self._marked,
            random=random,
            clock=clock,
        )
        self._closings = Turns(self._close)
        self._closed = False
        self._checkpointing.start()

    @property
    def idle(self) -> bool:
        """Nothing that was accepted is under way, not even for a caller who gave it up, nor waits in the journal."""
        left = 0 if self._recovery is None else len(self._recovery)
        return self._lasting.idle and not (self.desk.writer.underway.count or left)

    # Writing

    def put(
        self,
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
        """Store a file as a new version."""
        if queue and self._journal is None:
            return fail(no_journal_error(str(path)))
        batch = present_batch(self)
        putting = Putting(
            desk=self.desk,
            lasting=self._lasting,
            path=path,
            data=data,
            size=size,
            change=change_of(mode, mime, modified),
            expect=expect,
            queue=queue,
            unless_equal=unless_equal,
            batch=batch,
        )
        if batch is None or queue:  # what may be queued says how it ended, never only that it is on its way
            return self._lasting.begin(putting.run, putting.may_stop)
        putting.early = Deferred(lambda _early: work.cancel())
        work = self._lasting.begin(putting.run, putting.may_stop)
        return batch.follow(putting.early, work)

    def open(self, path: RemotePath, mode: str = "r", *, expect: Expect = None) -> Opening:
        """Open a file like Python's ``open``; see :mod:`ifap_twisted.filesystem.files`."""
        return Opening(self, path, mode, expect, lambda base: self.changes(path, base))

    def changes(self, path: RemotePath, base: IStream | None) -> StoredChanges:
        """What a content becomes that is changed through an open file; for who opens one over this filesystem."""
        return StoredChanges(self.desk, base, str(path))

    def remove(self, path: RemotePath, *, recursive: bool = False, expect: Expect = None) -> Deferred[None]:
        """Remove a file or a tree."""
        return self._after_batch(lambda: removal.remove(self.desk, _users(path), recursive=recursive, expect=expect))

    def undelete(self, path: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Bring a removed file back."""
        return self._when_arrived(path, lambda name: removal.undelete(self.desk, name, expect=expect))

    def restore(self, path: RemotePath, version: str, *, expect: Expect = None) -> Deferred[Entry]:
        """Make an old version current again."""
        return self._after_batch(lambda: removal.restore(self.desk, paths.clean_file(path), version, expect=expect))

    def move(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Move a file or a directory."""
        return self._when_arrived(
            source,
            lambda name: renaming.move(self.desk, name, paths.clean_file(destination), expect=expect),
            clean=_users,
        )

    def copy(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Copy a file or a directory."""
        return self._when_arrived(
            source,
            lambda name: renaming.copy(self.desk, name, paths.clean_file(destination), expect=expect),
            clean=self.desk.any_file,
        )

    def make_directory(self, path: RemotePath, *, parents: bool = False) -> Deferred[Entry]:
        """Make an empty directory."""
        return self._after_batch(lambda: renaming.make_directory(self.desk, _users(path), parents=parents))

    def remove_directory(self, path: RemotePath) -> Deferred[None]:
        """Remove an empty directory."""
        return self._after_batch(lambda: removal.remove_directory(self.desk, _users(path)))

    def keep(self, path: RemotePath, count: int, *, expect: Expect = None) -> Deferred[Entry]:
        """Set how many versions of a file are kept."""
        return self._when_arrived(path, lambda name: keeping.keep(self.desk, name, count, expect))

    def resolve(
        self, path: RemotePath, *, version: str | None = None, both: bool = False, expect: Expect = None
    ) -> Deferred[Entry]:
        """End a conflict."""
        return self._when_arrived(
            path, lambda name: conflicts.resolve(self.desk, name, version=version, both=both, expect=expect)
        )

    def lock(
        self,
        path: RemotePath,
        *,
        seconds: int = limits.LEASE_SECONDS,
        holder: str | None = None,
        renew: str | None = None,
    ) -> Leasing:
        """Take or renew a lock; see :mod:`ifap_twisted.filesystem.leasing`."""

        def take() -> Coroutine[Deferred[Any], Any, Lock]:
            return self._lock(path, seconds, holder, renew)

        taking = Taking(take, lambda lock: self.desk.locking.unlock(lock.path, force=False))
        return Leasing(
            self._lasting.begin(taking.run, taking.give_up) if renew is None else self._lasting.begin(take),
            renew=lambda lock: self.lock(path, seconds=seconds, renew=lock.id),
            give_back=lambda _lock: self.unlock(path),
            clock=self._clock,
        )

    async def _lock(self, path: RemotePath, seconds: int, holder: str | None, renew: str | None) -> Lock:
        name = paths.clean_file(path)
        await self._up_to_date()
        self.desk.check_place(name)
        return await self.desk.locking.lock(name, seconds=seconds, holder=holder, renew=renew)

    def unlock(self, path: RemotePath, *, force: bool = False) -> Deferred[Lock]:
        """End the lock on a path."""
        return self._after_batch(lambda: self.desk.locking.unlock(paths.clean_file(path), force=force))

    def batch(self) -> Batch:
        """Let many puts go out together; see :mod:`ifap_twisted.filesystem.batches`."""
        return Batch(self)

    # Reading

    @deferred
    async def get(self, path: RemotePath, *, version: str | None = None) -> bytes:
        """The content of a file."""
        return (await self._read(path, version)).data

    @deferred
    async def read(self, path: RemotePath, *, version: str | None = None) -> Record:
        """The content of a file and its entry."""
        return await self._read(path, version)

    async def _read(self, path: RemotePath, version: str | None) -> Record:
        await self._up_to_date()
        return await showing.record(self.desk, path, version)

    @deferred
    async def stream(self, path: RemotePath, *, version: str | None = None) -> IStream:
        """The content of a version, to be read a part at a time."""
        await self._up_to_date()
        return await showing.stream(self.desk, path, version)

    @deferred
    async def stat(self, path: RemotePath, *, version: str | None = None) -> Entry:
        """The entry of a file, a directory or a version."""
        await self._up_to_date()
        return showing.entry(self.desk, path, version)

    @deferred
    async def list(
        self, path: RemotePath = "/", *, recursive: bool = False, everything: bool = False, at: float | None = None
    ) -> Sequence[Entry]:
        """The entries of a directory, or the one of a file."""
        await self._up_to_date()
        name = paths.clean(path)
        if at is not None:
            return await showing.directory_then(self.desk, name, at, recursive=recursive)
        return await showing.directory(self.desk, name, recursive=recursive, everything=everything)

    @deferred
    async def versions(self, path: RemotePath) -> Sequence[Entry]:
        """All versions of a path, newest first."""
        await self._up_to_date()
        return showing.versions(self.desk, paths.clean(path))

    @deferred
    async def usage(self, path: RemotePath = "/") -> Sequence[Usage]:
        """How much room files take."""
        await self._up_to_date()
        name = paths.clean(path)
        found = await self._manifests.usage(self.desk.view.index.histories(), name)
        if not found:
            raise NotFound(f"There is no file or directory /{name}.", path=name)
        return found

    @deferred
    async def conflicts(self, path: RemotePath | None = None) -> Sequence[Entry]:
        """All heads of all files in conflict."""
        return await conflicts.conflicts(self.desk, None if path is None else paths.clean(path))

    @deferred
    async def locks(self, path: RemotePath | None = None) -> Sequence[Lock]:
        """The locks that hold."""
        return await self.desk.locking.locks("" if path is None else paths.clean(path))

    @deferred
    async def refresh(self) -> None:
        """See what others did, and try once more what could not be finished."""
        await self.desk.view.refresh()
        await self.desk.view.refreshing.look_again()
        await self.finish()

    def finish(self) -> Deferred[None]:
        """Fires when everything that the journal holds was tried once more, however it ended."""
        return succeed(None) if self._recovery is None else self._recovery.next()

    # Around it

    def collect(self, *, dry_run: bool = False, progress: Progress = None) -> Deferred[Collection]:
        """Plan what retention lets go, and remove for good what was planned a grace ago."""
        if self._lasting.closed:
            return fail(closed_error())
        return self._collector.begin(dry_run=dry_run, progress=progress)

    def check(
        self,
        *,
        read_data: float = 0.0,
        bind: bool = False,
        repair: bool = False,
        accept: bool = False,
        sources: Path | None = None,
        progress: Progress = None,
    ) -> Deferred[Checkup]:
        """Look whether everything is whole, read that percentage of the contents; bind, mend or accept what is not."""
        if self._lasting.closed:
            return fail(closed_error())
        return self._checker.begin(
            read_data=read_data, bind=bind, repair=repair, accept=accept, progress=progress, sources=sources
        )

    def recover(self, progress: Progress = None) -> Deferred[Checkup]:
        """Read everything, mend what can be mended, finish moves that were cut, and write a snapshot.

        For whoever holds the folder alone on this device.
        """
        if self._lasting.closed:
            return fail(closed_error())
        return self._checker.recover(progress)

    def go_on_checking(self, share: float) -> Deferred[Checkup]:
        """Look whether everything is whole, and read the next percentage of the contents in a turn that comes to all.

        For whoever keeps the folder open: each goes on where the one before ended, also one of an earlier process.
        """
        if self._lasting.closed:
            return fail(closed_error())
        return self._checker.go_on(share)

    def snapshot(self) -> Deferred[None]:
        """Write a snapshot, from a complete refresh only (FORMAT 6.2), and a checkpoint where there is news (9.2)."""

        async def work() -> None:
            await self._checkpointing.publish()
            await self._snapshots.write()

        return self._after_batch(work)

    def _snapshot(self) -> Deferred[None]:
        return self._after_batch(self._snapshots.write)

    def _publish(self) -> Deferred[None]:
        return self._lasting.begin(self._checkpointing.publish)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event."""
        return self._watchers.add(listener)

    @deferred
    async def status(self) -> Status:
        """The present state."""
        await self._checkpointing.look()
        view = self.desk.view
        damage = view.damage
        left, failing = (0, 0) if self._recovery is None else (len(self._recovery), self._recovery.failing)
        journalled = () if self._recovery is None else self._recovery.notices()
        hidden = self._checkpointing.notices()
        plainly = self.desk.options.expunges_plainly
        found = notices(view, damage, self.desk.writer.drafting.unseen, plainly=plainly)
        return Status(
            state=view.state,
            account=self._account,
            folder=self._folder,
            dialect=view.dialect.name,
            pending=self.desk.writer.underway.count + left,
            failing=self.desk.writer.sending.failing + failing,
            conflicts=len(view.index.conflicts()),
            locks=self.desk.book.count(),
            damaged=len(damage),
            damage=dict(sorted(Counter(damage.values()).items())),
            foreign=view.index.foreign(),
            other_dialect=view.index.other_dialect(),
            warnings=(*self._warnings, *journalled, *self._marked(), *hidden, *found, *redated(view)),
            last_refresh=view.last_refresh,
            checked=view.checked,
        )

    def _marked(self) -> Sequence[Notice]:
        """What the device remembers to have seen otherwise, and whether it can remember."""
        return [] if self._marking is None else self._marking.notices()

    def close(self) -> Deferred[None]:
        """Wait for what was accepted, write a snapshot that is due, and let go; streams still read are given up.

        Cancelling it gives up the wait only: it goes on to its end, and whoever closes once more waits for that.
        """
        return self._closings.next()

    async def _close(self) -> None:
        if self._closed:
            return
        self._snapshots.stop()
        self._checkpointing.stop()
        self._lasting.close()
        self._collector.stop()
        self._checker.stop()
        self.desk.chunks_read.stop()
        if self._recovery is not None:
            self._recovery.stop()
        await self._lasting.when_idle()
        await self._snapshots.write_last()
        await self.desk.writer.underway.when_idle()
        self.desk.writer.stop()
        if self._journal is not None:
            await self._journal.close()
        if self._marking is not None and await self._marking.close():
            await self.desk.writer.drafting.keep_name()
        self._checkpointing.close()
        self.desk.view.close()
        await self.desk.view.store.close()
        self._closed = True

    async def _settled_batch(self) -> None:
        """Inside a batch one's own writes are seen."""
        batch = present_batch(self)
        if batch is not None:
            await batch.arrived()

    def _when_arrived(
        self,
        path: RemotePath,
        work: Callable[[str], Coroutine[Deferred[Any], Any, T]],
        *,
        clean: Callable[[RemotePath], str] = paths.clean_file,
    ) -> Deferred[T]:
        """Do what says something of exactly what is there, when nothing waits for its path."""

        async def whole() -> T:
            name = clean(path)
            await self._arrived(name)
            return await work(name)

        return self._after_batch(whole)

    async def _arrived(self, path: str) -> None:
        """What was accepted for a path or below it is on the server, before something is said of exactly what is there.

        :raises Unavailable: it could not be brought there yet.
        """
        if not self.desk.writer.backlog.concerns(path):
            return
        await self.finish()
        if self.desk.writer.backlog.concerns(path):
            raise Unavailable(
                f"What was queued for /{path} is not on the mail server yet; see 'ifap status'.", path=path
            )

    async def _up_to_date(self) -> None:
        """What can be read now is what is there, one's own writes included."""
        await self._settled_batch()
        await self.desk.view.current()

    def _after_batch(self, begin: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """A lasting write that sees what was put before in the same batch."""

        async def work() -> T:
            await self._settled_batch()
            return await begin()

        return self._lasting.begin(work)


async def _none_unfinished() -> frozenset[str]:
    return frozenset()


def _users(path: RemotePath) -> str:
    """The root, or a path that a user's file may have."""
    name = paths.clean(path)
    return name if not name else paths.clean_file(name)


__all__ = ["Event", "Filesystem"]
