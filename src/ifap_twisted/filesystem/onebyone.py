"""Long work on a folder: one piece at a time, and given up together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

from ifap_twisted.deferreds import Slots, deferred

T = TypeVar("T")


class OneByOne(Generic[T]):
    """Begins each piece of work when the one before has ended."""

    def __init__(self) -> None:
        self._slot = Slots(1)
        self._running: set[Deferred[T]] = set()

    def begin(self, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Fires with its result; cancelling it gives it up."""
        running = self._in_turn(work)
        self._running.add(running)

        def ended(result: Any) -> Any:
            self._running.discard(running)
            return result

        return running.addBoth(ended)

    def stop(self) -> None:
        """Give up all that is under way or waits."""
        for work in list(self._running):
            work.cancel()

    @deferred
    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._slot:
            return await work()
