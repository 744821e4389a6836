"""How much plaintext may be in memory at a time: a budget of bytes, served in order of arrival."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred, succeed


class Budget:
    """A number of bytes shared by all transfers; who finds too little left waits (back-pressure).

    :param total: bytes; a single demand above it is served as if it were exactly it, alone.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()
        self._serving = False

    def acquire(self, amount: int) -> Deferred[None]:
        """Fires when the bytes are granted; cancelling leaves the queue."""
        amount = min(amount, self._total)
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._abandon)
        self._waiting.append((amount, waiter))
        return waiter

    def release(self, amount: int) -> None:
        """Give back what was granted for this demand."""
        self._free += min(amount, self._total)
        self._serve()

    def _serve(self) -> None:
        if self._serving:  # somebody who was served is done already: the loop below goes on with the next
            return
        self._serving = True
        try:
            while self._waiting and self._waiting[0][0] <= self._free:
                amount, waiter = self._waiting.popleft()
                self._free -= amount
                waiter.callback(None)
        finally:
            self._serving = False

    def _abandon(self, waiter: Deferred[None]) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not waiter)
        self._serve()
