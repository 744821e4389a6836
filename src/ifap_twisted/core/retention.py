"""Which versions of a file are kept, and why (FORMAT 5; DESIGN 4.6 ``[retention]``).

A version stays when any rule wants it. The rules decide from one path's history alone; what else may need a version, a
plan finds out (FORMAT 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final, NamedTuple

from ifap_twisted.core.history import History, Placed

TOMBSTONE_SECONDS: Final = 365 * 86400.0
"""A tombstone lives at least so long (FORMAT 5.1), and the versions of a removed file as its policy says."""
_FIRST_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY: Final = 2_932_896
"""The days from 1970 to the end of 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is kept of each file; 0 turns a rule off.

    :ivar keep: this many of the newest versions, where the file itself does not say how many (``vers N``).
    :ivar within: seconds; every version that is not older.
    :ivar daily: for this many of the last days (UTC) that have a version, its newest; ``weekly`` (from Monday) and
        ``monthly`` likewise.
    """

    keep: int = 5
    within: float = 0.0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


class Reason(StrEnum):
    """Why a version stays or goes; stable words."""

    HEAD = "head"
    NOT_UNDERSTOOD = "not-understood"
    TOMBSTONE = "tombstone"
    LAST = "last"
    WITHIN = "within"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    OLD = "old"
    REMOVED = "removed"
    TOMBSTONE_OVER = "tombstone-over"
    SUPERSEDED = "superseded"

    @property
    def keeps(self) -> bool:
        """A version with this reason stays."""
        return self not in _GOING


_GOING: Final = frozenset({Reason.OLD, Reason.REMOVED, Reason.TOMBSTONE_OVER, Reason.SUPERSEDED})


class Judged(NamedTuple):
    """A version and what the policy says of it."""

    placed: Placed
    reason: Reason


def judge(history: History, time_of: Callable[[Placed], float], policy: Policy, now: float) -> list[Judged]:
    """Say of each version of a path whether it stays: ancestors before descendants.

    Heads always stay, but for a sole tombstone past its age (FORMAT 5.3), and so does what nobody here understands
    (FORMAT 1.5, ``needs``): with a head of that kind all of the file. A copy of what was collected once may stay like
    others, and takes the place of none.

    :param time_of: when a version was stored, in Unix time; where writer and server differ, the later.
    :param now: on the same scale; what lies after it counts as new.
    """
    versions = in_order(history)
    reasons = {one.rank: reason for one in versions if (reason := _fixed(history, one, now - time_of(one)))}
    if not all(head.version.understood for head in history.heads):
        rest = Reason.NOT_UNDERSTOOD
    elif _removed_long_ago(history, time_of, now):
        rest = Reason.REMOVED
    else:
        rest = Reason.OLD
        for some in (versions, _without_bygone(history)):
            content = [one for one in reversed(some) if not one.version.deleted]
            for placed, reason in _wanted(content, kept_count(history, policy), time_of, policy, now):
                reasons.setdefault(placed.rank, reason)
    return [Judged(one, reasons.get(one.rank, rest)) for one in versions]


def _without_bygone(history: History) -> list[Placed]:
    """In the order in which they would be alone: where a copy lies now says nothing of the age of the others."""
    if not any(history.bygone):
        return []
    return in_order(history.of(one for one in history.versions if not history.is_bygone(one)))


def in_order(history: History) -> list[Placed]:
    """The versions of a path, ancestors before descendants, and else by rank; no order of arrival is trusted."""
    versions = list(history.versions)
    if all(history.descends(later, earlier) for earlier, later in pairwise(versions)):  # by far the most
        return versions
    by_rank = {placed.rank: placed for placed in versions}
    sorter = TopologicalSorter({one.rank: [other.rank for other in history.ancestors(one)] for one in versions})
    sorter.prepare()
    ready: list[float] = []
    ordered: list[Placed] = []
    while sorter.is_active():
        for rank in sorter.get_ready():
            heappush(ready, rank)
        rank = heappop(ready)
        ordered.append(by_rank[rank])
        sorter.done(rank)
    return ordered


def kept_count(history: History, policy: Policy) -> int:
    """How many of the newest versions stay: as the heads of ours say (``vers N``), else as the policy does.

    The reference writes 1 unless told otherwise; nobody asked for that, so that it never lowers the policy's number.
    """
    own = [head.version.keep for head in history.heads if head.version.ours]
    theirs = [head.version.keep for head in history.heads if not head.version.ours]
    return max(own + [max(policy.keep, count) for count in theirs], default=policy.keep)


def _fixed(history: History, placed: Placed, age: float) -> Reason | None:
    """What no policy decides."""
    version = placed.version
    if not version.understood:
        return Reason.NOT_UNDERSTOOD
    if version.deleted and age >= TOMBSTONE_SECONDS:
        if len(history.versions) == 1:
            return Reason.TOMBSTONE_OVER
        return Reason.HEAD if placed in history.heads else None
    if placed in history.heads:
        return Reason.HEAD
    return Reason.TOMBSTONE if version.deleted else None


def _removed_long_ago(history: History, time_of: Callable[[Placed], float], now: float) -> bool:
    return all(head.version.deleted and now - time_of(head) >= TOMBSTONE_SECONDS for head in history.heads)


def _wanted(
    newest_first: list[Placed], count: int, time_of: Callable[[Placed], float], policy: Policy, now: float
) -> Iterator[Judged]:
    yield from (Judged(placed, Reason.LAST) for placed in newest_first[:count])
    if policy.within:
        yield from (Judged(one, Reason.WITHIN) for one in newest_first if now - time_of(one) <= policy.within)
    periods = (
        (policy.daily, _day, Reason.DAILY),
        (policy.weekly, _week, Reason.WEEKLY),
        (policy.monthly, _month, Reason.MONTHLY),
    )
    for most, period, reason in periods:
        found: dict[int, Placed] = {}
        for placed in newest_first:
            found.setdefault(period(time_of(placed)), placed)
        yield from (Judged(found[number], reason) for number in sorted(found, reverse=True)[:most])


def _day(time: float) -> int:
    return min(max(0, int(time // 86400)), _LAST_DAY)


def _week(time: float) -> int:
    return (_day(time) + 3) // 7  # 1970 began with a Thursday


def _month(time: float) -> int:
    date = _FIRST_DAY + timedelta(days=_day(time))
    return date.year * 12 + date.month
