"""Progress on a terminal."""

from __future__ import annotations

import io

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.progress import counting, waiting


class Screen(io.StringIO):
    """A terminal that keeps what is drawn on it."""

    def isatty(self) -> bool:
        return True


class Bar:
    """A bar that counts how often it is wiped away."""

    cleared = 0

    def clear(self) -> None:
        self.cleared += 1


class ProgressTests(SynchronousTestCase):
    """Bars and clocks; what is seen after a second is in ``test_processes``."""

    def drawn(self, delay: float, screen: io.StringIO, **options: object) -> str:
        """What is drawn while something is counted and something waited for."""
        console, clock = Console(stderr=screen, **options), Clock()  # type: ignore[arg-type]
        with counting(console, "Stor\x1bing", 100, delay=delay) as bar:
            bar.advance(50)
        with waiting(console, clock, "Opening", delay=delay):
            clock.advance(5)
        self.assertEqual((None, []), (console.bar, clock.getDelayedCalls()))
        return screen.getvalue()

    def test_drawn(self) -> None:
        """What is done is drawn with its text, escaped."""
        shown = self.drawn(0.0, Screen())
        self.assertIn("Stor\\x1bing:  ", shown)
        self.assertIn("Opening ... 00:00", shown)
        self.assertNotIn("\x1b[31m", shown)

    def test_quick(self) -> None:
        """In the first second nothing is drawn."""
        self.assertEqual("", self.drawn(1.0, Screen()).strip())

    def test_nobody_looks(self) -> None:
        """Nothing is drawn with -q, with --json, or without a terminal."""
        self.assertEqual("", self.drawn(0.0, Screen(), verbosity=-1))
        self.assertEqual("", self.drawn(0.0, Screen(), as_json=True))
        self.assertEqual("", self.drawn(0.0, io.StringIO()))

    def test_wiped(self) -> None:
        """A bar is wiped away before a line is written, to stdout or stderr."""
        console = Console(stdout=io.StringIO(), stderr=Screen())
        console.bar = bar = Bar()
        console.line("x")
        console.warning("y")
        self.assertEqual(2, bar.cleared)
