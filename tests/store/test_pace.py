"""The arithmetic of politeness."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.store.pace import BackOff, DayUse, Pace

HOUR = 3600.0


class DayUseTests(SynchronousTestCase):
    """The bytes of 24 hours."""

    def test_counts(self):
        """What was used counts for 24 hours, and for at most one more."""
        use = DayUse()
        use.add(100, 10 * HOUR + 1800)
        self.assertEqual(use.total(34 * HOUR + 1800), 100)
        self.assertEqual(use.total(35 * HOUR), 0)

    def test_ready_at_once(self):
        """What fits may go now."""
        use = DayUse()
        use.add(60, 0)
        self.assertEqual(use.ready_at(40, 100, 5.0), 5.0)

    def test_ready_later(self):
        """What does not fit may go when enough has expired."""
        use = DayUse()
        use.add(60, 0)
        use.add(40, 2 * HOUR)
        self.assertEqual(use.ready_at(60, 100, 3 * HOUR), 25 * HOUR)
        self.assertEqual(use.ready_at(61, 100, 3 * HOUR), 27 * HOUR)

    def test_give_back(self):
        """What was counted and not used is given back, and the count is never below nothing."""
        use = DayUse()
        use.add(100, 0)
        use.add(-30, 1)
        self.assertEqual(use.total(2), 70)
        use.add(-300, 2)
        self.assertEqual(use.total(2), 0)

    def test_kept(self):
        """It survives being written down."""
        use = DayUse()
        use.add(60, 0)
        use.add(40, 2 * HOUR)
        self.assertEqual(DayUse.from_json(use.to_json()).to_json(), {"0": 60, "2": 40})

    def test_nonsense(self):
        """What makes no sense when read back counts as nothing."""
        for value in (None, [], "x", {"x": 1}, {"1": "x"}, {"1": -5}, {"²": 5}):
            self.assertEqual(DayUse.from_json(value).total(HOUR), 0, value)

    @given(st.lists(st.tuples(st.floats(0, 5 * HOUR), st.integers(0, 60))), st.integers(1, 100))
    def test_never_above_the_budget(self, steps, budget):
        """Whoever waits as told has never used more than the budget in any 24 hours."""
        use, now, log = DayUse(), 0.0, []
        for rest, wanted in steps:
            count = min(wanted, budget)
            now = use.ready_at(count, budget, now + rest)
            use.add(count, now)
            log.append((now, count))
        for end, _count in log:
            self.assertLessEqual(sum(count for then, count in log if end - 24 * HOUR < then <= end), budget)


class PaceTests(SynchronousTestCase):
    """Turns by the second."""

    def test_unbounded(self):
        """Without a bound the next turn is now."""
        pace = Pace(None)
        for _turn in range(100):
            pace.take()
        self.assertEqual(pace.ready_at(7.0), 7.0)

    @given(st.floats(0.05, 50), st.lists(st.floats(0, 10), max_size=60))
    def test_never_faster(self, per_second, rests):
        """Over any stretch of time there are no more turns than its length allows, and one burst."""
        pace, now, turns = Pace(per_second), 0.0, []
        for rest in rests:
            now = pace.ready_at(now + rest)
            now = pace.ready_at(now)
            turns.append(now)
            pace.take()
        for first, begin in enumerate(turns):
            for last, end in enumerate(turns[first:], 1):
                self.assertLessEqual(last, max(1.0, per_second) + (end - begin) * per_second + 1e-6)

    def test_rest(self):
        """After a rest there are as many turns at once as a second has, at least one."""
        for per_second, burst in ((0.5, 1), (4.0, 4)):
            pace, turns = Pace(per_second), 0
            while pace.ready_at(1000.0) == 1000.0:
                pace.take()
                turns += 1
            self.assertEqual(turns, burst)


class BackOffTests(SynchronousTestCase):
    """Keeping quiet."""

    def test_as_told(self):
        """What the server says is kept, at least a second and at most a day."""
        for told, kept in ((17.5, 17.5), (0.01, 1.0), (1e9, 86400.0)):
            back_off = BackOff(lambda: 0.0)
            back_off.throttled(100.0, told)
            self.assertEqual(back_off.until, 100.0 + kept)

    def test_doubles(self):
        """Without a number each wait is twice as long as the one before, up to the longest."""
        back_off, now, waits = BackOff(lambda: 1.0, longest=20.0), 0.0, []
        for _time in range(7):
            back_off.throttled(now, None)
            waits.append(back_off.until - now)
            now = back_off.until
        self.assertEqual(waits, [1, 2, 4, 8, 16, 20, 20])

    def test_jitter(self):
        """Chance shortens a wait to half at most, and never below a second."""
        waits = []
        for chance in (0.0, 0.5):
            back_off = BackOff(lambda chance=chance: chance)
            for now in (0.0, 100.0, 200.0, 300.0):
                back_off.throttled(now, None)
            waits.append(back_off.until - 300.0)
        self.assertEqual(waits, [4.0, 6.0])

    def test_many_at_once(self):
        """Many calls that are throttled in the same moment count once."""
        back_off = BackOff(lambda: 1.0)
        for _call in range(50):
            back_off.throttled(0.0, None)
        back_off.throttled(1.0, None)
        self.assertEqual(back_off.until, 3.0)

    def test_nonsense(self):
        """What is no time is as if nothing had been said."""
        for told in (float("nan"), -5.0, 0.0):
            back_off = BackOff(lambda: 1.0)
            back_off.throttled(10.0, told)
            self.assertEqual(back_off.until, 11.0)

    def test_success(self):
        """After a call that began later and succeeded the next wait is short again."""
        back_off = BackOff(lambda: 1.0)
        for now in (0.0, 1.0, 3.0):
            back_off.throttled(now, None)
        back_off.succeeded(6.9)
        back_off.throttled(7.0, None)
        self.assertEqual(back_off.until, 15.0)
        back_off.succeeded(15.0)
        back_off.throttled(20.0, None)
        self.assertEqual(back_off.until, 21.0)
