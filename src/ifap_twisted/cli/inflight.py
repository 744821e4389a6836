"""Many works at a time, within bounds: what makes a transfer of many files one go instead of many round trips."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Gate:
    """Lets at most so many works, and so much weight, go on at a time; first come, first served.

    A work heavier than all the weight goes alone.
    """

    def __init__(self, works: int, weight: int) -> None:
        self._works = works
        self._weight = self._most = weight
        self._entered = 0
        self._waiting: deque[tuple[Deferred[None], int]] = deque()

    def enter(self, weight: int = 0) -> Deferred[None]:
        """Fires when a work of this weight may begin; it must ``leave`` with the same weight."""
        waiter: Deferred[None] = Deferred(self._forget)
        self._waiting.append((waiter, weight))
        self._admit()
        return waiter

    def leave(self, weight: int = 0) -> None:
        """A work has ended."""
        self._entered -= 1
        self._weight += min(weight, self._most)
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._works > self._entered:
            waiter, weight = self._waiting[0]
            if min(weight, self._most) > self._weight:
                return
            self._waiting.popleft()
            self._entered += 1
            self._weight -= min(weight, self._most)
            waiter.callback(None)

    def _forget(self, cancelled: Deferred[None]) -> None:
        self._waiting = deque(item for item in self._waiting if item[0] is not cancelled)
        self._admit()


async def each(
    items: Iterable[T],
    work: Callable[[T], Coroutine[Deferred[Any], Any, None]],
    gate: Gate,
    weigh: Callable[[T], int] = lambda _item: 0,
) -> None:
    """Do a work for each item, in order of beginning, as many at a time as the gate lets in; wait for all.

    The first failure stops the rest: what has not begun never does, what goes on is cancelled. A work that may fail
    while others go on deals with that itself.
    """
    crowd = _Crowd(gate)
    try:
        for item in items:
            await gate.enter(weigh(item))
            if crowd.failure is not None:
                gate.leave(weigh(item))
                break
            crowd.begin(work(item), weigh(item))
        await crowd.all_ended()
    finally:
        crowd.cancel()
    if crowd.failure is not None:
        raise crowd.failure


class _Crowd:
    """The works of one :func:`each` that have begun."""

    def __init__(self, gate: Gate) -> None:
        self.failure: BaseException | None = None
        self._gate = gate
        self._running: set[Deferred[None]] = set()
        self._idle: Deferred[None] | None = None

    def begin(self, work: Coroutine[Deferred[Any], Any, None], weight: int) -> None:
        running = Deferred.fromCoroutine(work)
        self._running.add(running)

        def ended(outcome: Any) -> None:
            self._running.discard(running)
            if outcome is not None and self.failure is None:
                self.failure = outcome.value
                self.cancel()
            self._gate.leave(weight)
            if not self._running and self._idle is not None:
                idle, self._idle = self._idle, None
                idle.callback(None)

        running.addBoth(ended)  # type: ignore[unused-awaitable]

    def all_ended(self) -> Deferred[None]:
        idle: Deferred[None] = Deferred(self._give_up)
        if self._running:
            self._idle = idle
        else:
            idle.callback(None)
        return idle

    def _give_up(self, _idle: Deferred[None]) -> None:
        self._idle = None
        self.cancel()

    def cancel(self) -> None:
        for running in list(self._running):
            running.cancel()
