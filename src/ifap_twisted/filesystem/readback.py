"""When to read back: one ranged FETCH for many appended messages instead of one each (FORMAT 4.3)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

ENOUGH = 64
"""So many messages are read back without waiting for more."""
PATIENCE_SECONDS = 0.05
"""So long the first waits for others that are still being sent; alone it waits for nobody."""


class ReadBack:
    """Gathers those who wait for their message to be read back.

    :param advance: reads the headers above the last known UID.
    """

    def __init__(self, advance: Callable[[], Deferred[None]], clock: IReactorTime) -> None:
        self._advance = advance
        self._clock = clock
        self._sending = 0
        self._waiting: list[Deferred[None]] = []
        self._alarm: IDelayedCall | None = None

    def sending(self) -> None:
        """A message is on its way: it is worth waiting for."""
        self._sending += 1

    def sent(self) -> None:
        """It has arrived, or failed."""
        self._sending -= 1
        if not self._sending and self._waiting:
            self._go()

    def next(self) -> Deferred[None]:
        """Fires with the end of a FETCH that is sent after this call."""
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        if not self._sending or len(self._waiting) >= ENOUGH:
            self._go()
        elif self._alarm is None:
            self._alarm = self._clock.callLater(PATIENCE_SECONDS, self._go)
        return waiter

    def _go(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
        waiters, self._waiting = self._waiting, []

        def ended(result: object) -> None:
            for waiter in waiters:
                if not waiter.called:
                    waiter.callback(None) if not isinstance(result, Failure) else waiter.errback(result)

        if waiters:
            self._advance().addBoth(ended)  # type: ignore[unused-awaitable]
