"""Following a change of the key: who has the key before finds the newer one in the folder (FORMAT 8.5).

A slot of the type ``previous`` holds the newer key, wrapped under the one before. Of several under one key the lowest
UID counts for everybody; what the others hold is kept, to read with. One under the newest key itself holds the former
ones, for whoever has that alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PREVIOUS, Unwrapped
from ifap_twisted.errors import DataError, ForeignKey, IFAPError, MessageGone
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import runs
from ifap_twisted.filesystem.unlocking import MESSAGE_BYTES, Announced, Unlock, announced, read_slot
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.workers import Worker

CHANGES: Final = 64
"""Changes of the key that are followed: more than a folder will ever have."""


class Followed(NamedTuple):
    """The keys of a folder, the newest first, and the generation of the newest; 0: no slot told of it."""

    keys: tuple[Key, ...]
    generation: int = 0


async def follow(
    store: IMessageStore, slots: Iterable[Announced], keys: Sequence[Key], worker: Worker, *, home: str | None
) -> Followed:
    """The keys that slots hold for whoever has these.

    :param slots: those that are announced; of any type.
    :param home: of the folder; None where it is not known yet.
    :raises StoreError: they cannot be read now.
    """
    wanted = [one for one in slots if one.kind == PREVIOUS and one.size <= MESSAGE_BYTES and home in (None, one.home)]
    tried = sorted(sorted(wanted, reverse=True)[: limits.SLOTS_TRIED])
    newest, generation, passed, beside = keys[0], 0, [keys[0]], list(keys[1:])
    for _ in range(CHANGES):
        held = [one for slot in tried if (one := await _opened(store, slot, newest, worker)) is not None]
        beside += [key for one in held for key in one.keys]
        generation = max((one.generation for one in held if one.keys[0] == newest), default=generation)
        newer = [one for one in held if one.keys[0] not in passed]
        if not newer:
            break
        newest, generation = newer[0].keys[0], newer[0].generation
        passed.insert(0, newest)
    return Followed(tuple(dict.fromkeys((*passed, *beside))), generation)


async def _opened(store: IMessageStore, one: Announced, key: Key, worker: Worker) -> Unwrapped | None:
    try:
        return await read_slot(store, one, Unlock.by_earlier(key), worker)
    except (DataError, MessageGone):
        return None


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
        self._looked_at: tuple[int, frozenset[int]] = (0, frozenset())
        self.generation = 0
        self.remember: Callable[[Followed], Awaitable[None]] | None = None

    async def follow(self) -> None:
        """Take a newer key, if there is one, and read again what no key opened.

        :raises Renumbered, StoreError: not all was looked at; it is with the next call.
        """
        known = self._known
        there = (known.index_generation, frozenset(known.index.key_slots()))
        if there == self._looked_at or not known.keys or known.home is None or self.remember is None:
            return
        found = await follow(known.store, await self._announced(), known.keys, self._worker, home=known.home)
        known.check_read(there[0])
        self.generation = max(self.generation, found.generation)
        if found.keys != tuple(known.keys):
            try:
                await self.remember(found)
            except IFAPError as error:  # a full disk, say: then it reads with them, and writes with the one it keeps
                self._log.warn("a newer key of the folder could not be kept yet: {why}", why=str(error))
                known.keys = tuple(dict.fromkeys((*known.keys, *found.keys)))
                there = (0, frozenset())
            else:
                self._take(found.keys)
            await self._look_again()
        self._looked_at = there

    def _take(self, keys: tuple[Key, ...]) -> None:
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
