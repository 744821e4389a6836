"""Mending what a check found: by writing anew, and by remembering what is of no use.

Nothing is removed, and what is in doubt is not decided: what is missing, or in conflict, stays so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ifap_twisted.core import paths
from ifap_twisted.core.findings import FINISH_MOVE, FOLDER_OBJECT, REMEDIES, RESTORE, REWRITE, SET_ASIDE, SNAPSHOT
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import DataError, IFAPError, NotFound, Renumbered, StoreError
from ifap_twisted.filesystem import folder, renaming
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.inspecting import Case, whole


class Mending:
    """Mends one folder.

    :param random: gives that many random bytes.
    :param snapshot: writes one.
    """

    def __init__(self, desk: Desk, *, random: Callable[[int], bytes], snapshot: Callable[[], Awaitable[None]]) -> None:
        self._desk = desk
        self._random = random
        self._write_snapshot = snapshot
        self._cures: Mapping[str, Callable[[Case], Awaitable[None]]] = {
            RESTORE: self._restore,
            REWRITE: self._rewrite,
            FOLDER_OBJECT: self._folder_object,
            FINISH_MOVE: self._finish_move,
            SET_ASIDE: self._set_aside,
            SNAPSHOT: self._snapshot,
        }

    async def mended(self, cases: Sequence[Case]) -> list[Case]:
        """The cases, with what became of those that have a remedy.

        What cannot be mended holds nothing else up; when the server fails, what is left to be done is left.

        :raises Renumbered: the places mean nothing any more; what was mended is mended.
        """
        generation = self._desk.view.generation
        found, failure = list(cases), None
        for remedy in REMEDIES:
            for number, case in enumerate(found):
                if case.finding.remedy != remedy:
                    continue
                self._desk.view.check_generation(generation)
                if failure is None:
                    found[number], failure = await self._one(case)
                else:
                    found[number] = _unmended(case, failure)
        return found

    async def _one(self, case: Case) -> tuple[Case, StoreError | None]:
        """What became of it, and why nothing else should be tried."""
        try:
            await self._cures[case.finding.remedy](case)
        except Renumbered:
            raise
        except IFAPError as error:
            return _unmended(case, error), error if isinstance(error, StoreError) else None
        return case._replace(finding=case.finding._replace(mended=True)), None

    async def _restore(self, case: Case) -> None:
        """Over a version that cannot be read, which stays in the history of its file.

        :raises NotFound: no version is whole.
        """
        (bad,) = case.placed
        history = self._desk.view.index.history(bad.version.path)
        left = whole(self._desk.view, history)
        while left:
            newest = history.newest_of(left)
            try:
                await self._write_again(newest, over=bad)
            except DataError:
                left.remove(newest)
                continue
            await self._set_aside(case)
            return
        raise NotFound("No version of it is whole.", path=bad.version.path)

    async def _rewrite(self, case: Case) -> None:
        """Each current version of the id."""
        for placed in case.placed:
            path = placed.version.path
            if not paths.is_reserved(path) and placed in self._desk.view.index.history(path).heads:
                await self._write_again(placed, over=placed)
        await self._set_aside(case)

    async def _write_again(self, placed: Placed, *, over: Placed) -> None:
        """As a new version of the file, unless somebody has written it meanwhile.

        :raises Conflict: somebody has.
        """
        version, generation = placed.version, self._desk.view.generation
        found = Found(self._desk.view.index.history(version.path), placed, version.path)
        change = as_before(found, late_too=True, deleted=version.deleted)
        expect = ABSENT if over.version.deleted else over.version.vid
        await self._desk.rewrite(version.path, found, change, expect=expect)
        self._desk.view.check_generation(generation)

    async def _folder_object(self, _case: Case) -> None:
        """With the home that all messages name; read back as a whole (FORMAT 4.5, 8.2)."""
        view = self._desk.view
        key = view.keys[0] if view.keys else None
        generation = view.newer_keys.generation
        found = folder.FolderObject.draw(key, self._random, home=view.home, generation=generation)
        placed = await self._desk.writer.write(found.path, found.encode(), Change())
        await folder.read_object(view.store, placed, view.dialect, view.keys)

    async def _finish_move(self, case: Case) -> None:
        left, arrived = case.placed
        await renaming.finish(self._desk, left, arrived)

    async def _set_aside(self, case: Case) -> None:
        if not self._desk.view.set_aside(case.uids, case.finding.code):
            raise IFAPError("So many messages were set aside that no more can be remembered.")

    async def _snapshot(self, case: Case) -> None:
        await self._write_snapshot()
        await self._set_aside(case)


def _unmended(case: Case, error: IFAPError) -> Case:
    return case.told(f"It was not mended: {error}")
