"""Campaigns of numbered cases: how they are bounded and continued."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns.seeded import command


class SeededTests(SynchronousTestCase):
    """A campaign of which the case 3 is wrong while ``broken``."""

    def setUp(self) -> None:
        """No case was run."""
        self.ran: list[int] = []
        self.broken = True
        self.state = Path(self.mktemp())
        self.state.parent.mkdir(parents=True, exist_ok=True)

    def case(self, number: int) -> tuple[Counter[str], list[str]]:
        """What there is to count is one thing."""
        self.ran.append(number)
        return Counter(["met"]), ["it broke"] if number == 3 and self.broken else []

    def run_command(self, *words: str) -> Any:
        """Run it."""
        return CliRunner().invoke(command(self.case, "about"), [*words, "--state", str(self.state)])

    def test_continued(self) -> None:
        """It goes on where it stopped, and counts on."""
        self.assertIn("up to case 2", self.run_command("--count", "2").output)
        found = self.run_command("--count", "1")
        self.assertEqual((0, [0, 1, 2]), (found.exit_code, self.ran))
        self.assertIn("met: 3", found.output)

    def test_a_wrong_case_is_run_again(self) -> None:
        """It ends there, with 1, and the next run begins with it."""
        found = self.run_command()
        self.assertEqual((1, [0, 1, 2, 3]), (found.exit_code, self.ran))
        self.assertIn("WRONG case 3: it broke", found.output)
        self.broken = False
        self.assertEqual(0, self.run_command("--count", "2").exit_code)
        self.assertEqual([3, 4], self.ran[4:])

    def test_ended_in_the_middle(self) -> None:
        """Of a run that somebody ended, the cases that were done are kept."""

        def ended(number: int) -> tuple[Counter[str], list[str]]:
            if number == 2:
                raise KeyboardInterrupt
            return Counter(["met"]), []

        CliRunner().invoke(command(ended, "about"), ["--state", str(self.state)])
        self.assertEqual({"following": 2, "counts": {"met": 2}}, json.loads(self.state.read_text()))

    def test_bounded_by_time(self) -> None:
        """No case is begun when the time is over, and one that is named comes first."""
        self.run_command("--seconds", "0")
        self.run_command("--seed", "7", "--count", "1")
        self.assertEqual([7], self.ran)
