"""Which plans and collection records are of no use any more, and how records are drawn together (FORMAT 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.plans import Plan
from ifap_twisted.core.records import Gone, Record, Records

__all__ = ["RECORD_SECONDS", "drawn_together", "idle_plans", "is_needed", "redundant_records", "unrecorded"]

RECORD_SECONDS: Final = 730 * 86400.0
"""How long an entry of a record is kept: as long again as the tombstone before it. What turns up even later, where
nothing is left of its path, is a file like any other, seen and not lost."""
MANY_RECORDS: Final = 8
"""From so many records on a new one repeats what they say, so that they can go."""


def is_needed(plan: Plan, uidvalidity: int, vid_at: Callable[[int], str | None]) -> bool:
    """Whether anything that a plan names is still at its place.

    :param vid_at: the id of the version at a UID, if there is any.
    """
    return plan.uidvalidity == uidvalidity and any(vid_at(one.uid) == one.vid for one in (*plan.collect, *plan.keep))


def idle_plans(
    plans: Iterable[tuple[str, Plan]], uidvalidity: int, vid_at: Callable[[int], str | None]
) -> Iterator[str]:
    """The ids of the plans that say nothing of what is there.

    :param plans: with the ids of their objects.
    """
    return (vid for vid, plan in plans if not is_needed(plan, uidvalidity, vid_at))


def redundant_records(records: Iterable[tuple[int, str, Record]], now: float) -> list[str]:
    """The ids of the records of which each entry is too old or also in a later record that stays.

    :param records: with UID and id of their objects, in any order.
    """
    said: set[Gone] = set()
    found = []
    for _uid, vid, record in sorted(records, key=lambda one: one[0], reverse=True):
        entries = {one for one in record.gone if now - one.time < RECORD_SECONDS}
        if entries <= said:
            found.append(vid)
        said |= entries
    return found


def unrecorded(gone: Iterable[Gone], records: Iterable[Record], now: float) -> Iterator[Gone]:
    """The entries that no record says which is there to stay."""
    stays = Records()
    for record in records:
        stays.add(one for one in record.gone if now - one.time < RECORD_SECONDS)
    return (one for one in gone if not stays.holds(one))


def drawn_together(gone: Sequence[Gone], records: Sequence[Record], now: float) -> Iterator[Record]:
    """The records to write: of new entries, and of those of earlier records where there are many."""
    entries = dict.fromkeys(gone)
    if len(records) >= MANY_RECORDS:
        earlier = [one for record in records for one in record.gone if now - one.time < RECORD_SECONDS]
        if len(earlier) + len(gone) <= limits.RECORD_ENTRIES:
            entries.update(dict.fromkeys(earlier))
    return _fitting(tuple(entries))


def _fitting(gone: tuple[Gone, ...]) -> Iterator[Record]:
    """In as many records as their bounds ask for."""
    record = Record(gone)
    if len(gone) > limits.RECORD_ENTRIES or (len(gone) > 1 and len(record.encode()) > limits.RECORD_BYTES):
        yield from _fitting(gone[: len(gone) // 2])
        yield from _fitting(gone[len(gone) // 2 :])
    elif gone:
        yield record
