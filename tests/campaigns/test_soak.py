"""A sample of the soak, and that it would find what it looks for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogBeginner, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.core import index, limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import NotFound, OutcomeUnknown, Unavailable
from tests.campaigns.folders import KEPT, unbounded
from tests.campaigns.gauges import COMPARED, FEW, JUDGED, Look, grown, growth, look
from tests.campaigns.lanes import Lane, content_of, is_whole
from tests.campaigns.soak import Coverage, Soak
from tests.filesystem.folders import Folder, result


class SampleTests(TestCase):
    """A short run, twice."""

    def setUp(self):
        """Let the log keep nothing: until logging begins it does, with the objects that events are about."""
        history = globalLogBeginner._temporaryObserver
        if history is not None:
            globalLogPublisher.removeObserver(history)
            self.addCleanup(globalLogPublisher.addObserver, history)

    async def test_nothing_is_left(self):
        """After the second run there are the threads, handles, timers and objects that there were after the first."""
        looks = []
        for _ in range(2):
            soak = Soak(("embedded",), seed=5, per_round=120)
            await soak.run(240)
            self.assertEqual(soak.wrong, [])
            self.assertGreater(len([name for name in soak.coverage.done if name.endswith(": done")]), 15)
            self.assertTrue(soak.coverage.faults)
            await deferLater(reactor, 0.2)
            looks.append(look(0, len(reactor.getDelayedCalls())))
        first, second = looks
        self.assertEqual((second.threads, second.handles, second.calls), (first.threads, first.handles, first.calls))
        self.assertLess(second.objects, first.objects * 1.02)


LOOK = Look(
    1, rss=100_000, handles=40, threads=9, calls=10, objects=70_000, entries=250_000, versions=5_000, clocks=9_000
)


class GaugeTests(SynchronousTestCase):
    """What is called growth."""

    def looks(self, **last):
        """Looks, of which the last half are others."""
        return [LOOK] * COMPARED + [replace(LOOK, **last)] * COMPARED

    def test_steady(self):
        """Nothing grew, or by less than 5 per cent, or by a connection that just ends."""
        for last in (
            {},
            {"clocks": 20_000},
            {"rss": 104_000, "objects": 73_000},
            {"handles": 40 + FEW},
            {"calls": 10 + FEW},
        ):
            self.assertEqual(grown(self.looks(**last)), [])

    def test_grown(self):
        """Each thing that grew is told."""
        for name in JUDGED:
            value = getattr(LOOK, name)
            (told,) = grown(self.looks(**{name: value + max(FEW + 1, value // 10)}))
            self.assertTrue(told.startswith(f"{name} grew by "), told)

    def test_one_look_is_none(self):
        """A single high look, while something was under way, is no growth."""
        looks = [*self.looks(), replace(LOOK, objects=90_000)]
        self.assertEqual(growth(looks)["objects"], 0.0)

    def test_entries(self):
        """The entries of a dictionary of plain values are counted, though the garbage collector does not know it."""
        held = [{}]
        before = look(0, 0).entries
        held[0].update((number, number) for number in range(50_000))
        self.assertGreater(look(0, 0).entries, before + 45_000)


class BoundTests(SynchronousTestCase):
    """What a device may remember of a path."""

    def told(self) -> list[str]:
        """Of a device that wrote a file over and over, while another hand expunged every old version."""
        folder = Folder()
        device = folder.device()
        for number in range(2 * limits.GONE_KEPT):
            result(device.put("a", b"%d" % number))
        folder.shelf.remove(list(folder.shelf.messages)[1:-1])
        result(device.refresh())
        return list(unbounded(device.desk.view.index))

    def test_kept(self) -> None:
        """It forgets the oldest of those that are gone."""
        self.assertEqual([], self.told())

    def test_more_versions(self) -> None:
        """Were they remembered, that would be told."""
        self.patch(index, "remembered", lambda found, _heads: list(found))
        (told,) = self.told()
        self.assertIn("versions of a are remembered that are gone", told)

    def test_long_clock(self) -> None:
        """So would a clock that nobody shortens."""
        folder = Folder()
        for number in range(limits.CLOCK_ENTRIES + KEPT + 1):
            device = folder.device()
            result(device.put("a", b"%d" % number))
        (told,) = unbounded(device.desk.view.index)
        self.assertIn("a clock of a has 12 entries", told)


class Files:
    """A filesystem that answers as it is told."""

    def __init__(self, answer):
        self.answer = answer

    @deferred
    async def put(self, path, data):
        return self._answered()

    @deferred
    async def get(self, path):
        return self._answered()

    def _answered(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class LaneTests(SynchronousTestCase):
    """What a caller knows, and what contradicts it."""

    def lane(self, answer=None):
        """A lane and its only path."""
        lane = Lane("lane", lambda: Files(answer), Random(1), Clock())
        lane.known = {"lane/0": frozenset({None})}
        return lane

    def test_acknowledged(self):
        """What was acknowledged has to be there, whole and current."""
        lane = self.lane()
        self.assertEqual(self.successResultOf(self.begin(lane._put)), "done")
        (content,) = lane.known["lane/0"]
        lane.found("lane/0", content)
        self.assertEqual(lane.wrong, [])
        for other in (None, b"something else", content[:-1]):
            lane.known = {"lane/0": frozenset({content})}
            lane.wrong.clear()
            lane.found("lane/0", other)
            self.assertEqual(len(lane.wrong), 1)

    def test_refused(self):
        """What certainly was not stored must not be there; what may have been may."""
        for error, allowed in ((Unavailable("away"), 1), (OutcomeUnknown("cut"), 2)):
            lane = self.lane(error)
            self.successResultOf(self.begin(lane._put))
            self.assertEqual(len(lane.known["lane/0"]), allowed)

    def test_read(self):
        """A read of something else is told; one of nothing, too, where there is something."""
        for answer in (b"something else", NotFound("nothing")):
            lane = self.lane(answer)
            lane.known = {"lane/0": frozenset({b"content"})}
            self.successResultOf(self.begin(lane._get))
            self.assertEqual(len(lane.wrong), 1)

    def test_work(self):
        """Every action does what its model says."""
        folder = Folder()
        device = folder.device()
        lane = Lane("lane", lambda: device, Random(2), folder.clock)
        working = self.begin(lambda: lane.work(400))
        for _ in range(10_000):
            folder.clock.advance(0.1)
        self.successResultOf(working)
        self.assertEqual(lane.wrong, [])
        for path in lane.known:
            lane.found(path, self.content(device, path))
        self.assertEqual(lane.wrong, [])
        self.assertGreaterEqual(len([name for name in lane.done if name.endswith(": done")]), 19)

    def content(self, device, path):
        """Of a file, or None."""
        try:
            return result(device.get(path))
        except NotFound:
            return None

    def begin(self, act):
        """Begin an action."""

        @deferred
        async def acted():
            return await act()

        return acted()

    def test_whole(self):
        """Contents are known for whole."""
        content = content_of("lane", 1, 1000, Random(1))
        self.assertTrue(is_whole(content))
        for damaged in (b"", content[:-1], content + b".", content[:500] + content[501:]):
            self.assertFalse(is_whole(damaged))


class CoverageTests(SynchronousTestCase):
    """What is counted and kept."""

    def test_kept(self):
        """What is written to a state file is read again."""
        coverage = Coverage(7, Counter({"put: done": 7}), Counter({"cut": 1}))
        again = Coverage.from_json(coverage.to_json())
        self.assertEqual(again, coverage)
        self.assertIn("7 operations", again.lines())
