"""Judges the locks of a simulated run: one holder at a time, heeded while they last, and no longer than that (P7).

It goes by what callers were told and when, and where that leaves anything open it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ifap_twisted.testing.scenario import NETWORK, WIRE, WIRE_SERVER
from ifap_twisted.testing.trace import DONE, Call, Trace

WHOLE_SECOND: Final = 1.0
"""By so much a lease may seem to end earlier: the server's dates have no fractions."""
OVERWRITING: Final = frozenset({"edit", "append"})
"""What was stored so was stored over something that was there: adding asks for no lock."""
ASKING: Final = frozenset({"put", "create", "queue", "edit", "append", "lock", "hold"})
"""Calls that say of which path they were refused."""
KNOWN_AFTER: Final = 2.0
"""Seconds after which a device that hears at once knows a lock; ``QUICK``: the mean of its answers."""
QUICK: Final = 0.1
_CUTTING: Final = frozenset(NETWORK + WIRE + WIRE_SERVER)
BLINDING: Final = frozenset({"hide", "lag", "miscount", "misplace"})
"""Faults after which a device cannot be blamed for not knowing a lock."""
CERTAIN: Final = frozenset({DONE, "locked", "not-found", "is-a-directory", "not-a-directory"})
"""Outcomes of asking for a lock after which it is known whether there is one."""
PASSING: Final = 300.0
"""Seconds that a lock lasts which was taken for one write only and could not be given back."""


def held_by_two(trace: Trace) -> Iterator[tuple[Call, Call]]:
    """A lock, and another one on the same path that somebody else was given before it was over."""
    for first, until in _tenures(trace):
        for later in trace.calls:
            took = later.verb == "lock" or (later.verb == "hold" and later.began >= (first.ended or 0.0))
            if took and _meets(first, later, until):
                yield first, later


def not_heeded(trace: Trace) -> Iterator[tuple[Call, Call]]:
    """A lock, and a change of somebody else that was let through before it was over."""
    for first, until in _tenures(trace):
        for later in trace.calls:
            began_under_it = later.verb in OVERWRITING and later.began >= (first.ended or 0.0) + KNOWN_AFTER
            if began_under_it and _is_told(trace, later) and _meets(first, later, until):
                yield first, later


def _is_told(trace: Trace, call: Call) -> bool:
    """Whether the device of a call hears at once of what others do; nobody can ask a server to refuse (FORMAT 10.2)."""
    place = trace.scenario.places[call.device]
    return not (place.poor or place.late or place.latency > QUICK or set(trace.troubles) & _CUTTING)


def outlived(trace: Trace) -> Iterator[Call]:
    """A call that was refused because of a lock when none could be left."""
    for call in trace.calls:
        if call.outcome == "locked" and call.verb in ASKING and not _is_explained(trace, call):
            yield call


def was_taken_over(trace: Trace, call: Call) -> bool:
    """Whether somebody else had been given this lock before, and nobody ended it."""
    earlier = [one for one in trace.calls if one.verb == "lock" and one.outcome == DONE and one.path == call.path]
    return any(
        not _same(one, call)
        and (one.ended or 0.0) < call.began
        and not any(_may_end(other, one) and other is not call for other in trace.calls)
        and not any(moment >= one.began for moment in trace.voids)
        for one in earlier
    )


def _tenures(trace: Trace) -> Iterator[tuple[Call, float]]:
    """Each lock that its caller was told of, and until when at least it lasts."""
    if any(trace.troubles[name] for name in BLINDING):
        return
    for call in trace.calls:
        if call.verb == "lock" and call.outcome == DONE:
            ends = [other.began for other in trace.calls if _may_end(other, call)]
            ends += [moment for moment in trace.voids if moment >= call.began]
            yield call, min([call.began + call.lease - WHOLE_SECOND, *ends])


def _may_end(other: Call, lock: Call) -> bool:
    """It may have ended the lock: given it back, or broken it."""
    ending = other.path == lock.path and (other.verb == "unlock" or (other.verb == "hold" and _same(other, lock)))
    return ending and other.outcome not in {"locked", "not-found"} and (other.ended or float("inf")) >= lock.began


def _same(one: Call, other: Call) -> bool:
    return one.device == other.device


def _meets(first: Call, later: Call, until: float) -> bool:
    """Somebody else was told of success while the lock was there."""
    others = later.outcome == DONE and later.path == first.path and not _same(first, later)
    return others and later.ended is not None and (first.ended or 0.0) <= later.ended < until


def _is_explained(trace: Trace, call: Call) -> bool:
    """A lock may have been there when it was asked for."""
    known = [one for one in trace.calls if one.verb in {"lock", "hold"} and one.path == call.path and one is not call]
    if any(one.outcome not in (CERTAIN if one.verb == "lock" else {DONE, "locked"}) for one in known):
        return True  # what nobody was told of may have arrived at any time
    until = call.ended or call.began
    before = [one for one in known if one.began <= until and one.outcome == DONE]
    passing = [one for one in _passing(trace, call.path) if one.began <= until]
    return any(_last(trace, one, call) >= call.began for one in before) or any(
        (one.ended or float("inf")) + _stays(trace) + WHOLE_SECOND >= call.began for one in passing
    )


def _passing(trace: Trace, path: str) -> list[Call]:
    """The writes of a path that sent a lock for themselves, perhaps because of one that nobody was told of."""
    sent = {one.call for one in trace.sent.values() if one.version.lease is not None}
    return [one for one in trace.calls if one.number in sent and one.path == path and one.verb not in _PLAIN]


def _stays(trace: Trace) -> float:
    """How long a lock that was taken for one write may stay after it, when it cannot be given back."""
    return PASSING if trace.troubles else 0.0


def _last(trace: Trace, lock: Call, asked: Call) -> float:
    """Until when a lock, or one that was taken for a write because of it, can have lasted at most."""
    since = [one for one in trace.calls if one.began >= lock.began and one.outcome != "locked" and one is not asked]
    writes = [one for one in since if lock.path in {one.path, one.other}]
    renewed = [(one.ended or float("inf")) for one in writes if _same(one, lock)]
    passing = [(one.ended or float("inf")) + _stays(trace) for one in writes if one.verb not in _PLAIN]
    return max([*passing, *(moment + lock.lease for moment in [lock.ended or 0.0, *renewed])]) + WHOLE_SECOND


_PLAIN: Final = frozenset({"lock", "unlock", "hold", "read", "stat", "crash"})
"""What takes no lock for itself alone."""
