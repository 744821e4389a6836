"""A sample of the campaign of updates (bar R4), and that it would find what it looks for."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.simulation import simulate
from tests.campaigns import updates
from tests.campaigns.tidying import unlike_tidied
from tests.campaigns.updates import Campaign, draw, lost
from tests.testing import plants


def ignores_what_was_expected(filesystem: Any) -> None:
    """A change of an old version is written over the new one."""
    put = filesystem.put
    filesystem.put = lambda path, data, expect=None: put(path, data)


class SampleTests(SynchronousTestCase):
    """A short history in each world."""

    def check(self, world: str, operations: int) -> None:
        campaign = Campaign(world=world, operations=operations, following=5)
        self.assertEqual(campaign.run(1, lambda: True), [])
        self.assertGreaterEqual(campaign.outcomes["append done"], operations // 8)
        self.assertTrue(campaign.outcomes["append conflict"])
        self.assertGreater(campaign.troubles.total(), operations // 30)
        self.assertGreaterEqual(campaign.tidied, 4)

    def test_nothing_is_lost(self) -> None:
        """On a shelf in memory."""
        self.check("memory", 400)

    def test_nothing_is_lost_over_the_wire(self) -> None:
        """Through the driver."""
        self.check("wire", 120)


class CheckTests(SynchronousTestCase):
    """What is called lost."""

    def found(self, plant: Any) -> str:
        return "\n".join(Campaign(operations=200, plant=plant).run(3, lambda: True))

    def test_what_was_acknowledged_and_is_not_there(self) -> None:
        """The server forgot it."""
        self.assertIn("was acknowledged and is not there", self.found(plants.loses_what_it_acknowledged))

    def test_what_is_hidden(self) -> None:
        """A version that claims to descend from what its writer never saw."""
        self.assertIn(" hides ", self.found(plants.descends_from_what_it_never_saw))

    def test_what_was_overwritten(self) -> None:
        """Two changes of one version that both succeeded."""
        self.assertIn(" all changed ", self.found(ignores_what_was_expected))

    def test_what_is_in_no_conflict(self) -> None:
        """A head that is not reported."""
        self.assertIn("nor in a conflict", self.found(plants.keeps_quiet_about_conflicts))

    def test_what_never_ended(self) -> None:
        """And a content that was never written."""
        trace = simulate(draw(1, 60, "memory"))
        self.assertEqual(list(lost(trace)), [])
        trace.calls[-1].outcome = updates.UNENDED
        read = next(call for call in trace.calls if call.verb == "read" and call.data)
        read.data = b"mixed"
        self.assertEqual(len(list(lost(trace))), 2)


class TidyingTests(SynchronousTestCase):
    """The folder that a history leaves, after conflicts were ended and old versions collected."""

    def setUp(self) -> None:
        self.trace = simulate(draw(5, 200, "memory"))

    def test_the_reference_reads_all(self) -> None:
        """Each file, also those that were in conflict."""
        files, wrong = unlike_tidied(self.trace)
        self.assertEqual([], wrong)
        self.assertEqual(files, sum(kind == "file" for _path, kind, _vid in self.trace.observations[-1].listing))
        self.assertTrue(self.trace.observations[-1].conflicts)

    def test_a_file_that_is_lost(self) -> None:
        """Tidying up takes no file away; here the folder lost one before."""
        seen = self.trace.observations[-1]
        extra = (*seen.listing, ("elsewhere", "file", "a version"))
        self.trace.observations[-1] = replace(seen, listing=extra)
        self.assertEqual(unlike_tidied(self.trace)[1], ["tidying up brings or takes ['elsewhere']"])

    def test_another_content(self) -> None:
        """Nor does it bring an older content back."""
        seen = self.trace.observations[-1]
        path = seen.listing[0][0]
        other = tuple(replace(one, content=b"another") for one in seen.versions[path])
        self.trace.observations[-1] = replace(seen, versions={**seen.versions, path: other})
        self.assertEqual(
            unlike_tidied(self.trace)[1], [f"tidying up gives /{path} a content that none of its heads had"]
        )


class CommandTests(SynchronousTestCase):
    """``python -m tests.campaigns.updates``."""

    def test_it_says_what_it_did_and_keeps_its_place(self) -> None:
        """The next call goes on with the next history."""
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state.json"
            command = [sys.executable, "-m", "tests.campaigns.updates", "--operations", "30", "--state", str(state)]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("1 histories, ", done.stdout)
            self.assertIn('"following": 1', state.read_text())
