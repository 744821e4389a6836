"""Work that would hold up the reactor, done in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Worker(Protocol):
    """Runs a function somewhere and fires with its result."""

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work``; the Deferred fires in the reactor's thread."""


class ThreadWorker:
    """Runs work in threads of its own, at most ``threads`` at a time.

    :param reactor: the result comes back through its ``callFromThread``, and the threads end with it.
    :ivar done: how many works have ended, however they did.
    """

    def __init__(self, reactor: Any, threads: int = 2, name: str = "ifap") -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name=name)
        self._started = False
        self._trigger: Any = None
        self.done = 0

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work`` in a thread."""
        if not self._started:
            self._started = True
            self._pool.start()
            # A reactor that is stopped without us must not leave threads that keep the process from ending.
            self._trigger = self._reactor.addSystemEventTrigger("after", "shutdown", self._pool.stop)
        result: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work)
        return result.addBoth(self._count)

    def _count(self, outcome: Any) -> Any:
        self.done += 1
        return outcome

    def stop(self) -> None:
        """End the threads, after the work in them."""
        if self._started:
            self._started = False
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._pool.stop()


class InlineWorker:
    """Runs work at once, in the caller's thread: for tests."""

    def __call__(self, work: Callable[[], T]) -> Deferred[T]:
        """Run ``work`` now."""
        result: Deferred[T] = execute(work)
        return result
