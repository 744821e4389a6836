"""One path in a folder as devices, reference programs, holders of locks and collectors make it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from hypothesis import strategies as st

from ifap_twisted.core import planning
from ifap_twisted.core.disposal import Disposal, Knowledge, survey
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.leases import may_go
from ifap_twisted.core.plans import Standing
from ifap_twisted.core.records import Gone
from ifap_twisted.core.retention import Policy
from ifap_twisted.core.values import Version
from tests.core.test_history import ours, theirs
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


class Tidy(NamedTuple):
    """A lock object that is not needed any more is removed."""

    which: int


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


Event: TypeAlias = Write | TakeOver | Tidy | Collect | Replay | Pass

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
    of_locks = st.builds(TakeOver, st.integers(0, LOCKS - 1)) | st.builds(Tidy, st.integers(0, 3))
    for event in draw(st.lists(of_locks, max_size=2)):
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
        self._fences: dict[str, int] = {}

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
        return History(self.made.values(), fences=self._fences)

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
                case Tidy():
                    self._tidy(event.which)
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
        """Its message also says what earlier ones say, so that they need not stay."""
        over = {f"L{number}": 0, **self.index.locks("a").past(())}
        uid = self._add(lock(f"T{self.index.highest}", path="a", over=over, validity=1))
        self._fences.setdefault(f"L{number}", uid)

    def _tidy(self, which: int) -> None:
        locks = self.index.locks("a")
        uids = [uid for claim in locks.claims for uid in claim.places]
        if uids and may_go(locks, [uids[which % len(uids)]], self.there.versions):
            self.index.discard([uids[which % len(uids)]])

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

    def collect(self, *events: Collect) -> None:
        """Each records what may go, and removes it or a part of it; all saw the same, before anything was removed."""
        if not self.there:
            return
        found = [(event, self.survey(event)) for event in events]
        for _event, disposal in found:
            gone = [Gone.of(one.version, time=self.now, end=disposal.end) for one in disposal.going]
            self.index.note_collected(gone)
        for event, disposal in found:
            for one in _cut_short(disposal.going, event.cut, together=disposal.together):
                self.index.forget(one.places)
        self.ended = any(disposal.end for _event, disposal in found) and not self.there

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
