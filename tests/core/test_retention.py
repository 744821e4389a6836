"""Which versions of a file are kept, and why (FORMAT 5; DESIGN 4.6)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.retention import TOMBSTONE_SECONDS, Policy, Reason, in_order, judge
from tests.core.test_history import at, folders, ours, theirs

DAY = 86400.0
NOW = 20_000.5 * DAY
"""A Friday noon, the fourth of a month."""


def line(count: int, **facts: Any) -> list[Placed]:
    """Versions of one writer, each of which descends from the one before."""
    return at(*(ours(f"v{number}", "w", {"w": number}, **facts) for number in range(1, count + 1)))


class Judging(SynchronousTestCase):
    """Versions that are so many days old."""

    def judged(self, versions: list[Placed], *days: float, **policy: Any) -> list[str]:
        """The reason for each version, oldest first; without days all are a hundred days old."""
        ages = dict(zip((placed.rank for placed in versions), days or [100.0] * len(versions), strict=True))
        verdicts = judge(History(versions), lambda one: NOW - ages[one.rank] * DAY, Policy(**policy), NOW)
        return [str(verdict.reason) for verdict in verdicts]


class KeepTests(Judging):
    """The newest so many."""

    def test_the_current_one_counts(self) -> None:
        """Of five versions with keep = 3 the current one and two more stay."""
        self.assertEqual(self.judged(line(5, keep=3)), ["old", "old", "last", "last", "head"])

    def test_what_the_file_says_wins(self) -> None:
        """`vers 2` beats the setting, in both directions."""
        self.assertEqual(self.judged(line(3, keep=2), keep=9), ["old", "last", "head"])
        self.assertEqual(self.judged(line(3, keep=9), keep=1), ["last", "last", "head"])

    def test_the_reference_never_lowers_it(self) -> None:
        """Its messages say 1 because nobody said otherwise."""
        versions = at(theirs("a"), theirs("b"), theirs("c"))
        self.assertEqual(self.judged(versions, keep=2), ["old", "last", "head"])

    def test_a_tombstone_between_is_no_content(self) -> None:
        """It takes no place among those that are kept, and goes when it is a year old."""
        versions = at(
            ours("a", "w", {"w": 1}, keep=2),
            ours("b", "w", {"w": 2}, keep=2, deleted=True),
            ours("c", "w", {"w": 3}, keep=2),
        )
        self.assertEqual(self.judged(versions), ["last", "tombstone", "head"])
        self.assertEqual(self.judged(versions, 400, 400, 1), ["last", "old", "head"])

    def test_a_removed_file_keeps_its_versions(self) -> None:
        """For a year as the policy says, so that it can be brought back."""
        versions = [*line(3, keep=2), *at(ours("t", "w", {"w": 4}, keep=2, deleted=True))]
        versions[-1] = versions[-1]._replace(places=(9,))
        self.assertEqual(self.judged(versions), ["old", "last", "last", "head"])

    def test_a_file_removed_long_ago(self) -> None:
        """After a year its versions go first, whatever the policy; then, alone, the tombstone."""
        versions = [*line(2), *at(ours("t", "w", {"w": 3}, deleted=True))]
        versions[-1] = versions[-1]._replace(places=(9,))
        self.assertEqual(self.judged(versions, 500, 500, 366, daily=9), ["removed", "removed", "head"])
        self.assertEqual(self.judged(versions[-1:], 366), ["tombstone-over"])
        self.assertEqual(self.judged(versions[-1:], 364), ["head"])


class CalendarTests(Judging):
    """Rules of time."""

    def test_within(self) -> None:
        """Every version that is not older stays."""
        self.assertEqual(self.judged(line(4, keep=1), 30, 8, 7, 1, within=7 * DAY), ["old", "old", "within", "head"])

    def test_what_lies_in_the_future_is_new(self) -> None:
        """A clock that was ahead costs no version."""
        self.assertEqual(self.judged(line(2, keep=1), -9, 1, within=DAY), ["within", "head"])

    def test_daily(self) -> None:
        """The last version of each of the last days that have one; days without one are not counted."""
        ages = (9.1, 9.0, 5.4, 5.1, 0.5)
        self.assertEqual(self.judged(line(5, keep=1), *ages, daily=2), ["old", "old", "old", "daily", "head"])
        self.assertEqual(self.judged(line(5, keep=1), *ages, daily=3)[:2], ["old", "daily"])

    def test_weekly_and_monthly(self) -> None:
        """The same with weeks, which begin on Monday, and calendar months."""
        ages = (65.0, 40.0, 14.0, 7.0, 0.0)  # of 4 October 2024, a Friday
        self.assertEqual(self.judged(line(5, keep=1), *ages, weekly=3), ["old", "old", "weekly", "weekly", "head"])
        self.assertEqual(self.judged(line(5, keep=1), *ages, monthly=3), ["old", "monthly", "old", "monthly", "head"])

    def test_times_beyond_the_calendar(self) -> None:
        """Whatever a writer's clock said, it is judged."""
        self.assertEqual(len(self.judged(line(3, keep=1), 1e12, -1e12, 0, daily=1, weekly=1, monthly=1)), 3)


class AlwaysTests(Judging):
    """What no policy touches."""

    def test_heads(self) -> None:
        """All heads of a conflict stay, whatever is asked for."""
        versions = at(ours("a", "x", {"x": 1}, keep=1), ours("b", "y", {"y": 1}, keep=1))
        self.assertEqual(self.judged(versions), ["head", "head"])

    def test_what_is_not_understood(self) -> None:
        """A version with a word in `needs` that is unknown here stays (FORMAT 1.5)."""
        versions = at(
            ours("a", "w", {"w": 1}, keep=1, needs=("wings",), understood=False),
            ours("b", "w", {"w": 2}, keep=1),
        )
        self.assertEqual(self.judged(versions), ["not-understood", "head"])

    def test_a_file_that_is_not_understood(self) -> None:
        """Where a head is none that is understood, nobody here knows how many versions its user wants (FORMAT 1.5)."""
        newer = ours("v4", "w", {"w": 4}, keep=50, needs=("wings",), understood=False)
        versions = at(*(placed.version for placed in line(3, keep=1)), newer)
        self.assertEqual(self.judged(versions, keep=1), ["not-understood"] * 4)
        removed = at(*(placed.version for placed in versions), ours("v5", "x", {"x": 1}, keep=1, deleted=True))
        self.assertEqual(self.judged(removed, *[400.0] * 5, keep=1), ["not-understood"] * 4 + ["head"])


POLICIES = st.builds(
    Policy,
    keep=st.integers(1, 4),
    within=st.integers(0, 5).map(lambda days: days * DAY),
    daily=st.integers(0, 3),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 3),
)


class RetentionProperties(SynchronousTestCase):
    """What holds for every history and every policy."""

    def judged(self, versions: list[Placed], policy: Policy, seed: int) -> dict[int, Reason]:
        """By rank."""
        times = {placed.rank: NOW - (placed.rank * 7919 + seed) % 900 * DAY / 2 for placed in versions}
        verdicts = judge(History(versions), lambda one: times[one.rank], policy, NOW)
        return {verdict.placed.rank: verdict.reason for verdict in verdicts}

    @given(folders(), POLICIES, st.integers(0, 999))
    def test_heads_stay(self, versions: list[Placed], policy: Policy, seed: int) -> None:
        """But for a sole tombstone that is a year old."""
        reasons = self.judged(versions, policy, seed)
        self.assertEqual(sorted(reasons), sorted(placed.rank for placed in versions))
        for head in History(versions).heads:
            reason = reasons[head.rank]
            self.assertTrue(reason.keeps or (reason is Reason.TOMBSTONE_OVER and len(versions) == 1))

    @given(folders(), POLICIES, st.integers(0, 999))
    def test_asked_again_it_takes_no_more(self, versions: list[Placed], policy: Policy, seed: int) -> None:
        """What stays, stays when the rest is gone; the conflict and the current version are the same."""
        reasons = self.judged(versions, policy, seed)
        left = [placed for placed in versions if reasons[placed.rank].keeps]
        if not left:
            return
        again = self.judged(left, policy, seed)
        gone = [rank for rank, reason in again.items() if not reason.keeps]
        sole = len(left) == 1 and left[0].version.deleted
        self.assertEqual(gone if sole else [], gone)
        before, after = History(versions), History(left)
        self.assertEqual(
            ([one.rank for one in before.heads], before.in_conflict),
            ([one.rank for one in after.heads], after.in_conflict),
        )

    @given(folders())
    def test_ancestors_come_first(self, versions: list[Placed]) -> None:
        """In the order in which versions are judged, and collected."""
        history = History(versions)
        ordered = in_order(history)
        self.assertEqual(sorted(one.rank for one in ordered), sorted(one.rank for one in history.versions))
        for place, placed in enumerate(ordered):
            for later in ordered[place:]:
                self.assertFalse(history.descends(placed, later))

    def test_a_year(self) -> None:
        """The age of a tombstone is the one of FORMAT 5.1."""
        self.assertEqual(TOMBSTONE_SECONDS, 365 * DAY)
