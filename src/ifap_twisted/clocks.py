"""Seconds that pass, and the date: two clocks, because somebody may set the date while a program runs.

Twisted's reactor takes the date for both: when it is put back by an hour, nothing that was due within that hour happens
before it is over. A program of ours therefore lets its reactor count what passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = ["count_steadily", "date_by", "elapsed_seconds"]


def elapsed_seconds() -> float:
    """A clock that runs while the machine sleeps and that nobody sets, where the system has one; else a steady one."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


def count_steadily(reactor: IReactorTime) -> None:
    """Let a reactor count :func:`elapsed_seconds`; :func:`date_by` still tells the date.

    It is for a program that owns its reactor, before it schedules anything.

    :param reactor: one of Twisted's.
    :raises ValueError: something is scheduled already, by the other clock.
    """
    if reactor.getDelayedCalls():
        raise ValueError("The reactor has begun to count by another clock.")
    vars(reactor).update(date=reactor.seconds, seconds=elapsed_seconds)  # before the methods of the class


def date_by(clock: IReactorTime) -> float:
    """The date, in Unix time: what a clock counts, unless it knows the date besides."""
    date: Callable[[], float] = getattr(clock, "date", clock.seconds)
    return date()
