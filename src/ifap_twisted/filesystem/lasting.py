"""Writes that go on to their end when their caller gives up, so that nothing is left half done."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from ifap_twisted.deferreds import Waiters
from ifap_twisted.errors import IFAPError, Unavailable

T = TypeVar("T")


class _Accepted(Generic[T]):
    """One write: what does it, and what its caller has."""

    __slots__ = ("_lasting", "_may_stop", "_work", "result")

    def __init__(self, lasting: Lasting, work: Deferred[T], may_stop: Callable[[], bool] | None) -> None:
        self._lasting = lasting
        self._work = work
        self._may_stop = may_stop
        self.result: Deferred[T] = Deferred(self._give_up)

    def _give_up(self, _result: Deferred[T]) -> None:
        if self._may_stop is not None and self._may_stop():
            self._work.cancel()

    def ended(self, result: T | Failure) -> None:
        """Tell the caller, if there still is one."""
        waiting = self.result
        del self.result  # or the two would hold each other
        self._lasting.ended(self, well=not isinstance(result, Failure))
        if not waiting.called:
            waiting.callback(result)
        self._lasting.tell_idle()


class Lasting:
    """What was accepted and has not ended.

    :param written: called after each that ended well.
    :ivar streams: sources that are being read.
    """

    def __init__(self, written: Callable[[], None]) -> None:
        self._written = written
        self._accepted: set[_Accepted[Any]] = set()
        self._idle = Waiters()
        self.streams: set[Deferred[Any]] = set()
        self.closed = False

    def begin(
        self, work: Callable[[], Coroutine[Deferred[Any], Any, T]], may_stop: Callable[[], bool] | None = None
    ) -> Deferred[T]:
        """Start a write; cancelling the result leaves it to itself.

        :param may_stop: whether it can still be stopped without a trace: then cancelling stops it.
        """
        if self.closed:
            return fail(closed_error())
        try:
            doing = Deferred.fromCoroutine(work())
        except IFAPError:  # of the arguments, before anything was begun
            return fail()
        accepted = _Accepted(self, doing, may_stop)
        result = accepted.result
        self._accepted.add(accepted)
        doing.addBoth(accepted.ended)  # type: ignore[unused-awaitable]
        return result

    def close(self) -> None:
        """Begin nothing any more; streams that are still read are given up."""
        self.closed = True
        for stream in list(self.streams):
            stream.cancel()

    def ended(self, accepted: _Accepted[Any], *, well: bool) -> None:
        """One less."""
        self._accepted.discard(accepted)
        if well:
            self._written()

    @property
    def idle(self) -> bool:
        """Nothing that was accepted is under way."""
        return not self._accepted

    def when_idle(self) -> Deferred[None]:
        """Fires when all that was accepted has ended: of a move, for example, both halves."""
        return self._idle.wait() if self._accepted else succeed(None)

    def tell_idle(self) -> None:
        """Tell those who wait, if that was the last."""
        if not self._accepted:
            self._idle.tell()


def closed_error(path: str | None = None) -> Unavailable:
    """What is asked of a closed filesystem is not begun."""
    return Unavailable("The filesystem is closed.", path=path)
