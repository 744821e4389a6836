"""Writing the key slots of an open folder: added, read back and opened, and only then the former ones go (FORMAT 8.4).

At every moment the former slot or the new one opens; a cut between the two leaves both.
"""

from __future__ import annotations

from collections.abc import Sequence

from ifap_twisted.clocks import date_by
from ifap_twisted.core import envelope
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE, Slot, Unwrapped, wrap
from ifap_twisted.core.values import Draft, HeaderBlock, Sealed
from ifap_twisted.errors import (
    DataError,
    MarkedByOthers,
    MessageGone,
    NotSupported,
    ProtocolViolation,
    ReadOnly,
    StoreError,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.drafting import new_vid
from ifap_twisted.filesystem.keylines import lost_keys
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.unlocking import MESSAGE_BYTES, SLOTS, Announced, Unlock, announced, read_slot
from ifap_twisted.filesystem.view import View


class KeySlots:
    """The slots of one open folder."""

    def __init__(self, view: View, surroundings: Surroundings) -> None:
        self._view = view
        self._surroundings = surroundings

    async def write(self, unlock: Unlock, *, ahead: int = 0) -> int:
        """Write the keys of the folder into a new slot; gives its UID once it was read back and opened.

        :param ahead: 1 where the newest key is new, so that no slot tells its generation yet.
        :raises KeyChanged: they were revoked before it came, so that it leads nowhere (FORMAT 8.5).
        :raises IFAPError: as :meth:`write_next`.
        """
        return await self._write(unlock, self._view.keys, await self.generation() + ahead)

    async def write_next(self, key: Key) -> int:
        """Write a new key into a slot under the newest one; gives its UID once it was read back and opened (8.5).

        Before that a slot under the new key itself, so that who has that alone finds the former ones.

        :raises NotSupported: the folder is not encrypted.
        :raises ReadOnly: it can only be read.
        :raises ProtocolViolation: the server did not keep it as it is; the former slots are as they were.
        :raises DataError: the folder object is damaged, so that nobody knows how often the key was changed.
        :raises StoreError: it may be there; the former ones are.
        """
        newest, generation = self._view.keys[0], await self.generation() + 1
        held = (key, *(one for one in self._view.keys if one != key))
        if not await self._is_begun(key):
            await self._write(Unlock.by_earlier(key), held, generation)
        return await self._write(Unlock.by_earlier(newest), held, generation)

    async def restore(self) -> bool:
        """Write the slots anew that are gone, so that each key of the folder leads to the others; False: none was.

        :raises IFAPError: as :meth:`write_next`.
        """
        lost = await lost_keys(self._view)
        for key in lost:
            await self._write(Unlock.by_earlier(key), self._view.keys, await self.generation())
        return bool(lost)

    async def has_own(self) -> bool:
        """Whether there is what :meth:`write_own` writes: nobody makes it who does not have the newest key."""
        key = self._view.keys[0]
        return any(found.revoked for found in await self.opened(Unlock.by_earlier(key)) if found.keys[0] == key)

    async def write_own(self) -> None:
        """Write a slot under the newest key itself, after others were revoked: who has that alone finds them (8.5).

        :raises IFAPError: as :meth:`write_next`.
        """
        await self._write(Unlock.by_earlier(self._view.keys[0]), self._view.keys, await self.generation() + 1)

    async def _announced(self, kind: str) -> list[Announced]:
        blocks = [await self._block(uid) for uid in self._view.index.key_slots()]
        found = [one for block in blocks if block is not None and (one := announced(block)) is not None]
        return [one for one in found if self._is_ours(one, kind) and one.size <= MESSAGE_BYTES]

    async def opened(self, unlock: Unlock) -> list[Unwrapped]:
        """What the slots of the folder hold that open with this.

        :raises StoreError: they cannot be read now.
        """
        found = []
        for one in await self._announced(unlock.kind):
            try:
                found.append(await read_slot(self._view.store, one, unlock, self._surroundings.worker))
            except (DataError, MessageGone):
                continue
        return found

    async def begun(self) -> Key | None:
        """A new key that was to follow the newest one when a change was cut: its own slot is there, and no other.

        :raises StoreError: they cannot be read now.
        """
        for key in self._view.keys[1:]:
            if await self._is_begun(key):
                return key
        return None

    async def _is_begun(self, key: Key) -> bool:
        """Whether a slot under a key says that it follows the newest one."""
        view, unlock = self._view, Unlock.by_earlier(key)
        for uid in view.index.key_slots():
            block = await self._block(uid)
            slot = None if block is None else announced(block)
            if slot is None or not self._is_ours(slot, unlock.kind) or slot.size > MESSAGE_BYTES:
                continue
            try:
                found = await read_slot(view.store, slot, unlock, self._surroundings.worker)
            except (DataError, MessageGone):
                continue
            if found.keys[:2] == (key, view.keys[0]):
                return True
        return False

    async def _write(self, unlock: Unlock, held: Sequence[Key], generation: int) -> int:
        view = self._view
        view.check_key()
        if view.read_only:
            raise ReadOnly("The folder can only be read: no key slot can be written to it.")
        keys = Unwrapped(
            keys=tuple(held),
            home=view.home or "",
            generation=generation,
            dialect=view.dialect.name,
            revoked=view.revocation.keys & {key.fingerprint for key in held},
        )
        slot = await self._wrapped(keys, unlock)
        sealed = await self._sealed(slot)
        numbers, first = view.generation, view.index.highest + 1
        await view.store.append(sealed.message)
        uid = await self._found(sealed, first)
        await self._check(uid, slot, unlock, keys)
        view.check_generation(numbers)
        await view.revoked_keys.check()
        return uid

    async def _wrapped(self, keys: Unwrapped, unlock: Unlock) -> Slot:
        if not keys.keys:
            raise NotSupported("The folder is not encrypted: there is no key to be wrapped.")
        random, secret = self._surroundings.random, unlock.secret.reveal_bytes()
        how = Derivation.draw(random, stretched=unlock.kind == PASSPHRASE)
        return await self._surroundings.worker(lambda: wrap(keys, unlock.kind, secret, how=how, random=random))

    async def generation(self) -> int:
        """Of the newest data key, as the folder objects and the slots say; the first where nothing does.

        :raises DataError: one is damaged. :raises StoreError: it cannot be read now.
        """
        objects = await folder.objects_of(self._view.store, self._view.index, self._view.dialect, self._view.keys)
        told = [one.generation for one in objects if one.home == self._view.home]
        return max(1, self._view.newer_keys.generation, *told)

    async def _sealed(self, slot: Slot) -> Sealed:
        """The message of a slot: the one kind that is not sealed under the data key."""
        at = self._surroundings
        now = date_by(at.clock)
        vid = new_vid(at.random)
        draft = Draft(
            path=f"{SLOTS}{slot.kind}-{vid}",
            vid=vid,
            writer=at.identity.writer,
            clock={at.identity.writer: await at.identity.take(1)},
            home=slot.home,
            modified=float(int(now)),
        )
        return envelope.seal(draft, slot.encode(), dialect=self._view.dialect, key=None, now=now, random=at.random)

    async def _found(self, sealed: Sealed, first: int) -> int:
        view = self._view
        blocks = await view.store.headers(first)
        if not blocks:
            await view.store.poll(thorough=True)
            blocks = await view.store.headers(first)
        await view.intake.absorb({uid: block for uid, block in blocks.items() if uid not in view.index})
        for block in blocks.values():
            if envelope.same_bytes(sealed, block.fields, block.size, view.dialect):
                return block.uid
        raise ProtocolViolation("The mail server does not show the key slot that was just stored.")

    async def _check(self, uid: int, slot: Slot, unlock: Unlock, keys: Unwrapped) -> None:
        """It opens with what it was made for, and gives the keys."""
        view = self._view
        one = Announced(uid, slot.kind, slot.home, view.dialect, 0)
        try:
            found = await read_slot(view.store, one, unlock, self._surroundings.worker)
        except DataError as error:
            raise _unfaithful() from error
        if found != keys:
            raise _unfaithful()

    async def has(self, kind: str) -> bool:
        """Whether the folder announces a slot of this kind.

        :raises StoreError:
        """
        blocks = [await self._block(uid) for uid in self._view.index.key_slots()]
        return any(block is not None and self._is_ours(announced(block), kind) for block in blocks)

    async def retire(self, kind: str, newest: int) -> bool:
        """Remove the slots of a kind that are older than the newest; False when some may be left.

        Only those of this folder's home: what says otherwise was not written by us.
        """
        view, generation = self._view, self._view.generation
        try:
            older = [uid for uid in sorted(view.index.key_slots()) if uid < newest]
            blocks = [block for uid in older if (block := await self._block(uid)) is not None]
            expected = {
                block.uid: envelope.sealed_id_of(block.fields, view.dialect)
                for block in blocks
                if self._is_ours(announced(block), kind)
            }
            if expected:
                await view.remove(expected, generation)
        except (NotSupported, MarkedByOthers, ReadOnly, StoreError):
            return False
        return True

    async def _block(self, uid: int) -> HeaderBlock | None:
        return (await self._view.store.headers(uid, uid)).get(uid)

    def _is_ours(self, slot: Announced | None, kind: str) -> bool:
        own = (kind, self._view.home, self._view.dialect)
        return slot is not None and (slot.kind, slot.home, slot.dialect) == own


def _unfaithful() -> ProtocolViolation:
    return ProtocolViolation("The mail server did not keep the key slot as it was given; the former ones are there.")
