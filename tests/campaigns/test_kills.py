"""A sample of the campaign of kills, and that it would find what it looks for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.campaigns import kills
from tests.campaigns.kills import SCENARIOS, Case, Coverage, judged, steps_of


class SampleTests(SynchronousTestCase):
    """Some steps of some scenarios."""

    def test_sample(self):
        """A kill leaves the old or the new state, the next start completes it, and the one after changes nothing."""
        self.assertGreaterEqual(len(SCENARIOS), 40)
        coverage = Coverage()
        coverage.run(20, lambda: True, seed=2)
        self.assertEqual(coverage.violations, [])
        self.assertEqual(coverage.done.total(), 20)

    def test_every_step_of_a_put(self):
        """Of a put over a file, every single step."""
        steps, before, after = steps_of("put one")
        self.assertGreater(steps, 4)
        for step in range(1, steps + 1):
            self.assertEqual(judged(Case("put one", step), before, after), [])


class JudgementTests(SynchronousTestCase):
    """What the judge calls wrong."""

    def wrong(self, found, before, after):
        """What is wrong with a listing."""
        return list(kills._mixed(found, before, after, "now"))

    def test_mixed(self):
        """A path with a content that is neither the old nor the new one, or with none."""
        before, after = {"a": b"old"}, {"a": b"new"}
        self.assertEqual(self.wrong(before, before, after), [])
        self.assertEqual(self.wrong(after, before, after), [])
        for found in ({"a": b"ol"}, {}, {"a": b"old", "b": b"old"}):
            self.assertEqual(len(self.wrong(found, before, after)), 1)

    def test_lost_in_a_move(self):
        """A content that is at neither end of a move."""
        before, after = {"a": b"content"}, {"b": b"content"}
        self.assertEqual(self.wrong({**before, **after}, before, after), [])
        self.assertEqual(len(self.wrong({}, before, after)), 1)

    def test_run(self):
        """A case of which the end is not what was to be is told, with its scenario and step."""
        _steps, before, after = steps_of("put one")
        (*_others, last) = judged(Case("put one", 3), before, {**after, "one": b"something else"})
        self.assertIn("Case(scenario='put one', step=3): another start changed something", last)
