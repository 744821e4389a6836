"""Sealing versions of a folder anew: bound to their contents, or under another key (FORMAT 1.5, 2.2, 8.5).

No copy comes to stand above a newer version of its file under the same key, or that version follows with the next step:
the reference programs, which have one key, go by the highest UID. Each copy is read back and opened before it counts.
No version is removed here: the places that others take over are planned, and a collection removes them when the grace
is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from twisted.logger import Logger

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.history import Placed
from ifap_twisted.core.keys import Key
from ifap_twisted.core.plans import PLANS, RESEALED, Plan, Planned, Standing, standing
from ifap_twisted.core.resealing import newest, next_to_seal, spare, to_seal
from ifap_twisted.core.values import Sealed, Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import (
    DataError,
    IFAPError,
    MarkedByOthers,
    MessageGone,
    NotSupported,
    OutcomeUnknown,
    ProtocolViolation,
    RevokedKey,
    Spliced,
    TooLarge,
    Unavailable,
)
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.interfaces import Progress

AT_ONCE = 4
"""Paths at which is worked at a time; the versions of each go one after the other."""
PORTION = 1000
"""Paths after which those who ask are told."""
TRIES = 3
"""Refreshes until everything that the server has is known; in a folder that is busier nothing is sealed anew."""


class Resealing:
    """Seals versions of one folder anew: of each path the current one.

    One of ours, too, where a copy of an older version is above it. It is not one that its writer may still take back:
    that has another head beside it, which was there first (FORMAT 4.4).

    :param sound: tells of a place whether it is sealed as it shall be.
    :param refusal: why a version is not to be sealed anew, if it is not.
    :param every: not only the current version, for a key under which nothing of the path is sealed yet.
    :ivar key: under which.
    :ivar made: the UIDs of what was sealed anew.
    :ivar failed: what could not be, by path and id, and why; it stays as it is.
    :ivar planned: how many places were planned.
    """

    _log = Logger()

    def __init__(
        self,
        desk: Desk,
        *,
        key: Key,
        random: Random,
        sound: Callable[[int], bool],
        progress: Progress = None,
        refusal: Callable[[Version], TooLarge | None] = lambda _version: None,
        every: bool = False,
    ) -> None:
        self._desk = desk
        self.key = key
        self._random = random
        self._is_sound = sound
        self._progress = progress
        self._refusal = refusal
        self._every = every
        self._total = 0
        self._left: deque[str] = deque()
        self._readable: set[tuple[str, str]] = set()
        self.made: set[int] = set()
        self.failed: dict[tuple[str, str], IFAPError] = {}
        self.planned = 0

    async def run(self, names: Iterable[str]) -> None:
        """Seal anew what has to be of these paths, one after the other.

        :raises Unavailable: not all that the server has can be seen.
        :raises Renumbered, StoreError: the rest is as it was; begin again.
        """
        async for _some in self.portions(names):
            pass

    async def portions(self, names: Iterable[str]) -> AsyncIterator[Sequence[str]]:
        """Likewise; gives some of the paths when these are done."""
        wanted = [name for name in sorted(names) if self._wanted(name) is not None]
        self._total += len(wanted)
        for start in range(0, len(wanted), PORTION):
            some = wanted[start : start + PORTION]
            self._left.extend(some)
            await settled([self._seal_on() for _ in range(AT_ONCE)])
            yield some

    @deferred
    async def _seal_on(self) -> None:
        try:
            while self._left:
                await self._path(self._left.popleft())
        except BaseException:  # the others end after the path that they are at
            self._left.clear()
            raise

    async def _path(self, path: str) -> None:
        """And again when something came meanwhile; one's own writes wait for their turn."""
        async with self._desk.writer.backlog.turns.turn(path):
            while (wanted := self._wanted(path)) is not None:
                await self._one(wanted)

    def _wanted(self, path: str) -> Placed | None:
        history = self._desk.view.index.history(path)
        failed = {vid for name, vid in self.failed if name == path}
        sound = self._sound(history.versions)
        if self._every:
            return next_to_seal(history, sound, failed)
        placed = to_seal(history, sound)
        return None if placed is None or placed.version.vid in failed else placed

    def _sound(self, versions: Iterable[Placed]) -> set[int]:
        return {uid for placed in versions for uid in placed.places if self._is_sound(uid)}

    async def _one(self, placed: Placed) -> None:
        version = placed.version
        try:
            if (refusal := self._refusal(version)) is not None:
                raise refusal
            if self._every and not await self._newest_is_readable(version.path):
                return
            async with self._desk.admitted(version.length):
                uid = await self._sealed_anew(placed)
        except (DataError, MessageGone, TooLarge) as error:
            self.failed[version.path, version.vid] = error
        else:
            self.made |= set() if uid is None else {uid}
        if self._progress is not None:
            done = len(self.made) + len(self.failed)
            self._total = max(self._total, done)
            self._progress(done, self._total)

    async def _newest_is_readable(self, path: str) -> bool:
        """Look at the newest version before an older one is sealed anew: it has to follow, to stand above that."""
        placed = newest(self._desk.view.index.history(path))
        if placed is not None and (path, placed.version.vid) not in self._readable:
            try:
                async with self._desk.admitted(placed.version.length):
                    await self._opened(placed)
            except (DataError, MessageGone) as error:
                self.failed[path, placed.version.vid] = error
                return False
            self._readable.add((path, placed.version.vid))
        return placed is not None

    # One version

    async def _sealed_anew(self, placed: Placed) -> int | None:
        """Its new place, once it was read back and opened; None: it is not what has to be sealed any more."""
        view, generation = self._desk.view, self._desk.view.generation
        view.check_generation(generation)
        raw, version = await self._opened(placed)
        view.check_generation(generation)
        sealing = partial(
            envelope.reseal,
            raw,
            version,
            dialect=view.dialect,
            key=self.key,
            home=view.home or "",
            random=self._random,
        )
        sealed, held = await self._desk.worker(sealing)
        await self._know_all()
        view.check_generation(generation)
        if self._wanted(version.path) != placed:  # from here to the call nothing comes between
            return None
        if not self._every:
            self._check_newest(placed)
        try:
            await self._desk.writer.sending.stored(sealed, None)
            view.check_generation(generation)
            uid = self._place_of(sealed)
            await self._read_back(uid, sealed, held)
        except ProtocolViolation:
            await self._take_back(sealed, placed, generation)
            raise
        view.check_generation(generation)
        return uid

    async def _know_all(self) -> None:
        """Refresh until everything that the server told of was read.

        :raises Unavailable: it does not come to that.
        """
        view = self._desk.view
        for _ in range(TRIES):
            await view.refresh()
            if not (view.unread or view.incomplete):
                return
        raise Unavailable("The mail server does not list all messages: what is the newest is not known. Try later.")

    def _check_newest(self, placed: Placed) -> None:
        """Nothing above it is closed to us: the reference programs may read there a newer version of the file.

        :raises DataError: what is wrong with a message above it that nobody has set aside.
        """
        view = self._desk.view
        aside = {uid for uid, _code in view.aside}
        for uid, error in view.index.rejected().items():
            if uid > placed.places[-1] and uid not in aside and not isinstance(error, RevokedKey):
                raise error

    async def _take_back(self, sealed: Sealed, placed: Placed, generation: int) -> None:
        """Remove a copy that the server did not keep as it was given, while what it was made of is there.

        The reference programs would take it for the current version. Where it cannot be removed it stays.
        """
        view = self._desk.view
        view.check_generation(generation)
        places = [uid for uid in self._places_of(sealed) if uid not in placed.places]
        if places and any(view.index.at(uid) is not None for uid in placed.places):
            try:
                await view.remove(dict.fromkeys(places, sealed.sealed_id), generation)
            except (NotSupported, MarkedByOthers) as error:
                self._log.warn("a copy that was not kept as it was given stays: {reason}", reason=str(error))

    async def _opened(self, placed: Placed) -> tuple[envelope.Raw, Version]:
        """From the first place that verifies; where nothing names the content, all that do have to hold the same."""
        found: list[tuple[envelope.Raw, Version]] = []
        failures: list[IFAPError] = []
        for uid in placed.places:
            try:
                found.append(await self._desk.reader.opened(uid, placed.version))
            except (DataError, MessageGone, ProtocolViolation) as error:
                failures.append(error)
                continue
            if placed.version.ours or placed.version.bound:
                break
        if not found:
            raise next((error for error in failures if isinstance(error, DataError)), failures[0])
        if any(raw.body != found[0][0].body for raw, _version in found):
            raise Spliced("Two copies of the message hold different contents.", path=placed.version.path)
        return found[0]

    def _places_of(self, sealed: Sealed) -> list[int]:
        index = self._desk.view.index
        return [
            uid
            for placed in index.history(sealed.version.path).versions
            for uid in placed.places
            if (there := index.at(uid)) is not None and there.sealed_id == sealed.sealed_id
        ]

    def _place_of(self, sealed: Sealed) -> int:
        if not (places := self._places_of(sealed)):
            raise OutcomeUnknown("The message vanished right after it was stored.", path=sealed.version.path)
        return places[0]

    async def _read_back(self, uid: int, sealed: Sealed, held: envelope.Raw) -> None:
        """It opens under its key alone, and holds what it was to hold, to the byte.

        :raises ProtocolViolation: it does not; the earlier places are there.
        """
        view = self._desk.view
        message = await view.store.message(uid)

        def work() -> bool:
            try:
                found = envelope.read_header(message, dialect=view.dialect, keys=(self.key,), home=view.home)
                return found == sealed.version and envelope.raw(message, dialect=view.dialect, keys=(self.key,)) == held
            except DataError:
                return False

        if not await self._desk.worker(work):
            raise ProtocolViolation(
                "The mail server did not keep a message as it was given; what it was made of is there.",
                path=sealed.version.path,
            )

    async def make_room(self, room: int) -> None:
        """Remove the last copies again, of that many bytes together, where what they were made of is there.

        :raises NotSupported, MarkedByOthers, Renumbered, StoreError: they stay.
        """
        view, expected = self._desk.view, dict[int, str]()
        for uid in sorted(self.made, reverse=True):
            version = view.index.at(uid)
            if room <= 0 or version is None:
                break
            history = view.index.history(version.path)
            if any(uid in placed.places[1:] for placed in history.versions):
                expected[uid] = version.sealed_id
                room -= version.length
        await view.remove(expected, view.generation)
        self.made -= expected.keys()

    # What is spare now

    async def plan(self, names: Iterable[str], sound: Collection[int] | None = None) -> None:
        """Plan the places of these paths that others take over, and that no plan names yet (FORMAT 5.3).

        :param sound: the places that may take over; by default all that are sealed as they shall be.
        """
        names = list(names)
        index = self._desk.view.index
        if sound is None:
            sound = {uid for name in names for uid in self._sound(index.history(name).versions)}
        self.planned += await plan_copies(self._desk, names, sound)


async def standing_copies(desk: Desk) -> Mapping[int, Standing]:
    """The places that plans name because others take over, by UID."""
    plans = [(placed.places[0], 0.0, plan) for placed, plan in await desk.objects.plans() if placed.places]
    return standing(plans, desk.view.uidvalidity, resealed=True)


async def plan_copies(desk: Desk, names: Iterable[str], sound: Collection[int]) -> int:
    """Plan the places of these paths that others take over, and that no plan names yet; how many (FORMAT 5.3).

    :param sound: the places that may take over.
    """
    view, known = desk.view, await standing_copies(desk)
    planned = [
        Planned(uid, one.placed.version.vid, RESEALED)
        for name in sorted(names)
        for one in spare(view.index.history(name), sound)
        for uid in one.places
        if uid not in known or known[uid].vid != one.placed.version.vid
    ]
    for start in range(0, len(planned), limits.PLAN_ENTRIES):
        some = tuple(planned[start : start + limits.PLAN_ENTRIES])
        await desk.writer.add_object(PLANS, Plan(uidvalidity=view.uidvalidity, collect=some).encode())
    return len(planned)
