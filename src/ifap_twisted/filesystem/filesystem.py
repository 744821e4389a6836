"""The filesystem over any shelf: each method checks its arguments and hands over to the room that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.core import limits, paths, planning, snapshot
from ifap_twisted.core.collection import Collection
from ifap_twisted.core.values import Entry, Event, Expect, Lock, Notice, Record, Status
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import CallerError, IFAPError, NotFound, Renumbered
from ifap_twisted.filesystem import conflicts, entries, removal, renaming
from ifap_twisted.filesystem.batches import Batch, present_batch
from ifap_twisted.filesystem.collecting import Collector
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.files import Opening
from ifap_twisted.filesystem.lasting import Lasting, closed_error
from ifap_twisted.filesystem.leasing import Leasing
from ifap_twisted.filesystem.notices import notices
from ifap_twisted.filesystem.putting import Putting, change_of
from ifap_twisted.filesystem.recovery import Recovery
from ifap_twisted.filesystem.sending import no_journal_error
from ifap_twisted.filesystem.surveying import Surveyor
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFilesystem, IJournal, Listener, Progress, RemotePath, Source

T = TypeVar("T")
QUIET_SECONDS = 30.0
"""A snapshot that is due is written when nothing was written for so long."""


@implementer(IFilesystem)
class Filesystem:
    """An open folder.

    :param account: shown in the status; never holds a password.
    """

    _log = Logger()

    def __init__(
        self,
        desk: Desk,
        *,
        watchers: Watchers,
        clock: IReactorTime,
        account: str = "",
        folder: str = "",
        warnings: Sequence[Notice] = (),
        journal: IJournal | None = None,
        recovery: Recovery | None = None,
    ) -> None:
        self.desk = desk
        self._watchers = watchers
        self._clock = clock
        self._account = account
        self._folder = folder
        self._warnings = tuple(warnings)
        self._journal = journal
        self._recovery = recovery
        unfinished = _none_unfinished if recovery is None else recovery.paths
        self._collector = Collector(desk, Surveyor(desk, clock=clock, unfinished=unfinished), self._renew_snapshot)
        self._snapshot_call: IDelayedCall | None = None
        self._snapshot_due = False
        self._lasting = Lasting(self._written)
        self._closings = Turns(self._close)
        self._closed = False

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
            batch=batch,
        )
        if batch is None or queue:  # what may be queued says how it ended, never only that it is on its way
            return self._lasting.begin(putting.run, putting.may_stop)
        putting.early = Deferred(lambda _early: work.cancel())
        work = self._lasting.begin(putting.run, putting.may_stop)
        return batch.follow(putting.early, work)

    def open(self, path: RemotePath, mode: str = "r", *, expect: Expect = None) -> Opening:
        """Open a file like Python's ``open``; see :mod:`ifap_twisted.filesystem.files`."""
        return Opening(self, path, mode, expect)

    def remove(self, path: RemotePath, *, recursive: bool = False, expect: Expect = None) -> Deferred[None]:
        """Remove a file or a tree."""
        return self._after_batch(lambda: removal.remove(self.desk, _users(path), recursive=recursive, expect=expect))

    def undelete(self, path: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Bring a removed file back."""
        return self._after_batch(lambda: removal.undelete(self.desk, paths.clean_file(path), expect=expect))

    def restore(self, path: RemotePath, version: str, *, expect: Expect = None) -> Deferred[Entry]:
        """Make an old version current again."""
        return self._after_batch(lambda: removal.restore(self.desk, paths.clean_file(path), version, expect=expect))

    def move(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Move a file or a directory."""
        return self._after_batch(
            lambda: renaming.move(self.desk, _users(source), paths.clean_file(destination), expect=expect)
        )

    def copy(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Copy a file or a directory."""
        return self._after_batch(
            lambda: renaming.copy(self.desk, self.desk.any_file(source), paths.clean_file(destination), expect=expect)
        )

    def make_directory(self, path: RemotePath, *, parents: bool = False) -> Deferred[Entry]:
        """Make an empty directory."""
        return self._after_batch(lambda: renaming.make_directory(self.desk, _users(path), parents=parents))

    def remove_directory(self, path: RemotePath) -> Deferred[None]:
        """Remove an empty directory."""
        return self._after_batch(lambda: removal.remove_directory(self.desk, _users(path)))

    def keep(self, path: RemotePath, count: int, *, expect: Expect = None) -> Deferred[Entry]:
        """Set how many versions of a file are kept."""
        return self._after_batch(lambda: self._keep(paths.clean_file(path), count, expect))

    async def _keep(self, path: str, count: int, expect: Expect) -> Entry:
        if not 1 <= count <= MOST_KEPT:
            raise CallerError(f"Between 1 and {MOST_KEPT} versions can be kept, not {count}.", path=path)
        await self.desk.view.current()
        while True:
            found = self.desk.file(path)
            try:
                return await self._keep_of(found, count, expect)
            except _OvertakenError:  # an edit came meanwhile: say it of that one
                continue

    async def _keep_of(self, found: Found, count: int, expect: Expect) -> Entry:
        """Write a version again with another ``keep``, over itself only: other heads stay in conflict (FORMAT 3.4)."""
        vid = found.placed.version.vid

        def check() -> None:
            if self.desk.file(found.path).placed.version.vid != vid:
                raise _OvertakenError

        change = as_before(found, keep=count, replaced={vid})
        return await self.desk.rewrite(found.placed.version.path, found, change, expect=expect, check=check)

    def resolve(
        self, path: RemotePath, *, version: str | None = None, both: bool = False, expect: Expect = None
    ) -> Deferred[Entry]:
        """End a conflict."""
        return self._after_batch(
            lambda: conflicts.resolve(self.desk, paths.clean_file(path), version=version, both=both, expect=expect)
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
        taking = _Taking(self.desk, lambda: self._lock(path, seconds, holder, renew))
        return Leasing(
            self._lasting.begin(taking.run, taking.give_up),
            renew=lambda lock: self.lock(path, seconds=seconds, renew=lock.id),
            give_back=lambda _lock: self.unlock(path),
            clock=self._clock,
        )

    async def _lock(self, path: RemotePath, seconds: int, holder: str | None, renew: str | None) -> Lock:
        name = paths.clean_file(path)
        await self._settled_batch()
        await self.desk.view.current()
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
        await self._settled_batch()
        await self.desk.view.current()
        try:
            return await self._read_once(path, version)
        except Renumbered:  # the version is found again by its id (FORMAT 2.5)
            await self.desk.view.refresh()
            return await self._read_once(path, version)

    async def _read_once(self, path: RemotePath, version: str | None) -> Record:
        found = self.desk.file(self.desk.any_file(path, version), version)
        if found.placed.version.deleted:
            raise NotFound(f"That version of /{found.path} is its removal.", path=found.path)
        async with self.desk.admitted(found.placed.version.size):
            return Record(entry=self.desk.entry_of(found), data=await self.desk.reader.content(found.placed))

    @deferred
    async def stat(self, path: RemotePath, *, version: str | None = None) -> Entry:
        """The entry of a file, a directory or a version."""
        await self._settled_batch()
        await self.desk.view.current()
        try:
            name = paths.clean(path)
        except CallerError:
            name = self.desk.any_file(path, version)
        if version is None and self.desk.view.index.is_directory(name):
            return entries.directory_entry(self.desk.view.index, name)
        return self.desk.entry_of(self.desk.file(name, version))

    @deferred
    async def list(
        self, path: RemotePath = "/", *, recursive: bool = False, everything: bool = False, at: float | None = None
    ) -> Sequence[Entry]:
        """The entries of a directory, or the one of a file."""
        await self._settled_batch()
        await self.desk.view.current()
        name = paths.clean(path)
        index = self.desk.view.index
        if at is not None:
            return self._listed_as_of(name, at, recursive=recursive)
        hidden = entries.hidden(index, name) if everything else []
        if not index.is_directory(name):
            if hidden and not index.is_file(name):
                return _sorted(hidden if recursive else entries.directly_in(hidden, name))
            return [self.desk.entry_of(self.desk.file(name))]
        shown = entries.descendants(index, name) if recursive else entries.children(index, name)
        if not recursive:
            above = entries.implied_directories(hidden, name)
            known = {entry.path for entry in shown}
            hidden = [entry for entry in entries.directly_in([*hidden, *above], name) if entry.path not in known]
        return _sorted(self.desk.with_locks([*shown, *hidden]))

    def _listed_as_of(self, name: str, at: float, *, recursive: bool) -> Sequence[Entry]:
        found = entries.as_of(self.desk.view.index, name, at)
        if not found and name:
            raise NotFound(f"There was no file or directory /{name} then.", path=name)
        everything = [entry for entry in [*found, *entries.implied_directories(found, name)] if entry.path != name]
        if not everything:
            return found
        return _sorted(everything if recursive else entries.directly_in(everything, name))

    @deferred
    async def versions(self, path: RemotePath) -> Sequence[Entry]:
        """All versions of a path, newest first."""
        await self._settled_batch()
        await self.desk.view.current()
        name = paths.clean(path)
        history = self.desk.view.index.history(name) or self.desk.view.index.history(name.removesuffix(entries.BESIDE))
        if not history:
            raise NotFound(f"There is no file /{name}, and no version of it.", path=name)
        return [self.desk.entry_of(Found(history, one, one.version.path)) for one in reversed(history.versions)]

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
        await self.desk.view.look_again()
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

    async def _renew_snapshot(self) -> None:
        """After a collection, where there is a snapshot: it names what is gone (FORMAT 6.2)."""
        if self.desk.view.index.history(self.desk.view.dialect.snapshot_path):
            await self._if_possible(self._write_snapshot())  # what was collected is gone, however this ends

    def snapshot(self) -> Deferred[None]:
        """Write a snapshot, from a complete refresh only (FORMAT 6.2)."""
        return self._after_batch(self._write_snapshot)

    async def _write_snapshot(self) -> None:
        view = self.desk.view
        await view.refresh()
        if view.incomplete:
            raise CallerError("The server's listing is incomplete; a snapshot of it would hide files. Try again later.")
        if view.index.missing()[0]:
            raise CallerError("Files are missing, see 'ifap status'; a snapshot now would hide that from others.")
        histories = view.index.histories()
        content = await self.desk.worker(lambda: snapshot.encode(planning.plan_snapshot(histories)))
        await self.desk.writer.write(view.dialect.snapshot_path, content, Change())

    def _written(self) -> None:
        """After a write: look at a quiet moment whether a snapshot is due."""
        self._snapshot_due = True
        if self._snapshot_call is not None and self._snapshot_call.active():
            self._snapshot_call.reset(QUIET_SECONDS)
        elif not self._lasting.closed:
            self._snapshot_call = self._clock.callLater(QUIET_SECONDS, self._quiet)

    def _quiet(self) -> None:
        self._snapshot_due = False
        if planning.wants_snapshot(self.desk.view.index, self.desk.view.dialect.snapshot_path):
            detach(self._if_possible(self.snapshot()), self._log, "writing a snapshot")

    @deferred
    async def _if_possible(self, snapshot: Awaitable[None]) -> None:
        """One that cannot be written now is due after the next write, or at the end."""
        try:
            await snapshot
        except IFAPError as error:
            self._log.info("no snapshot was written yet: {reason}", reason=str(error))
            self._snapshot_due = True

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event."""
        return self._watchers.add(listener)

    @deferred
    async def status(self) -> Status:
        """The present state."""
        view = self.desk.view
        rejected = view.index.rejected()
        left, failing = (0, 0) if self._recovery is None else (len(self._recovery), self._recovery.failing)
        journalled = () if self._recovery is None else self._recovery.notices()
        plainly = self.desk.options.expunges_plainly
        found = notices(view, rejected, self.desk.writer.drafting.unseen, plainly=plainly)
        return Status(
            state=view.state,
            account=self._account,
            folder=self._folder,
            dialect=view.dialect.name,
            pending=self.desk.writer.underway.count + left,
            failing=self.desk.writer.sending.failing + failing,
            conflicts=len(view.index.conflicts()),
            locks=self.desk.book.count(),
            damaged=len(rejected),
            foreign=view.index.foreign(),
            warnings=(*self._warnings, *journalled, *found),
            last_refresh=view.last_refresh,
        )

    def close(self) -> Deferred[None]:
        """Wait for what was accepted, write a snapshot that is due, and let go; streams still read are given up.

        Cancelling it gives up the wait only: it goes on to its end, and whoever closes once more waits for that.
        """
        return self._closings.next()

    async def _close(self) -> None:
        if self._closed:
            return
        if self._snapshot_call is not None and self._snapshot_call.active():
            self._snapshot_call.cancel()
        self._lasting.close()
        self._collector.stop()
        if self._recovery is not None:
            self._recovery.stop()
        await self._lasting.when_idle()
        snapshot_path, there = self.desk.view.dialect.snapshot_path, self.desk.view.state == "connected"
        if self._snapshot_due and there and planning.wants_snapshot(self.desk.view.index, snapshot_path):
            await self._last_snapshot()
        await self.desk.writer.underway.when_idle()
        self.desk.writer.stop()
        if self._journal is not None:
            await self._journal.close()
        self.desk.view.close()
        await self.desk.view.store.close()
        self._closed = True

    async def _last_snapshot(self) -> None:
        try:
            await self._write_snapshot()
        except IFAPError as error:
            self._log.info("no snapshot was written at the end: {reason}", reason=str(error))
        except Exception:  # noqa: BLE001 -- a snapshot is disposable (P8); the close is not
            self._log.failure("no snapshot was written at the end")

    async def _settled_batch(self) -> None:
        """Inside a batch one's own writes are seen."""
        batch = present_batch(self)
        if batch is not None:
            await batch.arrived()

    def _after_batch(self, begin: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """A lasting write that sees what was put before in the same batch."""

        async def work() -> T:
            await self._settled_batch()
            return await begin()

        return self._lasting.begin(work)


async def _none_unfinished() -> frozenset[str]:
    return frozenset()


class _Taking:
    """A lock on its way: what nobody waits for any more is given back."""

    def __init__(self, desk: Desk, take: Callable[[], Coroutine[Deferred[Any], Any, Lock]]) -> None:
        self._desk = desk
        self._take = take
        self._given_up = False

    def give_up(self) -> bool:
        """The caller does not want it; it cannot be stopped without a trace."""
        self._given_up = True
        return False

    async def run(self) -> Lock:
        """Take it."""
        lock = await self._take()
        if self._given_up:
            await self._desk.locking.unlock(lock.path, force=False)
        return lock


class _OvertakenError(Exception):
    """Somebody changed the file while it was rewritten; nothing was written."""


MOST_KEPT = 10_000


def _users(path: RemotePath) -> str:
    """The root, or a path that a user's file may have."""
    name = paths.clean(path)
    return name if not name else paths.clean_file(name)


def _sorted(found: Sequence[Entry]) -> list[Entry]:
    return sorted(found, key=lambda entry: entry.path.split("/"))


__all__ = ["Event", "Filesystem"]
