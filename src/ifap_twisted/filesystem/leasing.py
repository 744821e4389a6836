"""A lock as callers take it: a Deferred of it, and an ``async with`` that renews it and gives it back (DESIGN 4.4).

It works over any ``IFilesystem`` and decides nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.core.values import Lock
from ifap_twisted.deferreds import Waiters, deferred, detach
from ifap_twisted.errors import IFAPError, LeaseLost, Locked

RENEWALS = 3
"""A lock is renewed so many times in each lease: one may fail, and the next still comes in time."""


class Taking:
    """A lock on its way, not a renewal of one: what nobody waits for any more is given back.

    :param take: takes the lock. ``give_back`` ends it.
    """

    def __init__(
        self,
        take: Callable[[], Awaitable[Lock]],
        give_back: Callable[[Lock], Awaitable[object]],
    ) -> None:
        self._take = take
        self._give_back = give_back
        self._given_up = False

    def give_up(self) -> bool:
        """The caller does not want it; it cannot be stopped without a trace."""
        self._given_up = True
        return False

    async def run(self) -> Lock:
        """Take it."""
        lock = await self._take()
        if self._given_up:
            await self._give_back(lock)
        return lock


class Leasing(Deferred[Lock]):
    """Fires with a lock; used as ``async with`` it holds the lock until the block ends.

    :param taking: takes the lock; cancelling this cancels it.
    :param renew: renews a lock. ``give_back`` ends it.
    """

    _log = Logger()

    def __init__(
        self,
        taking: Deferred[Lock],
        *,
        renew: Callable[[Lock], Deferred[Lock]],
        give_back: Callable[[Lock], Deferred[Lock]],
        clock: IReactorTime,
    ) -> None:
        super().__init__(lambda _self: taking.cancel())
        self._renew = renew
        self._give_back = give_back
        self._clock = clock
        self._lock: Lock | None = None
        self._call: IDelayedCall | None = None
        self._renewing = False
        self._renewed = Waiters()
        self._lost: IFAPError | None = None
        taking.addBoth(self._taken)  # type: ignore[unused-awaitable]

    def _taken(self, result: Lock | Failure) -> None:
        if not self.called:
            self.callback(result)

    async def __aenter__(self) -> Lock:
        """Take the lock."""
        self._lock = await self
        self._renew_later()
        return self._lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the lock back.

        :raises LeaseLost: it was lost meanwhile; an error of the block counts more.
        """
        lock, self._lock = self._lock, None
        if self._call is not None and self._call.active():
            self._call.cancel()
        if lock is None:
            return
        if self._renewing:
            await self._renewed.wait()
        try:
            await self._end(lock)
        except IFAPError as trouble:
            if error is None:
                raise
            self._log.info("a lock was not given back: {why}", why=str(trouble))

    async def _end(self, lock: Lock) -> None:
        if self._lost is not None:
            raise self._lost
        await self._give_back(lock)

    def _renew_later(self) -> None:
        if self._lock is not None and self._lost is None:
            self._call = self._clock.callLater(self._lock.seconds / RENEWALS, self._renew_now)

    def _renew_now(self) -> None:
        detach(self._renew_once(), self._log, "renewing a lock")

    @deferred
    async def _renew_once(self) -> None:
        lock = self._lock
        if lock is None:
            return
        self._renewing = True
        try:
            await self._renew(lock)
        except (LeaseLost, Locked) as error:
            self._lost = error
        except IFAPError as error:
            self._log.info("a lock could not be renewed yet: {why}", why=str(error))
        finally:
            self._renewing = False
            self._renewed.tell()
            self._renew_later()
