"""The benchmarks run, each of them, to the row that it is there for; the figures mean little here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.ground import ROOT, environment
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import rivals


@cache
def _measured() -> list[dict[str, Any]]:
    """The rows of one quick run of everything."""
    with tempfile.TemporaryDirectory(prefix="ifap-bench-") as directory:
        figures = Path(directory) / "figures.json"
        command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(figures)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(figures.read_text())["rows"]


class QuickTests(SynchronousTestCase):
    """``python -m benchmarks --quick``."""

    def rows(self, bar: str) -> list[dict[str, Any]]:
        """Of one bar; each has a figure, or says why not."""
        rows = [row for row in _measured() if row["bar"] == bar]
        for row in rows:
            self.assertTrue(row["ours"] is not None or row["note"], row)
        return rows

    def judged(self, bar: str, *works: str) -> None:
        """There are rows for these works that are held against a limit."""
        for work in works:
            found = [row for row in self.rows(bar) if work in row["work"]]
            self.assertTrue(any(row["limit"] is not None for row in found), f"{bar} {work}")

    def test_putting_many(self) -> None:
        """W1: put -r, in memory and on disk, beside sealing and raw uploads."""
        self.judged("W1", "put -r of", "Maildir on disk")
        self.assertEqual({"sealing", "raw upload", "raw headers"}, set(self.rows("W1")[0]["parts"]))

    def test_opening(self) -> None:
        """W2: cold opens, and the round trips with a snapshot."""
        self.judged("W2", "cold open", "with a snapshot", "Maildir on disk")

    def test_reading_many(self) -> None:
        """W3: reads, in memory and on disk."""
        self.judged("W3", "read", "Maildir on disk")

    def test_refreshing(self) -> None:
        """W4: round trips of a refresh, a reconnection and a warm start."""
        self.judged("W4", "refresh", "connections broke", "warm start")

    def test_distance(self) -> None:
        """W5: round trips at 50 ms."""
        self.judged("W5", "put", "read", "cold open")

    def test_many_files(self) -> None:
        """W7: a large folder beside a small and an empty one."""
        self.judged("W7", "cold open", "warm start", "ls -R", "one put", "memory")

    def test_trees(self) -> None:
        """W8: a tree there and back; without rclone and restic it says so."""
        self.assertEqual(2, len(self.rows("W8")))
        for row in self.rows("W8"):
            self.assertIn("install.sh" if rivals.missing() else "restic", row["note"])

    def test_web(self) -> None:
        """W9: small and large files over HTTP."""
        self.judged("W9", "GET of 4 KB by 8 clients again", "PUT of 10 MiB")

    def test_reactor(self) -> None:
        """W10: the longest stretch of each bar in which a reactor ran."""
        told = {row["work"].rsplit(" ", 1)[1] for row in self.rows("W10")}
        self.assertEqual({"W1", "W2", "W3", "W4", "W5", "W7", "W8", "W9", "W11"}, told)

    def test_starting(self) -> None:
        """W11: two verbs with nothing to do."""
        self.judged("W11", "--version", "ls through a node")


class LargeTests(SynchronousTestCase):
    """``python -m benchmarks.large``."""

    def test_one_large_file(self) -> None:
        """A file goes there and comes back in each way; a copy and a second put send next to nothing."""
        with tempfile.TemporaryDirectory(prefix="ifap-bench-") as directory:
            figures = Path(directory) / "figures.json"
            command = [sys.executable, "-m", "benchmarks.large", "--mib", "8", "--json", str(figures)]
            done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
            self.assertEqual(0, done.returncode, done.stderr + done.stdout)
            found = json.loads(figures.read_text())["figures"]
        self.assertGreater(found["ifap put FILE"]["sent_mib"], 8)
        self.assertLess(found["ifap cp"]["sent_mib"], 0.0625)
        self.assertLess(found["ifap put FILE, another name"]["sent_mib"], 0.0625)
        self.assertGreater(found["HTTP GET"]["received_mib"], 8)
