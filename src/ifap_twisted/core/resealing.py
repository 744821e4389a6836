"""Which version has to be sealed anew, and which places are spare then (FORMAT 2.2, 8.5).

For the reference programs the message with the highest UID is a path's current version, and they expunge what is beyond
its ``versions``. So a copy of an older version is never put above a newer one under the same key: it would let them
expunge the newest content, maybe its only copy. Where the key stays the same nothing but the current version is
appended again; under a new key, which opens nothing of the path yet, all can be, in ascending rank. Versions lose their
old places in descending rank: at every moment, whatever of it was done, the path has the same history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from ifap_twisted.core import paths
from ifap_twisted.core.history import History, Placed

__all__ = ["Spare", "newest", "next_to_seal", "spare", "to_seal"]


class Spare(NamedTuple):
    """Places of a version that may go while another one stays.

    :ivar placed: the version as it is; ``places`` those of its places that may go.
    :ivar keeper: the place that takes over.
    """

    placed: Placed
    places: tuple[int, ...]
    keeper: int


def to_seal(history: History, sound: Collection[int]) -> Placed | None:
    """The version of a path that has to be sealed anew: its current one, or None.

    None, too, where it may not be the newest: beside other heads, when something is missing, when it was collected once
    and is there again, and when ids cannot be told apart. A sound place that is below another message of the path does
    not count: that message, a copy of an older version, is what the reference programs take for the newest.

    :param sound: the places that may take over: sealed and bound as they shall be.
    """
    versions, current = history.versions, history.current
    if current is None or _in_doubt(history) or len(history.heads) > 1:
        return None
    highest = max(placed.places[-1] for placed in versions)
    return None if highest in current.places and highest in sound else current


def next_to_seal(history: History, sound: Collection[int], failed: Collection[str] = ()) -> Placed | None:
    """The version of a path that has to be sealed under another key next: in ascending rank, until all are.

    None where something is missing, where the current version was collected once and is there again, and when ids
    cannot be told apart; and while the newest cannot be sealed anew, which would have to stand above all. What is older
    than a version that is under the key already stays as it is. Where a copy of an older version stands above that,
    because both came at once, the newest of those under the key is put above it. Of a reserved name, which the
    reference programs leave alone, all are sealed anew, so that the new places are in the order of the ranks.

    :param sound: the places that are under the key.
    :param failed: the ids of those that cannot be sealed anew.
    """
    last = newest(history)
    if last is None or _in_doubt(history) or last.version.vid in failed:
        return None
    wanted = [one for one in history.versions if not history.is_bygone(one)]
    if paths.is_reserved(last.version.path):
        return _next_in_order([one for one in wanted if one.version.vid not in failed], sound)
    highest = [max((uid for uid in one.places if uid in sound), default=0) for one in wanted]
    done = max((number for number, uid in enumerate(highest) if uid), default=-1)
    hidden = done >= 0 and highest[done] < max(highest)
    return next((one for one in wanted[done if hidden else done + 1 :] if one.version.vid not in failed), None)


def _next_in_order(wanted: Iterable[Placed], sound: Collection[int]) -> Placed | None:
    last = 0
    for placed in wanted:
        keeper = _keeper(placed, sound, last)
        if keeper is None:
            return placed
        last = keeper
    return None


def newest(history: History) -> Placed | None:
    """The version of highest rank, which the reference programs take for the current one."""
    return next((one for one in reversed(history.versions) if not history.is_bygone(one)), None)


def _in_doubt(history: History) -> bool:
    versions, current = history.versions, history.current
    doubtful = len({placed.version.vid for placed in versions}) < len(versions)
    return doubtful or current is None or history.is_bygone(current) or any(placed.missing for placed in versions)


def spare(history: History, sound: Collection[int]) -> Iterator[Spare]:
    """What may go, in the order in which it has to: with each removal the history stays the same.

    Nothing of a path of which something is missing, was collected once, or cannot be told apart.
    """
    versions = history.versions
    told_apart = len({placed.version.vid for placed in versions}) == len(versions)
    if not told_apart or any(history.bygone) or any(placed.missing for placed in versions):
        return
    left = history
    for placed, keeper in reversed(list(_keepers(versions, sound))):
        places = tuple(uid for uid in placed.places if uid < keeper)
        rest = placed._replace(places=tuple(uid for uid in placed.places if uid >= keeper))
        after = left.of(rest if one.version is placed.version else one for one in left.versions)
        if places and _says(after) == _says(left):
            left = after
            yield Spare(placed, places, keeper)


def _keepers(versions: Sequence[Placed], sound: Collection[int]) -> Iterator[tuple[Placed, int]]:
    """The places that take over, ascending as the ranks are."""
    last = 0.0
    for placed in versions:
        keeper = _keeper(placed, sound, last)
        if keeper is not None:
            yield placed, keeper
        last = max(last, placed.rank if keeper is None else keeper)


def _keeper(placed: Placed, sound: Collection[int], last: float) -> int | None:
    return next((uid for uid in placed.places if uid > last and uid in sound), None)


def _says(history: History) -> tuple[object, ...]:
    """All that follows from the ranks in a history."""
    current = history.current
    return (
        [(placed.version.vid, history.is_late(placed)) for placed in history.versions],
        [head.version.vid for head in history.heads],
        None if current is None else current.version.vid,
        history.in_conflict,
    )
