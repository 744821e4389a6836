"""Who descends from whom, told again from the rules alone, one pair at a time: what the product is judged by.

It shares no line with :mod:`ifap_twisted.core.history`, and takes no short cut.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ifap_twisted.core.values import Lease, Version


class Family:
    """The versions of one path that are there, by id, and the lowest UID of each.

    :param late: those that were written under a lock, and arrived when it was over (FORMAT 10.2).
    """

    def __init__(self, versions: Mapping[str, Version], ranks: Mapping[str, float], late: Collection[str] = ()) -> None:
        self.versions = versions
        self.ranks = ranks
        self.late = late

    def descends(self, later: str, earlier: str) -> bool:
        """FORMAT 3.1 and 3.3."""
        return later != earlier and self._reaches(self.versions[later], self.versions[earlier])

    def heads(self) -> list[str]:
        """FORMAT 3.4; one that came too late covers only others that did (FORMAT 10.2)."""
        return [
            vid
            for vid in self.versions
            if not any(
                self.descends(other, vid) for other in self.versions if vid in self.late or other not in self.late
            )
        ]

    def in_conflict(self) -> bool:
        """FORMAT 3.4: more than one head, unless they say the same."""
        heads = [self.versions[vid] for vid in self.heads()]
        return len({_says(head) for head in heads}) > 1

    def current(self) -> str | None:
        """FORMAT 3.5: the live head of highest rank that came in time, else one that did not, else a tombstone."""
        heads = self.heads()
        live = [vid for vid in heads if not self.versions[vid].deleted]
        live = [vid for vid in live if vid not in self.late] or live
        return max(live or heads, key=lambda vid: self.ranks[vid], default=None)

    def _reaches(self, later: Version, earlier: Version) -> bool:
        if earlier.ours:
            return _knows(later, earlier)
        if not later.ours and later.inherits == earlier.inherits:
            return self.ranks[later.vid] > self.ranks[earlier.vid]
        between = [one for one in self.versions.values() if one.ours and (one is later or _knows(later, one))]
        return any(self._replaced(parent, earlier) for one in between for parent in one.parents)

    def _replaced(self, parent: str, earlier: Version) -> bool:
        """A version that names a member of a chain as parent descends from it and all before it."""
        if parent == earlier.vid:
            return True
        member = self.versions.get(parent)
        same_chain = member is not None and not member.ours and member.inherits == earlier.inherits
        return same_chain and self.ranks[parent] > self.ranks[earlier.vid]


def late(versions: Mapping[str, Version], ranks: Mapping[str, float], leases: Mapping[int, Lease]) -> frozenset[str]:
    """Which versions came too late (FORMAT 10.2): above a message that says that their lock is over.

    It says so of what its writer knew; a renewal before it with a greater number was not known.
    """
    fences: dict[str, int] = {}
    for uid, lease in sorted(leases.items()):
        for lock, number in lease.over.items():
            known = max((one.number for at, one in leases.items() if at < uid and one.of == lock), default=0)
            if known <= number:
                fences.setdefault(lock, uid)
    return frozenset(
        vid for vid, one in versions.items() if one.lock is not None and ranks[vid] > fences.get(one.lock, ranks[vid])
    )


def _number(version: Version) -> int:
    return version.clock.get(version.writer, 0)


def _knows(later: Version, earlier: Version) -> bool:
    """FORMAT 3.1; two that know each other are copies of one writer at work: in doubt a conflict."""
    if not later.ours and later.inherits == earlier.vid:
        return True
    knows = later.clock.get(earlier.writer, 0) >= _number(earlier)
    known = later.ours and earlier.clock.get(later.writer, 0) >= _number(later)
    return knows and not known


def _says(head: Version) -> tuple[object, ...]:
    if head.deleted:
        return ("tombstone",)
    if head.directory:
        return ("directory",)
    return ("file", head.sha256 or head.vid)
