"""Changing the data key of a folder: a new one, under which everything is sealed anew (FORMAT 8.5).

Whoever has the former key finds the new one in a key slot, which lies below all that is sealed with it, so that every
client reads everything at every moment. How far it came is to be seen in the folder: cut anywhere, it is gone on with.
It is over when the copies under the former key are removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits, paths
from ifap_twisted.core.leases import PREFIX as LOCKS
from ifap_twisted.core.plans import PLANS
from ifap_twisted.core.resealing import spare
from ifap_twisted.core.revocations import NOTICES, RECORDS
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import (
    IFAPError,
    MarkedByOthers,
    NotSupported,
    ProtocolViolation,
    QuotaExceeded,
    ReadOnly,
    StoreError,
    Unavailable,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import new_vid
from ifap_twisted.filesystem.keyslots import KeySlots
from ifap_twisted.filesystem.newer_keys import Followed
from ifap_twisted.filesystem.resealing import Resealing
from ifap_twisted.filesystem.sparing import under_newest
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.interfaces import Progress

TRIES = 5
PASSES = 20
"""So often what came meanwhile is sealed anew; in a folder that is written to all the time the rest comes later."""
ROOM = 64 * limits.KIB
"""Bytes that stay free where the room came to its end: a plan has to find some, and a collection later."""
SETTLED_SECONDS = 2 * limits.WITHDRAWAL_SECONDS
"""After that nobody takes back a write that lost a race, by clocks that differ a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed:
    """What a change of the key did.

    :ivar key: the fingerprint of the newest key.
    :ivar drawn: it was made now; otherwise an earlier change was gone on with.
    :ivar sealed: how many versions were sealed anew; ``planned``: how many places go when their grace is over.
    :ivar failed: why a version could not be, by path and id: it stays under the key that it has.
    :ivar left: how many other versions are under former keys alone: of files that are in conflict since some minutes
        only, or of which something is missing; and those that are older than one that is under the newest key.
    :ivar waiting: some of these are sealed anew by a later run.
    """

    key: str
    drawn: bool
    sealed: int
    planned: int
    left: int = 0
    waiting: bool = False
    failed: Mapping[tuple[str, str], IFAPError] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """A JSON object."""
        failed = [
            {"path": "/" + path, "version": vid, "code": error.code, "text": error.title()}
            for (path, vid), error in sorted(self.failed.items(), key=lambda one: one[0])
        ]
        return {
            "key": self.key,
            "drawn": self.drawn,
            "sealed": self.sealed,
            "planned": self.planned,
            "left": self.left,
            "failed": failed,
        }


class _Rest(NamedTuple):
    """What there is after everything was sealed anew that could be.

    :ivar planned: how many places were planned now. :ivar left: as in :class:`Rekeyed`.
    :ivar under_way: something will be sealed, or removed, later; ``waiting``: sealed.
    """

    planned: int
    left: int
    under_way: bool
    waiting: bool


class Rekeying:
    """Changes the key of one open folder.

    :param remember: keeps keys durably, before anything is written with them.
    """

    def __init__(
        self,
        desk: Desk,
        slots: KeySlots,
        surroundings: Surroundings,
        remember: Callable[[Followed], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._slots = slots
        self._surroundings = surroundings
        self._remember = remember

    async def run(self, progress: Progress = None) -> Rekeyed:
        """Finish an earlier change; where there is none, make a new key, and seal everything under it.

        Where the copies under former keys are not removed yet, but could be, that is not over; nor is it where a slot
        was gone that leads from one key to another.

        :raises NotSupported: the folder is not encrypted. :raises ReadOnly:
        :raises Unavailable: not all of the folder is known.
        :raises Renumbered, StoreError: it is gone on with when it is begun again.
        """
        await self._look()
        restored = await self._slots.restore()
        done = await self._sealed(progress)
        rest = await self._rest(done)
        drawn = not (restored or done.made or rest.under_way)
        if drawn:
            await self._draw()
            done = await self._sealed(progress)
            rest = await self._rest(done)
        return self._told(done, rest, drawn=drawn)

    def _told(self, done: Resealing, rest: _Rest, *, drawn: bool) -> Rekeyed:
        return Rekeyed(
            key=self._desk.view.keys[0].fingerprint,
            drawn=drawn,
            sealed=len(done.made),
            planned=rest.planned,
            left=rest.left,
            waiting=rest.waiting,
            failed=done.failed,
        )

    async def _look(self) -> None:
        """Refresh completely; it follows a change that somebody else made."""
        view = self._desk.view
        if not view.keys:
            raise NotSupported("The folder is not encrypted: it has no key that could be changed.")
        await view.store.poll(thorough=True)
        view.freshness.compare = True
        for _ in range(TRIES):
            await view.refresh()
            if not view.unread:
                break
        if view.read_only:
            raise ReadOnly("The folder can only be read: its key cannot be changed.")
        if view.incomplete or view.unread or view.renumbering:
            raise Unavailable("The mail server does not list all messages: the key cannot be changed now. Try later.")

    # The key

    async def _draw(self) -> None:
        """A new key: kept here, then in a slot under the former one, and taken from there as everybody does."""
        view = self._desk.view
        if view.newer_keys.failure is not None:  # it may hold a newer key, which everybody else goes on with
            raise view.newer_keys.failure
        keys, generation = tuple(view.keys), await self._slots.generation()
        key = await self._slots.begun() or folder.make_key(self._surroundings.random)
        await self._remember(Followed((*(one for one in keys if one != key), key), generation))
        await self._slots.write_next(key)
        await self._look()
        if view.keys[0] == keys[0]:
            raise ProtocolViolation("The mail server does not show the key slot that was just stored.")

    async def _tell(self) -> None:
        """A folder object that names the newest key, under it, where there is none."""
        view = self._desk.view
        objects = await folder.objects_of(view.store, view.index, view.dialect, view.keys)
        mine = [one for one in objects if one.home == view.home]
        if not mine or any(one.key_id == view.keys[0].fingerprint for one in mine):
            return
        latest = max(mine, key=lambda one: one.generation)
        at = self._surroundings
        sealed = folder.seal_object(
            folder.FolderObject(
                home=latest.home,
                chunk_key=latest.chunk_key,
                key_id=view.keys[0].fingerprint,
                generation=max(latest.generation + 1, view.newer_keys.generation),
            ),
            dialect=view.dialect,
            key=view.keys[0],
            writer=at.identity.writer,
            number=await at.identity.take(1),
            now=date_by(at.clock),
            vid=new_vid(at.random),
            random=at.random,
        )
        await self._desk.writer.sending.stored(sealed, None)

    # Everything under it

    async def _sealed(self, progress: Progress) -> Resealing:
        """Seal anew what is not under the newest key, until a look at everything finds nothing."""
        view = self._desk.view
        generation = view.generation
        if len(view.keys) > 1:
            await self._tell()
        sound: set[int] = set()
        looked_to = 0

        def is_sound(uid: int) -> bool:
            """What came since is taken for sound: nothing older is put above it before it was looked at."""
            return uid in sound or uid in resealing.made or uid > looked_to

        resealing = Resealing(
            self._desk,
            key=view.keys[0],
            random=self._surroundings.random,
            sound=is_sound,
            progress=progress,
            every=True,
        )
        for _ in range(PASSES):
            if len(view.keys) < 2 or view.keys[0] != resealing.key:
                return resealing
            view.check_generation(generation)
            looked_to, names = view.index.highest, self._names()
            sound |= await self._sound(names)
            before = len(resealing.made)
            await self._seal_and_plan(resealing, names - await self._unsettled(names), sound)
            await self._look()
            if len(resealing.made) == before:
                break
        return resealing

    async def _seal_and_plan(self, resealing: Resealing, names: Collection[str], sound: Collection[int]) -> None:
        """Plan the former places as it goes: where the room comes to its end, some of it is free after a grace."""
        try:
            async for some in resealing.portions(names):
                await resealing.plan(some, {*sound, *resealing.made})
        except QuotaExceeded:
            with suppress(MarkedByOthers, NotSupported, StoreError):  # then a person has to make room
                await resealing.make_room(ROOM)
                await resealing.plan(names, {*sound, *resealing.made})
            raise

    async def _unsettled(self, names: set[str]) -> set[str]:
        """Paths with a head that its writer may still take back, because another one was there first (FORMAT 4.4)."""
        histories = [self._desk.view.index.history(name) for name in names if not paths.is_reserved(name)]
        heads = {
            head.places[0]: head.version.path
            for history in histories
            if len(history.heads) > 1
            for head in history.heads
            if head.places
        }
        dates = await self._desk.view.store.dates(heads) if heads else {}
        settled = date_by(self._surroundings.clock) - SETTLED_SECONDS
        return {path for uid, path in heads.items() if uid not in dates or dates[uid] > settled}

    async def _rest(self, done: Resealing) -> _Rest:
        """Plan the places under former keys that others take over, and see what is left to be done."""
        view, names = self._desk.view, self._names()
        generation, unsettled = view.generation, await self._unsettled(names)
        sound = await self._sound(names)
        view.check_generation(generation)
        histories = [view.index.history(name) for name in names]
        alone = [one for some in histories for one in some.versions if not sound.intersection(one.places)]
        waiting = any(one.version.path in unsettled for one in alone)
        copies = any(not sound.issuperset(one.places) for some in histories for one in spare(some, sound))
        removable = self._desk.options.expunges_plainly or view.store.traits.expunges_by_uid
        await done.plan(names, sound)
        return _Rest(
            done.planned,
            sum((one.version.path, one.version.vid) not in done.failed for one in alone),
            under_way=waiting or (copies and (removable or done.planned > 0)),
            waiting=waiting,
        )

    async def _sound(self, names: set[str]) -> set[int]:
        view = self._desk.view
        uids = {uid for name in names for one in view.index.history(name).versions for uid in one.places}
        return await under_newest(self._desk, uids, view.generation)

    def _names(self) -> set[str]:
        """All paths, but of what is soon of no use: locks end, plans and snapshots are made anew.

        Nor of what says to the holders of a revoked key that it is one: that they read under no other. Nor of what says
        which keys are revoked: under a newer key it would count for more than who wrote it had the right to say.
        """
        snapshot = self._desk.view.dialect.snapshot_path
        return {
            path
            for path in self._desk.view.index.paths()
            if path != snapshot and not path.startswith((LOCKS, PLANS, NOTICES, RECORDS))
        }
