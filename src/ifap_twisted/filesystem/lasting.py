"""Writes that go on to their end when their caller gives up, so that nothing is left half done."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from ifap_twisted.errors import IFAPError, Unavailable

T = TypeVar("T")


class Lasting:
    """What was accepted and has not ended.

    :param written: called after each that ended well.
    """

    def __init__(self, written: Callable[[], None]) -> None:
        self._written = written
        self._accepted: set[Deferred[Any]] = set()
        self._idle: list[Deferred[None]] = []
        self.closed = False

    def begin(
        self,
        work: Callable[[], Coroutine[Deferred[Any], Any, T]],
        may_stop: Callable[[], bool] = lambda: False,
    ) -> Deferred[T]:
        """Start a write; cancelling the result leaves it to itself.

        :param may_stop: whether it can still be stopped without a trace: then cancelling stops it.
        """
        if self.closed:
            return fail(closed_error())

        try:
            inner = Deferred.fromCoroutine(work())
        except IFAPError:  # of the arguments, before anything was begun
            return fail()

        def give_up(_outer: Deferred[T]) -> None:
            if may_stop():
                inner.cancel()

        outer: Deferred[T] = Deferred(give_up)

        def ended(result: Any) -> None:
            self._accepted.discard(inner)
            if not isinstance(result, Failure):
                self._written()
            if not outer.called:
                outer.callback(result)
            if not self._accepted:
                self._tell_idle()

        self._accepted.add(inner)
        inner.addBoth(ended)  # type: ignore[unused-awaitable]
        return outer

    def when_idle(self) -> Deferred[None]:
        """Fires when all that was accepted has ended: of a move, for example, both halves."""
        if not self._accepted:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._idle.append(waiter)
        return waiter

    def _tell_idle(self) -> None:
        waiters, self._idle = self._idle, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)


def closed_error(path: str | None = None) -> Unavailable:
    """What is asked of a closed filesystem is not begun."""
    return Unavailable("The filesystem is closed.", path=path)
