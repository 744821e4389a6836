"""Passphrase and recovery code of an open folder: the folder's slots and the keys in the basedir, in the right order.

A slot is written, read back and opened before anything is changed here or told, and former slots go last: at every
moment something that the user has opens the folder.
"""

from __future__ import annotations

from collections.abc import Callable

from ifap_twisted.core import recovery_codes
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY
from ifap_twisted.filesystem.opening import Opened
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from ifap_twisted.service.remembering import Remembering

Random = Callable[[int], bytes]


async def set_passphrase(opened: Opened, remembering: Remembering, passphrase: Secret) -> bool:
    """Wrap the keys under a passphrase, in the folder and here; False when former slots may be left in the folder.

    :raises WeakPassphrase: nothing was changed.
    :raises NotSupported, ReadOnly, StoreError: as ``KeySlots.write``.
    """
    unlock = await remembering.strong(passphrase)
    uid = await opened.slots.write(unlock)
    await remembering.wrap(passphrase, opened.membership)
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


async def set_where_none_is(opened: Opened, remembering: Remembering) -> None:
    """After a login with a passphrase: a folder that has no slot for it gets one, a new folder for example.

    :raises StoreError: as ``KeySlots.write``.
    """
    passphrase = remembering.in_force
    if passphrase is not None and not await opened.slots.has(PASSPHRASE):
        await opened.slots.write(Unlock.by_passphrase(passphrase, remembering.known))
