"""From a shelf to a filesystem: read what is there, find dialect and key, make or adopt the folder object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import limits
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.history import Placed
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import FolderState, HeaderBlock, Notice, Sealed
from ifap_twisted.errors import (
    DataError,
    KeyRequired,
    NotSupported,
    ProtocolViolation,
    Renumbered,
    StoreError,
    Unavailable,
    WrongKey,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.desk import Desk, Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.filesystem.recovery import Place, Recovery
from ifap_twisted.filesystem.view import EarlyNews, View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.filesystem.writing import Random, Writer, new_vid
from ifap_twisted.interfaces import IJournal, IMessageStore, IWriterIdentity
from ifap_twisted.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a device has to know to open a folder again.

    :ivar keys: those that are tried, the one that is written with first; empty with encryption off.
    :ivar home: of the folder object, or None when it was never opened before (FORMAT 8.2).
    """

    dialect: str | None = None
    encrypted: bool = True
    keys: tuple[Key, ...] = ()
    home: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open filesystem, and what the device should remember of it."""

    filesystem: Filesystem
    membership: Membership
    made_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a filesystem lives: everything that is an argument.

    :ivar journal: opens the journal with the keys of the folder; None keeps nothing over the end of the process.
    """

    clock: IReactorTime
    worker: Worker
    random: Random
    identity: IWriterIdentity
    journal: Callable[[Sequence[Key]], IJournal] | None = None


async def open_folder(
    store: IMessageStore,
    membership: Membership,
    surroundings: Surroundings,
    *,
    options: Options | None = None,
    make_key: bool = False,
    remember: Callable[[Membership], Awaitable[None]] | None = None,
    account: str = "",
    account_key: str = "",
    name: str = "",
) -> Opened:
    """Open a folder as a filesystem.

    :param make_key: make a key where the folder has no message of either dialect and none is given (FORMAT 8.2).
    :param account: for people; ``account_key`` names it in the journal.
    :param remember: keeps what the device has to know; called before anything is written under a new key, and again
        when the folder is known.
    :raises KeyRequired, WrongKey, Plaintext, UnsupportedDialect, ForeignFolder, ReadOnly: nothing was written.
    """
    options = options or Options()
    state = await store.open()
    early = EarlyNews(store)
    try:
        state, blocks = await _first_listing(store, state)
        decided = await surroundings.worker(lambda: _decide(blocks, membership, make_key, surroundings))
        dialect, keys, other, made = decided
        if made:
            _check_complete(state, blocks)
        known = Membership(dialect=dialect.name, encrypted=membership.encrypted, keys=keys, home=membership.home)
        if remember is not None:
            await remember(known)
        watchers = Watchers()
        view = View(
            store, dialect=dialect, keys=keys, clock=surroundings.clock, worker=surroundings.worker, watchers=watchers
        )
        try:
            await view.load(state, blocks, early)
            home = await _home(view, membership, surroundings, state, blocks)
        except BaseException:
            view.close()
            raise
    finally:
        early.stop()
    view.adopt_home(home)
    journal = None if surroundings.journal is None else surroundings.journal(keys)
    place = Place(account=account_key or account, folder=name)
    desk = _desk(view, options, surroundings, watchers, journal, place)
    warnings = [_other_dialect(dialect)] if other else []
    recovery = None
    if journal is not None:
        recovery = Recovery(journal, view, desk.writer, place, clock=surroundings.clock, worker=surroundings.worker)
        desk.writer.unknown = recovery.add
        recovery.begin(await journal.left())
    filesystem = Filesystem(
        desk,
        watchers=watchers,
        clock=surroundings.clock,
        account=account,
        folder=name,
        warnings=warnings,
        journal=journal,
        recovery=recovery,
    )
    known = replace(known, home=home)
    if remember is not None:
        await remember(known)
    return Opened(filesystem=filesystem, membership=known, made_key=made)


async def _first_listing(store: IMessageStore, state: FolderState) -> tuple[FolderState, Mapping[int, HeaderBlock]]:
    blocks = await store.headers(1)
    if len(blocks) < state.exists:  # some may just have gone
        state = await store.poll(thorough=True)
        blocks = await store.headers(1)
    return state, blocks


def _check_complete(state: FolderState, blocks: Mapping[int, HeaderBlock]) -> None:
    """What is not listed is not absent (FORMAT 2.5): nothing is founded on a listing that leaves messages out.

    :raises Unavailable:
    """
    if len(blocks) < state.exists:
        raise Unavailable(
            "The mail server does not list all messages that it says are there, so whose folder this is cannot be "
            "told; nothing was written. Try again later."
        )


def _decide(
    blocks: Mapping[int, HeaderBlock], membership: Membership, make_key: bool, surroundings: Surroundings
) -> tuple[Dialect, tuple[Key, ...], bool, bool]:
    keys = membership.keys if membership.encrypted else ()
    made = False
    if membership.encrypted and not keys and folder.may_make_key(blocks):
        if not make_key:
            raise KeyRequired("No key for this folder is known here; run 'ifap login' to make or give one.")
        keys, made = (folder.make_key(surroundings.random),), True
    folder.check_keys(blocks, keys, encrypted=membership.encrypted)
    dialect, other = folder.choose_dialect(blocks, membership.dialect, keys)
    return dialect, keys, other, made


def _desk(
    view: View,
    options: Options,
    surroundings: Surroundings,
    watchers: Watchers,
    journal: IJournal | None,
    place: Place,
) -> Desk:
    def freeze(sealed: Sealed) -> Frozen:
        return Frozen(
            account=place.account,
            folder=place.folder,
            home=view.home or "",
            dialect=view.dialect.name,
            sealed_id=sealed.sealed_id,
            message=sealed.message,
        )

    writer = Writer(
        view,
        identity=surroundings.identity,
        clock=surroundings.clock,
        worker=surroundings.worker,
        random=surroundings.random,
        watchers=watchers,
        keep=options.keep,
        compat=options.compat,
        journal=journal,
        freeze=freeze,
    )
    return Desk(
        view=view,
        reader=Reader(view, worker=surroundings.worker, require_bound=options.require_bound),
        writer=writer,
        budget=Budget(limits.FILES_IN_FLIGHT * options.max_file_size),
        worker=surroundings.worker,
        options=options,
    )


def _other_dialect(dialect: Dialect) -> Notice:
    text = f"The folder holds files of the dialect {dialect.name} only, so that one is used."
    return Notice(code="other-dialect", text=text)


# The folder object (FORMAT 8.2)


async def _home(
    view: View,
    membership: Membership,
    surroundings: Surroundings,
    state: FolderState,
    blocks: Mapping[int, HeaderBlock],
) -> str:
    found = folder.folder_objects(view.index)
    folder.check_home(membership.home, found)
    if membership.home is not None:
        return membership.home
    folder.check_won(view.index, found)
    if not found:
        _check_complete(state, blocks)
        folder.check_alone(view.index, blocks)
        await _make_object(view, surroundings, state, blocks)
        found = folder.folder_objects(view.index)
    return await _winner(view, found)


async def _winner(view: View, found: Sequence[Placed]) -> str:
    """The home of the folder object that counts.

    :raises DataError: it cannot be opened; nothing may be written here.
    """
    if not found:
        raise ProtocolViolation("The mail server does not show what was just stored in the folder.")
    winner = folder.winner(view.index, found)
    try:
        opened = await folder.read_object(view.store, winner, view.dialect, view.keys)
    except DataError:
        _check_places(view)
        raise
    _check_places(view)
    return opened.home


def _check_places(view: View) -> None:
    """What was read of a place is worth nothing when the server gave new numbers meanwhile (FORMAT 2.5).

    :raises Renumbered: opening it again may help.
    """
    if view.renumbering:
        raise Renumbered("The mail server renumbered the folder while it was opened.")


async def _make_object(
    view: View, surroundings: Surroundings, state: FolderState, listed: Mapping[int, HeaderBlock]
) -> None:
    """Write a folder object, read header and body back, and withdraw it when another was first (FORMAT 4.5, 8.2).

    :param listed: what was there when the key was chosen; others' messages may be known by now that were not.
    """
    folder.check_writable(state.read_only)
    key = view.keys[0] if view.keys else None
    number = await surroundings.identity.take(1)
    sealed = folder.seal_object(
        folder.FolderObject.draw(key, surroundings.random, home=folder.home_of_versions(view.index)),
        dialect=view.dialect,
        key=key,
        writer=surroundings.identity.writer,
        number=number,
        now=surroundings.clock.seconds(),
        vid=new_vid(surroundings.random),
        random=surroundings.random,
    )
    first = view.index.highest + 1
    receipt = await view.store.append(sealed.message)
    blocks = await view.store.headers(first)
    if not blocks:
        await view.store.poll(thorough=True)
        blocks = await view.store.headers(first)
    await view.absorb(blocks)
    if (await view.store.poll()).uidvalidity != state.uidvalidity:
        await _give_up(view, sealed)
    own = _own_object(view, sealed)
    uid = receipt.uid if own is None else own.places[0]
    try:
        body = await view.store.message(uid) if uid is not None else b""
        folder.check_faithful(sealed, blocks.get(uid) if uid is not None else None, body, view.dialect)
    except (ProtocolViolation, DataError):
        await _withdraw(view, uid)
        raise
    if own is not None and folder.folder_objects(view.index)[0] != own:
        await _withdraw(view, uid)
    try:
        folder.check_alone(view.index, listed, before=uid)
    except WrongKey:
        await _withdraw(view, uid)
        raise


def _own_object(view: View, sealed: Sealed) -> Placed | None:
    return next((p for p in folder.folder_objects(view.index) if p.version.vid == sealed.version.vid), None)


async def _give_up(view: View, sealed: Sealed) -> NoReturn:
    """The numbers changed: they do not tell any more who was first, nor where one's own object is (FORMAT 2.5, 8.2).

    :raises Renumbered: opening the folder again decides.
    """
    await view.refresh()
    own = _own_object(view, sealed)
    if own is not None:
        await _withdraw(view, own.places[0])
    raise Renumbered("The mail server renumbered the folder while it was set up.")


async def _withdraw(view: View, uid: int | None) -> None:
    """Remove one's own folder object; where that cannot be done it stays, and the lower UID wins all the same."""
    if uid is None:
        return
    try:
        await view.store.remove([uid])
    except (NotSupported, StoreError):
        return
    view.vanished([uid])
