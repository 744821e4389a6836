"""Work that is quick once but not a thousand times: after a few milliseconds the reactor has its turn first."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

SLICE_SECONDS = 0.005


class Slices:
    """Lets whoever asks go on at once, or, when this turn of the reactor has lasted, in a later one; in order."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._began: float | None = None
        self._call: IDelayedCall | None = None
        self._waiting: deque[Deferred[None]] = deque()

    def next(self) -> Deferred[None]:
        """Fires when there is time for a little work; cancelling leaves the queue."""
        if self._began is None:
            self._began = self._clock.seconds()
            self._call = self._clock.callLater(0, self._turn)
        if not self._waiting and self._clock.seconds() - self._began < SLICE_SECONDS:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        return waiter

    def stop(self) -> None:
        """Leave no call behind, once nobody asks any more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _turn(self) -> None:
        self._began = None
        if not self._waiting:
            return
        self._began = began = self._clock.seconds()
        self._call = self._clock.callLater(0, self._turn)
        while self._waiting and self._clock.seconds() - began < SLICE_SECONDS:
            self._waiting.popleft().callback(None)
