"""Removing places of versions that other places take over: copies under an earlier key, or unbound ones (FORMAT 8.5).

Not before a plan has named them for a grace, and the place that takes over was read once more and is whole. What a path
says never changes by it; where it would, everything stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ifap_twisted.core import envelope
from ifap_twisted.core.resealing import Spare, spare
from ifap_twisted.core.values import HeaderBlock, Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import DataError, Tampered
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.expunging import PORTION, TRIES
from ifap_twisted.filesystem.view import View

AT_ONCE = 8
"""Contents that are read at a time."""
GAP = 16
"""Headers in between that are read along, to ask for a range rather than for two."""


async def under_newest(desk: Desk, uids: Collection[int], generation: int) -> set[int]:
    """Those of these places that the newest key alone opens, as the server shows them now.

    :param generation: of the numbers.
    :raises Renumbered: they mean nothing any more. :raises StoreError: they cannot be read now.
    """
    view = desk.view
    versions = {uid: version for uid in uids if (version := view.index.at(uid)) is not None}
    blocks = await blocks_of(desk, versions, generation)

    def work() -> set[int]:
        return {uid for uid, block in blocks.items() if uid in versions and _opens(view, block, versions[uid])}

    return await desk.worker(work)


def _opens(view: View, block: HeaderBlock, version: Version) -> bool:
    try:
        found = envelope.read_header(block.fields, dialect=view.dialect, keys=view.keys[:1], home=view.home)
    except DataError:
        return False
    return found == version


async def blocks_of(desk: Desk, uids: Collection[int], generation: int) -> Mapping[int, HeaderBlock]:
    """The headers at these places, of those that are there.

    :raises Renumbered, StoreError: as :func:`under_newest`.
    """
    view = desk.view
    blocks: dict[int, HeaderBlock] = {}
    for found in await settled([view.store.headers(first, last) for first, last in _spans(sorted(uids))]):
        blocks.update(found)
    view.check_generation(generation)
    return blocks


class Sparing:
    """One removal of spare places.

    :param due: the places whose grace is over.
    :param generation: of these numbers.
    :param plainly: where there is no UIDPLUS, a plain EXPUNGE may be sent (FORMAT 5.4).
    :ivar removed: what was removed, in its order.
    """

    def __init__(self, desk: Desk, due: Collection[int], generation: int, *, plainly: bool) -> None:
        self._desk = desk
        self._due = due
        self._generation = generation
        self._plainly = plainly
        self._sound: set[int] = set()
        self._whole: dict[int, bool] = {}
        self.removed: list[Spare] = []

    async def run(self) -> None:
        """Remove what may go, of each path one version after the other.

        :raises Renumbered: the numbers mean nothing any more. :raises Tampered: a place holds something else.
        :raises NotSupported, MarkedByOthers, StoreError: the rest stays.
        """
        index = self._desk.view.index
        names = {version.path for uid in self._due if (version := index.at(uid)) is not None}
        self._sound = await self._sound_places(names)
        while some := self._next(names):
            portion = some[:PORTION]
            await self._read(portion)
            whole = [one for one in portion if self._whole[one.keeper]]
            names -= {one.placed.version.path for one in portion} - {one.placed.version.path for one in whole}
            still = await self._checked(whole)
            # From here to the call nothing comes between: what was checked is so while it is sent.
            names -= {one.placed.version.path for one in whole} - {one.placed.version.path for one in still}
            if still:
                await self._remove(still)

    def _next(self, names: Iterable[str]) -> list[Spare]:
        """Of each path the one that has to go first, if it may."""
        found = (self._first(name) for name in sorted(names))
        return [one for one in found if one is not None]

    def _first(self, name: str) -> Spare | None:
        if name in self._desk.in_use:
            return None
        first = next(spare(self._desk.view.index.history(name), self._sound), None)
        return first if first is not None and set(first.places) <= set(self._due) else None

    async def _sound_places(self, names: Iterable[str]) -> set[int]:
        """The places of these paths that may take over: bound, and under the newest key."""
        index = self._desk.view.index
        uids = {uid for name in names for placed in index.history(name).versions for uid in placed.places}
        versions = {uid: version for uid in uids if (version := index.at(uid)) is not None}
        bound = {uid for uid, version in versions.items() if version.ours or version.bound}
        return await under_newest(self._desk, bound, self._generation)

    async def _read(self, some: Sequence[Spare]) -> None:
        """Read what is to take over, each once."""
        left = [one for one in some if one.keeper not in self._whole]
        for start in range(0, len(left), AT_ONCE):
            await settled([self._read_one(one) for one in left[start : start + AT_ONCE]])

    @deferred
    async def _read_one(self, one: Spare) -> None:
        version = one.placed.version
        async with self._desk.admitted(version.length):
            damage = await self._desk.reader.verify(one.keeper, version)
        self._whole[one.keeper] = damage is None

    async def _checked(self, some: Sequence[Spare]) -> Sequence[Spare]:
        """Those that are as they were when everything that the server told of was read; none in a busy folder."""
        view = self._desk.view
        for _ in range(TRIES):
            await self._check_headers(some)
            if not (view.unread or view.incomplete):
                return [one for one in some if self._first(one.placed.version.path) == one]
            await view.refresh()
        return ()

    async def _check_headers(self, some: Sequence[Spare]) -> None:
        """Each place still holds what it held, and what takes over is there."""
        index = self._desk.view.index
        uids = {uid for one in some for uid in (*one.places, one.keeper)}
        known = {uid: version for uid in uids if (version := index.at(uid)) is not None}
        blocks = await blocks_of(self._desk, uids, self._generation)
        keepers = {one.keeper for one in some}
        for uid, version in known.items():
            if uid in blocks and not self._is_same(blocks[uid], version):
                raise Tampered(
                    "The mail server shows another message at a place than before; nothing of it is removed."
                )
        self._sound -= {uid for uid in keepers if uid not in blocks or uid not in known}

    def _is_same(self, block: HeaderBlock, version: Version) -> bool:
        view = self._desk.view
        try:
            found = envelope.read_header(block.fields, dialect=view.dialect, keys=view.keys, home=view.home)
        except DataError:
            return False
        return found == version

    async def _remove(self, some: Sequence[Spare]) -> None:
        view = self._desk.view
        expected = view.index.sealed_ids(uid for one in some for uid in one.places)
        await view.remove(expected, self._generation, self._due if self._plainly else None)
        self.removed.extend(some)


def _spans(uids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges that hold ascending numbers, over small gaps."""
    first = last = 0
    for uid in uids:
        if last and uid - last > GAP:
            yield first, last
            first = 0
        first, last = first or uid, uid
    if last:
        yield first, last
