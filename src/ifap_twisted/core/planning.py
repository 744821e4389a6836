"""What to do, without doing it: the next version of a path, what a refresh must read, when a snapshot is due."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from ifap_twisted.core import limits
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.index import Index
from ifap_twisted.core.snapshot import reference_metadata
from ifap_twisted.core.values import ABSENT, JSON, Expect, FolderState, Version
from ifap_twisted.errors import Conflict, NewerVersionNeeded


@dataclass(frozen=True, slots=True)
class Ancestry:
    """Where a new version stands in history: it descends from all that it replaces (FORMAT 3.1, 5.2)."""

    clock: Mapping[str, int]
    parents: tuple[str, ...]


def ancestry(history: History, replaced: Sequence[Placed], *, writer: str, number: int) -> Ancestry:
    """The clock and the parents of a version that replaces some of the versions of a path.

    :param number: the writer's next number; greater than any it used before (FORMAT 3.1).
    """
    clock: dict[str, int] = {}
    for placed in replaced:
        for name, value in placed.version.clock.items():
            clock[name] = max(value, clock.get(name, 0))
    if {head.rank for head in history.heads} <= {one.rank for one in replaced}:  # then it descends from everything
        for one in list(_left_out(clock, history)):
            clock[one.version.writer] = max(one.number, clock.get(one.version.writer, 0))
    clock[writer] = number
    parents = tuple(sorted(placed.version.vid for placed in replaced if not placed.version.ours))
    return Ancestry(_shortened(clock, history, writer), parents)


def _left_out(clock: Mapping[str, int], history: History) -> Iterator[Placed]:
    """The versions of ours that are no heads and that a clock does not tell to be ancestors.

    Who wrote what replaced them did not see them, and took their writers for silent (FORMAT 3.6).
    """
    heads = {head.rank for head in history.heads}
    for one in history.versions:
        known = clock.get(one.version.writer, 0) >= one.number
        if one.version.ours and not known and one.rank not in heads and not history.is_bygone(one):
            yield one


def would_hide_own(history: History, replaced: Sequence[Placed], writer: str) -> bool:
    """Whether the next number of a writer would seem to descend from a version of its own that is not replaced.

    The writer is about to write a sibling of that version, and has to draw another name first (FORMAT 3.2).
    """
    if not history.versions:  # a new file
        return False
    known = max((placed.version.clock.get(writer, 0) for placed in replaced), default=0)
    return any(placed.version.writer == writer and placed.number > known for placed in history.versions)


def number_is_doubtful(history: History, version: Version, replaced: Collection[str]) -> bool:
    """Whether a message that was kept, and is not there, may bear a number that was used for another version, too.

    A device that was put back to an older state does that (FORMAT 3.2). The message would pass for an ancestor of what
    never saw it, or for a descendant of what it did not replace: both would hide something.

    :param replaced: the vids of the versions that it descends from.
    """
    own = Placed(version, (), inf)
    seen = (other.version.inherits == version.vid for other in history.versions)
    if not any(seen) and any(history.descends(other, own) for other in history.versions):
        return True
    return would_hide_own(history, [one for one in history.versions if one.version.vid in replaced], version.writer)


def _shortened(clock: dict[str, int], history: History, writer: str) -> dict[str, int]:
    """Without writers of whom nothing is present, longest silent first, while it is too long (FORMAT 3.6)."""
    excess = len(clock) - limits.CLOCK_ENTRIES
    if excess <= 0:
        return clock
    present = {placed.version.writer for placed in history.versions} | {writer}
    silent = sorted((name for name in clock if name not in present), key=lambda name: _silence(name, clock, history))
    for name in silent[:excess]:
        del clock[name]
    return clock


def _silence(writer: str, clock: Mapping[str, int], history: History) -> tuple[float, str]:
    """Less for a writer whose last number was known to an older version: it has been silent for longer."""
    known = [p.rank for p in history.versions if p.version.clock.get(writer, 0) >= clock[writer]]
    return (min(known, default=0), writer)


def check_expectation(history: History, expect: Expect, path: str, *, locked: bool = False) -> None:
    """Hold what a write expects against what is there (FORMAT 4.4).

    :param locked: the writer holds a lock on the path: what came too late under an older one does not stop it.
    :raises Conflict: naming what was expected and what was found.
    """
    if expect is None:
        return
    heads = history.timely_heads if locked else history.heads
    live = [head for head in heads if not head.version.deleted]
    found = max(live, key=history.precedence).version.vid if live else None
    if expect is ABSENT:
        if live:
            raise Conflict("There is a file of that name already.", path=path, expected=None, found=found)
    elif found != expect or len(heads) != 1:
        raise Conflict("The file is not the version that was expected.", path=path, expected=expect, found=found)


def check_understood(replaced: Collection[Placed], path: str) -> None:
    """A version that needs a newer program is never overwritten without being told to (FORMAT 1.5).

    :raises NewerVersionNeeded:
    """
    if any(not placed.version.understood for placed in replaced):
        raise NewerVersionNeeded(
            "A newer version of ifap-twisted wrote this file; this one does not overwrite it.", path=path
        )


def overtaken(history: History, own: Placed, replaced: Collection[str]) -> Placed | None:
    """The concurrent sibling of lower rank that a write with ``expect`` lost against, if any (FORMAT 4.4).

    :param replaced: the vids of the heads that the write was planned on.
    """
    for head in history.versions:
        if (
            head.rank < own.rank
            and head.version.vid not in replaced
            and not history.descends(own, head)
            and not head.version.deleted
            and not history.is_late(head)
            and not (history.is_bygone(head) and head not in history.heads)
        ):
            return head
    return None


@dataclass(frozen=True, slots=True)
class RefreshPlan:
    """What a refresh has to do after a poll.

    :ivar restart: the UIDs were renumbered: read everything, then forget the old places (FORMAT 2.5).
    :ivar first: the lowest UID whose header may be unread, or None when there is nothing new.
    """

    restart: bool
    first: int | None


def plan_refresh(known: FolderState | None, now: FolderState, index: Index) -> RefreshPlan:
    """Compare what a server says of a folder with what was known at the end of the last complete refresh."""
    if known is None or known.uidvalidity != now.uidvalidity:
        return RefreshPlan(restart=known is not None, first=1)
    unchanged = now.exists == known.exists == len(index) and now.uidnext == known.uidnext
    if unchanged:
        return RefreshPlan(restart=False, first=None)
    return RefreshPlan(restart=False, first=index.highest + 1)


def is_behind(now: FolderState, missing: Collection[int]) -> bool:
    """Whether what a server shows is older than what is known: UIDs are missing that, it says, were not given yet.

    Some providers answer from copies of a mailbox, of which one lags behind another: what it does not show may come.

    :param missing: known UIDs, of the same UIDVALIDITY, that are not listed.
    """
    return now.uidnext is not None and any(uid >= now.uidnext for uid in missing)


def gives_again(now: FolderState, index: Index) -> bool:
    """Whether a server gives UIDs that were given before: it goes on from an older state under the same UIDVALIDITY."""
    return now.uidnext is not None and now.uidnext <= index.highest


def plan_snapshot(histories: Mapping[str, History]) -> dict[str, tuple[int, dict[str, JSON], list[int]]]:
    """The tree of a snapshot: per path the highest UID, its metadata and all UIDs (FORMAT 6.2, WIRE-FORMAT 4)."""
    tree: dict[str, tuple[int, dict[str, JSON], list[int]]] = {}
    for path, history in histories.items():
        there = [placed for placed in history.versions if not placed.missing]
        if not there:
            continue
        newest = max(there, key=lambda placed: placed.places[-1])
        uids = sorted(uid for placed in there for uid in placed.places)
        tree[path] = (uids[-1], reference_metadata(newest.version), uids)
    return tree


SNAPSHOT_AFTER = 20
"""As the reference: a snapshot is due when more messages than this are in none."""


def wants_snapshot(index: Index, snapshot_path: str) -> bool:
    """Enough is new since the last snapshot to write one; its cost stays in proportion to what is new.

    A reference client without a fresh snapshot forgets old versions and destroys them at its next ``rm``
    (WIRE-FORMAT 5.2.1).
    """
    newest = index.history(snapshot_path).current
    since = newest.places[-1] if newest is not None else 0
    new = sum(uid > since and index.at(uid) is not None for uid in index.uids())
    return new > max(SNAPSHOT_AFTER, len(index) // 20)
