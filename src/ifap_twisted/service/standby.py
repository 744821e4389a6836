"""A filesystem before there is one: calls wait for the folder to be opened, as long as they would for the server.

It decides nothing: every method is that of the filesystem that the service opens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ifap_twisted.core.limits import CONNECT_SECONDS
from ifap_twisted.core.values import Entry, Expect, Record, Status
from ifap_twisted.deferreds import deferred, within
from ifap_twisted.errors import IFAPError, TimedOut, Unavailable
from ifap_twisted.filesystem.batches import Batch
from ifap_twisted.filesystem.files import Opening
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFilesystem, Listener, RemotePath


class Opener(Protocol):
    """What a standby asks: the service."""

    @property
    def opened(self) -> Filesystem | None:
        """The filesystem, if it is open."""

    @property
    def problem(self) -> IFAPError | None:
        """Why there will be none unless somebody does something."""

    @property
    def clock(self) -> Any:
        """An ``IReactorTime``."""

    def when_ready(self) -> Deferred[IFilesystem]:
        """Fires with the filesystem."""

    def status(self) -> Deferred[Status]:
        """The present state."""


@implementer(IFilesystem)
class Standby:
    """The filesystem of a service, at any time."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._watchers = Watchers()
        self._stops: list[Callable[[], None]] = []

    @deferred
    async def _call(self, name: str, args: Any, kwargs: Any) -> Any:
        return await getattr(await self.ready(), name)(*args, **kwargs)

    async def ready(self) -> IFilesystem:
        """The open filesystem, waited for.

        :raises Unavailable: it could not be opened in time; or why it cannot be opened at all.
        """
        opened = self._opener.opened
        if opened is not None:
            return opened
        if self._opener.problem is not None:
            raise self._opener.problem
        try:
            return await within(self._opener.when_ready(), CONNECT_SECONDS, self._opener.clock, "Opening the folder")
        except TimedOut as error:
            state = await self._opener.status()
            reason = state.warnings[0].text if state.warnings else "The mail server was not reached in time."
            raise Unavailable(reason) from error

    def announce(self, filesystem: IFilesystem) -> None:
        """A filesystem was opened: those who watch this one hear of it."""
        self._stops.append(filesystem.watch(self._watchers.tell))

    def retire(self) -> None:
        """The filesystem is about to be closed."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def open(self, path: RemotePath, mode: str = "r", *, expect: Expect = None) -> Opening:
        """Open a file."""
        return Opening(self, path, mode, expect)

    def batch(self) -> Batch:
        """Let many puts go out together."""
        opened = self._opener.opened
        return Batch(self if opened is None else opened)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event, also of those after the folder was opened anew."""
        return self._watchers.add(listener)

    def status(self) -> Deferred[Status]:
        """The present state."""
        return self._opener.status()

    @deferred
    async def close(self) -> None:
        """Nothing: the service that owns the filesystem closes it."""

    def put(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Store a file as a new version."""
        return self._call("put", args, kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Deferred[bytes]:
        """The content of a version."""
        return self._call("get", args, kwargs)

    def read(self, *args: Any, **kwargs: Any) -> Deferred[Record]:
        """Content and entry of a version."""
        return self._call("read", args, kwargs)

    def stat(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """The entry of a file, a directory or a version."""
        return self._call("stat", args, kwargs)

    def list(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """The entries of a directory."""
        return self._call("list", args, kwargs)

    def remove(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Remove a file or a tree."""
        return self._call("remove", args, kwargs)

    def undelete(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Bring a removed file back."""
        return self._call("undelete", args, kwargs)

    def move(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Move a file or a directory."""
        return self._call("move", args, kwargs)

    def copy(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Copy a file or a directory."""
        return self._call("copy", args, kwargs)

    def make_directory(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Make an empty directory."""
        return self._call("make_directory", args, kwargs)

    def remove_directory(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Remove an empty directory."""
        return self._call("remove_directory", args, kwargs)

    def versions(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """All versions of a path."""
        return self._call("versions", args, kwargs)

    def keep(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Set how many versions are kept."""
        return self._call("keep", args, kwargs)

    def restore(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """Make an old version current."""
        return self._call("restore", args, kwargs)

    def conflicts(self, *args: Any, **kwargs: Any) -> Deferred[Sequence[Entry]]:
        """All heads of what is in conflict."""
        return self._call("conflicts", args, kwargs)

    def resolve(self, *args: Any, **kwargs: Any) -> Deferred[Entry]:
        """End a conflict."""
        return self._call("resolve", args, kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """See what others did."""
        return self._call("refresh", args, kwargs)

    def snapshot(self, *args: Any, **kwargs: Any) -> Deferred[None]:
        """Write a snapshot."""
        return self._call("snapshot", args, kwargs)
