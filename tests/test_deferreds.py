"""Turns for many."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.deferreds import Patience, Slots, Waiters, deferred, undivided
from ifap_twisted.errors import TimedOut


class WaitersTests(SynchronousTestCase):
    """Many wait for one moment."""

    def test_in_order(self):
        """All who wait go on, in the order they came; nobody waits for a moment that is over."""
        waiters, told = Waiters(), []
        for name in "abc":
            waiters.wait().addCallback(lambda _none, name=name: told.append(name))
        waiters.tell()
        waiters.tell()
        self.assertEqual(told, ["a", "b", "c"])

    def test_again(self):
        """Who waits again while being told waits for the next time."""
        waiters, told = Waiters(), []

        def again(_none):
            told.append(1)
            return waiters.wait()

        waiting = waiters.wait().addCallback(again)
        waiters.tell()
        self.assertEqual(told, [1])
        self.assertNoResult(waiting)
        waiters.tell()
        self.successResultOf(waiting)

    def test_given_up(self):
        """Who gives up is told nothing, also when another's turn makes it give up; the others are."""
        waiters = Waiters()
        early, first, second, last = [waiters.wait() for _ in range(4)]
        early.cancel()
        first.addCallback(lambda _none: second.cancel())
        waiters.tell()
        self.failureResultOf(early, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.successResultOf(last)


class UndividedTests(SynchronousTestCase):
    """Work that is done to its end, or not at all."""

    def setUp(self):
        """Work that waits, and what was undone."""
        self.until = Deferred()
        self.undone = []

    @deferred
    async def run_it(self):
        """Run it."""

        async def work():
            return await self.until

        async def undo(outcome):
            self.undone.append(outcome)

        return await undivided(work(), undo)

    def test_done(self):
        """Nobody gives up: its result is the result, and its error the error."""
        running = self.run_it()
        self.assertNoResult(running)
        self.until.callback("done")
        self.assertEqual((self.successResultOf(running), self.undone), ("done", []))
        self.until = Deferred()
        running = self.run_it()
        self.until.errback(ZeroDivisionError())
        self.failureResultOf(running, ZeroDivisionError)

    def test_given_up(self):
        """It goes on, however often that is said, and then is undone; what failed has nothing to undo."""
        for outcome, undone in (("done", ["done"]), (ZeroDivisionError(), [])):
            self.setUp()
            running = self.run_it()
            running.cancel()
            running.cancel()
            self.assertFalse(self.until.called)
            self.until.errback(outcome) if isinstance(outcome, Exception) else self.until.callback(outcome)
            self.failureResultOf(running, CancelledError, ZeroDivisionError)
            self.assertEqual(self.undone, undone)


class SlotsTests(SynchronousTestCase):
    """So many at a time."""

    def setUp(self):
        """Two slots, and works that end when they are told."""
        self.slots = Slots(2)
        self.begun = []

    @deferred
    async def work(self, name, until=None):
        """One work."""
        async with self.slots:
            self.begun.append(name)
            if until is not None:
                await until

    def test_in_order(self):
        """Those who wait come in as others go, in their order."""
        ends = [Deferred() for _ in range(4)]
        works = [self.work(name, end) for name, end in enumerate(ends)]
        self.assertEqual(self.begun, [0, 1])
        ends[1].callback(None)
        self.assertEqual(self.begun, [0, 1, 2])
        for end in (ends[0], *ends[2:]):
            end.callback(None)
        for work in works:
            self.successResultOf(work)

    def test_given_up(self):
        """Who gives up the wait, or what it was let in for, takes nobody's slot."""
        held = [self.work(name, Deferred()) for name in "ab"]
        waiting = [self.work(name) for name in "cd"]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        held[0].cancel()
        self.failureResultOf(held[0], CancelledError)
        self.successResultOf(waiting[1])
        self.assertEqual(self.begun, ["a", "b", "d"])
        again = [self.work(name, Deferred()) for name in "ef"]
        self.assertEqual(self.begun, ["a", "b", "d", "e"])
        for one in (held[1], *again):
            one.cancel()
            self.failureResultOf(one, CancelledError)

    def test_thousands_that_end_at_once(self):
        """Any number of works that end as they begin."""
        ends = [Deferred(), Deferred()]
        held = [self.work("held", end) for end in ends]
        waiting = [self.work(number) for number in range(5000)]
        for end in ends:
            end.callback(None)
        for work in (*held, *waiting):
            self.successResultOf(work)
        self.assertEqual(self.begun, ["held", "held", *range(5000)])


class PatienceTests(SynchronousTestCase):
    """Waits that end when nothing moves."""

    def test_moving(self):
        """As long as something moves it waits; then so long and no longer, and the work is cancelled."""
        clock, cancelled = Clock(), []
        work: Deferred[int] = Deferred(cancelled.append)
        patience = Patience(10, clock, "It")
        waiting = patience.wait(work)
        for _ in range(5):
            clock.advance(9)
            patience.moved()
        self.assertNoResult(waiting)
        clock.advance(10)
        self.assertIn("It took longer", self.failureResultOf(waiting, TimedOut).value.detail)
        self.assertEqual(cancelled, [work])

    def test_ended(self):
        """What came of the work is what comes of the wait, and nothing is left to happen."""
        for end in (lambda work: work.callback(1), lambda work: work.errback(ZeroDivisionError()), Deferred.cancel):
            clock = Clock()
            work: Deferred[int] = Deferred()
            patience = Patience(10, clock, "It")
            waiting = patience.wait(work)
            end(work)
            patience.moved()
            self.assertEqual(clock.getDelayedCalls(), [])
            outcome: list = []
            waiting.addBoth(outcome.append)
            self.assertTrue(outcome[0] == 1 or outcome[0].check(ZeroDivisionError, CancelledError))
