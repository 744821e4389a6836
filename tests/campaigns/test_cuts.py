"""A sample of the campaign of cuts, and that it would find what it looks for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import NotFound
from tests.campaigns.cuts import FAILED, STORED, UNKNOWN, WAYS, Campaign, Case, Coverage, Cut, cuts_of, judged
from tests.campaigns.cutting import DOWN, FIN, RST, UP
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result


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
        if not self.contents:
            raise NotFound("There is no such file.")
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
        return bool(self.successResultOf(judged(case, found, WAYS[0], {})))

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
        """Each byte of each direction is cut once, in an order of the seed; then each once more in the other manner."""
        cuts = cuts_of(3, 2, seed=1)
        places = {(way, k) for way, n in ((UP, 3), (DOWN, 2)) for k in range(1, n + 1)}
        for half in (cuts[:5], cuts[5:]):
            self.assertEqual({(cut.direction, cut.after) for cut in half}, places)
        self.assertEqual(set(cuts), {Cut(way, k, how) for way, k in places for how in (FIN, RST)})
        self.assertNotEqual(cuts, cuts_of(3, 2, seed=2))

    def case(self, number, *, struck=True):
        """A case that was run."""
        return Case(Cut(DOWN, 1, RST), number, told=[(STORED, "v")], struck=struck)

    def test_kept(self):
        """What is written to a state file is read again; cuts that were not reached are no cuts."""
        coverage = Coverage(lengths={str(WAYS[0]): {UP: 3, DOWN: 2}})
        coverage.add(WAYS[0], [self.case(1), self.case(2, struck=False)])
        again = Coverage.from_json(coverage.to_json())
        self.assertEqual(again, coverage)
        self.assertEqual(again.cuts, 1)
        self.assertIn("1 cuts in all; 2 of 5 bytes", again.lines())

    def test_no_gap(self):
        """A batch that ended before an earlier one is not counted yet: a run that breaks off begins there again."""
        coverage = Coverage(lengths={str(WAYS[0]): {UP: 9, DOWN: 9}})
        coverage.add(WAYS[0], [self.case(3)])
        self.assertEqual((coverage.cuts, coverage.following), (0, {}))
        coverage.add(WAYS[0], [self.case(1), self.case(2)])
        self.assertEqual((coverage.cuts, coverage.following), (3, {str(WAYS[0]): 3}))


class ReferenceTests(SynchronousTestCase):
    """What the reference makes of a folder."""

    def messages(self, **files):
        """A folder of files, one over the other, as we write it."""
        folder = Folder()
        device = folder.device()
        for path, contents in files.items():
            for content in contents:
                result(device.put(path, content))
        return dict(folder.shelf.messages)

    def test_same(self):
        """It reads the newest version of every file, and nothing of ours is a file to it."""
        found = unlike_reference(self.messages(a=[b"old", b"new"], b=[b"b"]), KEY.text, {"a": b"new", "b": b"b"})
        self.assertEqual(found, [])

    def test_other(self):
        """What it reads otherwise, does not see, or sees without our knowing is told."""
        messages = self.messages(a=[b"old", b"new"], b=[b"b"])
        for contents in ({"a": b"old", "b": b"b"}, {"a": b"new"}, {"a": b"new", "b": b"b", "c": b"c"}):
            self.assertEqual(len(unlike_reference(messages, KEY.text, contents)), 1)

    def test_death(self):
        """A message of which it dies is told."""
        messages = {1: b"X-IFAP:\r\n MTI\r\nContent-Type: application/x-ifap\r\n\r\n\r\n"}
        (told,) = unlike_reference(messages, KEY.text, {})
        self.assertIn("the reference dies: TypeError", told)
