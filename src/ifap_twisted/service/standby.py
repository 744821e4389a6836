"""A filesystem before there is one: calls wait for the folder to be opened, as long as they would for the server.

It decides nothing: every method is that of the filesystem that the service opens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ifap_twisted.core.collection import Collection
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.limits import CONNECT_SECONDS, LEASE_SECONDS
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import Entry, Expect, Lock, Record, Status
from ifap_twisted.deferreds import deferred, within
from ifap_twisted.errors import IFAPError, StoreError, TimedOut, Unavailable
from ifap_twisted.filesystem.batches import Batch
from ifap_twisted.filesystem.changes import HeldChanges
from ifap_twisted.filesystem.files import Opening
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.leasing import Leasing
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFilesystem, IStream, Listener, RemotePath
from ifap_twisted.service.accepting import Accepting

QUEUE_SECONDS = 5.0
"""How long a write that may be queued waits for a folder that is just being opened."""


class Life(NamedTuple):
    """The attempt to open a folder that was begun last, by its number, and a count that grows while it gets on."""

    attempt: int
    signs: int


class Opener(Protocol):
    """What a standby asks: the service."""

    @property
    def opened(self) -> Filesystem | None:
        """The filesystem, if it is open."""

    @property
    def problem(self) -> IFAPError | None:
        """Why there will be none unless somebody does something."""

    @property
    def trouble(self) -> IFAPError | None:
        """Why the last attempt to open it failed, while another one is waited for."""

    @property
    def clock(self) -> IReactorTime:
        """An ``IReactorTime``."""

    def when_ready(self) -> Deferred[IFilesystem]:
        """Fires with the filesystem."""

    @property
    def reached(self) -> bool:
        """The mail server answers: to open the folder is a matter of time."""

    @property
    def life(self) -> Life:
        """Whether the attempt to open the folder gets on."""

    @property
    def accepting(self) -> Accepting:
        """What can be accepted while it is not open."""

    def status(self) -> Deferred[Status]:
        """The present state."""


@implementer(IFilesystem)
class Standby:
    """The filesystem of a service, at any time.

    :ivar watchers: told also of what happens while the folder is not open.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.watchers = Watchers()
        self._filesystem: IFilesystem | None = None
        self._away = False
        self._stop: Callable[[], None] | None = None

    def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        opened = self._opener.opened
        return self._call_later(name, args, kwargs) if opened is None else getattr(opened, name)(*args, **kwargs)

    @deferred
    async def _call_later(self, name: str, args: Any, kwargs: Any) -> Any:
        return await getattr(await self.ready(), name)(*args, **kwargs)

    async def ready(self) -> IFilesystem:
        """The open filesystem, waited for as long as the attempt to open it gets on, however large the folder is.

        :raises Unavailable: of that attempt nothing was seen for ``CONNECT_SECONDS``, or another one was begun.
        :raises IFAPError: why it cannot be opened at all, or why the last attempt failed: that is not waited for again.
        """
        while True:
            before = self._opener.life
            opened = await self._opened_within(CONNECT_SECONDS)
            if opened is not None:
                return opened
            now = self._opener.life
            if now.attempt != before.attempt or now.signs == before.signs:
                state = await self._opener.status()
                raise Unavailable(
                    state.warnings[0].text if state.warnings else "The mail server was not reached in time."
                )

    async def _opened_within(self, seconds: float) -> IFilesystem | None:
        """The open filesystem, or None when it is not open after so long.

        :raises IFAPError: as :meth:`ready`.
        """
        opened = self._opener.opened
        if opened is not None:
            return opened
        if self._opener.problem is not None:
            raise self._opener.problem
        if self._opener.trouble is not None:
            raise copy.copy(self._opener.trouble)
        try:
            return await within(self._opener.when_ready(), seconds, self._opener.clock, "Opening the folder")
        except TimedOut:
            return None

    def announce(self, filesystem: IFilesystem) -> None:
        """A filesystem was opened: those who watch this one hear of it."""
        self._filesystem = filesystem
        if self.watchers:
            self._attach()

    def _attach(self) -> None:
        if self._filesystem is not None and self._stop is None:
            self._stop = self._filesystem.watch(self.watchers.tell)

    def retire(self) -> None:
        """The filesystem is about to be closed."""
        self._away = False
        stop, self._stop = self._stop, None
        self._filesystem = None
        if stop is not None:
            stop()

    def open(self, path: RemotePath, mode: str = "r", *, expect: Expect = None) -> Opening:
        """Open a file."""
        return Opening(self, path, mode, expect, lambda base: self._changes(path, base))

    def _changes(self, path: RemotePath, base: IStream | None) -> HeldChanges:
        opened = self._opener.opened
        return HeldChanges(base) if opened is None else opened.changes(path, base)

    def lock(
        self,
        path: RemotePath,
        *,
        seconds: int = LEASE_SECONDS,
        holder: str | None = None,
        renew: str | None = None,
    ) -> Leasing:
        """Take or renew a lock."""
        return Leasing(
            self._call_later("lock", (path,), {"seconds": seconds, "holder": holder, "renew": renew}),
            renew=lambda lock: self.lock(path, seconds=seconds, renew=lock.id),
            give_back=lambda _lock: self.unlock(path),
            clock=self._opener.clock,
        )

    def batch(self) -> Batch:
        """Let many puts go out together."""
        opened = self._opener.opened
        return Batch(self if opened is None else opened)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event, also of those after the folder was opened anew."""
        stop = self.watchers.add(listener)
        self._attach()
        return stop

    def status(self) -> Deferred[Status]:
        """The present state."""
        return self._opener.status()

    @deferred
    async def close(self) -> None:
        """Nothing: the service that owns the filesystem closes it."""

    def put(self, *args: Any, queue: bool = False, **kwargs: Any) -> Deferred[Entry]:
        """Store a file as a new version; with ``queue`` it is accepted while the folder is not open."""
        if queue and self._opener.opened is None:
            return self._queued(args, kwargs)
        kwargs["queue"] = queue
        work: Deferred[Entry] = self._call("put", args, kwargs)
        return work

    @deferred
    async def _queued(self, args: Any, kwargs: Any) -> Entry:
        if await self.is_there():
            return await (await self.ready()).put(*args, queue=True, **kwargs)
        offline = await self._opener.accepting.offline()
        opened = self._opener.opened
        if opened is not None:
            return await opened.put(*args, queue=True, **kwargs)
        if offline is None:  # it is not known yet what the folder is opened with
            return await (await self.ready()).put(*args, queue=True, **kwargs)
        return await offline.put(*args, **kwargs)

    async def is_there(self) -> bool:
        """Whether the folder is open, which is waited for a moment, and once; longer when the server answers.

        :raises IFAPError: it cannot be opened at all.
        """
        if self._opener.opened is None and self._away and self._opener.problem is None:
            return False
        for seconds in (QUEUE_SECONDS, CONNECT_SECONDS):
            try:
                opened = await self._opened_within(seconds)
            except StoreError as error:
                if not error.retryable:
                    raise
            else:
                if opened is not None:
                    self._away = False
                    return True
            if not self._opener.reached:
                break
        self._away = True
        return False

    def get(self, *args: Any, **kwargs: Any) -> Deferred[bytes]:
        """The content of a version."""
        work: Deferred[bytes] = self._call("get", args, kwargs)
        return work

    def read(self, *args: Any, **kwargs: Any) -> Deferred[Record]:
        """Content and entry of a version."""
        work: Deferred[Record] = self._call("read", args, kwargs)
        return work

    def stream(self, *args: Any, **kwargs: Any) -> Deferred[IStream]:
        """The content of a version, to be read a part at a time."""
        work: Deferred[IStream] = self._call("stream", args, kwargs)
        return work

    def stat(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """The entry of a file, a directory or a version."""
        work: Deferred[Entry] = self._call("stat", args, kwargs)
        return work

    def list(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """The entries of a directory."""
        work: Deferred[Sequence[Entry]] = self._call("list", args, kwargs)
        return work

    def remove(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Remove a file or a tree."""
        work: Deferred[None] = self._call("remove", args, kwargs)
        return work

    def undelete(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Bring a removed file back."""
        work: Deferred[Entry] = self._call("undelete", args, kwargs)
        return work

    def move(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Move a file or a directory."""
        work: Deferred[Entry] = self._call("move", args, kwargs)
        return work

    def copy(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Copy a file or a directory."""
        work: Deferred[Entry] = self._call("copy", args, kwargs)
        return work

    def make_directory(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Make an empty directory."""
        work: Deferred[Entry] = self._call("make_directory", args, kwargs)
        return work

    def remove_directory(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Remove an empty directory."""
        work: Deferred[None] = self._call("remove_directory", args, kwargs)
        return work

    def versions(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """All versions of a path."""
        work: Deferred[Sequence[Entry]] = self._call("versions", args, kwargs)
        return work

    def keep(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Set how many versions are kept."""
        work: Deferred[Entry] = self._call("keep", args, kwargs)
        return work

    def restore(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Make an old version current."""
        work: Deferred[Entry] = self._call("restore", args, kwargs)
        return work

    def conflicts(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """All heads of what is in conflict."""
        work: Deferred[Sequence[Entry]] = self._call("conflicts", args, kwargs)
        return work

    def resolve(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """End a conflict."""
        work: Deferred[Entry] = self._call("resolve", args, kwargs)
        return work

    def unlock(self, *args: Any, **kwargs: Any) -> Deferred[Lock]:
        """End the lock on a path."""
        work: Deferred[Lock] = self._call("unlock", args, kwargs)
        return work

    def usage(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Usage]]:
        """How much room files take."""
        work: Deferred[Sequence[Usage]] = self._call("usage", args, kwargs)
        return work

    def locks(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Lock]]:
        """The locks that hold."""
        work: Deferred[Sequence[Lock]] = self._call("locks", args, kwargs)
        return work

    def refresh(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """See what others did."""
        work: Deferred[None] = self._call("refresh", args, kwargs)
        return work

    def collect(self, *args: Any, **kwargs: Any) -> Deferred[Collection]:
        """Remove for good what retention does not keep."""
        work: Deferred[Collection] = self._call("collect", args, kwargs)
        return work

    def check(self, *args: Any, **kwargs: Any) -> Deferred[Checkup]:
        """Look whether everything is whole."""
        work: Deferred[Checkup] = self._call("check", args, kwargs)
        return work

    def snapshot(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Write a snapshot."""
        work: Deferred[None] = self._call("snapshot", args, kwargs)
        return work
