"""Between ``async def`` inside and ``Deferred`` outside: three functions and no state."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

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
