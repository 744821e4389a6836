"""How long a reactor was away."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from benchmarks.watchdog import LONG, Watch
from twisted.trial.unittest import SynchronousTestCase


class _Poller:
    def poll(self, *_arguments: Any) -> list[Any]:
        time.sleep(2 * LONG)  # noqa: TID251 -- a wait that has to count for nothing
        return []


class WatchTests(SynchronousTestCase):
    """Only what is done between two looks counts."""

    def setUp(self) -> None:
        """A reactor that is about to run."""
        self.reactor = SimpleNamespace(_poller=_Poller())
        self.watch = Watch(self.reactor)
        self.addCleanup(self.watch.stop)
        self.watch.begin()

    def test_waiting(self) -> None:
        """Waiting for something to happen is no work."""
        self.reactor._poller.poll(1)
        self.reactor._poller.poll(1)
        self.assertEqual(0, self.watch.end()["long_stretches"])

    def test_working(self) -> None:
        """Work between two looks is."""
        self.reactor._poller.poll(1)
        time.sleep(2 * LONG)  # noqa: TID251 -- work that lasts
        found = self.watch.end()
        self.assertEqual(1, found["long_stretches"])
        self.assertGreater(found["longest_ms"], 1000 * LONG)
