"""One at a time for each name, in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred


class Queues:
    """Who is at it for each name, and who waits.

    The next is let in by a loop, never inside the one before: thousands may wait, and each be done at once.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Deferred[None]]] = {}
        self._left: deque[str] = deque()
        self._serving = False

    def __contains__(self, name: object) -> bool:
        return name in self._waiting

    def __iter__(self) -> Iterator[str]:
        """The names that somebody is at."""
        return iter(self._waiting)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn, and let the next in at the end."""
        turn = self.enter(name)
        if turn is not None:
            await turn
        try:
            yield
        finally:
            self.leave(name)

    def enter(self, name: str) -> Deferred[None] | None:
        """None when nobody is at it, else what fires when the turn has come; cancelling leaves the queue."""
        waiting = self._waiting.get(name)
        if waiting is None:
            self._waiting[name] = deque()
            return None
        turn: Deferred[None] = Deferred(waiting.remove)
        waiting.append(turn)
        return turn

    def leave(self, name: str) -> None:
        """Let the next in."""
        self._left.append(name)
        if self._serving:
            return
        self._serving = True
        try:
            while self._left:
                self._let_in(self._left.popleft())
        finally:
            self._serving = False

    def _let_in(self, name: str) -> None:
        waiting = self._waiting[name]
        if waiting:
            waiting.popleft().callback(None)
        else:
            del self._waiting[name]
