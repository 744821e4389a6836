"""A long body that is waited for: written as fast as the client takes it, and no faster."""

# mypy: allow-untyped-calls
# (twisted.web is hardly annotated; what is ours here is.)

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from ifap_twisted.control.timers import stop_calls
from ifap_twisted.core import limits
from ifap_twisted.deferreds import Waiters


@implementer(IPushProducer)
class Pouring:
    """Writes pieces into a request; the next one is asked for when the client has taken the one before.

    A client that takes nothing for ``limits.CONTROL_STALL_SECONDS`` is cut off.
    """

    def __init__(self, request: Any, *, reactor: Any) -> None:
        self._request = request
        self._reactor = reactor
        self._paused = False
        self._resumed = Waiters()
        self._stalled: IDelayedCall | None = None

    async def run(self, pieces: AsyncIterator[bytes]) -> None:
        """Write all of them; what a piece raises is raised."""
        self._request.registerProducer(self, True)
        try:
            async for piece in pieces:
                for start in range(0, len(piece), limits.ANSWER_PIECE):
                    self._request.write(piece[start : start + limits.ANSWER_PIECE])
                    await self._taken()
        finally:
            stop_calls(self._stalled)
            if self._request.channel is not None:
                self._request.unregisterProducer()

    async def _taken(self) -> None:
        while self._paused:
            await self._resumed.wait()

    def pauseProducing(self) -> None:
        """The client is slower than we are."""
        self._paused = True
        stop_calls(self._stalled)
        self._stalled = self._reactor.callLater(limits.CONTROL_STALL_SECONDS, self._cut_off)

    def resumeProducing(self) -> None:
        """The client has taken what was written."""
        self._paused = False
        stop_calls(self._stalled)
        self._stalled = None
        self._resumed.tell()

    def stopProducing(self) -> None:
        """Nobody takes any more of it; whoever waits for the end of the request is told."""
        self._paused = True
        stop_calls(self._stalled)
        self._stalled = None

    def _cut_off(self) -> None:
        self._stalled = None
        self._request.transport.abortConnection()
