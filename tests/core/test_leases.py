"""Locks from their objects: who holds, what is over, what came too late (FORMAT 10)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import leases, limits
from ifap_twisted.core.history import Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.leases import Locks, Observations
from ifap_twisted.core.values import Lease, Version

VALIDITY = 7


def lock(vid: str, of: str | None = None, *, writer: str = "A", **facts: Any) -> Version:
    """A lock object for the path ``a``; ``seconds`` is 100 unless said otherwise."""
    facts = {"path": "a", "seconds": 100, "validity": VALIDITY, **facts}
    return Version(
        path=leases.object_path(vid), vid=vid, sealed_id=vid, ours=True, encrypted=True, length=0, size=0,
        modified=0.0, writer=writer, clock={writer: 1}, lease=Lease(of=of or vid, **facts),
    )  # fmt: skip


def file(vid: str, writer: str, clock: dict[str, int], under: str | None = None) -> Version:
    """A version of the file ``a``."""
    return Version(
        path="a", vid=vid, sealed_id=vid, ours=True, encrypted=True, length=0, size=0, modified=0.0, writer=writer,
        clock=clock, sha256=vid, lock=under,
    )  # fmt: skip


def locks(*versions: Version, first: int = 1) -> Locks:
    """The locks of objects at UIDs 1, 2, 3 …"""
    return Locks([Placed(version, (uid,)) for uid, version in enumerate(versions, first)], VALIDITY)


def index_of(*versions: Version, validity: int = VALIDITY) -> Index:
    """The index of messages at UIDs 1, 2, 3 …"""
    index = Index(validity=validity)
    for uid, version in enumerate(versions, 1):
        index.observe(uid, version)
    return index


class ClaimTests(SynchronousTestCase):
    """Which lock holds."""

    def holding(self, found: Locks) -> str | None:
        """The id of the lock that holds when no lease has run out."""
        claim = Observations().holding(found, 0.0)
        return None if claim is None else claim.id

    def test_of_two_locks_the_lower_uid_holds(self) -> None:
        """Whoever came first (FORMAT 10.1)."""
        self.assertEqual(self.holding(locks(lock("L"), lock("T"))), "L")

    def test_a_released_lock_holds_no_more(self) -> None:
        """By a message of its own, where it could not be removed."""
        self.assertEqual(self.holding(locks(lock("L"), lock("T"), lock("r", "L", number=1, seconds=0))), "T")

    def test_a_release_that_came_is_final(self) -> None:
        """A renewal that was on its way brings nothing back."""
        found = locks(lock("L"), lock("r", "L", number=1, seconds=0), lock("s", "L", number=2))
        self.assertIsNone(self.holding(found))

    def test_a_lock_that_another_says_is_over_holds_no_more(self) -> None:
        """A takeover."""
        self.assertEqual(self.holding(locks(lock("L"), lock("T", over={"L": 0}))), "T")

    def test_a_renewal_that_a_takeover_did_not_know_keeps_the_lock(self) -> None:
        """The one who took over had not seen it: it holds nothing."""
        found = locks(lock("L"), lock("r", "L", number=1), lock("T", over={"L": 0}))
        self.assertEqual(self.holding(found), "L")

    def test_a_renewal_after_a_takeover_brings_nothing_back(self) -> None:
        """The holder slept."""
        found = locks(lock("L"), lock("T", over={"L": 0}), lock("r", "L", number=1))
        self.assertEqual(self.holding(found), "T")

    def test_a_renumbering_voids_all_locks(self) -> None:
        """Their order means nothing any more (FORMAT 10.2)."""
        found = locks(lock("L", validity=VALIDITY - 1))
        self.assertEqual((found.claims, found.void), ((), [1]))

    def test_an_object_under_another_name_is_none(self) -> None:
        """A copy of a lease at another path, or at a user's."""
        foreign = lock("L")._replace(path="IFAP/locks/other")
        users = lock("M")._replace(path="a/b")
        index = index_of(foreign, users, lock("N")._replace(ours=False))
        self.assertEqual((list(index.locked_paths()), index.locks("a").claims), ([], ()))

    def test_a_message_says_what_is_over_of_all_before_it_newest_first(self) -> None:
        """So that what fences is not lost when older objects are removed; no more than it may hold."""
        found = locks(*[lock(f"L{n}", over={f"K{n}": n}) for n in range(6)])
        past = found.past([claim for claim in found.claims if claim.id in ("L4", "L5")])
        self.assertEqual(list(past), ["L5", "L4", "K5", "K4", "K3", "K2", "K1", "K0"])
        self.assertEqual(len(past), limits.LOCKS_OVER)
        self.assertEqual((past["L5"], past["K5"]), (0, 5))


class LeaseTests(SynchronousTestCase):
    """When a lease has run out."""

    def setUp(self) -> None:
        self.observed = Observations()

    def ended(self, found: Locks, now: float) -> bool:
        """Whether that of the first lock has."""
        return self.observed.has_ended(found.claims[0], now)

    def test_it_lasts_while_nothing_is_known_of_time(self) -> None:
        """However old it may be."""
        self.assertFalse(self.ended(locks(lock("L")), 1e9))

    def test_it_ends_when_the_observer_has_known_it_for_so_long(self) -> None:
        """By its own elapsed clock."""
        self.observed.see({1: "L"}, 1000.0)
        self.assertFalse(self.ended(locks(lock("L")), 1099.9))
        self.assertTrue(self.ended(locks(lock("L")), 1100.0))

    def test_it_ends_by_the_server_s_dates_of_later_messages(self) -> None:
        """Whatever clock the observer has."""
        self.observed.date({1: 5000.0, 2: 5099.0}, 0.0)
        self.assertFalse(self.ended(locks(lock("L")), 0.0))
        self.observed.date({3: 5100.0}, 0.0)
        self.assertTrue(self.ended(locks(lock("L")), 0.0))

    def test_time_since_a_dated_message_counts(self) -> None:
        """It was there already, so that at least so much has passed on the server."""
        self.observed.date({1: 5000.0, 2: 5090.0}, 20.0)
        self.assertFalse(self.ended(locks(lock("L")), 29.0))
        self.assertTrue(self.ended(locks(lock("L")), 30.0))

    def test_a_date_of_an_earlier_message_says_nothing(self) -> None:
        """The server's clock may have been wrong before."""
        self.observed.date({1: 9000.0, 2: 5000.0}, 0.0)
        self.assertFalse(self.observed.has_ended(locks(lock("L"), first=2).claims[0], 0.0))

    def test_a_server_whose_clock_jumps_back_ends_nothing_early(self) -> None:
        """Then the observer's clock decides."""
        self.observed.see({1: "L"}, 0.0)
        self.observed.date({1: 5000.0, 2: 1400.0}, 0.0)
        self.assertFalse(self.ended(locks(lock("L")), 99.0))
        self.assertTrue(self.ended(locks(lock("L")), 100.0))

    def test_another_message_at_a_uid_is_new(self) -> None:
        """A mailbox was put back: neither the time for which the former was known nor its date are those of this."""
        self.observed.see({1: "K"}, 0.0)
        self.observed.date({1: 5000.0, 2: 5100.0}, 0.0)
        self.assertTrue(self.ended(locks(lock("L")), 0.0))
        self.observed.see({1: "L"}, 100.0)
        self.assertFalse(self.ended(locks(lock("L")), 199.0))
        self.assertEqual(self.observed.undated([1, 2]), [1])
        self.observed.see({1: "L"}, 150.0)
        self.assertTrue(self.ended(locks(lock("L")), 200.0))

    def test_nor_is_the_date_of_a_file_that_of_a_lock_at_its_uid(self) -> None:
        """It is asked for anew."""
        self.observed.date({1: 5000.0, 2: 5100.0}, 0.0)
        self.observed.see({1: "L"}, 0.0)
        self.assertFalse(self.ended(locks(lock("L")), 99.0))
        self.assertEqual(self.observed.undated([1, 2]), [1])

    def test_the_last_renewal_counts(self) -> None:
        """Each one is a whole lease."""
        found = locks(lock("L"), lock("r", "L", number=1, seconds=50))
        self.observed.see({1: "L"}, 0.0)
        self.observed.see({2: "r"}, 90.0)
        self.assertFalse(self.ended(found, 139.0))
        self.assertTrue(self.ended(found, 140.0))


class FencingTests(SynchronousTestCase):
    """What was written under a lock that was taken over before it arrived (FORMAT 10.2)."""

    def test_a_late_write_is_a_head_in_conflict_and_not_current(self) -> None:
        """Though its rank is the highest."""
        index = index_of(
            file("1", "A", {"A": 1}, "L"),
            lock("L"),
            lock("T", over={"L": 0}),
            file("2", "B", {"A": 1, "B": 1}, "T"),
            file("3", "A", {"A": 2}, "L"),
        )
        history = index.history("a")
        self.assertEqual([head.version.vid for head in history.heads], ["2", "3"])
        assert history.current is not None
        self.assertEqual((history.current.version.vid, history.in_conflict), ("2", True))

    def test_a_late_write_does_not_cover_what_it_replaced(self) -> None:
        """What was current when the lock was taken over stays it."""
        index = index_of(file("1", "A", {"A": 1}), lock("T", over={"L": 0}), file("2", "A", {"A": 2}, "L"))
        history = index.history("a")
        self.assertEqual([head.version.vid for head in history.heads], ["1", "2"])
        self.assertEqual(index.file("a"), history.current)
        assert history.current is not None
        self.assertEqual(history.current.version.vid, "1")

    def test_of_late_writes_only_the_last_is_a_head(self) -> None:
        """One after the other by the same sleeper."""
        index = index_of(
            file("1", "A", {"A": 1}),
            lock("T", over={"L": 0}),
            file("2", "A", {"A": 2}, "L"),
            file("3", "A", {"A": 3}, "L"),
        )
        self.assertEqual([head.version.vid for head in index.history("a").heads], ["1", "3"])

    def test_a_later_version_that_knows_both_ends_the_conflict(self) -> None:
        """As with every conflict."""
        index = index_of(
            file("1", "A", {"A": 1}),
            lock("T", over={"L": 0}),
            file("2", "A", {"A": 2}, "L"),
            file("3", "B", {"A": 2, "B": 1}),
        )
        self.assertEqual([head.version.vid for head in index.history("a").heads], ["3"])
        self.assertFalse(index.history("a").in_conflict)

    def test_a_late_write_alone_is_current(self) -> None:
        """While there is no other."""
        index = index_of(lock("T", over={"L": 0}), file("1", "A", {"A": 1}, "L"))
        history = index.history("a")
        assert history.current is not None
        self.assertEqual((history.current.version.vid, history.in_conflict), ("1", False))
        self.assertEqual(history.timely_heads, ())

    def test_a_write_before_the_takeover_is_in_time(self) -> None:
        """It was read back while the lock held."""
        index = index_of(file("1", "A", {"A": 1}, "L"), lock("T", over={"L": 0}))
        self.assertFalse(index.history("a").is_late(index.history("a").versions[0]))

    def test_news_of_a_takeover_change_what_was_read_before(self) -> None:
        """In whatever order the messages were read."""
        index = index_of(file("1", "A", {"A": 1}))
        index.observe(3, file("2", "A", {"A": 2}, "L"))
        self.assertEqual([head.version.vid for head in index.history("a").heads], ["2"])
        index.observe(2, lock("T", over={"L": 0}))
        self.assertEqual([head.version.vid for head in index.history("a").heads], ["1", "2"])
        index.forget([2])
        self.assertEqual([head.version.vid for head in index.history("a").heads], ["2"])

    def test_a_takeover_from_before_a_renumbering_fences_nothing(self) -> None:
        """Ranks have no order any more that means anything."""
        index = index_of(lock("T", over={"L": 0}), file("1", "A", {"A": 1}, "L"), validity=VALIDITY + 1)
        self.assertFalse(index.history("a").is_late(index.history("a").versions[0]))


IDS = ["L", "M", "N"]
objects = st.builds(
    lambda of, number, seconds, over: (of, number, seconds, over),
    st.sampled_from(IDS),
    st.integers(0, 3),
    st.sampled_from([0, 50, 100]),
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 3), max_size=2),
)


class OrderTests(SynchronousTestCase):
    """The same messages mean the same, in whatever order they were seen."""

    @given(st.lists(objects, max_size=8), st.randoms(use_true_random=False))
    def test_the_order_of_reading_decides_nothing(self, found: list[Any], random: Any) -> None:
        """Holder and fences follow from the set of messages."""
        versions = [
            lock(f"m{uid}" if n else of, of, number=n, seconds=seconds, over=over)
            for uid, (of, n, seconds, over) in enumerate(found)
        ]
        placed = [Placed(version, (uid,)) for uid, version in enumerate(versions, 1)]
        shuffled = random.sample(placed, len(placed))
        one, other = Locks(placed, VALIDITY), Locks(shuffled, VALIDITY)
        self.assertEqual((one.claims, one.fences), (other.claims, other.fences))

    @given(
        st.lists(objects, max_size=8),
        st.dictionaries(st.integers(1, 8), st.floats(0, 200)),
        st.dictionaries(st.integers(1, 8), st.floats(0, 200)),
        st.floats(0, 300),
        st.floats(0, 300),
    )
    def test_there_is_one_holder_at_most_and_a_lock_never_comes_back(
        self, found: list[Any], seen: dict[int, float], dates: dict[int, float], now: float, later: float
    ) -> None:
        """By any observations; what an observer took for over is over for it from then on."""
        placed = [
            Placed(lock(f"m{uid}" if n else of, of, number=n, seconds=seconds, over=over), (uid,))
            for uid, (of, n, seconds, over) in enumerate(found, 1)
        ]
        observed = Observations()
        for uid, moment in seen.items():
            observed.see({uid: f"m{uid}"}, moment)
        observed.date(dates, now)
        before = [claim.id for claim in Locks(placed, VALIDITY).open if not observed.has_ended(claim, now)]
        after = [claim.id for claim in Locks(placed, VALIDITY).open if not observed.has_ended(claim, now + later)]
        self.assertLessEqual(set(after), set(before))
        holding = observed.holding(Locks(placed, VALIDITY), now)
        self.assertEqual([] if holding is None else [holding.id], before[:1])

    @given(st.lists(objects, max_size=8), st.integers(0, 8))
    def test_what_is_over_stays_over(self, found: list[Any], known: int) -> None:
        """A message of higher UID never revives a lock that was released or taken over."""
        placed = [
            Placed(lock(f"m{uid}" if n else of, of, number=n, seconds=seconds, over=over), (uid,))
            for uid, (of, n, seconds, over) in enumerate(found, 1)
        ]
        early, all_of_them = Locks(placed[:known], VALIDITY), Locks(placed, VALIDITY)
        still_open = {claim.id for claim in all_of_them.open}
        dead = {claim.id for claim in early.claims} - {claim.id for claim in early.open}
        self.assertEqual(dead & still_open, set())
        self.assertLessEqual(early.fences.items(), all_of_them.fences.items())
