"""Whether each key of a folder leads to the others still: the slots for that are messages, which can get lost (8.5)."""

from __future__ import annotations

from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.view import View


async def lost_keys(view: View) -> list[Key]:
    """The keys with which alone not everything is found any more: a former one that does not lead to the newest, or the
    newest where it does not lead to the former ones.

    Only those count that a folder object names: a key that was given by mistake, or drawn and not used, leads nowhere.
    Nor do those that were revoked: none leads to a newer one.

    :raises DataError: the folder objects are damaged, so that nobody knows.
    :raises Renumbered, StoreError: it cannot be told now.
    """
    if len(view.keys) < 2 or view.left - view.revocation.keys:  # a revocation is under way, and names its keys later
        return []
    await view.newer_keys.follow()
    if view.newer_keys.failure is not None:
        raise view.newer_keys.failure
    objects = await folder.objects_of(view.store, view.index, view.dialect, view.keys)
    named = {one.key_id for one in objects if one.home == view.home}
    newest, *others = view.keys
    former = [key for key in others if key.fingerprint in named - view.left]
    lost = [key for key in former if newest not in await view.newer_keys.found_with(key)]
    return lost if set(former) <= set(await view.newer_keys.found_with(newest)) else [newest, *lost]
