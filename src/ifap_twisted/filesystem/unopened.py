"""What a check tells of messages that the key of the folder does not open: key slots, and headers of other keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ifap_twisted.core import limits, outer
from ifap_twisted.core.findings import DAMAGE, WARNING, Finding
from ifap_twisted.core.slots import FOLDER_KINDS, PASSPHRASE
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import DataError, ForeignKey, MessageGone, NewerVersionNeeded, StoreError, Tampered
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.keylines import lost_keys
from ifap_twisted.filesystem.listing import runs
from ifap_twisted.filesystem.unlocking import MESSAGE_BYTES, Announced, slot_in, slots_of

LOOKED: Final = 64
"""Messages whose metadata no key opens that are looked at: a folder of somebody else may hold any number."""


async def changed_headers(desk: Desk) -> dict[int, DataError]:
    """Which of the messages that no key opens were changed since they were sent, by UID; the others have another key.

    :raises StoreError: the server does not tell of them now.
    """
    view, found = desk.view, dict[int, DataError]()
    foreign = [uid for uid, error in view.index.rejected().items() if isinstance(error, ForeignKey)]
    for first, last in runs(foreign[-LOOKED:]):
        for uid, block in (await view.store.headers(first, last)).items():
            if block.size > limits.LITERAL:
                continue
            async with desk.admitted(block.size):
                try:
                    message = await view.store.message(uid)
                except StoreError:  # then nobody knows better
                    continue
            if outer.is_changed(message, view.dialect):
                found[uid] = Tampered("The header of a message is not the one with which it was sent.")
    return found


class _Looked(NamedTuple):
    """A slot, and what is wrong with it; empty when nothing is."""

    kind: str
    wrong: str


async def slot_findings(desk: Desk) -> list[Finding]:
    """Key slots that would not open the folder for anybody, as far as can be told without passphrase and code.

    :raises StoreError: they cannot be read now.
    """
    view = desk.view
    blocks: dict[int, HeaderBlock] = {}
    for first, last in runs(view.index.key_slots()):
        blocks.update(await view.store.headers(first, last))
    announced = [one for one in slots_of(blocks) if one.kind in FOLDER_KINDS and one.dialect == view.dialect]
    generation = await _generation(desk) if announced else None
    found = [await _look(desk, one, generation) for one in announced[: limits.SLOTS_TRIED]]
    return [*_told([one for one in found if one is not None]), *await _lost(desk)]


async def _lost(desk: Desk) -> list[Finding]:
    """Keys that do not lead to the others; where the folder objects are damaged, that is told apart."""
    try:
        lost = await lost_keys(desk.view)
    except DataError:
        return []
    if not lost:
        return []
    text = (
        "A key slot is gone with which one key of the folder finds the others: who has that key alone, or a passphrase "
        "or recovery code of its time, cannot read everything. 'ifap rekey' writes it anew."
    )
    return [Finding("key-slot", DAMAGE, text, places=len(lost))]


async def _generation(desk: Desk) -> int | None:
    """How often the key was changed; None where no folder object can be read, which is told apart."""
    view = desk.view
    try:
        objects = await folder.objects_of(view.store, view.index, view.dialect, view.keys)
    except DataError:
        return None
    told = [one.generation for one in objects]
    return max(*told, view.newer_keys.generation) if told else None


async def _look(desk: Desk, one: Announced, generation: int | None) -> _Looked | None:
    """None for one that is gone, or of a later release."""
    if one.size > MESSAGE_BYTES:
        return _Looked(one.kind, "it is too long")
    try:
        message = await desk.view.store.message(one.uid)
        slot = await desk.worker(lambda: slot_in(message, one))
    except (MessageGone, NewerVersionNeeded):
        return None
    except DataError:
        return _Looked(one.kind, "it cannot be read")
    if slot.home not in ("", desk.view.home):
        return _Looked(one.kind, "it is of another folder")
    if generation is not None and slot.generation > generation:
        return _Looked(one.kind, "it tells of a later key than the folder")
    return _Looked(one.kind, "")


def _told(looked: list[_Looked]) -> Iterator[Finding]:
    """Damage where none of a kind is left that could open the folder."""
    for kind in FOLDER_KINDS:
        wrong = [one.wrong for one in looked if one.kind == kind and one.wrong]
        if wrong:
            good = any(one.kind == kind and not one.wrong for one in looked)
            secret = "passphrase" if kind == PASSPHRASE else "recovery code"
            more = "another one can" if good else "no other one is there: set it anew while a device still has the key"
            text = f"A key slot for the {secret} cannot be used, because {wrong[0]}; {more}."
            yield Finding("key-slot", WARNING if good else DAMAGE, text, places=len(wrong))
