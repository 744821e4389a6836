"""What a node does by itself, again and again, while a folder is open."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ifap_twisted.deferreds import detach
from ifap_twisted.errors import IFAPError


class Schedule:
    """Does one thing at a time: it fails, is tried again later, and holds nothing else up.

    :param every: seconds from the end of one time to the next; None: never.
    """

    WHAT: ClassVar[str]
    """For people."""
    FIRST_SECONDS: ClassVar[float]
    """After the start; not longer than from one time to the next."""
    _log = Logger()

    def __init__(self, every: float | None, clock: IReactorTime) -> None:
        self._every = every
        self._clock = clock
        self._call: IDelayedCall | None = None
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """For the first time when those who wait for the folder have been served."""
        if self._every is not None:
            self._next(min(self.FIRST_SECONDS, self._every))

    def stop(self) -> None:
        """No more; what is under way is cancelled."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._every = None
        if self._running is not None:
            self._running.cancel()

    def _next(self, seconds: float) -> None:
        self._call = self._clock.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._running = Deferred.fromCoroutine(self._once())
        detach(self._running, self._log, f"{self.WHAT} on schedule")

    async def _once(self) -> None:
        try:
            await self._work()
        except CancelledError:
            return
        except IFAPError as error:
            self._log.warn("{what} failed and is tried again later: {error}", what=self.WHAT, error=error.detail)
        finally:  # also after a bug: the next time may be better, and the node goes on
            if self._every is not None:
                self._next(self._every)

    async def _work(self) -> None:
        raise NotImplementedError
