"""From a shelf to a filesystem: read what is there, find dialect and key, make or adopt the folder object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from twisted.logger import Logger

from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import RECOVERY
from ifap_twisted.core.values import FolderState, HeaderBlock, Notice
from ifap_twisted.deferreds import detach
from ifap_twisted.errors import IFAPError, KeyChanged, KeyRequired, WrongKey
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.assembly import make_desk
from ifap_twisted.filesystem.desk import Desk, Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.founding import check_complete, home_of
from ifap_twisted.filesystem.keyslots import KeySlots
from ifap_twisted.filesystem.listing import EarlyNews
from ifap_twisted.filesystem.marking import Marking
from ifap_twisted.filesystem.newer_keys import EarlierSlots, Followed
from ifap_twisted.filesystem.recovery import Place, Recovery
from ifap_twisted.filesystem.revoking import Revoking
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.unlocking import Unlock, check_generation, slots_of, unlock
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IJournal, IMessageStore

__all__ = ["Membership", "Opened", "Surroundings", "open_folder"]

_log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a device has to know to open a folder again.

    :ivar keys: those that are tried, the one that is written with first; empty with encryption off.
    :ivar given: the first of them was given now, and is not one that the device had: it has to open something.
    :ivar dialect: the one that is asked for; ``found`` the one that the folder had when it was opened last.
    :ivar home: of the folder object, or None when it was never opened before (FORMAT 8.2).
    :ivar unlock: what the key slots of the folder are opened with, for their keys go before the known ones.
    :ivar generation: the greatest of the keys that this device has seen; 0 for none.
    :ivar revoked: the fingerprints of the keys that were revoked, as far as this device has seen (FORMAT 8.5).
    :ivar marked: the dialect of which the device kept rollback marks last (FORMAT 9.1).
    """

    dialect: str | None = None
    found: str | None = None
    encrypted: bool = True
    keys: tuple[Key, ...] = ()
    given: bool = False
    home: str | None = None
    unlock: Unlock | None = None
    generation: int = 0
    revoked: frozenset[str] = frozenset()
    marked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open filesystem, its key slots, what changes its key, and what the device should remember of it."""

    filesystem: Filesystem
    membership: Membership
    slots: KeySlots
    rekeying: Revoking
    made_key: bool = False

    @property
    def present(self) -> Membership:
        """What the device should remember now: the key may have been changed since it was opened."""
        view, known = self.filesystem.desk.view, self.membership
        return replace(
            known,
            keys=tuple(view.keys),
            generation=max(known.generation, view.newer_keys.generation),
            revoked=known.revoked | view.revocation.keys,
        )


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
    :raises KeyRequired, WrongKey, WeakPassphrase, Plaintext, UnsupportedDialect, ForeignFolder, ReadOnly, KeyChanged:
        nothing was written.
    """
    opening = _Opening(
        store=store,
        membership=membership,
        surroundings=surroundings,
        options=options or Options(),
        make_key=make_key,
        remember=remember or _remember_nothing,
        account=account,
        place=Place(account=account_key or account, folder=name),
    )
    return await opening.run()


class _Listing(NamedTuple):
    """The first: what the server said of the folder, and the headers in it."""

    state: FolderState
    blocks: Mapping[int, HeaderBlock]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """How the folder is read: found in it, or given.

    :ivar other: it is not the dialect that was asked for.
    """

    dialect: Dialect
    keys: tuple[Key, ...]
    other: bool
    made_key: bool

    @property
    def warnings(self) -> list[Notice]:
        """What a person should know of it."""
        if not self.other:
            return []
        text = f"The folder holds files of the dialect {self.dialect.name} only, so that one is used."
        return [Notice(code="other-dialect", text=text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """One folder that is being opened, step by step."""

    store: IMessageStore
    membership: Membership
    surroundings: Surroundings
    options: Options
    make_key: bool
    remember: Callable[[Membership], Awaitable[None]]
    account: str
    place: Place
    watchers: Watchers = field(default_factory=Watchers)

    async def run(self) -> Opened:
        """In the order of events."""
        state = await self.store.open()
        early = EarlyNews(self.store, self.surroundings.elapses())
        try:
            listing = await _first_listing(self.store, state)
            slots = EarlierSlots(self.store, self.surroundings.worker)
            known = await self._unlocked(listing, slots)
            decided = await self._decided(listing, known, slots)
            decided, membership = await self._remembered(decided, known)
            return await self._enter(listing, early, decided, membership)
        finally:
            early.stop()

    async def _unlocked(self, listing: _Listing, slots: EarlierSlots) -> Membership:
        """With the keys that the folder itself holds: for a passphrase or recovery code, or an earlier key (8.4)."""
        known, worker = self.membership, self.surroundings.worker
        if not known.encrypted or folder.may_make_key(listing.blocks):
            return known
        home, generation, revoked = known.home, 0, known.revoked
        keys = tuple(sorted(known.keys, key=lambda key: key.fingerprint in revoked))
        if known.unlock is not None:
            found = await unlock(self.store, listing.blocks, known.unlock, worker)
            keys, home = tuple(dict.fromkeys((*found.keys, *keys))), known.home or found.home or None
            generation, revoked = found.generation, revoked | found.revoked
        if not keys:
            return known
        await slots.read(await worker(lambda: list(slots_of(listing.blocks))))
        if known.given and known.unlock is None:
            await self._check_given(listing, slots, keys[:1])
        followed = await slots.follow(keys, home or await self._named(listing, slots, keys), revoked)
        generation, revoked = max(generation, followed.generation), revoked | followed.revoked
        if known.unlock is not None:
            check_generation(generation, known.generation)
        if followed.keys[0].fingerprint in revoked:
            raise KeyChanged("This key was revoked: give the new passphrase, recovery code or key (`ifap login`).")
        generation = max(generation, known.generation)
        return replace(known, keys=followed.keys, home=home, generation=generation, revoked=revoked)

    async def _check_given(self, listing: _Listing, slots: EarlierSlots, keys: tuple[Key, ...]) -> None:
        """Nobody else would find what is written under a key that opens nothing here, whatever others open.

        :raises WrongKey: and the other errors of a folder that no key opens. :raises StoreError: as :meth:`_decided`.
        """
        try:
            if not (await slots.follow(keys, None)).generation:
                await self.surroundings.worker(lambda: folder.check_keys(listing.blocks, keys, encrypted=True))
        except WrongKey as error:
            raise slots.failure or error from None

    async def _named(self, listing: _Listing, slots: EarlierSlots, keys: tuple[Key, ...]) -> str | None:
        """The home that the messages name: a slot of another folder with the same key is none of this one.

        None where no slot opens, so that it makes no difference.
        """
        found = await slots.follow(keys, None)
        if found.keys == keys:
            return None
        counting = [key for key in found.keys if key.fingerprint not in found.revoked] or found.keys
        wanted = self.membership.dialect
        return await self.surroundings.worker(lambda: folder.home_named(listing.blocks, counting, wanted))

    async def _decided(self, listing: _Listing, known: Membership, slots: EarlierSlots) -> _Decided:
        """How the folder is read; a new key is for a folder of which everything was seen.

        :raises StoreError: no key opens it, and the server does not give a slot that may hold one that does.
        """
        try:
            decided = await self.surroundings.worker(
                lambda: _decide(listing.blocks, known, self.make_key, self.surroundings)
            )
        except WrongKey as error:
            raise slots.failure or error from None
        if decided.made_key:
            check_complete(*listing)
        return decided

    async def _remembered(self, decided: _Decided, known: Membership) -> tuple[_Decided, Membership]:
        """The dialect and the keys, kept before anything is written with them.

        Who cannot keep what the folder holds reads with that, and writes with the keys that it has (FORMAT 8.5).
        """
        name, own = decided.dialect.name, self.membership.keys
        membership = replace(known, dialect=name, found=name, keys=decided.keys)
        try:
            await self.remember(membership)
        except IFAPError as error:
            if not own or self.membership.unlock is not None or decided.keys == own:
                raise
            _log.warn("a newer key of the folder could not be kept yet: {why}", why=str(error))
            decided = replace(decided, keys=tuple(dict.fromkeys((*own, *decided.keys))))
            membership = replace(membership, keys=own, generation=self.membership.generation)
        return decided, membership

    async def _enter(self, listing: _Listing, early: EarlyNews, decided: _Decided, membership: Membership) -> Opened:
        """Listen from here on, whatever fails afterwards."""
        journal = None if self.surroundings.journal is None else self.surroundings.journal(decided.keys)
        desk = self._desk(decided, journal)
        has_past = self.surroundings.identity.has_past
        desk.writer.backlog.unclean |= self.surroundings.identity.unsettled
        marking: Marking | None = None
        try:
            desk.view.newer_keys.generation = membership.generation
            desk.view.revoke(membership.revoked)
            await desk.view.load(*listing, early)
            membership = await self._with_its_keys(desk.view, membership)
            membership = await self._at_home(desk.view, listing, membership)
            desk.view.newer_keys.remember = self._following(membership)
            marking = self._marking(desk.view, membership)
            await desk.objects.read_records()
            if marking is not None:
                await marking.recall()
            await _be_sure_of_name(desk, marking, has_past=has_past)
            detach(desk.view.following.look_for_marks(), _log, "looking for marks that a removal left")
            recovery = None if journal is None else await self._recovery(journal, desk)
            await _draw_name(desk)  # what the journal could not tell of is told once only
        except BaseException:
            if marking is not None:
                marking.give_up()
            desk.view.close()
            raise
        filesystem = self._filesystem(desk, decided, journal, recovery, marking)
        slots = KeySlots(desk.view, self.surroundings)
        rekeying = Revoking(desk, slots, self.surroundings, desk.view.newer_keys.remember)
        return Opened(
            filesystem=filesystem,
            membership=membership,
            slots=slots,
            rekeying=rekeying,
            made_key=decided.made_key,
        )

    async def _with_its_keys(self, view: View, membership: Membership) -> Membership:
        """As the folder says which keys count; nothing else of it is believed before (FORMAT 8.5).

        :raises KeyChanged: none of these.
        """
        view.newer_keys.remember, before = self._following(membership), tuple(view.keys)
        await view.revoked_keys.look()
        keys = membership.keys if tuple(view.keys) == before else tuple(view.keys)
        return replace(membership, keys=keys, revoked=view.revocation.keys)

    def _following(self, membership: Membership) -> Callable[[Followed], Awaitable[None]]:
        """Keeps the keys when somebody changed them, before anything is written with them."""

        async def keep(found: Followed) -> None:
            generation = max(found.generation, membership.generation)
            revoked = membership.revoked | found.revoked
            await self.remember(replace(membership, keys=found.keys, generation=generation, revoked=revoked))

        return keep

    def _desk(self, decided: _Decided, journal: IJournal | None) -> Desk:
        return make_desk(
            self.store,
            decided.dialect,
            decided.keys,
            options=self.options,
            surroundings=self.surroundings,
            watchers=self.watchers,
            journal=journal,
            place=self.place,
        )

    async def _at_home(self, view: View, listing: _Listing, membership: Membership) -> Membership:
        """Find the folder object, or write it, and remember whose folder this is (FORMAT 8.2)."""
        home = await home_of(view, membership.home, self.surroundings, *listing)
        view.adopt_home(home)
        membership = replace(membership, home=home)
        marked = membership.marked if self.surroundings.marks is None else view.dialect.name
        await self.remember(replace(membership, marked=marked))
        return membership

    def _marking(self, view: View, membership: Membership) -> Marking | None:
        """What remembers which heads were seen; None where nothing is kept over the end of the process."""
        if self.surroundings.marks is None or membership.home is None:
            return None
        marks = self.surroundings.marks(view.keys, membership.home, view.dialect)
        expected = membership.marked == view.dialect.name
        return view.marking(marks, clock=self.surroundings.clock, expected=expected)

    async def _recovery(self, journal: IJournal, desk: Desk) -> Recovery:
        """Take over what an earlier process left.

        :raises OSError, BadSettings: the journal cannot be read.
        """
        left = await journal.left()
        recovery = Recovery(
            journal,
            desk.view,
            desk.writer,
            self.place,
            clock=self.surroundings.clock,
            worker=self.surroundings.worker,
            watchers=self.watchers,
        )
        await recovery.begin(left)
        return recovery

    def _filesystem(
        self,
        desk: Desk,
        decided: _Decided,
        journal: IJournal | None,
        recovery: Recovery | None,
        marking: Marking | None,
    ) -> Filesystem:
        return Filesystem(
            desk,
            watchers=self.watchers,
            clock=self.surroundings.clock,
            random=self.surroundings.random,
            account=self.account,
            folder=self.place.folder,
            warnings=decided.warnings,
            journal=journal,
            recovery=recovery,
            marking=marking,
        )


async def _be_sure_of_name(desk: Desk, marking: Marking | None, *, has_past: bool) -> None:
    """Before anything is remembered anew: of what was written under this name everything is known (FORMAT 3.2)."""
    desk.writer.backlog.unclean |= has_past and not (marking is not None and marking.whole)
    error = await _draw_name(desk)
    if marking is not None and error is None:
        marking.begin()
    elif marking is not None and error is not None:
        marking.forgo(error)


async def _draw_name(desk: Desk) -> IFAPError | None:
    """Another one, if need be; what kept it from that: then it is drawn before the first write."""
    try:
        await desk.writer.drafting.draw_name()
    except IFAPError as error:
        _log.warn("another name of this device cannot be kept yet: {why}", why=str(error))
        return error
    return None


async def _remember_nothing(_membership: Membership) -> None:
    """The device keeps nothing."""


async def _first_listing(store: IMessageStore, state: FolderState) -> _Listing:
    blocks = await store.headers(1)
    if len(blocks) < state.exists:  # some may just have gone
        state = await store.poll(thorough=True)
        blocks = await store.headers(1)
    return _Listing(state, blocks)


def _decide(
    blocks: Mapping[int, HeaderBlock], membership: Membership, make_key: bool, surroundings: Surroundings
) -> _Decided:
    keys = membership.keys if membership.encrypted else ()
    made = False
    if membership.encrypted and not keys and folder.may_make_key(blocks):
        if not make_key:
            raise KeyRequired("No key for this folder is known here; run 'ifap login' to make or give one.")
        _check_new(membership.unlock)
        keys, made = (folder.make_key(surroundings.random),), True
    folder.check_keys(blocks, keys, encrypted=membership.encrypted)
    dialect, other = folder.choose_dialect(blocks, membership.dialect, keys, membership.revoked)
    return _Decided(dialect=dialect, keys=keys, other=other, made_key=made)


def _check_new(given: Unlock | None) -> None:
    """What may protect the key of a folder that has none yet.

    :raises KeyRequired: a recovery code opens a folder that has files only.
    :raises WeakPassphrase:
    """
    if given is not None and given.kind == RECOVERY:
        raise KeyRequired("The folder is empty: there is nothing that a recovery code could open.")
    if given is not None:
        given.check_strength()
