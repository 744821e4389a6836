"""Judges the collections of a simulated run by what was sent, what was removed, and what is there in the end."""

from __future__ import annotations

from collections.abc import Iterator

from ifap_twisted.core import limits
from ifap_twisted.testing.ancestry import Family
from ifap_twisted.testing.scenario import SPARSE
from ifap_twisted.testing.trace import Observation, Trace

DAY = 86400.0
APART = 660.0
"""Seconds by which a version may seem to be older or newer: by a clock that is wrong, and while it was on its way."""
UNDATED = frozenset({"late", "deliver", "double", "drop", "jump"})
WHOLE_SECONDS = 1.0
"""By so much a grace may seem to end earlier: the server's dates have no fractions."""


def hurried(trace: Trace) -> Iterator[tuple[str, str]]:
    """Paths and ids of what was removed without a plan, or too soon after the first one (FORMAT 5.3)."""
    for (path, vid), moment in sorted(trace.collected.items()):
        since = trace.planned.get(vid)
        if since is None or moment - since < limits.LEAST_GRACE_SECONDS - WHOLE_SECONDS:
            yield path, vid


def uncovered(trace: Trace, seen: Observation) -> Iterator[tuple[str, str]]:
    """Paths and ids of what was removed though nothing descends from it that is there.

    Or that was, until a reference program destroyed it: its clean-up spares the highest message only, which may be the
    late copy of an old version.
    """
    for path, vid in sorted(trace.collected):
        family = _family(trace, path)
        there = {one.vid for one in seen.versions.get(path, ())} & set(family.versions if family else ())
        were = there | {name for name in (family.versions if family else ()) if (path, name) in trace.destroyed}
        if family and vid not in there and not any(family.descends(later, vid) for later in were):
            yield path, vid


def uncovering(trace: Trace, seen: Observation) -> Iterator[tuple[str, str]]:
    """Paths and ids of what is a head only because something was removed that descends from it (FORMAT 5.6)."""
    for path in sorted({path for path, _vid in trace.collected}):
        whole = _family(trace, path)
        if whole is None:
            continue
        gone = {vid for name, vid in trace.collected if name == path}
        there = [one.vid for one in seen.versions.get(path, ()) if one.vid in whole.versions and one.vid not in gone]
        left = Family({vid: whole.versions[vid] for vid in there}, whole.ranks)
        for head in left.heads():
            if any(whole.descends(later, head) for later in gone):
                yield path, head


def holes(trace: Trace, seen: Observation) -> int:
    """How many versions were removed that had an older one and a newer one which are there."""
    found = 0
    for path, vid in trace.collected:
        family = _family(trace, path)
        there = {one.vid for one in seen.versions.get(path, ())} & set(family.versions if family else ()) - {vid}
        if family and any(family.descends(vid, old) for old in there):
            found += any(family.descends(new, vid) for new in there)
    return found


def unkept(trace: Trace) -> Iterator[tuple[str, str]]:
    """Paths and ids of what was removed though it was the last of one of the two last days on which a file was written.

    Told only where it is certain, though clocks are ten minutes apart: it was alone for a day, and what came after it
    was all written within one. Where messages came late, or clocks jumped, nobody knows the day of any.
    """
    if SPARSE not in trace.scenario.quirks or UNDATED & trace.troubles.keys():
        return
    for (path, vid), moment in sorted(trace.collected.items()):
        one = trace.sent.get((path, vid))
        if one is None or one.version.deleted or one.version.directory:
            continue
        others = [sent.at for (name, other), sent in trace.sent.items() if name == path and other != vid]
        alone = all(abs(at - one.at) > DAY + 2 * APART for at in others)
        later = [at for at in others if one.at < at <= moment]
        if alone and (not later or (min(later) - APART) // DAY == (max(later) + APART) // DAY):
            yield path, vid


def _family(trace: Trace, path: str) -> Family | None:
    """All that was ever sent for a path, in its order; None when the order of the reference's is not known any more."""
    sent = {vid: one.version for (name, vid), one in trace.sent.items() if name == path}
    if trace.shuffled and not all(version.ours for version in sent.values()):
        return None
    return Family(sent, {vid: order for order, vid in enumerate(sent)})
