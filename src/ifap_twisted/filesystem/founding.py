"""The folder object: found, or written where there is none (FORMAT 4.5, 8.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from twisted.logger import Logger

from ifap_twisted.clocks import date_by
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Sealed
from ifap_twisted.errors import (
    DataError,
    ForeignKey,
    NewerVersionNeeded,
    NotSupported,
    ProtocolViolation,
    Renumbered,
    StoreError,
    Unavailable,
    WrongKey,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.drafting import new_vid
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.view import View

_log = Logger()


async def home_of(
    view: View,
    known: str | None,
    surroundings: Surroundings,
    state: FolderState,
    blocks: Mapping[int, HeaderBlock],
) -> str:
    """The home of an open folder (FORMAT 8.2): of its folder object, which is written where there is none.

    :param known: what this device remembers; None when it never opened the folder.
    :param blocks: what was listed when the key was chosen.
    :raises ForeignFolder, WrongKey, ReadOnly, Unavailable, Renumbered: nothing was written but a folder object.
    """
    found = folder.folder_objects(view.index)
    folder.check_home(known, found)
    if known is not None:
        return known
    folder.check_won(view.index, found)
    if not found:
        check_complete(state, blocks)
        folder.check_alone(view.index, blocks)
        await _make_object(view, surroundings, state, blocks)
        found = folder.folder_objects(view.index)
    return await _winner(view, found, state)


async def _winner(view: View, found: Sequence[Placed], state: FolderState) -> str:
    """The home of the folder object that counts.

    Where only its place tells that, a second message of it is added: a renumbering may change the order.

    :raises DataError: it cannot be opened, and no file names its home; nothing may be written here.
    """
    if not found:
        raise ProtocolViolation("The mail server does not show what was just stored in the folder.")
    winner = folder.winner(view.index, found)
    if view.incomplete and not folder.is_used(view.index, winner.version.home or ""):
        raise incomplete_error()  # another that is not listed may have won
    generation = view.generation
    view.check_generation(generation)
    try:
        home = (await folder.read_winner(view.store, view.index, found, view.dialect, view.keys)).home
    except NewerVersionNeeded:
        raise
    except DataError:
        view.check_generation(generation)
        if not folder.is_used(view.index, winner.version.home or ""):
            raise
        home = winner.version.home or ""  # its header says so, and so do the files; a check tells that it is damaged
    view.check_generation(generation)  # what was read of a place was perhaps another message's (FORMAT 2.5)
    if folder.is_tied(view.index) and not state.read_only:
        message = await view.store.message(winner.places[0])
        view.check_generation(generation)
        try:
            await view.store.append(message)
        except StoreError as error:
            _log.info("which of several folder objects counts was not told once more: {why}", why=str(error))
    return home


async def _make_object(
    view: View, surroundings: Surroundings, state: FolderState, listed: Mapping[int, HeaderBlock]
) -> None:
    """Write a folder object, read header and body back, and withdraw it when another was first (FORMAT 4.5, 8.2).

    While it cannot be told who was first it stays: others may have seen that it was, and have the folder open under it.

    :param listed: what was there when the key was chosen; others' messages may be known by now that were not.
    """
    folder.check_writable(state.read_only)
    sealed = await _draw_object(view, surroundings)
    receipt, blocks = await _append_object(view, sealed)
    if view.uidvalidity != state.uidvalidity:
        await _give_up(view, sealed)
    if view.incomplete:  # who was first may be what is not listed
        raise incomplete_error()
    own, generation = _own_object(view, sealed), view.generation
    uid = receipt.uid if own is None else own.places[0]
    try:
        body = await view.store.message(uid) if uid is not None else b""
        folder.check_faithful(sealed, blocks.get(uid) if uid is not None else None, body, view.dialect)
    except (ProtocolViolation, DataError):
        if own is not None:  # what only the server calls ours may be anybody's mail (P6)
            await _withdraw(view, sealed, uid, generation)
        raise
    if own is not None and folder.folder_objects(view.index)[0].version.vid != own.version.vid:
        await _withdraw(view, sealed, uid, generation)
    try:
        folder.check_alone(view.index, listed, before=uid)
    except WrongKey:
        if own is not None:
            await _withdraw(view, sealed, uid, generation)
        raise


async def _draw_object(view: View, surroundings: Surroundings) -> Sealed:
    key = view.keys[0] if view.keys else None
    number = await surroundings.identity.take(1)
    home, generation = folder.home_of_versions(view.index), view.newer_keys.generation
    return folder.seal_object(
        folder.FolderObject.draw(key, surroundings.random, home=home, generation=generation),
        dialect=view.dialect,
        key=key,
        writer=surroundings.identity.writer,
        number=number,
        now=date_by(surroundings.clock),
        vid=new_vid(surroundings.random),
        random=surroundings.random,
    )


async def _append_object(view: View, sealed: Sealed) -> tuple[Receipt, Mapping[int, HeaderBlock]]:
    """Append it; gives the receipt, and what is listed from there on, which the view then knows, too."""
    first = view.index.highest + 1
    receipt = await view.store.append(sealed.message)
    blocks = await view.store.headers(first)
    if not blocks:
        await view.store.poll(thorough=True)
        blocks = await view.store.headers(first)
    await view.intake.absorb(blocks)
    await view.refresh()
    return receipt, blocks


def _own_object(view: View, sealed: Sealed) -> Placed | None:
    return next((p for p in folder.folder_objects(view.index) if p.version.vid == sealed.version.vid), None)


async def _give_up(view: View, sealed: Sealed) -> NoReturn:
    """The numbers changed: they do not tell any more who was first (FORMAT 2.5, 8.2).

    One's own object is removed only when somebody set up the folder under another key: nobody can be known to have lost
    otherwise, and one that others have taken for the winner must stay.

    :raises Renumbered: opening the folder again decides.
    """
    own = _own_object(view, sealed)
    if own is not None and any(isinstance(error, ForeignKey) for error in view.index.rejected().values()):
        await _withdraw(view, sealed, own.places[0], view.generation)
    raise Renumbered("The mail server renumbered the folder while it was set up.")


async def _withdraw(view: View, sealed: Sealed, uid: int | None, generation: int) -> None:
    """Remove one's own folder object; where that cannot be done it stays, and the lower UID wins all the same."""
    if uid is None:
        return
    try:
        await view.remove({uid: sealed.sealed_id}, generation)
    except (NotSupported, StoreError):
        return


def check_complete(state: FolderState, blocks: Mapping[int, HeaderBlock]) -> None:
    """What is not listed is not absent (FORMAT 2.5): nothing is founded on a listing that leaves messages out.

    :raises Unavailable:
    """
    if len(blocks) < state.exists:
        raise incomplete_error()


def incomplete_error() -> Unavailable:
    """Whose folder it is can be told from a complete listing only, as long as nobody has written to it."""
    return Unavailable(
        "The mail server does not list all messages that it says are there, so whose folder this is cannot be "
        "told. Try again later."
    )
