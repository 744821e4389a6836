"""Checking on schedule (DESIGN 4.6 ``check.share_per_day``)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.findings import DAMAGE, Checkup, Finding
from ifap_twisted.core.limits import CHECK_FIRST_SECONDS
from ifap_twisted.core.values import Checked
from ifap_twisted.errors import Unavailable
from ifap_twisted.service.checking import CheckSchedule

HOUR = 3600.0


class Checking:
    """A filesystem of which only checking matters."""

    def __init__(self, last: float | None = None) -> None:
        self.clock = Clock()
        self.clock.advance(1000 * 24 * HOUR)
        self.begun: list[tuple[float, float]] = []
        self.outcome: Any = lambda: succeed(Checkup())
        self.desk = self.view = self
        self.checked = Checked(last)

    def go_on_checking(self, share: float) -> Deferred[Checkup]:
        """Once more."""
        self.begun.append((self.clock.seconds() / HOUR - 1000 * 24, share))
        self.checked = Checked(self.clock.seconds())
        found: Deferred[Checkup] = self.outcome()
        return found


class CheckScheduleTests(SynchronousTestCase):
    """When a node checks, and how much."""

    def setUp(self) -> None:
        self.filesystem = Checking()

    def schedule(self, share: float = 1.0) -> CheckSchedule:
        """A schedule that has begun."""
        schedule = CheckSchedule(self.filesystem, share, self.filesystem.clock)  # type: ignore[arg-type]
        schedule.start()
        return schedule

    def pass_hours(self, hours: int) -> None:
        """Let them pass one by one."""
        for _ in range(hours):
            self.filesystem.clock.advance(HOUR)

    def test_a_day(self) -> None:
        """A day's share at first, then a quarter of it each six hours: as much each day as is asked for."""
        self.schedule(2.0)
        self.filesystem.clock.advance(CHECK_FIRST_SECONDS)
        self.pass_hours(48)
        self.assertEqual([share for _time, share in self.filesystem.begun], [2.0] + [0.5] * 8)

    def test_on_for_a_while_each_day(self) -> None:
        """Who runs an hour a day reads the whole share then; who was away for a week reads no more than that."""
        clock = self.filesystem.clock
        for days in (1, 1, 7):
            schedule = self.schedule()
            self.pass_hours(1)
            schedule.stop()
            clock.advance(days * 24 * HOUR - HOUR)
        self.assertEqual([share for _time, share in self.filesystem.begun], [1.0, 1.0, 1.0])

    def test_restarts(self) -> None:
        """A node that is restarted again and again does not look at everything each time."""
        for _ in range(4):
            schedule = self.schedule()
            self.filesystem.clock.advance(CHECK_FIRST_SECONDS)
            schedule.stop()
        self.assertEqual(len(self.filesystem.begun), 1)

    def test_a_clock_that_was_put_back(self) -> None:
        """Does not hold it up for long."""
        self.filesystem.checked = Checked(self.filesystem.clock.seconds() + 1000 * 24 * HOUR)
        self.schedule()
        self.pass_hours(1)
        self.assertEqual(len(self.filesystem.begun), 1)

    def test_never(self) -> None:
        """``share_per_day = 0`` leaves it to ``ifap check``."""
        self.schedule(0.0)
        self.assertEqual(self.filesystem.clock.getDelayedCalls(), [])

    def test_a_failure(self) -> None:
        """A server that is away does not end it."""
        self.filesystem.outcome = lambda: fail(Unavailable("away"))
        self.schedule()
        self.pass_hours(13)
        self.assertEqual(len(self.filesystem.begun), 3)

    def test_damage(self) -> None:
        """Is written into the log by its codes."""
        finding = Finding("truncated", DAMAGE, "Cut.")
        self.filesystem.outcome = lambda: succeed(Checkup(findings=(finding,)))
        schedule = self.schedule()
        told: list[str] = []
        self.patch(type(schedule._log), "warn", lambda _log, text, **values: told.append(text.format(**values)))
        self.pass_hours(1)
        self.assertEqual(told, ["the check found damage: {'truncated': 1}; see 'ifap check'"])
