"""Judges what a simulated run recorded: no acknowledged write lost, none doubled, none hidden, reads see what they may.

It is pure: it looks at a trace and at nothing else, and what it cannot explain is a violation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ifap_twisted.core import paths
from ifap_twisted.errors import (
    Conflict,
    Damaged,
    QuotaExceeded,
    ReadOnly,
    Refused,
    Throttled,
    TooLarge,
    Unavailable,
)
from ifap_twisted.testing.ancestry import Family, late
from ifap_twisted.testing.collecting import hurried, uncovered, uncovering, unkept
from ifap_twisted.testing.contents import Contents
from ifap_twisted.testing.exclusion import held_by_two, not_heeded, outlived
from ifap_twisted.testing.trace import CANCELLED, CRASHED, DONE, UNENDED, Call, Observation, Seen, Trace

Place: TypeAlias = tuple[str, str]
"""A path, and the id of a version there."""
PUTTING: Final = frozenset({"put", "create", "edit", "append", "queue", "hold"})
PERHAPS: Final = frozenset({CRASHED, CANCELLED, UNENDED, "outcome-unknown", "stored-as-conflict", "lease-lost"})
"""Outcomes of a put that may have stored its file; all others are certain that it is not there."""
NOWHERE: Final = frozenset(
    kind.code for kind in (Conflict, Damaged, QuotaExceeded, ReadOnly, Refused, Throttled, TooLarge, Unavailable)
)
"""Outcomes of a put with which its caller was told that the server took nothing, or that nothing of it stays."""
REMOVING: Final = frozenset({"remove", "remove-tree", "move", "rmdir", "resolve", "both", "mkdir", "restore"})
BUGS: Final = frozenset(
    {
        "vid-collision",
        "tampered",
        "truncated",
        "extended",
        "spliced",
        "malformed",
        "oversized",
        "foreign-key",
        "wrong-key",
    }
)
"""Errors that no server of these worlds can cause."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that a run broke: which, and the evidence."""

    promise: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.evidence}"


def judge(trace: Trace) -> list[Violation]:
    """All violations, each told once."""
    found = [violation for look in JUDGES for violation in look(trace)]
    return list(dict.fromkeys(found))


def _fresh(trace: Trace) -> Observation | None:
    return next((seen for seen in trace.observations if seen.who == "fresh"), None)


def _name(call: Call) -> str:
    return f"call {call.number} ({call.verb} /{call.path} by device {call.device})"


def _ended(trace: Trace) -> Iterator[Violation]:
    """Everything ends, and only in ways that a caller can be told of."""
    for call in trace.calls:
        if call.outcome == UNENDED:
            yield Violation("everything ends", _name(call))
        told = call.verb == "open" and "no-key" in trace.scenario.quirks and call.outcome == "wrong-key"
        if call.outcome.startswith("bug") or (call.outcome in BUGS and not told):
            yield Violation("callers meet only errors that they can understand", f"{_name(call)}: {call.outcome}")
    for line in trace.logged:
        yield Violation("nothing fails unheard", line)
    for seen in trace.observations:
        if seen.pending > _unsendable(trace, seen):
            yield Violation("everything ends", f"{seen.who} has {seen.pending} writes pending")


def _unsendable(trace: Trace, seen: Observation) -> int:
    """Messages that a reference program destroyed and the server does not take again: they stay journalled (2.4)."""
    mine = [sent.call for place, sent in trace.sent.items() if place in trace.destroyed and sent.call is not None]
    dropping = "drops-known" in trace.scenario.quirks
    return sum(dropping and seen.who == f"device {trace.calls[number].device}" for number in mine)


def _acknowledged(trace: Trace) -> Iterator[Violation]:
    """What was acknowledged is there, once, with its content (P1, P3)."""
    for seen in _whole(trace):
        for call in trace.calls:
            if call.outcome != DONE or not call.version or call.verb in {"read", "stat"}:
                continue
            places = [one for found in seen.versions.values() for one in found if one.vid == call.version]
            lost = trace.destroyed | trace.collected.keys() | (trace.forsaken if call.pending else set())
            anew = call.pending and _is_anew(trace, (call.path, call.version), seen, lost)
            gone = anew or any(vid == call.version for _path, vid in lost)
            if len(places) != 1 and not (gone and not places):
                yield Violation("no acknowledged write is lost or doubled", f"{_name(call)}: {len(places)} places")
            elif places and call.verb in PUTTING and places[0].content != call.content:
                yield Violation("an acknowledged write has its content", f"{_name(call)}: {_shown(places[0])}")


def _is_anew(trace: Trace, place: Place, seen: Observation, lost: Collection[Place]) -> bool:
    """Whether what was only accepted was written anew under another id, as its number was doubtful (FORMAT 3.2)."""
    accepted = trace.sent.get(place)
    if accepted is None:
        return False
    there = {one.vid for one in seen.versions.get(place[0], ())} | {vid for path, vid in lost if path == place[0]}
    return any(
        path == place[0]
        and vid in there
        and one.version.sha256 == accepted.version.sha256
        and (one.call is None or trace.calls[one.call].verb != "restore")
        for (path, vid), one in trace.sent.items()
    )


def _whole(trace: Trace) -> list[Observation]:
    return [seen for seen in trace.observations if seen.who.startswith("fresh")]


def _shown(seen: Seen) -> str:
    return f"{seen.vid} is {seen.error or seen.content!r}"


def _refused(trace: Trace) -> Iterator[Violation]:
    """What certainly was not stored is not there; what may have been is there at most once."""
    fresh = _fresh(trace)
    if fresh is None:
        return
    there = {(path, seen.vid) for path, found in fresh.versions.items() for seen in found}
    for call in trace.calls:
        if call.verb not in PUTTING:
            continue
        sent = [place for place, one in trace.sent.items() if one.call == call.number and place not in trace.restored]
        mine = [place for place in sent if place in there]
        most = 1 if call.outcome == DONE or call.outcome in PERHAPS or call.version else 0
        if len(mine) > most:
            yield Violation(
                "a write that failed is not there", f"{_name(call)}: {call.outcome}, but {len(mine)} stored"
            )


def _forgotten(trace: Trace) -> Iterator[Violation]:
    """What was told as not stored no later process finds in the journal (FORMAT 4.1, 4.2)."""
    for place in sorted(trace.kept - trace.restored):
        if call := _told_as_nowhere(trace, place):
            said = f"{_name(call)}: {call.outcome}, but the journal has {place[1]}"
            yield Violation("what was told as not stored is forgotten", said)


def _told_as_nowhere(trace: Trace, place: Place) -> Call | None:
    """The write of a version whose caller was told that it is not stored."""
    number = trace.sent[place].call
    call = None if number is None else trace.calls[number]
    nowhere = call is not None and call.verb in PUTTING and call.outcome in NOWHERE and not call.pending
    return call if nowhere else None


def _finished(trace: Trace) -> Iterator[Violation]:
    """What was in the journal of a device that died is finished by the next one (FORMAT 4.1)."""
    for seen in _whole(trace):
        there = {(path, one.vid) for path, found in seen.versions.items() for one in found}
        gone = trace.destroyed | trace.collected.keys() | trace.forsaken
        for place in sorted(trace.journalled - there - gone):
            if not (_was_to_be_queued(trace, place) and _is_anew(trace, place, seen, gone)):
                said = f"/{place[0]}: {place[1]} is not there for {seen.who}"
                yield Violation("what was journalled is finished", said)


def _was_to_be_queued(trace: Trace, place: Place) -> bool:
    """Whether the write of a version got its number without a look at the folder."""
    number = trace.sent[place].call
    return number is not None and trace.calls[number].verb == "queue"


def _explained(trace: Trace) -> Iterator[Violation]:
    """Every version was sent by somebody, and has a content that somebody put there."""
    contents = Contents(trace)
    for seen in _whole(trace):
        for path, found in seen.versions.items():
            vids = [one.vid for one in found]
            if len(set(vids)) != len(vids):
                yield Violation("no version is doubled", f"/{path}: {vids}")
            for one in found:
                if (path, one.vid) not in trace.sent:
                    yield Violation("every version was written by somebody", f"/{path}: {one.vid}")
                if one.error is not None:
                    yield Violation("every version can be read", f"/{path}: {_shown(one)}")
                elif one.content is not None and not contents.may_be(path, one.content):
                    yield Violation("a file has a content that was put there", f"/{path}: {_shown(one)}")


def _read(trace: Trace) -> Iterator[Violation]:
    """Reads give what was put there, never a mix."""
    contents = Contents(trace)
    for call in trace.calls:
        if call.data is not None and not contents.may_be(call.path, call.data):
            yield Violation("a read gives what was put there", f"{_name(call)}: {call.data!r}")


def _remembered(trace: Trace) -> Iterator[Violation]:
    """A device never sees less than it was told that it had written itself."""
    removals = [call for call in trace.calls if call.verb in REMOVING]
    for read in trace.calls:
        if read.verb != "read" or (read.device, read.incarnation) in trace.blind:
            continue
        for write in trace.calls:
            if not _before(write, read):
                continue
            if read.outcome == "not-found" and not _may_be_gone(trace, removals, read):
                yield Violation("what a device wrote it sees", f"{_name(read)} found nothing after {_name(write)}")
            elif read.outcome == DONE and _is_older(trace, read.path, read.version, write.version):
                yield Violation("what a device wrote it sees", f"{_name(read)} saw older than {_name(write)}")


def _before(write: Call, read: Call) -> bool:
    """The write was acknowledged to the same device before the read began."""
    mine = (write.device, write.incarnation, write.path) == (read.device, read.incarnation, read.path)
    acknowledged = write.verb in PUTTING and write.outcome == DONE and write.ended is not None and not write.pending
    return mine and acknowledged and (write.ended or 0.0) < read.began


def _may_be_gone(trace: Trace, removals: list[Call], read: Call) -> bool:
    """Somebody removed the path, or something above it, or made it a directory, before the read ended."""
    return (
        any(path == read.path for path, _vid in trace.destroyed)
        or any(
            sent.version.deleted or sent.version.directory
            for (path, _vid), sent in trace.sent.items()
            if read.path == path or read.path.startswith(path + "/")
        )
        or any(_concerns(call, read) for call in removals if call.outcome in {DONE, *PERHAPS})
    )


def _concerns(call: Call, read: Call) -> bool:
    return call.began <= (read.ended or 0.0) and (read.path + "/").startswith(call.path + "/")


def _is_older(trace: Trace, path: str, read: str | None, written: str | None) -> bool:
    """What was read is an ancestor of what had been written."""
    versions = {vid: sent.version for (name, vid), sent in trace.sent.items() if name == path}
    if read is None or written is None or not {read, written} <= set(versions):
        return False
    if not (versions[read].ours and versions[written].ours):
        return False
    return Family(versions, {}).descends(written, read)


def _reported(trace: Trace) -> Iterator[Violation]:
    """Every divergence is reported, and current is what the rules say (FORMAT 3.4, 3.5)."""
    for seen in trace.observations:
        for path in seen.versions:
            family = _family(trace, seen, path)
            if family is None:
                continue
            reported = {vid for name, vid in seen.conflicts if name == path}
            expected = set(family.heads()) if family.in_conflict() else set()
            if reported != expected:
                said = f"/{path} for {seen.who}: {sorted(reported)}, not {sorted(expected)}"
                yield Violation("every divergence is reported", said)
            yield from _shown_right(seen, path, family)


def _shown_right(seen: Observation, path: str, family: Family) -> Iterator[Violation]:
    current = family.current()
    if current is None or family.in_conflict():
        return
    version = family.versions[current]
    listed = {vid for name, _kind, vid in seen.listing if name in {path, path + "~file"}}
    if not version.deleted and current not in listed:
        yield Violation("the newest version is shown", f"/{path} for {seen.who}: {sorted(listed)}, not {current}")
    if version.deleted and any(vid in family.versions for vid in listed):
        yield Violation("what was removed is not shown", f"/{path} for {seen.who}: {sorted(listed)}")


def _family(trace: Trace, seen: Observation, path: str) -> Family | None:
    vids = [one.vid for one in seen.versions[path]]
    if any((path, vid) not in trace.sent for vid in vids):
        return None  # told by _explained
    here = [vid for vid in vids if (path, vid) not in trace.collected] or vids
    versions = {vid: trace.sent[path, vid].version for vid in here}
    ranks = {vid: seen.ranks[path, vid] for vid in here}
    leases = {uid: lease for uid, lease in trace.leases.items() if lease.validity == seen.uidvalidity}
    return Family(versions, ranks, late(versions, ranks, {u: one for u, one in leases.items() if one.path == path}))


def _unhidden(trace: Trace) -> Iterator[Violation]:
    """Nothing seems to descend from what its writer did not know: that would hide it.

    What a journal out of a backup sends once more, though it was told as not stored, may well be hidden.
    """
    fresh = _fresh(trace)
    for path in fresh.versions if fresh is not None else ():
        family = _family(trace, fresh, path) if fresh is not None else None
        if family is None or (trace.shuffled and not all(one.ours for one in family.versions.values())):
            continue
        for later in family.versions:
            for earlier in family.versions:
                hidden = family.descends(later, earlier) and earlier not in _known(trace, path, later)
                nobodys = (path, earlier) in trace.restored and _told_as_nowhere(trace, (path, earlier))
                if hidden and not nobodys and (path, earlier) not in trace.destroyed:
                    yield Violation("no write hides one that it did not know", f"/{path}: {later} hides {earlier}")


def _known(trace: Trace, path: str, vid: str) -> set[str]:
    """What the writer of a version knew, and what the writers of that had known."""
    known: set[str] = set()
    waiting = [vid]
    while waiting:
        sent = trace.sent.get((path, waiting.pop()))
        more = set() if sent is None else sent.known - known
        known |= more
        waiting.extend(more)
    return known


def agreed(trace: Trace) -> Iterator[Violation]:
    """When all is quiet everybody sees the same, a second fresh client too."""
    if len(trace.observations) < 2:
        return
    first = trace.observations[0]
    for seen in trace.observations[1:]:
        gone = _missed(trace, first) | _missed(trace, seen) | _withdrawn(trace, first, seen)
        pictures = _picture(first, gone), _picture(seen, gone)
        for name, mine, theirs in zip(("versions", "listing", "conflicts"), *pictures, strict=True):
            if mine != theirs:
                yield Violation("everybody sees the same", f"{seen.who}, {name}: {_difference(mine, theirs)}")


def _missed(trace: Trace, seen: Observation) -> frozenset[Place]:
    """What a reference program destroyed and a device that was running then goes on reporting (FORMAT 5.5)."""
    there = {(path, one.vid) for path, found in seen.versions.items() for one in found}
    return frozenset(there.intersection(trace.destroyed))


def _withdrawn(trace: Trace, first: Observation, seen: Observation) -> frozenset[Place]:
    """What its writer took back, while it was not clear that this was soon enough to be it (FORMAT 4.4, 5.5).

    Clocks disagreed on that, or everybody slept for days while the removal was on its way.
    """
    there = {(path, one.vid) for path, found in first.versions.items() for one in found}
    more = {(path, one.vid) for path, found in seen.versions.items() for one in found} - there
    calls = {place: trace.sent[place].call for place in more if place in trace.sent}
    ends = {"conflict", *PERHAPS}  # whoever does not know whether it was stored takes it back all the same
    return frozenset(
        place
        for place, number in calls.items()
        if number is not None and (trace.apart or number in trace.slept) and trace.calls[number].outcome in ends
    )


def _picture(seen: Observation, missed: frozenset[Place]) -> tuple[frozenset[object], ...]:
    """What is seen; of the paths of which something is missed only what is there."""
    names = {name for path, _vid in missed for name in (path, path + "~file")}
    above = {(name, "directory", "") for path, _vid in missed for name in paths.ancestors(path)}  # without a marker
    versions = {(path, one.vid) for path, found in seen.versions.items() for one in found}
    listing = {found for found in seen.listing if found[0] not in names and found not in above}
    conflicts = {found for found in seen.conflicts if found[0] not in names}
    return frozenset(versions - missed), frozenset(listing), frozenset(conflicts)


def _difference(mine: frozenset[object], theirs: frozenset[object]) -> str:
    return f"missing {sorted(map(str, mine - theirs))}, more {sorted(map(str, theirs - mine))}"


def _locks(trace: Trace) -> Iterator[Violation]:
    """What is locked has one holder, whom others heed, and for no longer than its lease (P7, FORMAT 10)."""
    for first, later in held_by_two(trace):
        yield Violation("a lock has one holder", f"{_name(later)} got what {_name(first)} had")
    for first, later in not_heeded(trace):
        yield Violation("a lock is heeded", f"{_name(later)} changed what {_name(first)} had")
    for call in outlived(trace):
        yield Violation("no lock outlives its lease", f"{_name(call)} was refused")


def _collected(trace: Trace) -> Iterator[Violation]:
    """Only what nobody needs is collected, was said to be long enough before, and is on record (FORMAT 5.3)."""
    for path, vid in sorted(trace.collected):
        if vid not in trace.recorded:
            yield Violation("what is collected is on record", f"/{path}: {vid}")
    for path, vid in hurried(trace):
        yield Violation("nothing is collected before its grace is over", f"/{path}: {vid}")
    for path, vid in unkept(trace):
        yield Violation("what the policy keeps is not collected", f"/{path}: {vid}")
    fresh = _fresh(trace)
    if fresh is not None:
        for path, vid in uncovered(trace, fresh):
            yield Violation("only what has a descendant is collected", f"/{path}: {vid}")
        for path, vid in uncovering(trace, fresh):
            yield Violation("a collection makes no head", f"/{path}: {vid}")


def _unalarmed(trace: Trace) -> Iterator[Violation]:
    """No server of these worlds shows an older state for good, or hides one: who says so is mistaken (FORMAT 9)."""
    withdrawn = {seen.who: _withdrawn(trace, trace.observations[0], seen) for seen in trace.observations}
    for seen in trace.observations:
        for path, vid in sorted(seen.recalled - trace.destroyed - withdrawn[seen.who]):
            yield Violation("nobody is told of a rollback that is none", f"/{path} for {seen.who}: {vid}")
        for text in seen.hidden if not (trace.destroyed or any(withdrawn.values())) else ():
            yield Violation("nobody is told of a gap that is none", f"{seen.who}: {text}")


def _others(trace: Trace) -> Iterator[Violation]:
    """Mail of others is untouched (P6)."""
    if trace.touched:
        yield Violation("mail of others is untouched", f"{trace.touched} of {trace.mail}")


JUDGES: Final = (
    _ended,
    _acknowledged,
    _refused,
    _forgotten,
    _finished,
    _explained,
    _read,
    _remembered,
    _reported,
    _unhidden,
    _collected,
    _unalarmed,
    agreed,
    _locks,
    _others,
)
