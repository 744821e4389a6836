"""Passphrase and recovery code of an open folder: the folder's slots and the keys in the basedir, in the right order.

A slot is written, read back and opened before anything is changed here or told, and former slots go last: at every
moment something that the user has opens the folder.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ifap_twisted.core import recovery_codes
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY
from ifap_twisted.errors import CallerError, NotSupported
from ifap_twisted.filesystem.opening import Opened
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from ifap_twisted.service.remembering import Remembering

Random = Callable[[int], bytes]


async def set_passphrase(opened: Opened, remembering: Remembering, passphrase: Secret, *, ahead: int = 0) -> bool:
    """Wrap the keys under a passphrase, in the folder and here; False when former slots may be left in the folder.

    :param ahead: as for ``KeySlots.write``.
    :raises WeakPassphrase: nothing was changed.
    :raises NotSupported, ReadOnly, StoreError: as ``KeySlots.write``.
    """
    unlock = await remembering.strong(passphrase)
    uid = await opened.slots.write(unlock, ahead=ahead)
    await remembering.wrap(passphrase, opened.present)
    return await opened.slots.retire(PASSPHRASE, uid)


async def make_recovery_code(opened: Opened, random: Random, show: Callable[[str], None]) -> bool:
    """Make a recovery code; False when former ones may still open the folder.

    :param show: prints it; called once it opens the folder.
    :raises NotSupported, ReadOnly, StoreError: as ``KeySlots.write``.
    """
    secret = random(recovery_codes.CODE_BYTES)
    uid = await opened.slots.write(Unlock(kind=RECOVERY, secret=Secret(secret)))
    show(recovery_codes.encode(secret))
    return await opened.slots.retire(RECOVERY, uid)


class NewSecrets:
    """What gives a new key to the owner of the folder when the former ones are revoked (FORMAT 8.5).

    :param ask: gives the new passphrase; asked where the folder has one, or where one is wanted.
    :ivar given: the passphrase that was set.
    """

    def __init__(
        self, opened: Opened, remembering: Remembering, ask: Callable[[], Awaitable[Secret]], *, wanted: bool
    ) -> None:
        self._opened = opened
        self._remembering = remembering
        self._ask = ask
        self._wanted = wanted
        self._new: Secret | None = None
        self.given: Secret | None = None

    async def check(self) -> None:
        """There is a new passphrase where one is needed, and the new key will be kept here.

        :raises CallerError: it is weak, or the one that leads to the former key; or nothing is kept.
        """
        if not await self._remembering.keeps_keys():
            raise NotSupported(
                "The new key would not be kept here: that needs a basedir, and the passphrase under which its keys are."
            )
        if self._wanted or await self._opened.slots.has(PASSPHRASE):
            await self._fresh(None)

    async def prepare(self) -> None:
        """Put the new key under the new passphrase, beside the one that is in force still."""
        if self._new is not None:
            await self._opened.slots.write(Unlock.by_passphrase(self._new))

    async def secure(self) -> None:
        """Set it, and void the recovery code: both of before lead to the former key only.

        It goes by no slot that is there already: anybody can store one that says that it is a new one.
        """
        slots, view = self._opened.slots, self._opened.filesystem.desk.view
        if self._new is not None or self._wanted or await slots.has(PASSPHRASE):
            self.given = await self._fresh(view.keys[0])
            await set_passphrase(self._opened, self._remembering, self.given, ahead=1)
            self._new = None
        await slots.retire(RECOVERY, view.index.highest + 1)

    async def _fresh(self, key: Key | None) -> Secret:
        """The new passphrase. :param key: the new one, where it is in force: a passphrase may lead to it already."""
        if self._new is None:
            found = await self._ask()
            if await self._is_former(await self._remembering.strong(found), key):
                raise CallerError("This passphrase leads to the former key: choose another one.")
            self._new = found
        return self._new

    async def _is_former(self, unlock: Unlock, key: Key | None) -> bool:
        opened = await self._opened.slots.opened(unlock)
        if opened:
            return any(key not in one.keys for one in opened)
        return self._remembering.is_in_force(unlock)


async def set_where_none_is(opened: Opened, remembering: Remembering) -> None:
    """After a login with a passphrase: a folder that has no slot for it gets one, a new folder for example.

    :raises StoreError: as ``KeySlots.write``.
    """
    passphrase = remembering.in_force
    if passphrase is not None and not await opened.slots.has(PASSPHRASE):
        await opened.slots.write(Unlock.by_passphrase(passphrase, remembering.known))
