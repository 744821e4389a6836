"""Histories of which versions were collected: nothing that is left changes its place (FORMAT 3, 5.3, 5.6, 10.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.collection import KEPT
from ifap_twisted.core.history import History, Placed
from tests.core.paths_in_time import COLLECTS, DAY, EVENTS, Collect, Event, World
from tests.core.test_history import vids


def settled(events: list[Event]) -> World:
    """What all of it comes to."""
    world = World()
    for _event in world.run(events):
        pass
    return world


def own_place(history: History) -> list[Placed]:
    """What is there and was never collected."""
    return [one for one in history.versions if not history.is_bygone(one)]


class ThinnedTests(SynchronousTestCase):
    """Whatever was collected, cut short and stored again."""

    @given(EVENTS)
    def test_heads_current_and_conflict_stay(self, events: list[Event]) -> None:
        """They are what they would be if nothing had been collected, and nobody misses anything."""
        world = World()
        for event in world.run(events):
            if world.ended:
                continue
            self.assertEqual(vids(world.there.heads), vids(world.whole.heads), event)
            self.assertEqual(world.there.in_conflict, world.whole.in_conflict)
            current = [world.there.current, world.whole.current]
            self.assertEqual(*(one.version.vid if one else None for one in current))
            self.assertEqual(world.index.missing(), ([], []))

    @given(EVENTS)
    def test_who_descends_from_whom_stays(self, events: list[Event]) -> None:
        """For all that is left: a line stays a line, a fork a fork; to a device that comes later, too."""
        world = settled(events)
        left = own_place(world.there)
        for later in left:
            for earlier in left:
                whole = [world.whole.find(one.version.vid)[0] for one in (later, earlier)]
                self.assertEqual(world.there.descends(later, earlier), world.whole.descends(*whole))
        self.assertEqual(world.fresh().versions, world.there.versions)
        self.assertEqual(world.fresh().heads, world.there.heads)

    @given(EVENTS)
    def test_a_merge_descends_from_everything_and_then_the_rest_can_go(self, events: list[Event]) -> None:
        """The next write of a device that sees all; its clock is not longer than it has to be (FORMAT 3.6)."""
        world = settled(events)
        left = own_place(world.there)
        present = {one.version.writer for one in world.there.versions if one.version.ours}
        merged = world.merge()
        self.assertEqual(vids(world.there.heads), ["merged"])
        self.assertLessEqual(set(vids(left)), set(vids(world.there.ancestors(merged))))
        self.assertLessEqual(len(merged.version.clock), max(limits.CLOCK_ENTRIES, len(present) + 1))
        for _ in range(4):
            world.now += 400 * DAY
            world.collect(Collect(spared=frozenset(), keep=1, cut=frozenset()))
        self.assertEqual(vids(world.there.versions), ["merged"])

    @given(EVENTS, COLLECTS, COLLECTS)
    def test_two_who_collect_at_once_change_nothing(self, events: list[Event], one: Collect, other: Collect) -> None:
        """By policies of their own, and each may be cut short."""
        world = settled(events)
        world.now += 10 * DAY
        world.collect(one, other)
        if not world.ended:
            self.assertEqual(vids(world.there.heads), vids(world.whole.heads))
            self.assertEqual(world.index.missing(), ([], []))

    @given(EVENTS, st.frozensets(st.integers(0, 8)))
    def test_what_others_remove_hides_nothing(self, events: list[Event], removed: frozenset[int]) -> None:
        """What is left without them is a head, or replaced by others that are there, of whom the last is one."""
        history = settled(events).there
        rest = history.of(one for number, one in enumerate(history.versions) if number not in removed)
        shown = {one.rank for one in rest.heads}
        waiting = list(rest.heads)
        while waiting:
            below = [one for one in rest.ancestors(waiting.pop()) if one.rank not in shown]
            shown.update(one.rank for one in below)
            waiting += below
        self.assertEqual([], [one for one in own_place(rest) if one.rank not in shown])

    @given(EVENTS)
    def test_a_copy_hides_no_head_when_the_record_is_gone(self, events: list[Event]) -> None:
        """It is the ancestor that it was, or a conflict that is reported (FORMAT 3.6)."""
        world = settled(events)
        left = History(own_place(world.there), fences=world.index.locks("a").fences)
        for vid, one in world.made.items():
            if one.version.ours and not left.find(vid):
                after = left.followed_by([one._replace(places=(world.index.highest + 1,))])
                self.assertLessEqual(set(vids(left.heads)), set(vids(after.heads)))


class KeptTests(SynchronousTestCase):
    """What a policy keeps."""

    @given(EVENTS, st.integers(1, 3))
    def test_copies_take_nobody_s_place(self, events: list[Event], keep: int) -> None:
        """What is kept without those that were collected once is kept beside them."""
        world = settled(events)
        heads = world.there.heads
        if not own_place(world.there) or any(map(world.there.is_bygone, heads)):
            return
        event = Collect(spared=frozenset(), keep=keep, cut=frozenset())
        beside = {case.placed.version.vid for case in world.survey(event).cases if case.fate == KEPT}
        for one in world.there.versions:
            if world.there.is_bygone(one):
                world.index.discard(one.places)
        alone = {case.placed.version.vid for case in world.survey(event).cases if case.fate == KEPT}
        self.assertLessEqual(alone, beside)
