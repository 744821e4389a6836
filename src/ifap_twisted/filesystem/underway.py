"""How many writes have begun and not ended: what a watcher is told, and what closing waits for."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from twisted.internet.defer import Deferred, succeed

from ifap_twisted.core.values import Event
from ifap_twisted.deferreds import Waiters
from ifap_twisted.filesystem.watching import Watchers


class Underway:
    """Counts; ``with`` it one more is under way.

    :ivar count: writes that have begun and not ended; ``waiting`` gives how many others the journal keeps.
    """

    def __init__(self, watchers: Watchers, waiting: Callable[[], int]) -> None:
        self._watchers = watchers
        self.waiting = waiting
        self.count = 0
        self._idle = Waiters()

    def __enter__(self) -> None:
        """One more has begun."""
        self.count += 1
        if self.count == 1:
            self.tell()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It has ended, however."""
        self.count -= 1
        if not self.count:
            self.tell()
            self._idle.tell()

    def when_idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        return self._idle.wait() if self.count else succeed(None)

    def tell(self) -> None:
        """Tell those who watch how many writes are not yet known to be on the server."""
        self._watchers.tell(Event(kind="pending", detail={"pending": self.count + self.waiting()}))
