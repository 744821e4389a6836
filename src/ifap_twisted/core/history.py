"""The history of one path: who descends from whom, which versions are heads, which is current (FORMAT 3).

It decides from the versions alone; it knows no folder, no clock and no order of arrival. In doubt two versions are
concurrent: a conflict that a person sees, never an ancestor that disappears.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ifap_twisted.core.values import Version


@dataclass(frozen=True, slots=True)
class Placed:
    """A version and the UIDs at which copies of it lie, ascending (FORMAT 2.2)."""

    version: Version
    places: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The lowest UID of its places (FORMAT 3.5)."""
        return self.places[0]

    @property
    def number(self) -> int:
        """The version's own number in its writer's sequence; 0 for the reference."""
        return self.version.clock.get(self.version.writer, 0) if self.version.ours else 0


class History:
    """All versions of one path that are there.

    :param versions: in any order; the result is the same for every order.
    """

    def __init__(self, versions: Iterable[Placed] = ()) -> None:
        self.versions: tuple[Placed, ...] = tuple(sorted(versions, key=lambda placed: placed.rank))
        """Ascending by rank."""

    def __bool__(self) -> bool:
        return bool(self.versions)

    @cached_property
    def heads(self) -> tuple[Placed, ...]:
        """The versions that no other descends from, ascending by rank (FORMAT 3.4)."""
        return heads(self.versions)

    @cached_property
    def current(self) -> Placed | None:
        """The live head of highest rank, else the tombstone of highest rank (FORMAT 3.5)."""
        if not self.heads:
            return None
        return max(self.heads, key=lambda head: (not head.version.deleted, head.rank))

    @property
    def live(self) -> bool:
        """There is a file or a directory marker, not only tombstones."""
        return self.current is not None and not self.current.version.deleted

    @cached_property
    def in_conflict(self) -> bool:
        """More than one head, and not all equal in content and kind (FORMAT 3.4, 3.5)."""
        return len({_kind(head) for head in self.heads}) > 1

    def find(self, vid: str) -> tuple[Placed, ...]:
        """The versions of that id; more than one is a collision (FORMAT 2.2)."""
        return tuple(placed for placed in self.versions if placed.version.vid == vid)

    def descends(self, later: Placed, earlier: Placed) -> bool:
        """Whether ``earlier`` is an ancestor of ``later`` (FORMAT 3.1, 3.3)."""
        if later is earlier:
            return False
        if earlier.version.ours:
            return _knows(later, earlier)
        if not later.version.ours and _chain(later) == _chain(earlier) and later.rank > earlier.rank:
            return True
        places = _places_by_vid(self.versions)
        return any(
            _covers(between, earlier, places)
            for between in self.versions
            if between.version.ours and (between is later or _knows(later, between))
        )

    def ancestors(self, placed: Placed) -> tuple[Placed, ...]:
        """All versions that it descends from, ascending by rank."""
        return tuple(other for other in self.versions if self.descends(placed, other))

    def parents(self, placed: Placed) -> tuple[Placed, ...]:
        """The newest known versions that it descends from (DESIGN 4.5)."""
        return heads(self.ancestors(placed))


def heads(versions: Sequence[Placed]) -> tuple[Placed, ...]:
    """Those that no other of them descends from, ascending by rank; close to linear in their number."""
    places = _places_by_vid(versions)
    candidates = [*_newest_of_ours(versions), *_newest_of_chains(versions)]
    ours = [placed for placed in versions if placed.version.ours]
    found = [
        candidate
        for candidate in candidates
        if not (
            any(_knows(other, candidate) for other in versions if other is not candidate)
            if candidate.version.ours
            else any(_covers(other, candidate, places) for other in ours)
        )
    ]
    return tuple(sorted(found, key=lambda placed: placed.rank))


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


def _covers(later: Placed, earlier: Placed, places: Mapping[str, Placed]) -> bool:
    """``later``, a version of ours, names as parent this version of the reference or a later one of its chain."""
    for vid in later.version.parents:
        if vid == earlier.version.vid:
            return True
        parent = places.get(vid)
        if (
            parent is not None
            and not parent.version.ours
            and _chain(parent) == _chain(earlier)
            and parent.rank >= earlier.rank
        ):
            return True
    return False


def _chain(placed: Placed) -> str | None:
    """Messages of the reference with the same inherited vid, or none, form one chain in UID order (FORMAT 3.3)."""
    return placed.version.inherits


def _places_by_vid(versions: Iterable[Placed]) -> dict[str, Placed]:
    return {placed.version.vid: placed for placed in versions}


def _newest_of_ours(versions: Sequence[Placed]) -> list[Placed]:
    """Without those whose number somebody's clock exceeds: they cannot be heads."""
    greatest: dict[str, int] = {}
    for placed in versions:
        for writer, number in placed.version.clock.items():
            if number > greatest.get(writer, 0):
                greatest[writer] = number
    return [p for p in versions if p.version.ours and p.number >= greatest.get(p.version.writer, 0)]


def _newest_of_chains(versions: Sequence[Placed]) -> list[Placed]:
    newest: dict[str | None, Placed] = {}
    for placed in versions:
        if not placed.version.ours:
            known = newest.get(_chain(placed))
            if known is None or placed.rank > known.rank:
                newest[_chain(placed)] = placed
    return list(newest.values())
