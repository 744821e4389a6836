"""The history of one path: who descends from whom, which versions are heads, which is current (FORMAT 3).

It decides from the versions alone; it knows no folder, no clock and no order of arrival. In doubt two versions are
concurrent: a conflict that a person sees, never an ancestor that disappears.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

from ifap_twisted.core.values import Version

_NO_FENCES: Mapping[str, int] = MappingProxyType({})


class Placed(NamedTuple):
    """A version and the UIDs at which copies of it lie, ascending (FORMAT 2.2).

    :ivar places: empty for one that is missing: it was there, and nobody is known to have removed it (FORMAT 5.5).
    :ivar last: the rank of a missing one: above what was there before it, below what came later.
    :ivar recalled: it is missing since before this process looked (FORMAT 9.1).
    """

    version: Version
    places: tuple[int, ...]
    last: float = 0.0
    recalled: bool = False

    @property
    def missing(self) -> bool:
        """No place of it is left."""
        return not self.places

    @property
    def rank(self) -> float:
        """The lowest UID of its places (FORMAT 3.5)."""
        return self.places[0] if self.places else self.last

    @property
    def number(self) -> int:
        """The version's own number in its writer's sequence; 0 for the reference."""
        return self.version.clock.get(self.version.writer, 0) if self.version.ours else 0


class Bygone(NamedTuple):
    """Which versions are there though they were collected once, by their ranks (FORMAT 5.3).

    :ivar copies: they were collected themselves.
    :ivar ended: they were ancestors of the end of a file that was collected, a tombstone past its age.
    """

    copies: frozenset[float] = frozenset()
    ended: frozenset[float] = frozenset()


_NOTHING: Final = Bygone()


class History:
    """All versions of one path that are there, and the missing ones that none of them descends from.

    :param versions: in any order; the result is the same for every order.
    :param bygone: those of them that were collected once: they are no heads beside others.
    :param fences: for each lock that is over, the rank above which a write under it came too late (FORMAT 10.2).
    """

    def __init__(
        self,
        versions: Iterable[Placed] = (),
        bygone: Bygone = _NOTHING,
        fences: Mapping[str, int] = _NO_FENCES,
    ) -> None:
        self.versions: tuple[Placed, ...] = tuple(sorted(versions, key=_rank))
        """Ascending by rank."""
        self._fences = fences
        self._late: frozenset[float] = late_ranks(self.versions, fences) if fences else frozenset()
        self.bygone = bygone
        self._aside: frozenset[float] = self._outside_chains() if bygone.copies else frozenset()
        self.heads: tuple[Placed, ...] = self._heads_without_bygone() if any(bygone) else self._heads_of(self.versions)
        """The versions that no other descends from, ascending by rank (FORMAT 3.4); one that came too late covers none
        that did not."""
        self.current: Placed | None = max(self.heads, key=self.precedence, default=None)
        """The live head of highest rank, else the tombstone of highest rank (FORMAT 3.5)."""
        self.in_conflict: bool = len(self.heads) > 1 and len({_kind(head) for head in self.heads}) > 1
        """More than one head, and not all equal in content and kind (FORMAT 3.4, 3.5)."""

    def __bool__(self) -> bool:
        return bool(self.versions)

    @property
    def live(self) -> bool:
        """There is a file or a directory marker, not only tombstones."""
        return self.current is not None and not self.current.version.deleted

    def of(self, versions: Iterable[Placed]) -> History:
        """What the history would be if only these were there."""
        return History(versions, self.bygone, self._fences)

    def newest_of(self, versions: Sequence[Placed]) -> Placed:
        """The one of these, which are one at least, that would be current if only they were there.

        One that was collected once, and so is old whenever it was stored again, is it only when no other can be.
        """
        left = self.of(versions)
        tops = left.heads or heads(versions)  # it has none when all are of a file of which the end is on record
        return max(tops, key=lambda top: (not left.is_bygone(top), left.precedence(top)))

    def knowing(self, bygone: Bygone) -> History:
        """What it would be if just these had been collected once."""
        return History(self.versions, bygone, self._fences)

    def followed_by(self, later: Sequence[Placed]) -> History:
        """What the history would be if these came, too."""
        return History([*self.versions, *later], self.bygone, self._fences)

    def is_late(self, placed: Placed) -> bool:
        """It was written under a lock that somebody had taken over before it arrived (FORMAT 10.2)."""
        return placed.rank in self._late

    def is_bygone(self, placed: Placed) -> bool:
        """It is there though it was collected once, or though the end of its file was (FORMAT 5.3)."""
        return placed.rank in self.bygone.copies or placed.rank in self.bygone.ended

    def is_outlived(self, placed: Placed) -> bool:
        """It seems to come before the end of its file, but was not collected itself: nobody may ever have seen it."""
        return placed.rank in self.bygone.ended and placed.rank not in self.bygone.copies

    @property
    def timely_heads(self) -> tuple[Placed, ...]:
        """The heads without those that came too late."""
        return tuple(head for head in self.heads if not self.is_late(head)) if self._late else self.heads

    def precedence(self, head: Placed) -> tuple[bool, bool, float]:
        """The greatest is current: what comes later wins, but not a tombstone over something live (FORMAT 3.5).

        One that came too late is behind every other live head.
        """
        return (not head.version.deleted, head.rank not in self._late, head.rank)

    def _outside_chains(self) -> frozenset[float]:
        """The copies of the reference's messages: stored again, one would be the newest of its chain (FORMAT 5.3).

        Unless nothing else is there.
        """
        if all(self.is_bygone(one) for one in self.versions):
            return frozenset()
        return frozenset(one.rank for one in self.versions if one.rank in self.bygone.copies and not one.version.ours)

    def _heads_without_bygone(self) -> tuple[Placed, ...]:
        """What was collected is no head beside others, but goes on to descend from what it descended from.

        Where it is the only one that descends from a version, that would be hidden: then it is a head itself. So it is
        when it is the only thing left, unless its end is on record.
        """
        copies, ended = self.bygone
        rest = [one for one in self.versions if one.rank not in ended]
        others = self._heads_of([one for one in rest if one.rank not in copies])
        if not others:
            return self._heads_of(rest)
        found = self._heads_of([one for one in rest if one.rank not in self._aside])
        hidden = [head for head in others if head not in found]
        return tuple(one for one in found if one.rank not in copies or any(self.descends(one, top) for top in hidden))

    def _heads_of(self, possible: Sequence[Placed]) -> tuple[Placed, ...]:
        return self._heads_with_late(possible) if self._late else heads(possible)

    def _heads_with_late(self, possible: Sequence[Placed]) -> tuple[Placed, ...]:
        timely = heads([placed for placed in possible if not self.is_late(placed)])
        late = [placed for placed in possible if self.is_late(placed)]
        late = [one for one in late if not any(self.descends(other, one) for other in possible)]
        return tuple(sorted([*timely, *late], key=_rank))

    def find(self, vid: str) -> tuple[Placed, ...]:
        """The versions of that id; more than one is a collision (FORMAT 2.2)."""
        return tuple(placed for placed in self.versions if placed.version.vid == vid)

    def descends(self, later: Placed, earlier: Placed) -> bool:
        """Whether ``earlier`` is an ancestor of ``later`` (FORMAT 3.1, 3.3)."""
        if later is earlier:
            return False
        if earlier.version.ours:
            return _knows(later, earlier)
        if not later.version.ours and self._is_behind(earlier, later):
            return True
        return any(
            self._covers(between, earlier)
            for between in self.versions
            if between.version.ours and (between is later or _knows(later, between))
        )

    def _covers(self, later: Placed, earlier: Placed) -> bool:
        """``later``, a version of ours, names as parent this version of the reference or a later one of its chain."""
        parents = later.version.parents
        return earlier.version.vid in parents or any(
            vid in self._places and self._is_behind(earlier, self._places[vid]) for vid in parents
        )

    def _is_behind(self, earlier: Placed, later: Placed) -> bool:
        """Both are of the reference and of one chain, in this order (FORMAT 3.3)."""
        return (
            not (earlier.version.ours or later.version.ours)
            and _chain(earlier) == _chain(later)
            and earlier.rank < later.rank
            and earlier.rank not in self._aside
            and later.rank not in self._aside
        )

    def ancestors(self, placed: Placed) -> tuple[Placed, ...]:
        """All versions that it descends from, ascending by rank."""
        return tuple(other for other in self.versions if self.descends(placed, other))

    def parents(self, placed: Placed) -> tuple[Placed, ...]:
        """The newest known versions that it descends from (DESIGN 4.5), ascending by rank."""
        if len(self.versions) == 1:  # by far the most
            return ()
        near = self._nearest(placed)
        if len(near) > 1:
            near = [one for one in near if not any(self.descends(other, one) for other in near)]
        return tuple(sorted(near, key=_rank))

    def _nearest(self, placed: Placed) -> list[Placed]:
        """Ancestors of which every other ancestor is one: of each writer the last, of each chain the last."""
        version = placed.version
        near = [self._places[vid] for vid in (*version.parents, version.inherits or "") if vid in self._places]
        for writer, number in version.clock.items():
            near.extend(self._last_known(placed, writer, number))
        if not version.ours:
            chain = self._chains.get(_chain(placed), [])
            place = bisect_left(chain, placed.rank, key=_rank)
            near.extend(chain[max(0, place - 1) : place])
        return [one for one in {id(one): one for one in near}.values() if self.descends(placed, one)]

    def _last_known(self, placed: Placed, writer: str, number: int) -> Iterator[Placed]:
        """The last versions of a writer, up to a number, that a version descends from: more than one in doubt only."""
        written = self._writers.get(writer, [])
        last: int | None = None
        for one in reversed(written[: bisect_right(written, number, key=_number)]):
            if last is not None and one.number != last:
                return
            if one is not placed and _knows(placed, one):
                last = one.number
                yield one

    @cached_property
    def _places(self) -> dict[str, Placed]:
        return _places_by_vid(self.versions)

    @cached_property
    def _writers(self) -> dict[str, list[Placed]]:
        """The versions of each writer, ascending by its numbers."""
        found: dict[str, list[Placed]] = {}
        for placed in sorted(self.versions, key=_number):
            if placed.version.ours:
                found.setdefault(placed.version.writer, []).append(placed)
        return found

    @cached_property
    def _chains(self) -> dict[str | None, list[Placed]]:
        """The versions of each chain of the reference, in UID order (FORMAT 3.3)."""
        found: dict[str | None, list[Placed]] = {}
        for placed in self.versions:
            if not placed.version.ours and placed.rank not in self._aside:
                found.setdefault(_chain(placed), []).append(placed)
        return found


def _rank(placed: Placed) -> float:
    return placed.rank


def late_ranks(versions: Iterable[Placed], fences: Mapping[str, int]) -> frozenset[float]:
    """The ranks of the versions that were written under a lock, and arrived when it was over (FORMAT 10.2)."""
    return frozenset(
        placed.rank
        for placed in versions
        if placed.version.lock is not None and placed.rank > fences.get(placed.version.lock, placed.rank)
    )


def _number(placed: Placed) -> int:
    return placed.number


def heads(versions: Sequence[Placed]) -> tuple[Placed, ...]:
    """Those that no other of them descends from, ascending by rank; close to linear in their number."""
    if len(versions) <= 1:  # by far the most
        return tuple(versions)
    covered, reach = _coverage(versions)
    found = [
        one
        for one in _newest_of_ours(versions)
        if not any(_knows(other, one) for other in versions if other is not one)
    ]
    found += [
        one
        for one in _newest_of_chains(versions)
        if one.version.vid not in covered and one.rank > reach.get(_chain(one), 0)
    ]
    return tuple(sorted(found, key=_rank))


def lost_race(history: History, gone: Placed) -> bool:
    """Whether a missing version is such as its writer takes back, because another was first (FORMAT 4.4).

    :param history: of all versions that were ever there.
    """
    return gone.version.ours and any(
        other.rank < gone.rank and not (other.version.deleted or history.descends(gone, other))
        for other in history.versions
        if other in history.heads or not (other.missing or history.is_bygone(other))
    )


def removed_by_reference(history: History, gone: Placed) -> bool:
    """Whether a missing head looks as if a reference program had removed it (FORMAT 5.5).

    Its cleanup spares the newest messages of a path, whoever descends from whom (WIRE-FORMAT 5.2), and its ``rm``
    takes all of a file of which it keeps one version. Where only ancestors are left, somebody stored these again.
    """
    there = [placed for placed in history.versions if not placed.missing]
    if there:
        replayed = gone.version.ours and all(history.descends(gone, placed) for placed in there)
        return not replayed and all(gone.rank < placed.rank for placed in there)
    return not gone.version.ours and gone.version.versions <= 1


def _kind(head: Placed) -> tuple[str, object]:
    """Equal for heads that are no conflict with each other."""
    version = head.version
    if version.deleted:
        return ("tombstone", None)
    if version.directory:
        return ("directory", None)
    if version.bound:
        return ("file", (version.sha256, version.size, version.needs))
    return ("unbound", version.vid)


def _knows(later: Placed, earlier: Placed) -> bool:
    """The clock of ``later`` holds the number of ``earlier``, a version of ours (FORMAT 3.1).

    Two versions that know each other are copies of one writer at work, or its numbers went back: neither is an
    ancestor, in doubt it is a conflict.
    """
    if not later.version.ours and later.version.inherits == earlier.version.vid:
        return True
    if later.version.clock.get(earlier.version.writer, 0) < earlier.number:
        return False
    return not (later.version.ours and earlier.version.clock.get(later.version.writer, 0) >= later.number)


def _chain(placed: Placed) -> str | None:
    """Messages of the reference with the same inherited vid, or none, form one chain in UID order (FORMAT 3.3)."""
    return placed.version.inherits


def _places_by_vid(versions: Iterable[Placed]) -> dict[str, Placed]:
    return {placed.version.vid: placed for placed in versions}


def _coverage(versions: Sequence[Placed]) -> tuple[set[str], dict[str | None, float]]:
    """What versions of ours name as parents, and up to which rank that covers each chain (FORMAT 3.3)."""
    covered = {vid for placed in versions if placed.version.ours for vid in placed.version.parents}
    reach: dict[str | None, float] = {}
    if covered:
        for placed in versions:
            if not placed.version.ours and placed.version.vid in covered:
                reach[_chain(placed)] = max(placed.rank, reach.get(_chain(placed), 0))
    return covered, reach


def _newest_of_ours(versions: Sequence[Placed]) -> list[Placed]:
    """Without those that the version with the greatest number of their writer in its clock descends from."""
    greatest: dict[str, Placed] = {}
    for placed in versions:
        for writer, number in placed.version.clock.items():
            if writer not in greatest or number > greatest[writer].version.clock[writer]:
                greatest[writer] = placed
    return [one for one in versions if one.version.ours and not _is_below(one, greatest.get(one.version.writer))]


def _is_below(one: Placed, top: Placed | None) -> bool:
    return top is not None and top is not one and _knows(top, one)


def _newest_of_chains(versions: Sequence[Placed]) -> list[Placed]:
    newest: dict[str | None, Placed] = {}
    for placed in versions:
        if not placed.version.ours:
            known = newest.get(_chain(placed))
            if known is None or placed.rank > known.rank:
                newest[_chain(placed)] = placed
    return list(newest.values())
