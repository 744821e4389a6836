"""Where a node logs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TextIO

from twisted.logger import ILogObserver, Logger

from ifap_twisted.cli import nodelog
from tests.cli.bench import CommandLineTestCase


class LogTests(CommandLineTestCase):
    """``node.log``."""

    def observer(self) -> ILogObserver:
        """The observer that twistd asks for, whose file is closed with the test."""

        def opening(basedir: Path) -> TextIO:
            file = nodelog.open_log(basedir)
            self.addCleanup(lambda: file.closed or file.close())
            return file

        return nodelog.observer({"IFAP_BASEDIR": str(self.local)}, opening)

    def logged(self, settings: str = "") -> str:
        """What is in the log after an event of each kind."""
        self.write("ifap.toml", settings.encode())
        log = Logger(namespace="test", observer=self.observer())
        log.debug("a detail")
        log.info("a fact")
        log.error("a failure")
        return (self.local / "node.log").read_text()

    def test_level(self) -> None:
        """What is logged is what the settings want: without a word of them, no details."""
        shown = self.logged()
        self.assertEqual((False, True, True), tuple(word in shown for word in ("detail", "fact", "failure")))
        (self.local / "node.log").unlink()
        shown = self.logged('[log]\nlevel = "debug"\n')
        self.assertIn("detail", shown)
        (self.local / "node.log").unlink()
        shown = self.logged('[log]\nlevel = "error"\n')
        self.assertEqual((False, True), tuple(word in shown for word in ("fact", "failure")))

    def test_watched(self) -> None:
        """A node in the foreground tells the terminal the same."""
        terminal = io.StringIO()

        def opening(basedir: Path) -> TextIO:
            file = nodelog.open_log(basedir)
            self.addCleanup(lambda: file.closed or file.close())
            return file

        log = Logger(namespace="test", observer=nodelog.watched({"IFAP_BASEDIR": str(self.local)}, opening, terminal))
        log.debug("a detail")
        log.info("a fact")
        for shown in (terminal.getvalue(), (self.local / "node.log").read_text()):
            self.assertEqual((False, True), tuple(word in shown for word in ("detail", "fact")))

    def test_private(self) -> None:
        """Nobody else can read it."""
        self.logged()
        self.assertEqual(0o600, (self.local / "node.log").stat().st_mode & 0o777)

    def test_rotation(self) -> None:
        """A full log becomes node.log.1, and five old ones are kept."""
        log = Logger(namespace="test", observer=self.observer())
        for _number in range(8):
            log.info("x" * nodelog.ROTATE_BYTES)
        found = sorted(path.name for path in self.local.glob("node.log*"))
        self.assertEqual(["node.log", *(f"node.log.{number}" for number in range(1, 6))], found)
