"""Sealing versions of a folder anew: under another key, or bound to their contents (FORMAT 2.2, 8.5).

Each copy is read back and opened before it counts, and nothing is removed here: the places that others take over are
planned, and a collection removes them when the grace is over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ifap_twisted.core import envelope, limits
from ifap_twisted.core.history import Placed
from ifap_twisted.core.keys import Key
from ifap_twisted.core.plans import PLANS, RESEALED, Plan, Planned
from ifap_twisted.core.resealing import spare, to_seal
from ifap_twisted.core.values import Sealed, Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import DataError, IFAPError, MessageGone, OutcomeUnknown, ProtocolViolation, Spliced, TooLarge
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.interfaces import Progress

AT_ONCE = 4
"""Paths at which is worked at a time; the versions of each go one after the other."""


class Resealing:
    """Seals versions of one folder anew.

    :param key: under which. :param sound: tells of a place whether it is sealed as it shall be.
    :param refusal: why a version is not to be sealed anew, if it is not.
    :ivar made: the UIDs of what was sealed anew.
    :ivar failed: what could not be, by path and id, and why; it stays as it is.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        key: Key,
        random: Random,
        sound: Callable[[int], bool],
        progress: Progress = None,
        refusal: Callable[[Version], TooLarge | None] = lambda _version: None,
    ) -> None:
        self._desk = desk
        self._key = key
        self._random = random
        self._is_sound = sound
        self._progress = progress
        self._refusal = refusal
        self._total = 0
        self._left: deque[str] = deque()
        self.made: set[int] = set()
        self.failed: dict[tuple[str, str], IFAPError] = {}

    async def run(self, names: Iterable[str]) -> None:
        """Seal anew what has to be of these paths.

        :raises Renumbered, StoreError: the rest is as it was; begin again.
        """
        wanted = [(name, len(some)) for name in sorted(names) if (some := self._wanted(name))]
        self._total += sum(count for _name, count in wanted)
        self._left.extend(name for name, _count in wanted)
        await settled([self._seal_on() for _ in range(AT_ONCE)])

    @deferred
    async def _seal_on(self) -> None:
        try:
            while self._left:
                await self._path(self._left.popleft())
        except BaseException:  # the others end after the path that they are at
            self._left.clear()
            raise

    async def _path(self, path: str) -> None:
        """In ascending rank, and again when something came meanwhile; one's own writes wait for their turn."""
        async with self._desk.writer.backlog.turns.turn(path):
            while wanted := self._wanted(path):
                await self._one(wanted[0])

    def _wanted(self, path: str) -> Sequence[Placed]:
        history = self._desk.view.index.history(path)
        without = {vid for name, vid in self.failed if name == path}
        return to_seal(history, self._sound(history.versions), without)

    def _sound(self, versions: Iterable[Placed]) -> set[int]:
        return {uid for placed in versions for uid in placed.places if self._is_sound(uid)}

    async def _one(self, placed: Placed) -> None:
        version = placed.version
        try:
            if (refusal := self._refusal(version)) is not None:
                raise refusal
            async with self._desk.admitted(version.length):
                self.made.add(await self._sealed_anew(placed))
        except (DataError, MessageGone, TooLarge) as error:
            self.failed[version.path, version.vid] = error
        if self._progress is not None:
            done = len(self.made) + len(self.failed)
            self._total = max(self._total, done)
            self._progress(done, self._total)

    # One version

    async def _sealed_anew(self, placed: Placed) -> int:
        """Its new place, once it was read back and opened."""
        view, generation = self._desk.view, self._desk.view.generation
        view.check_generation(generation)
        raw, version = await self._opened(placed)
        view.check_generation(generation)
        sealing = partial(
            envelope.reseal,
            raw,
            version,
            dialect=view.dialect,
            key=self._key,
            home=view.home or "",
            random=self._random,
        )
        sealed, held = await self._desk.worker(sealing)
        await self._desk.writer.sending.stored(sealed, None)
        view.check_generation(generation)
        uid = self._place_of(sealed)
        await self._read_back(uid, sealed, held)
        view.check_generation(generation)
        return uid

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

    def _place_of(self, sealed: Sealed) -> int:
        index = self._desk.view.index
        for placed in index.history(sealed.version.path).versions:
            for uid in placed.places:
                if (there := index.at(uid)) is not None and there.sealed_id == sealed.sealed_id:
                    return uid
        raise OutcomeUnknown("The message vanished right after it was stored.", path=sealed.version.path)

    async def _read_back(self, uid: int, sealed: Sealed, held: envelope.Raw) -> None:
        """It opens under its key alone, and holds what it was to hold, to the byte.

        :raises ProtocolViolation: it does not; the earlier places are there.
        """
        view = self._desk.view
        message = await view.store.message(uid)

        def work() -> bool:
            try:
                found = envelope.read_header(message, dialect=view.dialect, keys=(self._key,), home=view.home)
                return (
                    found == sealed.version and envelope.raw(message, dialect=view.dialect, keys=(self._key,)) == held
                )
            except DataError:
                return False

        if not await self._desk.worker(work):
            raise ProtocolViolation(
                "The mail server did not keep a message as it was given; what it was made of is there.",
                path=sealed.version.path,
            )

    # What is spare now

    async def plan(self, names: Iterable[str]) -> int:
        """Plan the places of these paths that others take over; how many (FORMAT 5.3)."""
        index, view = self._desk.view.index, self._desk.view
        histories = [index.history(name) for name in sorted(names)]
        planned = [
            Planned(uid, one.placed.version.vid, RESEALED)
            for history in histories
            for one in spare(history, self._sound(history.versions))
            for uid in one.places
        ]
        for start in range(0, len(planned), limits.PLAN_ENTRIES):
            some = tuple(planned[start : start + limits.PLAN_ENTRIES])
            await self._desk.writer.add_object(PLANS, Plan(uidvalidity=view.uidvalidity, collect=some).encode())
        return len(planned)
