"""What some methods of a filesystem give: to be awaited, or held in an ``async with`` block."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any, Protocol, Self

from twisted.internet.defer import Deferred

from ifap_twisted.core.values import Entry, Lock

__all__ = ["IBatch", "IFile", "ILeasing", "IOpening", "IStream"]


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


class IStream(Protocol):
    """The content of one version, read a part at a time (``IFilesystem.stream``); there is nothing to close.

    :ivar entry: of the version; ``entry.size`` is how much there is.
    """

    entry: Entry

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """The bytes from ``start`` up to ``stop`` or to the end; what is next is fetched ahead when reading goes on.

        :raises ChunkLost: naming the first range of bytes that is lost.
        """


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
