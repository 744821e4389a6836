"""One run at a time for many callers, each sure that its run began after it asked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Turns:
    """Runs a coroutine function for whoever asks: who asks during a run shares the next one."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work
        self._running = False
        self._waiting: list[Deferred[None]] = []

    def next(self) -> Deferred[None]:
        """Fires with the end of a run that begins after this call; cancelling leaves the others alone."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if not self._running:
            self._run()
        return waiter

    def _run(self) -> None:
        waiters, self._waiting = self._waiting, []
        self._running = True

        def ended(result: object) -> None:
            self._running = False
            if self._waiting:
                self._run()
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None) if not isinstance(result, Failure) else waiter.errback(result)

        Deferred.fromCoroutine(self._work()).addBoth(ended)  # type: ignore[unused-awaitable]
