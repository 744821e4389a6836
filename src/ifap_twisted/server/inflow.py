"""Received commands that wait for their turn, so many that memory stays bounded."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

from ifap_twisted.server import limits
from ifap_twisted.server.framing import Command, Continuation

__all__ = ["Inflow"]

Item = Command | Continuation


class Inflow:
    """A queue with a bound, and one who may wait at it."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._size = 0
        self._waiting: Deferred[Item] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether no more should be read from the connection."""
        return self._size > limits.BACKLOG or len(self._items) > limits.BACKLOG_COMMANDS

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the next item."""
        return self._waiting is not None

    def put(self, item: Item) -> None:
        """Add what was received."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(item)
            return
        self._items.append(item)
        self._size += _size(item)

    def take(self) -> Item:
        """The next item."""
        item = self._items.popleft()
        self._size -= _size(item)
        return item

    def take_appends(self) -> list[Command]:
        """The APPENDs at the head that may be stored together, at least one if there is one."""
        taken: list[Command] = []
        size = 0
        while self._items and len(taken) < limits.BATCH_COMMANDS:
            item = self._items[0]
            if not isinstance(item, Command) or not item.appends or (taken and size + item.size > limits.BATCH):
                break
            size += item.size
            self.take()
            taken.append(item)
        return taken

    async def next(self) -> Item:
        """The next item, when it comes.

        :raises Exception: what ``interrupt`` was given.
        """
        if self._items:
            return self.take()
        self._waiting = Deferred()
        return await self._waiting

    def interrupt(self, error: Exception) -> None:
        """End the wait for an item."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(error)

    def clear(self) -> None:
        """Forget what has not been begun."""
        self._items.clear()
        self._size = 0


def _size(item: Item) -> int:
    return item.size if isinstance(item, Command) else 0
