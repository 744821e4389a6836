"""Between ``async def`` inside and ``Deferred`` outside: a few functions without state, and turns for many."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.errors import TimedOut

P = ParamSpec("P")
T = TypeVar("T")


def deferred(function: Callable[P, Coroutine[Deferred[Any], Any, T]]) -> Callable[P, Deferred[T]]:
    """Make an ``async def`` return a Deferred; its body runs at once, up to the first ``await``.

    Cancelling the Deferred cancels what the body waits for.
    """

    @wraps(function)
    def returning_deferred(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return Deferred.fromCoroutine(function(*args, **kwargs))

    return returning_deferred


def detach(work: Deferred[Any], log: Logger, why: str) -> None:
    """Let background work go on by itself; a failure is logged with the reason for the work."""
    work.addErrback(lambda failure: log.failure("{why}", failure, why=why))  # type: ignore[unused-awaitable]


def within(work: Deferred[T], seconds: float, clock: IReactorTime, what: str) -> Deferred[T]:
    """Cancel the work when it has not ended after some seconds on the given clock.

    :raises TimedOut: naming what was waited for.
    """

    def timed_out(_result: object, _seconds: float) -> Any:
        raise TimedOut(f"{what} took longer than {seconds:g} seconds.")

    return work.addTimeout(seconds, clock, onTimeoutCancel=timed_out)


class Patience:
    """Waits for work for as long as something moves, however long all of it takes.

    :param seconds: how long nothing may move, on the given clock; then the work is cancelled.
    """

    def __init__(self, seconds: float, clock: IReactorTime, what: str) -> None:
        self._seconds = seconds
        self._clock = clock
        self._what = what
        self._call: IDelayedCall | None = None

    def moved(self) -> None:
        """Something has moved: wait as long again."""
        if self._call is not None and self._call.active():
            self._call.reset(self._seconds)

    def wait(self, work: Deferred[T]) -> Deferred[T]:
        """The work itself, with a bound; for one work only.

        :raises TimedOut: naming what was waited for.
        """
        call = self._call = self._clock.callLater(self._seconds, work.cancel)

        def ended(result: Any) -> Any:
            if call.active():
                call.cancel()
            elif isinstance(result, Failure) and isinstance(result.value, CancelledError):
                raise TimedOut(f"{self._what} took longer than {self._seconds:g} seconds without a byte.")
            return result

        return work.addBoth(ended)


async def settled(works: list[Deferred[T]]) -> list[T]:
    """Wait for all; then return the results in order, or raise the first failure in order."""
    outcomes: list[T] = []
    failure: BaseException | None = None
    for work in works:
        try:
            outcomes.append(await work)
        except Exception as error:  # noqa: BLE001 -- kept and raised below, after the others have ended
            failure = failure or error
    if failure is not None:
        raise failure
    return outcomes


async def undivided(work: Coroutine[Deferred[Any], Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
    """Wait for work that is done to its end or not at all: when it is cancelled it goes on, and is undone.

    :param undo: takes its result back, before the cancelling is raised.
    """
    outcomes: list[T | Failure] = []
    end = Waiters()
    given_up: CancelledError | None = None

    def ended(outcome: T | Failure) -> None:
        outcomes.append(outcome)
        end.tell()

    Deferred.fromCoroutine(work).addBoth(ended)  # type: ignore[unused-awaitable]
    while not outcomes:
        try:
            await end.wait()
        except CancelledError as error:
            given_up = error
    outcome = outcomes[0]
    if isinstance(outcome, Failure):
        outcome.raiseException()
    if given_up is not None:
        await undo(outcome)
        raise given_up
    return outcome


class Waiters:
    """Those who wait for one moment, such as that nothing is under way any more."""

    def __init__(self) -> None:
        self._waiting: dict[Deferred[None], None] = {}  # in order

    def wait(self) -> Deferred[None]:
        """Fires at the next :meth:`tell`; cancelling gives up the wait."""
        waiter: Deferred[None] = Deferred(lambda waiter: self._waiting.pop(waiter, None))
        self._waiting[waiter] = None
        return waiter

    def tell(self) -> None:
        """Let all go on that wait now; who waits again waits for the next time."""
        waiters, self._waiting = self._waiting, {}
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)


class Slots:
    """Lets so many in at a time, first come, first served: ``async with slots``.

    Not a DeferredSemaphore: one that passes from waiter to waiter nests a call in each, and many that end at once would
    be too deep.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Deferred[None]] = deque()
        self._passing = False

    def acquire(self) -> Deferred[None]:
        """Fires when a slot is the caller's; cancelling gives up the wait."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        self._pass_on()
        return waiter

    def release(self) -> None:
        """Give a slot back."""
        self._free += 1
        self._pass_on()

    def _pass_on(self) -> None:
        if self._passing:
            return
        self._passing = True
        try:
            while self._free and self._waiting:
                self._free -= 1
                self._waiting.popleft().callback(None)
        finally:
            self._passing = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_error: object) -> None:
        self.release()
