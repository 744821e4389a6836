"""The rollback marks of simulated devices keep what the real ones promise."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.keys import Key
from ifap_twisted.testing.disk import Disk
from ifap_twisted.testing.seen import DiskMarks
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing
from tests.contract.marks import FACTS, MarksContract, mark

KEY = Key.from_text("correct horse")


class DiskMarksTests(MarksContract, SynchronousTestCase):
    """On a disk in memory."""

    def setUp(self) -> None:
        self.disk = Disk("machine")

    def marks(self, *, home: str = "AAAAAAAA", dialect: str = "ifap") -> DiskMarks:
        """As a process of a simulated device opens them."""
        return DiskMarks(self.disk, (KEY,), home=home, dialect=dialect, random=Drawing(), worker=InlineWorker())

    def test_a_copy_has_what_was_seen_before_it_was_made(self) -> None:
        """A restored backup goes on from there."""
        self.keep(mark("a"))
        copy = self.disk.copy("other")
        self.keep(mark("b"), facts=FACTS)
        self.disk = copy
        self.assertEqual(list(self.kept().marks), ["a"])
