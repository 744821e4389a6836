"""What entries say besides what is in the versions: which locks hold, and which contents are doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import Entry, Lock
from ifap_twisted.filesystem.entries import BESIDE
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.view import View


@dataclass(frozen=True, slots=True)
class Remarks:
    """Those of one moment; they never change, so any thread may add them.

    :ivar locked: the locks that hold, by path.
    :ivar doubtful: paths with the ids of their versions: damaged, or in a conflict and perhaps taken back yet.
    """

    locked: Mapping[str, Lock]
    doubtful: frozenset[tuple[str, str]]

    def added_to(self, entries: Iterable[Entry]) -> list[Entry]:
        """The same entries, with what is to be said of them."""
        if not (self.locked or self.doubtful):
            return list(entries)
        return [self._added(entry) for entry in entries]

    def _added(self, entry: Entry) -> Entry:
        names = {entry.path, entry.path.removesuffix(BESIDE)}
        doubtful = any((name, entry.version) in self.doubtful for name in names)
        locked = self.locked.get(entry.path)
        return replace(entry, locked=locked, doubtful=doubtful) if locked or doubtful else entry


def remarks_now(view: View, book: LockBook) -> Remarks:
    """What is to be said now of all entries."""
    locked = {path: lock for path in book.paths() if (lock := book.locked(path)) is not None}
    suspects = (view.index.at(uid) for uid in view.unusable)
    paths = {*view.index.conflicts(), *(version.path for version in suspects if version is not None)}
    return Remarks(locked, frozenset(doubtful_versions(view, paths)))


def doubtful_versions(view: View, paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The doubtful versions of these paths; without a conflict the content stays, whatever its writer does."""
    bad, now = view.unusable, view.elapsed()

    def is_doubtful(placed: Placed, *, in_conflict: bool) -> bool:
        if placed.places and set(placed.places).issubset(bad):
            return True
        return in_conflict and view.index.may_be_withdrawn(placed, now)

    for path in paths:
        history = view.index.history(path)
        for placed in history.versions:
            if is_doubtful(placed, in_conflict=history.in_conflict):
                yield path, placed.version.vid
