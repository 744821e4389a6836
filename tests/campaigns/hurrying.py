"""A clock that is faster than ours, and a reactor that goes by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock, LoopingCall

from tests.campaigns.ground import START

TICK = 0.005
STEPS = 5


class Hurrying:
    """The clock of a client, which may be faster than ours.

    :ivar haste: seconds of it in one of ours. A busy machine makes it slower, so that no time-out is from haste alone.
    """

    def __init__(self, haste: int = 1) -> None:
        self.haste = haste
        self.clock = Clock()
        self.clock.advance(START)
        self._ticking = LoopingCall(self._tick)
        self._ended = self._ticking.start(TICK)

    def _tick(self) -> None:
        for _step in range(STEPS):
            self.clock.advance(TICK * self.haste / STEPS)

    async def stop(self) -> None:
        """Stand still."""
        self._ticking.stop()
        await self._ended


class HurriedReactor:
    """The reactor, but for the time, which is that of a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def seconds(self) -> float:
        """Now."""
        return self.clock.seconds()

    def callLater(self, delay: float, function: Callable[..., object], *args: object, **more: object) -> IDelayedCall:
        """As ``IReactorTime`` says."""
        call: IDelayedCall = self.clock.callLater(delay, function, *args, **more)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """What is to be called."""
        calls: list[IDelayedCall] = self.clock.getDelayedCalls()
        return calls

    def __getattr__(self, name: str) -> Any:
        """Sockets, threads, the end of the process."""
        return getattr(reactor, name)
