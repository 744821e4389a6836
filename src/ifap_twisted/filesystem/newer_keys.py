"""Following a change of the key: who has the key before finds the newer one in the folder (FORMAT 8.5).

A slot of the type ``previous`` holds the newer key, wrapped under the one before. Of several under one key the lowest
UID counts for everybody; what the others hold is kept, to read with. One under the newest key itself holds the former
ones, for whoever has that alone. A slot that cannot be read holds up nothing: it is read again later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PREVIOUS, Slot
from ifap_twisted.core.succession import Followed, followed
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import DataError, ForeignKey, IFAPError, MessageGone, Renumbered, StoreError
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import runs
from ifap_twisted.filesystem.unlocking import MESSAGE_BYTES, Announced, announced, slot_in, slots_of
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.workers import Worker

__all__ = ["EarlierSlots", "Followed", "NewerKeys"]

AT_ONCE = 8
"""Slots that are read at a time."""


class EarlierSlots:
    """The slots of the type ``previous`` that were announced in a folder, each read once, under unchanged UIDs.

    :ivar failure: why the server did not give one, when they were read last; None when it gave all.
    """

    def __init__(self, store: IMessageStore, worker: Worker) -> None:
        self._store = store
        self._worker = worker
        self._read: dict[int, Slot | None] = {}
        self.failure: StoreError | None = None

    async def read(self, found: Iterable[Announced]) -> None:
        """Read those of these that were not yet; only they count from then on.

        :raises Renumbered: their UIDs mean nothing any more.
        """
        wanted = sorted(one for one in found if one.kind == PREVIOUS and one.size <= MESSAGE_BYTES)
        wanted = wanted[: limits.EARLIER_SLOTS]
        self._read = {one.uid: self._read[one.uid] for one in wanted if one.uid in self._read}
        self.failure, left = None, [one for one in wanted if one.uid not in self._read]
        for start in range(0, len(left), AT_ONCE):
            await settled([self._one(one) for one in left[start : start + AT_ONCE]])

    @deferred
    async def _one(self, one: Announced) -> None:
        try:
            message = await self._store.message(one.uid)
            self._read[one.uid] = await self._worker(lambda: slot_in(message, one))
        except (DataError, MessageGone):
            self._read[one.uid] = None
        except Renumbered:
            raise
        except StoreError as error:
            self.failure = error

    def forget(self) -> None:
        """The UIDs mean something else."""
        self._read = {}

    def forget_bad(self) -> bool:
        """Read anew what could not be used; whether there is such."""
        some = len(self._read)
        self._read = {uid: slot for uid, slot in self._read.items() if slot is not None}
        return len(self._read) < some

    def of(self, home: str | None) -> list[Slot]:
        """Those of a folder, lowest UID first; None: of any."""
        slots = [slot for _uid, slot in sorted(self._read.items(), key=lambda one: one[0]) if slot is not None]
        return [slot for slot in slots if home in (None, slot.home)]

    async def follow(self, keys: Sequence[Key], home: str | None, revoked: AbstractSet[str] = frozenset()) -> Followed:
        """The keys that they hold for whoever has these; none that a revoked one leads to."""
        slots = self.of(home)
        return await self._worker(lambda: followed(slots, keys, revoked))


class NewerKeys:
    """The keys of an open folder, in step with its key slots.

    :ivar remember: keeps the keys durably, before anything is written with them.
    :ivar generation: of the newest key, as its slots say and this device remembers; 0: nothing told of it.
    """

    _log = Logger()

    def __init__(self, known: Known, intake: Intake, worker: Worker) -> None:
        self._known = known
        self._intake = intake
        self._worker = worker
        self._slots = EarlierSlots(known.store, worker)
        self._looked_at: tuple[int, frozenset[int]] = (0, frozenset())
        self.generation = 0
        self.remember: Callable[[Followed], Awaitable[None]] | None = None

    @property
    def failure(self) -> StoreError | None:
        """Why the server did not give a slot; None when it gave all."""
        return self._slots.failure

    def look_again(self) -> None:
        """Read anew what could not be used, with the next call."""
        if self._slots.forget_bad():
            self._looked_at = (self._looked_at[0], frozenset())

    async def found_with(self, key: Key) -> Sequence[Key]:
        """The keys that the slots, as they were read last, hold for whoever has this one alone."""
        return (await self._slots.follow((key,), self._known.home)).keys

    async def follow(self) -> None:
        """Take a newer key, if there is one, and read again what no key opened.

        :raises Renumbered, StoreError: not all was looked at; it is with the next call.
        """
        known = self._known
        there = (known.index_generation, frozenset(known.index.key_slots()))
        if there != self._looked_at and self._follows and await self._look(await self._announced(), *there):
            await self._look_again()

    async def follow_in(self, blocks: Mapping[int, HeaderBlock], generation: int) -> None:
        """Likewise, before an index is made of a whole listing: nothing in it passes for gone, or for another's.

        :param generation: of its numbers.
        :raises Renumbered, StoreError: as :meth:`follow`.
        """
        if self._follows:
            slots = await self._worker(lambda: list(slots_of(blocks)))
            await self._look(slots, generation, frozenset(one.uid for one in slots))

    @property
    def _follows(self) -> bool:
        return bool(self._known.keys) and self._known.home is not None and self.remember is not None

    async def _look(self, slots: Iterable[Announced], generation: int, there: frozenset[int]) -> bool:
        """Read slots, and take the keys in them; whether there were others than before."""
        known = self._known
        if generation != self._looked_at[0]:
            self._slots.forget()
        await self._slots.read(slots)
        found = await self._slots.follow(known.keys, known.home, known.revocation.keys)
        known.check_read(generation)
        self.generation, before = max(self.generation, found.generation), known.keys
        kept = await self._kept(found)
        self._looked_at = (generation, there if kept and self.failure is None else frozenset())
        return known.keys != before

    async def _kept(self, found: Followed) -> bool:
        """Take keys, if they are others; whether they could be kept."""
        known, kept = self._known, True
        if self.remember is None or found.keys == tuple(known.keys):
            return True
        try:
            await self.remember(found)
        except IFAPError as error:  # a full disk, say: then it reads with them, and writes with the one it keeps
            self._log.warn("a newer key of the folder could not be kept yet: {why}", why=str(error))
            known.keys = tuple(dict.fromkeys((*known.keys, *found.keys)))
            kept = False
        else:
            self.take(found.keys)
        return kept

    def take(self, keys: tuple[Key, ...]) -> None:
        """Go on with these, which are remembered."""
        known = self._known
        if keys[0] != known.keys[0]:
            known.key_use.change((uid, one) for uid in known.index.uids() if (one := known.index.at(uid)) is not None)
        known.keys = keys

    async def _announced(self) -> list[Announced]:
        found = []
        for first, last in runs(self._known.index.key_slots()):
            blocks = await self._known.store.headers(first, last)
            found += [one for block in blocks.values() if (one := announced(block)) is not None]
        return found

    async def _look_again(self) -> None:
        """What was under an unknown key may be under this one."""
        known = self._known
        closed = [uid for uid, error in known.index.rejected().items() if isinstance(error, ForeignKey)]
        for first, last in runs(closed):
            generation = known.index_generation
            await self._intake.absorb_again(await known.store.headers(first, last), generation)
