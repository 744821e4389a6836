"""Histories of which versions were collected: nothing that is left changes its place (FORMAT 3, 5.3, 5.6, 10.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, planning
from ifap_twisted.core.collection import KEPT
from ifap_twisted.core.disposal import Disposal, Knowledge, survey
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.plans import Standing
from ifap_twisted.core.records import Gone
from ifap_twisted.core.retention import Policy
from ifap_twisted.core.values import Version
from tests.core.test_history import ours, theirs, vids
from tests.core.test_leases import lock

DEVICES: Final = 12
"""More than a clock has entries."""
PROGRAMS: Final = 3
LOCKS: Final = 2
DAY: Final = 86400.0
GRACE: Final = 7 * DAY


class Write(NamedTuple):
    """Somebody writes.

    :ivar who: a device, or a reference program.
    :ivar unseen: of the messages that there are, newest first, these are not seen.
    :ivar all_heads: all heads that are seen are replaced, not only the current one.
    :ivar lock: under which it is written; whether it is over the writer does not know.
    """

    who: int
    unseen: frozenset[int]
    all_heads: bool
    deleted: bool
    lock: int | None


class TakeOver(NamedTuple):
    """A lock is taken over: what is written under it from now on comes too late."""

    lock: int


class Collect(NamedTuple):
    """Somebody collects.

    :ivar spared: of the messages that there are, oldest first, these are in no plan; the others were planned as soon as
        they were there.
    :ivar keep: how many versions his policy keeps.
    :ivar cut: how much of what may go is removed before he is stopped: all of it, but for these, or from these on.
    """

    spared: frozenset[int]
    keep: int
    cut: frozenset[int]


class Replay(NamedTuple):
    """One that was collected is there again, above everything else."""

    which: int


class Pass(NamedTuple):
    """Time goes by, in days."""

    days: int


Event: TypeAlias = Write | TakeOver | Collect | Replay | Pass

few = st.frozensets(st.integers(0, 4), max_size=2)
WRITES = st.builds(
    Write,
    st.integers(0, DEVICES + PROGRAMS - 1),
    st.just(frozenset()) | few,
    st.sampled_from([True, True, True, False]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([None, None, None, 0, 1]),
)
COLLECTS = st.builds(Collect, st.just(frozenset()) | few, st.sampled_from([1, 1, 2, 3]), st.just(frozenset()) | few)


@st.composite
def rounds(draw: st.DrawFn) -> list[Event]:
    """Some write, time goes by, somebody collects, and what is gone may turn up again."""
    happened: list[Event] = draw(st.lists(WRITES, min_size=2, max_size=9))
    taken = st.builds(TakeOver, st.integers(0, LOCKS - 1))
    for event in draw(st.lists(taken, max_size=1)):
        happened.insert(draw(st.integers(0, len(happened))), event)
    happened.append(Pass(draw(st.sampled_from([10, 10, 10, 400, 1]))))
    happened.append(draw(COLLECTS))
    happened += draw(st.lists(st.builds(Replay, st.integers(0, 9)), max_size=2))
    return happened


EVENTS = st.lists(rounds(), min_size=1, max_size=4).map(lambda some: [event for one in some for event in one])


class World:
    """One path in a folder, as devices, reference programs and collectors make it.

    :ivar made: every version that was ever written, where it was first.
    :ivar index: what an observer knows who saw everything happen.
    """

    def __init__(self) -> None:
        self.made: dict[str, Placed] = {}
        self.index = Index(validity=1)
        self.dates: dict[int, float] = {}
        self.now = 0.0
        self.ended = False
        self._names = [f"w{number}" for number in range(DEVICES)]
        self._numbers: dict[str, int] = {}
        self._over: dict[int, int] = {}

    @property
    def there(self) -> History:
        """What is there."""
        return self.index.history("a")

    def fresh(self) -> History:
        """The same to a device that comes now."""
        index = Index(self.index.records, validity=1)
        for uid in self.index.uids():
            if (version := self.index.at(uid)) is not None:
                index.observe(uid, version)
        return index.history("a")

    @property
    def whole(self) -> History:
        """What would be there if nothing had ever been collected."""
        return History(self.made.values(), fences=self.index.locks("a").fences)

    def run(self, events: Iterable[Event]) -> Iterator[Event]:
        """Let one after the other happen, until the file has ended."""
        for event in events:
            if self.ended:
                return
            match event:
                case Write():
                    self._write(event)
                case TakeOver():
                    self._take_over(event.lock)
                case Collect():
                    self.collect(event)
                case Replay():
                    self._replay(event.which)
                case Pass():
                    self.now += event.days * DAY
            yield event

    def _add(self, version: Version) -> int:
        uid = self.index.highest + 1
        self.index.observe(uid, version)
        self.dates[uid] = self.now
        return uid

    # Writing

    def _write(self, event: Write) -> None:
        seen = [one for number, one in enumerate(reversed(self.there.versions)) if number not in event.unseen]
        vid = f"v{len(self.made)}"
        version = self._saved(vid, seen) if event.who >= DEVICES else self._written(vid, self.there.of(seen), event)
        self.made[vid] = Placed(version, (self._add(version),))

    def _saved(self, vid: str, seen: Collection[Placed]) -> Version:
        """A reference program starts from the newest message that it sees (FORMAT 1.3)."""
        if not seen:
            return theirs(vid)
        newest = max(seen, key=lambda one: one.places[-1]).version
        return theirs(vid, newest.vid if newest.ours else newest.inherits, dict(newest.clock))

    def _written(self, vid: str, history: History, event: Write) -> Version:
        replaced = list(history.heads) if event.all_heads or not history.current else [history.current]
        writer = self._names[event.who]
        if planning.would_hide_own(history, replaced, writer) or self._unsure(writer, history):
            writer = self._names[event.who] = f"{writer}'"
        self._numbers[writer] = self._numbers.get(writer, 0) + 1
        place = planning.ancestry(history, replaced, writer=writer, number=self._numbers[writer])
        under = None if event.lock is None else f"L{event.lock}"
        return ours(vid, writer, dict(place.clock), parents=place.parents, deleted=event.deleted, lock=under)

    def _unsure(self, writer: str, history: History) -> bool:
        """A device sees what it wrote itself, or it draws another name (FORMAT 3.2)."""
        return any(one.version.writer == writer and not history.find(one.version.vid) for one in self.there.versions)

    def _take_over(self, number: int) -> None:
        name = f"T{self.index.highest}"
        self._add(lock(name, path="a", over={f"L{number}": 0}, validity=1))

    def merge(self) -> Placed:
        """Somebody who sees everything replaces all heads."""
        place = planning.ancestry(self.there, self.there.heads, writer="merger", number=1)
        version = ours("merged", "merger", dict(place.clock), parents=place.parents)
        self.made["merged"] = Placed(version, (self._add(version),))
        return self.there.find("merged")[0]

    # Collecting

    def survey(self, event: Collect) -> Disposal:
        """What a collector finds who sees everything."""
        places = {uid: one for one in self.there.versions for uid in one.places}
        planned = [uid for number, uid in enumerate(sorted(places)) if number not in event.spared]
        known = Knowledge(
            now=self.now,
            dates=self.dates,
            standing={uid: Standing(places[uid].version.vid, "old", self.dates[uid]) for uid in planned},
            records=self.index.records,
            policy=Policy(keep=event.keep),
            grace=GRACE,
        )
        (disposal,) = survey({"a": self.there}, known)
        return disposal

    def collect(self, event: Collect) -> None:
        """Record what may go, and remove it, or a part of it."""
        if not self.there:
            return
        disposal = self.survey(event)
        going = disposal.going
        self.index.note_collected([Gone.of(one.version, time=self.now, end=disposal.end) for one in going])
        for one in _cut_short(going, event.cut, together=disposal.together):
            self.index.forget(one.places)
        self.ended = disposal.end and not self.there

    def _replay(self, which: int) -> None:
        """Of those that are on record and not there."""
        gone = [one for vid, one in self.made.items() if self.index.is_collected(vid) and not self.there.find(vid)]
        if gone:
            self._add(gone[which % len(gone)].version)


def _cut_short(going: Sequence[Placed], cut: Collection[int], *, together: bool) -> Sequence[Placed]:
    """What is removed in any order may be any part; what goes in its order is cut from some point on."""
    if together:
        return [one for number, one in enumerate(going) if number not in cut]
    return going[: min(cut, default=len(going))]


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
        present = {one.version.writer for one in left if one.version.ours}
        merged = world.merge()
        self.assertEqual(vids(world.there.heads), ["merged"])
        self.assertLessEqual(set(vids(left)), set(vids(world.there.ancestors(merged))))
        self.assertLessEqual(len(merged.version.clock), max(limits.CLOCK_ENTRIES, len(present) + 1))
        for _ in range(4):
            world.now += 400 * DAY
            world.collect(Collect(spared=frozenset(), keep=1, cut=frozenset()))
        self.assertEqual(vids(world.there.versions), ["merged"])

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
