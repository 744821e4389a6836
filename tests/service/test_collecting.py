"""Collecting on schedule (DESIGN 4.6 ``collect.every``)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.collection import Collection
from ifap_twisted.core.limits import COLLECT_FIRST_SECONDS
from ifap_twisted.errors import Unavailable
from ifap_twisted.service.collecting import CollectSchedule

HOUR = 3600.0


class Collecting:
    """A filesystem of which only collecting matters."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.clock = Clock()
        self.outcome: Any = lambda: succeed(Collection())

    def collect(self) -> Deferred[Collection]:
        """Once more."""
        self.begun.append(self.clock.seconds())
        found: Deferred[Collection] = self.outcome()
        return found


class ScheduleTests(SynchronousTestCase):
    """When a node collects."""

    def setUp(self) -> None:
        self.filesystem = Collecting()
        self.clock = self.filesystem.clock

    def schedule(self, every: float | None = 24 * HOUR) -> CollectSchedule:
        """A schedule that has begun."""
        schedule = CollectSchedule(self.filesystem, every, self.clock)  # type: ignore[arg-type]
        schedule.start()
        return schedule

    def pass_hours(self, hours: int) -> None:
        """Let them pass one by one."""
        for _ in range(hours):
            self.clock.advance(HOUR)

    def test_every_day(self) -> None:
        """Ten minutes after the start, and then every day, also when one takes hours."""
        self.schedule()
        self.clock.advance(COLLECT_FIRST_SECONDS)
        self.pass_hours(49)
        self.assertEqual([round(time / HOUR) for time in self.filesystem.begun], [0, 24, 48])
        held: list[Deferred[Collection]] = [Deferred()]
        self.filesystem.outcome = lambda: held[0]
        self.pass_hours(48)
        self.assertEqual(len(self.filesystem.begun), 4)
        self.filesystem.outcome = lambda: succeed(Collection())
        held[0].callback(Collection())
        self.pass_hours(25)
        self.assertEqual(len(self.filesystem.begun), 5)

    def test_never(self) -> None:
        """``every = "never"`` leaves it to ``ifap gc``."""
        self.schedule(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failure(self) -> None:
        """A server that is away, or a bug, does not end it."""
        self.schedule()
        self.filesystem.outcome = lambda: fail(Unavailable("away"))
        self.pass_hours(2)
        self.filesystem.outcome = lambda: fail(ZeroDivisionError())
        self.pass_hours(24)
        self.filesystem.outcome = lambda: succeed(Collection())
        self.pass_hours(24)
        self.assertEqual(len(self.filesystem.begun), 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopped(self) -> None:
        """What is under way is cancelled, and nothing follows."""
        schedule = self.schedule()
        cancelled: list[object] = []
        self.filesystem.outcome = lambda: Deferred(cancelled.append)
        self.pass_hours(1)
        schedule.stop()
        self.assertEqual((len(cancelled), self.clock.getDelayedCalls()), (1, []))
        early = self.schedule()
        early.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
