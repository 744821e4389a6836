"""Batches: many puts that go out together (DESIGN 4.4), like ifaplib's ``with ifap:``.

Which puts belong to a batch is decided by who calls: those of the coroutine that entered it, and of what it calls. Puts
by others, over HTTP for example, still fire only when they are durable.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Protocol, Self

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Entry, Sealed
from ifap_twisted.deferreds import deferred
from ifap_twisted.filesystem.entries import entry_of

_PRESENT: ContextVar[Batch | None] = ContextVar("ifap_twisted_batch", default=None)


class Owner(Protocol):
    """Whose puts a batch gathers."""


def present_batch(owner: Owner) -> Batch | None:
    """The batch that the caller is inside of, if it is one of this owner."""
    batch = _PRESENT.get()
    return batch if batch is not None and batch.owner is owner and not batch.ended else None


class Batch:
    """An ``async with`` around puts; also ``await`` it and ``close()`` or ``abort()`` it."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.ended = False
        self._works: dict[Deferred[Entry], Deferred[Entry]] = {}
        """What was put and has not ended, in order, each with what its caller has."""
        self._failure: Failure | None = None
        self._waiting: list[tuple[set[Deferred[Entry]], Deferred[None]]] = []
        self._token: Token[Batch | None] | None = None

    # For the one who uses it

    def __await__(self) -> Generator[Any, Any, Self]:
        """Begin; gives the batch."""
        self._begin()
        yield from succeed(None)
        return self

    async def __aenter__(self) -> Self:
        """Begin."""
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all that was put; after an error in the block, too, but that error is the one that counts."""
        if error is None:
            await self.close()
        else:
            await self.abort()

    @deferred
    async def close(self) -> None:
        """Wait until everything put is durable; raises the first failure."""
        self._end()
        await self.arrived()
        if self._failure is not None:
            self._failure.raiseException()

    @deferred
    async def abort(self) -> None:
        """Give up what has not gone out yet, and wait for the rest."""
        self._end()
        for work, early in list(self._works.items()):
            if not early.called:
                work.cancel()
        await self.arrived()

    def _begin(self) -> None:
        self._token = _PRESENT.set(self)

    def _end(self) -> None:
        self.ended = True
        if self._token is not None and _PRESENT.get() is self:
            _PRESENT.set(None)
        self._token = None

    # For the filesystem

    def arrived(self) -> Deferred[None]:
        """Fires when everything put so far has ended, well or not."""
        if not self._works:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._waiting.append((set(self._works), waiter))
        return waiter

    def sent(self, early: Deferred[Entry], sealed: Sealed) -> None:
        """A message is on its way: its caller may go on."""
        if not early.called:
            placed = Placed(sealed.version, (0,))
            early.callback(entry_of(History([placed]), placed))

    def follow(self, early: Deferred[Entry], work: Deferred[Entry]) -> Deferred[Entry]:
        """Note how the work ends; a failure before it was on its way goes to the caller.

        :param early: what the caller gets: fires when the message is on its way.
        """
        self._works[work] = early

        def ended(result: Entry | Failure) -> None:
            del self._works[work]
            if isinstance(result, Failure):
                if early.called:
                    self._failure = self._failure or result
                else:
                    early.errback(result)
            elif not early.called:
                early.callback(result)
            self._tell(work)

        work.addBoth(ended)  # type: ignore[unused-awaitable]
        return early

    def _tell(self, work: Deferred[Entry]) -> None:
        """Those who waited for this work as the last one go on."""
        waiting, self._waiting = self._waiting, []
        for works, waiter in waiting:
            works.discard(work)
            if works:
                self._waiting.append((works, waiter))
            elif not waiter.called:
                waiter.callback(None)
