"""What may be removed for good from one folder, as far as can be told from what is known of it (FORMAT 5.3, 5.6).

It decides from the histories, the dates that the server gave and the plans that stand; it removes nothing, and in doubt
a version stays. The one law above all policies: no removal, in whatever order it is cut short, may make a head of what
was none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ifap_twisted.core import paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.plans import Standing
from ifap_twisted.core.records import Records
from ifap_twisted.core.retention import Judged, Policy, Reason, in_order, judge

__all__ = ["REFERENCED", "UNREFERENCED", "Case", "Disposal", "Knowledge", "survey"]

ONE_BY_ONE: Final = 200
"""Versions of one path that are tried one after the other in one collection; the rest comes with the next."""

IN_USE: Final = "in-use"
DAMAGED: Final = "damaged"
MISSING: Final = "missing"
NOT_TOLD_APART: Final = "not-told-apart"
NOT_COVERED: Final = "not-covered"
REFERENCED: Final = "referenced"
UNREFERENCED: Final = "unreferenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What a survey goes by besides the histories.

    :ivar now: the server's clock, as the date of a message that it just received.
    :ivar dates: INTERNALDATE by UID; what has none stays.
    :ivar standing: what the plans say, by UID.
    :ivar grace: seconds between a plan and what it allows.
    :ivar in_use: paths that are being written, or read, on this device.
    :ivar snapshot: the path of the snapshots, of which only the newest is of use (FORMAT 6.2).
    :ivar unreadable: the highest UID of a message that cannot be read; 0: there is none.
    :ivar damaged: UIDs of messages whose contents cannot be used, or could not when they were read last.
    :ivar objects: ids of plans and records that nothing needs any more, and why.
    :ivar unneeded: the paths of chunks that no manifest names; None: not known, and no chunk may go (FORMAT 7.2).
    """

    now: float
    dates: Mapping[int, float]
    standing: Mapping[int, Standing]
    records: Records
    policy: Policy
    grace: float
    in_use: Collection[str] = ()
    snapshot: str = ""
    unreadable: int = 0
    damaged: Collection[int] = ()
    objects: Mapping[str, str] = field(default_factory=dict)
    unneeded: Collection[str] | None = None

    def date(self, placed: Placed) -> float | None:
        """When the last copy of a version was received; None where one has no date."""
        found = [self.dates.get(uid) for uid in placed.places]
        known = [date for date in found if date is not None]
        return max(known) if len(known) == len(found) else None

    def time(self, placed: Placed) -> float:
        """When a version was stored; where writer and server differ, the later.

        A removal counts as new while a message after it cannot be read: that may be what came after it.
        """
        if placed.version.deleted and placed.rank < self.unreadable:
            return self.now
        date = self.date(placed)
        return max(self.now if date is None else date, placed.version.written)

    def aged(self, placed: Placed) -> bool:
        """It has been there for a grace: whoever wrote it can no longer take it back (FORMAT 4.4)."""
        date = self.date(placed)
        return date is not None and self.now - date >= self.grace

    def left(self, placed: Placed) -> float:
        """Seconds until every place of a planned version has waited its grace; not above 0 when it has."""
        return max(self.standing[uid].since for uid in placed.places) + self.grace - self.now

    def unplanned(self, placed: Placed) -> tuple[int, ...]:
        """The places of a version that no plan names."""
        vid = placed.version.vid
        return tuple(u for u in placed.places if u not in self.standing or self.standing[u].vid != vid)


class Case(NamedTuple):
    """A version, what becomes of it, why, and for how long it waits."""

    placed: Placed
    fate: str
    reason: str
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Disposal:
    """What becomes of the versions of one path.

    :ivar cases: ancestors before descendants.
    :ivar together: those that may go can go in any order; otherwise one after the other, in theirs.
    :ivar end: the last of the path goes, a tombstone past its age.
    """

    path: str
    cases: tuple[Case, ...]
    together: bool = True
    end: bool = False

    @property
    def going(self) -> tuple[Placed, ...]:
        """What may be removed now, in its order."""
        return tuple(case.placed for case in self.cases if case.fate == COLLECTED)


def survey(histories: Mapping[str, History], known: Knowledge) -> Iterator[Disposal]:
    """What becomes of each version of each path, by path; reserved ones only as far as something of them may go."""
    for path in sorted(histories):
        history = histories[path]
        if path == known.snapshot:
            yield _settled(path, history, known, _not_heads(history))
        elif path.startswith(CHUNKS):
            yield from _chunk(path, history, known)
        elif paths.is_reserved(path):
            if any(placed.version.vid in known.objects for placed in history.versions):
                yield _objects(path, history, known)
        elif any(placed.missing for placed in history.versions):
            yield _unsettled(path, history, MISSING)
        elif any(uid in known.damaged for placed in history.versions for uid in placed.places):
            yield _unsettled(path, history, DAMAGED)
        elif len(history.versions) == 1 and not history.versions[0].version.deleted and history.heads:
            yield Disposal(path, (Case(history.versions[0], KEPT, Reason.HEAD),))  # by far the most
        else:
            yield _settled(path, history, known, _judged(history, known))


def _judged(history: History, known: Knowledge) -> list[Judged]:
    """What the policy says, by the later of two times; and what it keeps by the time of writing alone stays, too.

    A message that was sealed anew was received late (FORMAT 8.5): all versions of a file may be of one day then.
    """
    policy = known.policy
    judged = judge(history, known.time, policy, known.now)
    if not (policy.within or policy.daily or policy.weekly or policy.monthly):
        return judged
    written = judge(history, lambda placed: placed.version.written, policy, known.now)
    return [
        other if other.reason.keeps and not one.reason.keeps else one
        for one, other in zip(judged, written, strict=True)
    ]


def _unsettled(path: str, history: History, reason: str) -> Disposal:
    """While a head is missing, or a content is damaged, nothing goes: what is left may be all that there is (5.5)."""
    return Disposal(path, tuple(Case(placed, KEPT, reason) for placed in in_order(history) if not placed.missing))


def _not_heads(history: History) -> list[Judged]:
    heads = {head.rank for head in history.heads}
    return [Judged(one, Reason.HEAD if one.rank in heads else Reason.SUPERSEDED) for one in in_order(history)]


def _objects(path: str, history: History, known: Knowledge) -> Disposal:
    """Plans and records have no history: each stays or goes for what it says."""
    cases = []
    for placed in history.versions:
        reason = known.objects.get(placed.version.vid)
        cases.append(Case(placed, KEPT, Reason.HEAD) if reason is None else _case(placed, reason, known))
    return Disposal(path, tuple(cases))


def _chunk(path: str, history: History, known: Knowledge) -> Iterator[Disposal]:
    """A chunk goes when no manifest names it, and stays while one may come that does: for a grace (FORMAT 7.2).

    One that is needed again is told of only where a plan names it.
    """
    there = [placed for placed in history.versions if placed.places]
    if known.unneeded is None:
        return
    if path not in known.unneeded:
        planned = [one for one in there if any(uid in known.standing for uid in one.places)]
        cases = [Case(one, KEPT, REFERENCED) for one in planned]
    elif path in known.in_use:
        cases = [Case(one, KEPT, IN_USE) for one in there]
    else:
        cases = [_case(one, UNREFERENCED, known) for one in there if known.aged(one)]
    if cases:
        yield Disposal(path, tuple(cases))


def _settled(path: str, history: History, known: Knowledge, judged: Sequence[Judged]) -> Disposal:
    ids = Counter(placed.version.vid for placed in history.versions)
    cases = []
    for placed, reason in judged:
        if reason.keeps:
            cases.append(Case(placed, KEPT, reason))
        elif ids[placed.version.vid] > 1:
            cases.append(Case(placed, KEPT, NOT_TOLD_APART))
        elif path in known.in_use:
            cases.append(Case(placed, KEPT, IN_USE))
        else:
            cases.append(_case(placed, reason, known))
    return _without_new_heads(path, history, known, cases)


def _case(placed: Placed, reason: str, known: Knowledge) -> Case:
    if known.date(placed) is None:
        return Case(placed, KEPT, NOT_COVERED)
    if known.unplanned(placed):
        return Case(placed, PLANNED, reason)
    left = known.left(placed)
    return Case(placed, WAITING, reason, left) if left > 0 else Case(placed, COLLECTED, reason)


def _without_new_heads(path: str, history: History, known: Knowledge, cases: list[Case]) -> Disposal:
    """Let those wait whose removal would make a head of another, or that nothing covers which is there to stay."""
    wanted = [case.placed for case in cases if case.fate == COLLECTED]
    if not wanted:
        return Disposal(path, tuple(cases))
    if [case.reason for case in cases] == [Reason.TOMBSTONE_OVER]:
        return Disposal(path, tuple(cases), end=True)
    bygone = known.records.bygone(history.versions, before=known.now - known.grace)
    before = history.knowing(bygone)
    together = _may_go_together(before, wanted, known.aged)
    going = {one.rank for one in (wanted if together else _one_by_one(before, wanted, known.aged))}
    settled = [
        case if case.fate != COLLECTED or case.placed.rank in going else Case(case.placed, WAITING, NOT_COVERED)
        for case in cases
    ]
    return Disposal(path, tuple(settled), together=together)


def _may_go_together(before: History, wanted: Sequence[Placed], aged: Callable[[Placed], bool]) -> bool:
    """Whether any of them may go, in any order: something that stays, and has been there, knows each of them."""
    if not all(one.version.ours for one in wanted):
        return False
    gone = {one.rank for one in wanted}
    stays = before.of(one for one in before.versions if one.rank not in gone)
    if not _same(stays.heads, before.heads):
        return False
    old = [one for one in reversed(stays.versions) if aged(one) and not stays.is_late(one)]
    return all(
        (before.is_bygone(one) or any(stays.descends(later, one) for later in old)) and not _named(one, stays.versions)
        for one in wanted
    )


def _one_by_one(before: History, wanted: Sequence[Placed], aged: Callable[[Placed], bool]) -> Iterator[Placed]:
    """Those that may go one after the other, so that at no moment there is another head than before."""
    left = before
    planned = {one.rank for one in wanted}
    for one in wanted[:ONE_BY_ONE]:
        rest = left.of(other for other in left.versions if other is not one)
        old = [other for other in reversed(rest.versions) if aged(other) and other.rank not in planned]
        covered = before.is_bygone(one) or any(left.descends(other, one) and not left.is_late(other) for other in old)
        if covered and not _named(one, rest.versions) and _same(rest.heads, before.heads):
            left = rest
            yield one


def _named(one: Placed, rest: Sequence[Placed]) -> bool:
    """Something must go first: what it names as its parent, or what is before it in its chain (FORMAT 5.6)."""
    version = one.version
    if version.ours and not version.parents:  # by far the most
        return False
    for other in rest:
        if other.version.vid in version.parents or other.version.vid == version.inherits:
            return True
        same_chain = not (version.ours or other.version.ours) and version.inherits == other.version.inherits
        if same_chain and other.rank < one.rank:
            return True
    return False


def _same(some: Sequence[Placed], others: Sequence[Placed]) -> bool:
    return [one.rank for one in some] == [one.rank for one in others]
