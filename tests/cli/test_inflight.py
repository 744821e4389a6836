"""Many works at a time, within bounds."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.inflight import Gate, each
from ifap_twisted.cli.several import overlap


class Works:
    """Works that go on until they are told to end."""

    def __init__(self) -> None:
        self.running: dict[object, Deferred[None]] = {}
        self.begun: list[object] = []

    async def __call__(self, item: object) -> None:
        self.begun.append(item)
        self.running[item] = Deferred()
        try:
            await self.running[item]
        finally:
            del self.running[item]

    def end(self, item: object) -> None:
        self.running[item].callback(None)


class EachTests(SynchronousTestCase):
    """``each``."""

    def test_bounded(self) -> None:
        """No more than so many go on at a time, and each end lets the next one begin."""
        works = Works()
        done = Deferred.fromCoroutine(each(range(5), works, Gate(2, 0)))
        self.assertEqual([0, 1], works.begun)
        works.end(1)
        self.assertEqual([0, 1, 2], works.begun)
        for item in (0, 2, 3, 4):
            self.assertNoResult(done)
            works.end(item)
        self.assertIsNone(self.successResultOf(done))

    def test_weight(self) -> None:
        """Weights are bounded too; one that is heavier than all goes alone."""
        works = Works()
        done = Deferred.fromCoroutine(each([4, 5, 99, 1], works, Gate(10, 10), lambda item: item))
        self.assertEqual([4, 5], works.begun)
        works.end(4)
        self.assertEqual([4, 5], works.begun)
        works.end(5)
        self.assertEqual([4, 5, 99], works.begun)
        works.end(99)
        works.end(1)
        self.successResultOf(done)

    def test_failure(self) -> None:
        """A failure stops the rest: what goes on is cancelled, what has not begun never does."""
        works = Works()
        done = Deferred.fromCoroutine(each(range(5), works, Gate(2, 0)))
        works.running[0].errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
        self.assertEqual(([0, 1], {}), (works.begun, works.running))

    def test_cancelled(self) -> None:
        """Cancelling cancels all that goes on, also while waiting for the last ones."""
        for count in (2, 5):
            works = Works()
            done = Deferred.fromCoroutine(each(range(count), works, Gate(2, 0)))
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertEqual(([0, 1], {}), (works.begun, works.running))

    def test_slow_to_cancel(self) -> None:
        """A work that tidies up when cancelled does no harm by ending late."""
        tidy: Deferred[None] = Deferred()

        async def work(_item: int) -> None:
            try:
                await Deferred()
            finally:
                await tidy

        done = Deferred.fromCoroutine(each([1], work, Gate(1, 0)))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        tidy.callback(None)

    def test_nothing(self) -> None:
        """Nothing to do is done at once."""
        self.successResultOf(Deferred.fromCoroutine(each([], Works(), Gate(1, 0))))

    @given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 5), st.integers(1, 15), st.integers())
    def test_bounds_hold(self, weights: list[int], most: int, weight: int, seed: int) -> None:
        """Whatever ends in whatever order: the bounds hold and everything is done."""
        works, random = Works(), Random(seed)
        items = list(enumerate(weights))
        done = Deferred.fromCoroutine(each(items, works, Gate(most, weight), lambda item: item[1]))
        while works.running:
            heavy = [item[1] for item in works.running]
            self.assertLessEqual(len(heavy), most)
            self.assertTrue(sum(min(one, weight) for one in heavy) <= weight)
            works.end(random.choice(sorted(works.running)))
        self.successResultOf(done)
        self.assertEqual(items, works.begun)


class OverlapTests(SynchronousTestCase):
    """Paths that cannot be worked on at the same time."""

    def test_overlap(self) -> None:
        """A path twice, or one in another."""
        self.assertTrue(overlap(["a", "b", "a"]))
        self.assertTrue(overlap(["a/b/c", "a!", "a"]))
        self.assertTrue(overlap(["", "x"]))

    def test_none(self) -> None:
        """Names that only begin alike are different."""
        self.assertFalse(overlap(["a", "ab", "a!", "b/a"]))
        self.assertFalse(overlap([]))
