"""What collections have left undone: versions that should have gone long ago, and those that went and are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from ifap_twisted.core import paths
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING
from ifap_twisted.core.disposal import Disposal, Knowledge, survey
from ifap_twisted.core.history import History

__all__ = ["LONG", "overdue", "returned"]

LONG: Final = 30 * 86400.0
"""For so many seconds something may be due before it is told: a machine may be off, or a person collect by hand."""


def overdue(histories: Mapping[str, History], known: Knowledge) -> frozenset[int]:
    """The UIDs of versions of files that a collection could have removed, or planned, `LONG` ago as well as now.

    :param known: of now.
    """
    then = known.now - LONG
    due = {uid for one in _files(histories, known) for uid in _uids(one, {COLLECTED, PLANNED, WAITING})}
    for disposal in _files(histories, replace(known, now=then)):
        planned = _uids(disposal, {PLANNED})
        if planned and any(known.time(placed) > then for placed in histories[disposal.path].versions):
            due -= planned  # what was to go then cannot be told any more from what there is now
        due -= _uids(disposal, {KEPT, WAITING})
    return frozenset(due)


def _files(histories: Mapping[str, History], known: Knowledge) -> Iterator[Disposal]:
    """Plans and records that nothing needs wait for versions that go with them."""
    return (disposal for disposal in survey(histories, known) if not paths.is_reserved(disposal.path))


def _uids(disposal: Disposal, fates: Collection[str]) -> frozenset[int]:
    return frozenset(uid for case in disposal.cases if case.fate in fates for uid in case.placed.places)


def returned(histories: Mapping[str, History], known: Knowledge) -> frozenset[int]:
    """The UIDs of versions of files of which a record told a grace ago that they were removed for good (FORMAT 5.3)."""
    return frozenset(
        uid
        for path, history in histories.items()
        if history.bygone.copies and not paths.is_reserved(path)
        for placed in history.versions
        if placed.rank in known.records.bygone(history.versions, before=known.now - known.grace).copies
        for uid in placed.places
    )
