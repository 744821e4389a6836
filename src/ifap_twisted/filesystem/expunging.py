"""Removing exactly the versions that a survey let go, while nothing of what it saw changes (FORMAT 5.3, 5.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.disposal import Disposal
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Version
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.surveying import Survey
from ifap_twisted.interfaces import Progress

TRIES = 5
PORTION = 500
"""Versions that are removed at a time."""

_State: TypeAlias = tuple[frozenset[tuple[str, tuple[int, ...]]], frozenset[str]]
"""The versions of a path with their places, and the heads among them."""


class Expunging:
    """One removal.

    :param seen: what the disposals were made of.
    :param plainly: where there is no UIDPLUS, a plain EXPUNGE may be sent (FORMAT 5.4).
    :ivar removed: what was removed, in its order.
    """

    def __init__(
        self,
        desk: Desk,
        disposals: Iterable[Disposal],
        seen: Survey,
        progress: Progress,
        *,
        plainly: bool,
    ) -> None:
        self._desk = desk
        self._seen = seen
        self._plainly = plainly
        self._disposals = {one.path: one for one in disposals if one.going}
        self._generation = seen.generation
        self._progress = progress
        self._expected: dict[str, _State] = {}
        self._left_out: set[str] = set()
        self._total = sum(len(one.going) for one in self._disposals.values())
        self.removed: list[Placed] = []

    async def run(self) -> None:
        """Remove them.

        :raises Renumbered: the numbers mean nothing any more, or a place holds something else.
        :raises NotSupported, MarkedByOthers, StoreError: the rest stays.
        """
        names, histories = list(self._disposals), self._seen.histories
        self._expected = await self._desk.worker(lambda: {path: _state(histories[path]) for path in names})
        for portion in _portions(self._disposals.values()):
            still = await self._checked(self._as_seen(portion))
            # From here to the call nothing comes between: what was checked is so while it is sent.
            self._left_out |= {one.version.path for one in portion} - {one.version.path for one in still}
            if still:
                await self._remove(still)

    async def _checked(self, placed: Sequence[Placed]) -> Sequence[Placed]:
        """Those that are as they were when everything that the server told of was read; none in a busy folder."""
        view = self._desk.view
        for _ in range(TRIES):
            await view.refresh()
            view.check_generation(self._generation)
            if not (view.unread or view.incomplete):
                return self._as_seen(placed)
        return ()

    async def _remove(self, placed: Sequence[Placed]) -> None:
        view = self._desk.view
        expected = view.index.sealed_ids(uid for one in placed for uid in one.places)
        await view.remove(expected, self._generation, self._due() if self._plainly else None)
        for one in placed:
            versions, heads = self._expected[one.version.path]
            gone = (one.version.vid, one.places)
            left = heads - {one.version.vid} if self._disposals[one.version.path].end else heads
            self._expected[one.version.path] = versions - {gone}, left
        self.removed.extend(placed)
        if self._progress is not None:
            self._progress(len(self.removed), self._total)

    def _due(self) -> Collection[int]:
        """All places that may go."""
        return {uid for disposal in self._disposals.values() for one in disposal.going for uid in one.places}

    def _as_seen(self, placed: Sequence[Placed]) -> list[Placed]:
        """Those to whose path nothing came, from which nothing went but by this, and at which nobody here is.

        Nothing goes, either, where a content was found damaged since.

        Where that was not so once, nothing more of the path goes: what is left out comes before it. No chunk goes once
        something came that may need it.
        """
        view = self._desk.view
        index, in_use = view.index, self._desk.in_use
        spoilt = {version.path for uid in view.unusable if (version := index.at(uid)) is not None}
        names = {one.version.path for one in placed} - in_use - self._left_out - spoilt
        if any(name.startswith(CHUNKS) for name in names) and self._may_be_needed():
            names = {name for name in names if not name.startswith(CHUNKS)}
        same = {name for name in names if _state(index.history(name)) == self._expected[name]}
        return [one for one in placed if one.version.path in same]

    def _may_be_needed(self) -> bool:
        """Whether a manifest came, or what may be one.

        What a server shows late, or garbled for a while, may be below what was seen.
        """
        index, late, seen = self._desk.view.index, self._desk.view.late, self._seen
        new = [uid for uid in index.uids() if uid not in seen.seen]
        new += [uid for uid in seen.useless if index.at(uid) is not None]
        rejected = index.rejected() if new else {}
        there = ((uid, late.get(uid) or index.at(uid)) for uid in new)
        return any(uid in rejected if version is None else _may_name_chunks(version) for uid, version in there)


def _may_name_chunks(version: Version) -> bool:
    return version.chunked or not version.understood


def _state(history: History) -> _State:
    versions = frozenset((placed.version.vid, placed.places) for placed in history.versions)
    return versions, frozenset(head.version.vid for head in history.heads)


def _portions(disposals: Collection[Disposal]) -> Iterator[Sequence[Placed]]:
    """First, path by path, what may go in any order; then of each other path one version after the other."""
    yield from _sliced([placed for one in disposals if one.together for placed in one.going])
    chains = [one.going for one in disposals if not one.together]
    for turn in range(max(map(len, chains), default=0)):
        yield from _sliced([chain[turn] for chain in chains if turn < len(chain)])


def _sliced(placed: Sequence[Placed]) -> Iterator[Sequence[Placed]]:
    for start in range(0, len(placed), PORTION):
        yield placed[start : start + PORTION]
