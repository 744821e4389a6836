"""A sample of the campaign of cuts, and that it would find what it looks for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.deferreds import deferred
from tests.campaigns.cuts import FAILED, STORED, UNKNOWN, WAYS, Campaign, Case, Coverage, Cut, cuts_of, judged
from tests.campaigns.cutting import DOWN, FIN, RST, UP


class SampleTests(TestCase):
    """Some cuts of every way."""

    async def test_sample(self):
        """Nothing is lost, mixed or doubled when the connection is cut at some bytes."""
        campaign = Campaign(WAYS, Coverage(), seed=1, batch=4)
        await campaign.run(4 * len(WAYS), None)
        self.assertEqual(campaign.violations, [])
        self.assertEqual(set(campaign.coverage.counts), {str(way) for way in WAYS})
        self.assertGreater(campaign.coverage.cuts, 3 * len(WAYS))


class Found:
    """A filesystem that holds some versions of every path, newest first."""

    def __init__(self, *contents, conflicting=()):
        self.contents, self.conflicting = contents, conflicting

    @deferred
    async def versions(self, path):
        return [_Entry(str(number)) for number in range(len(self.contents))]

    @deferred
    async def get(self, path, *, version="0"):
        return self.contents[int(version)]

    @deferred
    async def conflicts(self, path):
        return self.conflicting


class _Entry:
    def __init__(self, version):
        self.version = version


class JudgementTests(SynchronousTestCase):
    """What the judge calls wrong."""

    def wrong(self, outcome, *ages, version="0", conflicting=()):
        """Whether it is wrong that these are found."""
        case = Case(Cut(UP, 1, FIN), 1, told=[(outcome, version)])
        found = Found(
            *(age if isinstance(age, bytes) else case.content(0, age) for age in ages), conflicting=conflicting
        )
        return bool(self.successResultOf(judged(case, found, WAYS[0])))

    def test_right(self):
        """Old, or new over old, as the writer was told."""
        self.assertFalse(self.wrong(STORED, "new", "old"))
        self.assertFalse(self.wrong(FAILED, "old"))
        self.assertFalse(self.wrong(UNKNOWN, "old"))
        self.assertFalse(self.wrong(UNKNOWN, "new", "old"))

    def test_lost(self):
        """What was acknowledged is absent, is not current, or is another version."""
        self.assertTrue(self.wrong(STORED, "old"))
        self.assertTrue(self.wrong(STORED, "old", "new"))
        self.assertTrue(self.wrong(STORED, "new"))
        self.assertTrue(self.wrong(STORED, "new", "old", version="other"))
        for outcome in (STORED, FAILED, UNKNOWN):
            self.assertTrue(self.wrong(outcome))

    def test_mixed(self):
        """Content that nobody wrote, whatever the writer was told."""
        for outcome in (STORED, FAILED, UNKNOWN):
            self.assertTrue(self.wrong(outcome, b"new and old", "old"))

    def test_doubled(self):
        """Two versions of one put, and one of a put that certainly failed; or a conflict of which nobody knows."""
        self.assertTrue(self.wrong(STORED, "new", "new", "old"))
        self.assertTrue(self.wrong(UNKNOWN, "new", "new", "old"))
        self.assertTrue(self.wrong(FAILED, "new", "old"))
        self.assertTrue(self.wrong(STORED, "new", "old", conflicting=["one"]))


class CoverageTests(SynchronousTestCase):
    """What is counted and kept."""

    def test_every_byte(self):
        """Each byte of each direction in each manner is cut once, in an order of the seed."""
        cuts = cuts_of({UP: 3, DOWN: 2}, seed=1)
        self.assertEqual(
            set(cuts),
            {Cut(way, k, how) for way, n in ((UP, 3), (DOWN, 2)) for k in range(1, n + 1) for how in (FIN, RST)},
        )
        self.assertEqual(len(cuts), 10)
        self.assertNotEqual(cuts, cuts_of({UP: 3, DOWN: 2}, seed=2))

    def test_kept(self):
        """What is written to a state file is read again; cuts that were not reached are no cuts."""
        coverage = Coverage(lengths={str(WAYS[0]): {UP: 3, DOWN: 2}})
        coverage.add(WAYS[0], [Case(Cut(DOWN, 1, RST), 1, told=[(STORED, "v")], struck=True), Case(Cut(UP, 9, FIN), 2)])
        again = Coverage.from_json(coverage.to_json())
        self.assertEqual(again, coverage)
        self.assertEqual(again.cuts, 1)
        self.assertIn("1 cuts in all", again.lines())
