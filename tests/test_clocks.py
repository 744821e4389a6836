"""Somebody puts the date back: what is due later still happens (FORMAT 10.1), and dates are dates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted import clocks
from ifap_twisted.clocks import count_steadily, date_by
from tests.basedir.places import PlacedTestCase

HOUR = 3600.0
NEW_YEAR = 1_800_000_000.0

JUMP = """
import time
away, real = [0.0], time.time
time.time = lambda: real() + away[0]  # the date, which Twisted takes when it is imported

from twisted.internet.task import deferLater
from ifap_twisted.clocks import date_by
"""
"""Begins a program whose date can be set by ``away``."""

VERB = (
    JUMP
    + """
from ifap_twisted.cli.options import Options
from ifap_twisted.cli.session import run_on_reactor

async def work(session):
    before = date_by(session.reactor)
    due = deferLater(session.reactor, 0.01)
    away[0] = -3600.0
    await due
    assert before - date_by(session.reactor) > 3000, "the date was put back"

raise SystemExit(run_on_reactor(Options(), work))
"""
)

NODE = (
    JUMP
    + """
import sys
from twisted.internet import reactor
from ifap_twisted import tap

options = tap.Options()
options.parseOptions(["--basedir", sys.argv[1], "--account", "memory:"])
tap.makeService(options)
due = deferLater(reactor, 0.01)
due.addCallback(lambda _due: reactor.stop())
away[0] = -3600.0
reactor.run()
"""
)


class ReactorTests(SynchronousTestCase):
    """A reactor of Twisted's, of which the test moves both clocks."""

    def setUp(self) -> None:
        self.passed, self.date = Clock(), Clock()
        self.date.advance(NEW_YEAR)
        self.patch(clocks, "elapsed_seconds", self.passed.seconds)
        self.reactor: Any = SelectReactor()
        self.addCleanup(self.reactor.disconnectAll)
        self.reactor.seconds = self.date.seconds
        self.fired: list[str] = []

    def put_back(self) -> None:
        """Somebody sets the date an hour back; a minute passes."""
        self.date.rightNow -= HOUR - 60
        self.passed.advance(60)
        self.reactor.runUntilCurrent()

    def test_one_that_counts_steadily(self) -> None:
        """What is due in a minute happens in a minute."""
        count_steadily(self.reactor)
        self.reactor.callLater(60, self.fired.append, "due")
        self.put_back()
        self.assertEqual(self.fired, ["due"])

    def test_one_that_goes_by_the_date(self) -> None:
        """It stands still: that is what a program of somebody else has to know."""
        self.reactor.callLater(60, self.fired.append, "due")
        self.put_back()
        self.assertEqual(self.fired, [])

    def test_the_date_is_still_told(self) -> None:
        """As it was set."""
        count_steadily(self.reactor)
        self.put_back()
        self.assertEqual(date_by(self.reactor), NEW_YEAR - HOUR + 60)
        self.assertEqual(self.reactor.seconds(), 60)

    def test_a_clock_that_tells_the_date_only(self) -> None:
        """Is asked for that."""
        self.assertEqual(date_by(self.date), NEW_YEAR)

    def test_not_when_something_is_scheduled(self) -> None:
        """It would be due in fifty years."""
        self.reactor.callLater(60, self.fired.append, "due")
        self.assertRaises(ValueError, count_steadily, self.reactor)


class ProgramTests(PlacedTestCase):
    """The programs, in processes of their own whose date really jumps; without more, each would hang for an hour."""

    def run_program(self, script: str, *arguments: Path) -> None:
        """It ends well, and soon."""
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_verb(self) -> None:
        """Its waits end."""
        self.run_program(VERB)

    def test_the_node(self) -> None:
        """So do those of the node."""
        self.run_program(NODE, self.place / "node")
