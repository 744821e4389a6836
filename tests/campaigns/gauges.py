"""What a process holds: memory, handles, threads, delayed calls, objects; and whether it grows (bar R24)."""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ifap_twisted.core.values import Version

CONTAINERS = (dict, list, set, frozenset, deque, tuple)
MOST = 5.0
"""Per cent by which nothing may grow."""
FEW = 3
"""Handles, threads and delayed calls that may be there at one look only: a connection that just ends."""
COMPARED = 6
"""Looks at either end of a run that are compared, by their medians: whole turns of what happens every third round."""
JUDGED = ("rss", "handles", "threads", "calls", "objects", "entries")


@dataclass(frozen=True, slots=True)
class Look:
    """What a process holds at one moment.

    :ivar rss: resident memory in KiB; ``handles`` open files; ``calls`` delayed calls.
    :ivar objects: that the garbage collector knows; ``entries`` of all containers but the clocks of versions.
    :ivar versions: and the entries of their ``clocks``, which have a bound of their own (FORMAT 3.6).
    """

    operations: int
    rss: int
    handles: int
    threads: int
    calls: int
    objects: int
    entries: int
    versions: int
    clocks: int

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def look(operations: int, calls: int) -> Look:
    """Look at this process, after a collection.

    :param calls: delayed calls of all clocks.
    """
    gc.collect()
    found = gc.get_objects()
    entries = sum(len(one) for one in found if isinstance(one, CONTAINERS)) + _untracked(found)
    versions = [one for one in found if type(one) is Version]
    clocks = sum(map(len, {id(one.clock): one.clock for one in versions}.values()))
    return Look(
        operations,
        _resident(),
        len(os.listdir("/proc/self/fd")) - 1,
        threading.active_count(),
        calls,
        len(found),
        entries - clocks,
        len(versions),
        clocks,
    )


def _untracked(found: Sequence[Any]) -> int:
    """The entries of dictionaries of plain values, which the garbage collector does not know by themselves."""
    seen: dict[int, int] = {}
    for one in found:
        for other in gc.get_referents(one):
            if type(other) is dict and not gc.is_tracked(other):
                seen[id(other)] = len(other)
    return sum(seen.values())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def types() -> Counter[str]:
    """How many objects there are of each type."""
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def growth(looks: Sequence[Look], names: Collection[str] | None = None) -> dict[str, float]:
    """By how many per cent each thing grew from the first looks to the last ones.

    :param looks: after the warm-up.
    """
    ends = looks[:COMPARED], looks[-COMPARED:]
    found = {}
    for name in names or JUDGED:
        before, after = (median(getattr(one, name) for one in end) for end in ends)
        few = name in {"handles", "threads", "calls"} and after - before <= FEW
        found[name] = 0.0 if few else 100.0 * (after - before) / before
    return found


def grown(looks: Sequence[Look]) -> list[str]:
    """What grew too much."""
    return [f"{name} grew by {cent:.1f} %" for name, cent in growth(looks).items() if cent > MOST]
