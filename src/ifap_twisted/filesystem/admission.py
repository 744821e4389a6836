"""How much plaintext may be in memory at a time: a budget of bytes, served in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from ifap_twisted.core import limits


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


class Share:
    """What one transfer has of a budget; others have it while its source says nothing, which may be long.

    What the transfer holds meanwhile (a beginning, a chunk) is not counted: only a few may lend at a time.

    :param lenders: a place for each that lends.
    """

    def __init__(self, budget: Budget, amount: int, lenders: Budget, clock: IReactorTime) -> None:
        self._budget = budget
        self._amount = amount
        self._lenders = lenders
        self._clock = clock
        self._taken = False

    async def take(self) -> None:
        """Have it, when it is free."""
        await self._budget.acquire(self._amount)
        self._taken = True

    def give_back(self) -> None:
        """Have it no more; harmless when it is lent."""
        taken, self._taken = self._taken, False
        if taken:
            self._budget.release(self._amount)

    async def pieces(self, source: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """What a source gives, with the share at hand."""
        coming = aiter(source)

        async def following() -> bytes | None:
            return await anext(coming, None)

        while (piece := await self._while_silent(Deferred.fromCoroutine(following()))) is not None:
            yield piece

    async def _while_silent(self, coming: Deferred[bytes | None]) -> bytes | None:
        if coming.called:
            return await coming
        lending = Deferred.fromCoroutine(self._lend()).addErrback(_given_up)
        try:
            piece = await coming
        finally:
            lending.cancel()
        if not self._taken:
            await self.take()
        return piece

    async def _lend(self) -> None:
        """Lend it when the source has been silent for a while, until this is cancelled."""
        await deferLater(self._clock, limits.SILENCE_SECONDS)
        await self._lenders.acquire(1)
        try:
            self.give_back()
            await Deferred()
        finally:
            self._lenders.release(1)


def _given_up(failure: Failure) -> None:
    failure.trap(CancelledError)  # type: ignore[no-untyped-call]
