"""From a shelf to a filesystem: read what is there, find dialect and key, make or adopt the folder object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import FolderState, HeaderBlock, Notice
from ifap_twisted.deferreds import detach
from ifap_twisted.errors import KeyRequired
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.desk import Desk, Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.founding import check_complete, home_of
from ifap_twisted.filesystem.listing import EarlyNews
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.locking import Locking
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.filesystem.recovery import Place, Recovery
from ifap_twisted.filesystem.sending import Sending
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.unmarking import unmark_kept
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.filesystem.writing import Writer
from ifap_twisted.interfaces import IJournal, IMessageStore

__all__ = ["Membership", "Opened", "Surroundings", "open_folder"]

_log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a device has to know to open a folder again.

    :ivar keys: those that are tried, the one that is written with first; empty with encryption off.
    :ivar dialect: the one that is asked for; ``found`` the one that the folder had when it was opened last.
    :ivar home: of the folder object, or None when it was never opened before (FORMAT 8.2).
    """

    dialect: str | None = None
    found: str | None = None
    encrypted: bool = True
    keys: tuple[Key, ...] = ()
    home: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open filesystem, and what the device should remember of it."""

    filesystem: Filesystem
    membership: Membership
    made_key: bool = False


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
        if decided.made_key:
            check_complete(state, blocks)
        name_found = decided.dialect.name
        known = replace(membership, dialect=name_found, found=name_found, keys=decided.keys)
        if remember is not None:
            await remember(known)
        watchers = Watchers()
        view = View(
            store,
            dialect=decided.dialect,
            keys=decided.keys,
            clock=surroundings.clock,
            elapsed=surroundings.elapsed,
            worker=surroundings.worker,
            watchers=watchers,
        )
        try:
            await view.load(state, blocks, early)
            home = await home_of(view, membership.home, surroundings, state, blocks)
            view.adopt_home(home)
            known = replace(known, home=home)
            if remember is not None:
                await remember(known)
            place = Place(account=account_key or account, folder=name)
            journal = None if surroundings.journal is None else surroundings.journal(decided.keys)
            desk = make_desk(view, options, surroundings, watchers, journal, place)
            view.read_records = desk.objects.read_records
            await desk.objects.read_records()
            view.unmark = partial(unmark_kept, view)
            detach(view.look_for_marks(), _log, "looking for marks that a removal left")
            recovery = None if journal is None else await _recovery(journal, desk, surroundings, place, watchers)
        except BaseException:
            view.close()
            raise
    finally:
        early.stop()
    filesystem = Filesystem(
        desk,
        watchers=watchers,
        clock=surroundings.clock,
        account=account,
        folder=name,
        warnings=[_other_dialect(decided.dialect)] if decided.other else [],
        journal=journal,
        recovery=recovery,
    )
    return Opened(filesystem=filesystem, membership=known, made_key=decided.made_key)


async def _first_listing(store: IMessageStore, state: FolderState) -> tuple[FolderState, Mapping[int, HeaderBlock]]:
    blocks = await store.headers(1)
    if len(blocks) < state.exists:  # some may just have gone
        state = await store.poll(thorough=True)
        blocks = await store.headers(1)
    return state, blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """How the folder is read: found in it, or given.

    :ivar other: it is not the dialect that was asked for.
    """

    dialect: Dialect
    keys: tuple[Key, ...]
    other: bool
    made_key: bool


def _decide(
    blocks: Mapping[int, HeaderBlock], membership: Membership, make_key: bool, surroundings: Surroundings
) -> _Decided:
    keys = membership.keys if membership.encrypted else ()
    made = False
    if membership.encrypted and not keys and folder.may_make_key(blocks):
        if not make_key:
            raise KeyRequired("No key for this folder is known here; run 'ifap login' to make or give one.")
        keys, made = (folder.make_key(surroundings.random),), True
    folder.check_keys(blocks, keys, encrypted=membership.encrypted)
    dialect, other = folder.choose_dialect(blocks, membership.dialect, keys)
    return _Decided(dialect=dialect, keys=keys, other=other, made_key=made)


def make_desk(
    view: View,
    options: Options,
    surroundings: Surroundings,
    watchers: Watchers,
    journal: IJournal | None,
    place: Place,
) -> Desk:
    """What the operations on a folder work with."""
    clock, worker, identity = surroundings.clock, surroundings.worker, surroundings.identity
    backlog = Backlog() if surroundings.backlog is None else surroundings.backlog
    freeze = partial(place.freeze, view)
    sending = Sending(view, identity=identity, clock=clock, journal=journal, freeze=freeze, backlog=backlog)
    writer = Writer(
        view,
        sending,
        identity=identity,
        clock=clock,
        worker=worker,
        random=surroundings.random,
        watchers=watchers,
        keep=options.keep,
        compat=options.compat,
        backlog=backlog,
    )
    reader = Reader(view, worker=worker, require_bound=options.require_bound)
    book = LockBook(view, identity=identity, elapsed=view.elapsed, watchers=watchers, memory=surroundings.locks)
    locking = Locking(view, writer, book, random=surroundings.random, holder=options.holder)
    writer.guard = locking
    return Desk(
        view=view,
        book=book,
        locking=locking,
        reader=reader,
        writer=writer,
        budget=Budget(limits.FILES_IN_FLIGHT * options.max_file_size),
        worker=worker,
        options=options,
        objects=Objects(view, reader, worker),
    )


async def _recovery(
    journal: IJournal, desk: Desk, surroundings: Surroundings, place: Place, watchers: Watchers
) -> Recovery:
    """Take over what an earlier process left.

    :raises OSError, BadSettings: the journal cannot be read.
    """
    left = await journal.left()
    recovery = Recovery(
        journal,
        desk.view,
        desk.writer,
        place,
        clock=surroundings.clock,
        worker=surroundings.worker,
        watchers=watchers,
    )
    await recovery.begin(left)
    return recovery


def _other_dialect(dialect: Dialect) -> Notice:
    text = f"The folder holds files of the dialect {dialect.name} only, so that one is used."
    return Notice(code="other-dialect", text=text)
