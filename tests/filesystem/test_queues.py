"""Waiting for a turn: the budget of bytes, runs that are shared, slices of the reactor, readings back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Event
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.queues import Queues
from ifap_twisted.filesystem.readback import ENOUGH, PATIENCE_SECONDS, ReadBack
from ifap_twisted.filesystem.slices import SLICE_SECONDS, Slices
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.watching import Watchers


class BudgetTests(SynchronousTestCase):
    """How much plaintext may be in memory."""

    def test_who_finds_too_little_left_waits_in_order(self) -> None:
        """A small one does not overtake a large one."""
        budget = Budget(10)
        self.successResultOf(budget.acquire(6))
        large, small = budget.acquire(8), budget.acquire(1)
        self.assertNoResult(large)
        self.assertNoResult(small)
        budget.release(6)
        self.successResultOf(large)
        self.successResultOf(small)

    def test_one_above_the_whole_budget_goes_alone(self) -> None:
        """Or it would wait for ever."""
        budget = Budget(10)
        self.successResultOf(budget.acquire(1000))
        self.assertNoResult(other := budget.acquire(1))
        budget.release(1000)
        self.successResultOf(other)

    def test_who_gives_up_makes_room(self) -> None:
        """The next is served at once."""
        budget = Budget(10)
        self.successResultOf(budget.acquire(6))
        large, small = budget.acquire(8), budget.acquire(4)
        large.cancel()
        self.failureResultOf(large, CancelledError)
        self.successResultOf(small)

    def test_thousands_may_wait(self) -> None:
        """Each done at once, and none inside the one before."""
        budget = Budget(1)
        self.successResultOf(budget.acquire(1))
        served: list[int] = []
        for number in range(5000):
            waiter = budget.acquire(1)
            waiter.addCallback(lambda _none, number=number: served.append(number))
            waiter.addCallback(lambda _none: budget.release(1))
        budget.release(1)
        self.assertEqual(served, list(range(5000)))

    @given(st.lists(st.integers(1, 12), max_size=20))
    def test_never_more_is_granted_than_there_is(self, amounts: list[int]) -> None:
        """Whatever is asked for, and everybody is served in the end."""
        budget = Budget(10)
        held: list[int] = []
        served = 0

        def granted(_none: None, amount: int) -> None:
            held.append(min(amount, 10))
            self.assertLessEqual(sum(held), 10)

        for amount in amounts:
            budget.acquire(amount).addCallback(granted, amount)
        while held:
            budget.release(held.pop(0))
            served += 1
        self.assertEqual(served, len(amounts))


class QueuesTests(SynchronousTestCase):
    """One write to a path at a time."""

    def test_one_at_a_time_and_in_order(self) -> None:
        """Others wait; another name does not."""
        queues = Queues()
        self.assertIsNone(queues.enter("a"))
        second, third = queues.enter("a"), queues.enter("a")
        assert second is not None
        assert third is not None
        self.assertIsNone(queues.enter("b"))
        queues.leave("a")
        self.successResultOf(second)
        self.assertNoResult(third)
        queues.leave("a")
        self.successResultOf(third)
        queues.leave("a")
        self.assertIsNone(queues.enter("a"))

    def test_who_gives_up_is_passed_over(self) -> None:
        """The next behind it comes."""
        queues = Queues()
        queues.enter("a")
        second, third = queues.enter("a"), queues.enter("a")
        assert second is not None
        assert third is not None
        second.cancel()
        self.failureResultOf(second, CancelledError)
        queues.leave("a")
        self.successResultOf(third)

    def test_thousands_may_wait(self) -> None:
        """Each done at once, and none inside the one before."""
        queues = Queues()
        queues.enter("a")
        served: list[int] = []
        for number in range(5000):
            turn = queues.enter("a")
            assert turn is not None
            turn.addCallback(lambda _none, number=number: served.append(number))
            turn.addCallback(lambda _none: queues.leave("a"))
        queues.leave("a")
        self.assertEqual(served, list(range(5000)))
        self.assertIsNone(queues.enter("a"))


class TurnsTests(SynchronousTestCase):
    """One run for many callers."""

    def setUp(self) -> None:
        self.runs: list[Deferred[None]] = []

        async def work() -> None:
            run: Deferred[None] = Deferred()
            self.runs.append(run)
            await run

        self.turns = Turns(work)

    def test_who_asks_during_a_run_shares_the_next(self) -> None:
        """His began after he asked."""
        first, second, third = self.turns.next(), self.turns.next(), self.turns.next()
        self.runs[0].callback(None)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.runs[1].callback(None)
        self.successResultOf(second)
        self.successResultOf(third)
        self.assertEqual(len(self.runs), 2)

    def test_a_failure_is_that_of_its_own_callers(self) -> None:
        """The next run is not concerned; who gave up hears nothing more."""
        first, second = self.turns.next(), self.turns.next()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        third = self.turns.next()
        self.runs[0].errback(RuntimeError("no"))
        self.failureResultOf(first, RuntimeError)
        self.runs[1].callback(None)
        self.successResultOf(third)


class SlowClock(Clock):
    """A clock on which every look takes a millisecond."""

    def seconds(self) -> float:
        self.rightNow += 0.001
        now: float = self.rightNow
        return now


class SlicesTests(SynchronousTestCase):
    """A little work at a time."""

    def test_after_a_slice_the_reactor_has_its_turn(self) -> None:
        """The rest goes on in later turns, in order."""
        clock = SlowClock()
        slices = Slices(clock)
        done: list[int] = []
        for number in range(30):
            slices.next().addCallback(lambda _none, number=number: done.append(number))
        self.assertLess(len(done), 30)
        self.assertLessEqual(len(done) * 0.001, SLICE_SECONDS + 0.002)
        for _turn in range(20):
            clock.advance(0)
        self.assertEqual(done, list(range(30)))

    def test_who_gives_up_leaves_the_queue(self) -> None:
        """The others go on."""
        clock = SlowClock()
        slices = Slices(clock)
        waiting = [slices.next() for _ in range(12)]
        waiting[10].cancel()
        self.failureResultOf(waiting[10], CancelledError)
        for _turn in range(9):
            clock.advance(0)
        self.successResultOf(waiting[11])


class ReadBackTests(SynchronousTestCase):
    """One FETCH for many messages (FORMAT 4.3)."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetches: list[Deferred[None]] = []
        self.read_back = ReadBack(self.advance, self.clock)

    def advance(self) -> Deferred[None]:
        """A FETCH."""
        fetch: Deferred[None] = Deferred()
        self.fetches.append(fetch)
        return fetch

    def test_a_message_alone_is_read_back_at_once(self) -> None:
        """It waits for nobody."""
        waiting = self.read_back.next()
        self.fetches[0].callback(None)
        self.successResultOf(waiting)

    def test_several_share_one_fetch_when_the_last_was_sent(self) -> None:
        """Sent behind the APPENDs."""
        self.read_back.sending()
        waiting = [self.read_back.next() for _ in range(5)]
        self.assertEqual(self.fetches, [])
        self.read_back.sent()
        self.assertEqual(len(self.fetches), 1)
        self.fetches[0].callback(None)
        for one in waiting:
            self.successResultOf(one)

    def test_enough_do_not_wait_for_more(self) -> None:
        """Nor does the first for long."""
        self.read_back.sending()
        for _ in range(ENOUGH):
            self.read_back.next()
        self.assertEqual(len(self.fetches), 1)
        self.read_back.next()
        self.clock.advance(PATIENCE_SECONDS)
        self.assertEqual(len(self.fetches), 2)
        self.read_back.sent()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failure_goes_to_all_who_waited(self) -> None:
        """They look again by themselves."""
        self.read_back.sending()
        waiting = [self.read_back.next() for _ in range(3)]
        self.read_back.sent()
        waiting[1].cancel()
        self.failureResultOf(waiting[1], CancelledError)
        self.fetches[0].errback(RuntimeError("cut"))
        self.failureResultOf(waiting[0], RuntimeError)
        self.failureResultOf(waiting[2], RuntimeError)


class WatchersTests(SynchronousTestCase):
    """Listeners that cannot hurt each other."""

    def test_one_that_raises_is_logged_and_the_others_hear(self) -> None:
        """Other people's code."""
        watchers = Watchers()
        heard: list[Any] = []

        def broken(_event: Event) -> None:
            raise RuntimeError("on purpose")

        watchers.add(broken)
        stop = watchers.add(heard.append)
        watchers.tell(Event(kind="renewed"))
        stop()
        stop()
        watchers.tell(Event(kind="renewed"))
        self.assertEqual(len(heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
