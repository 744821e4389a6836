"""The index kept in step with a shelf: what is there now, as far as it is known.

Absence is only ever believed when the server said EXPUNGE, or when a listing agrees with EXISTS (FORMAT 2.5); what was
refused, not fetched or not listed stays known. One message that cannot be decoded never stops the others (2.6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping, Sequence
from itertools import islice

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.clocks import date_by
from ifap_twisted.core import envelope, paths, planning
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.history import History
from ifap_twisted.core.index import Index
from ifap_twisted.core.keys import Key
from ifap_twisted.core.records import Records
from ifap_twisted.core.values import Event, FolderState, HeaderBlock, Lock, Sealed, Version
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import DataError, ForeignFolder, IFAPError, Renumbered, StoreError
from ifap_twisted.filesystem.events import news
from ifap_twisted.filesystem.listing import Decoded, EarlyNews, fill, made_of, runs
from ifap_twisted.filesystem.lookout import Lookout
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.garbage import collected_later
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from ifap_twisted.workers import Worker

PORTION = 1000
"""Headers decoded in one go: some hundredths of a second, in a thread."""
TRIES = 3
RUNS = 50
"""Gaps in what is known that one refresh fills; the rest comes with the next."""
AGAIN_SECONDS = 10.0
"""After which news that could not be read are looked at again, if nothing else asks before."""
LOOK_AGAIN_SECONDS = 300.0
"""How often messages that could not be used are read anew."""
LATE_SECONDS = 1.0
"""How long news may be left to the reading back of our own messages, which a long upload holds up."""
STALE_SECONDS = 2.0
"""How old knowledge may be on a shelf that does not push."""


@implementer(IFolderListener)
class View:
    """What is known of the folder.

    :param elapsed: as in ``Surroundings``.
    :ivar index: replaced as a whole when the server renumbers.
    :ivar own: our own messages that are being read back.
    :ivar state: ``connecting``, ``connected``, ``offline`` or ``stopped``.
    :ivar read_records: called at the end of each refresh, for collection records that are new.
    :ivar unmark: called once the folder was looked at after a connection was lost: what was cut short may have left
        marks as deleted.
    :ivar lock_news: told of the paths of which lock objects came or went.
    :ivar locked: the lock that holds on a path, as far as is known.
    :ivar elapsed: seconds that pass, whoever sets the date.
    :ivar incomplete: the last listing did not agree with EXISTS; nothing was taken for deleted.
    """

    _log = Logger()

    def __init__(
        self,
        store: IMessageStore,
        *,
        dialect: Dialect,
        keys: Sequence[Key],
        clock: IReactorTime,
        elapsed: Callable[[], float] | None = None,
        worker: Worker,
        watchers: Watchers,
    ) -> None:
        self.store = store
        self.dialect = dialect
        self.keys = keys
        self.home: str | None = None
        self.records = Records()
        self.index = Index(self.records)
        self.state = "connecting"
        self.incomplete = False
        self.last_refresh: float | None = None
        self.lock_news: Callable[[Collection[str]], None] = lambda _paths: None
        self.locked: Callable[[str], Lock | None] = lambda _path: None
        self._clock = clock
        self.elapsed = clock.seconds if elapsed is None else elapsed
        self._worker = worker
        self._watchers = watchers
        self._folder: FolderState | None = None
        self._generation = 0
        self._index_generation = 0
        self._compare = False
        self._behind = False
        self._again: IDelayedCall | None = None
        self._late: IDelayedCall | None = None
        self._announcing = False
        self._claimed = 0
        self._gone: set[int] = set()
        self._removing: set[int] = set()
        self._absorbing = 0
        self._refreshed = self._heard = float("-inf")
        self._looked_again = self.elapsed()
        self._looked_to = 0
        self.own = Lookout(dialect)
        self.read_records: Callable[[], Awaitable[None]] = _nothing
        self.unmark: Callable[[], Awaitable[None]] = _nothing
        self._marks_unknown = True
        self._patience = AGAIN_SECONDS
        self._refreshes = Turns(self._refresh)
        self._advances = Turns(self._advance)
        self._stop_listening: Callable[[], None] = lambda: None

    # Opening and closing

    async def load(self, folder: FolderState, blocks: Mapping[int, HeaderBlock], early: EarlyNews) -> None:
        """Take in the first listing; from then on listen.

        :param early: listens from before the listing until it was read.
        :raises Renumbered: the listing is of numbers that mean nothing any more.
        """
        self._stop_listening = self.store.listen(self)
        if early.renumbering:
            raise Renumbered("The mail server renumbered the folder while it was opened.")
        await self._build(blocks, self._generation, folder.uidvalidity)
        self._folder = folder
        self._claimed = folder.exists
        self.incomplete = len(self.index) != folder.exists
        self._mark_fresh()
        self.state = "connected"
        self._announcing = True
        early.stop()
        if early.any:
            self._behind = True
            self._kick()

    def close(self) -> None:
        """Stop listening."""
        self._stop_listening()
        self._set_state("stopped")
        for call in (self._again, self._late):
            if call is not None and call.active():
                call.cancel()

    def adopt_home(self, home: str) -> None:
        """From now on messages of another folder are none of ours (FORMAT 1.5 ``home``)."""
        self.home = home
        for uid in list(self.index.uids()):
            version = self.index.at(uid)
            if version is not None and version.ours and version.home != home:
                self.index.reject(uid, ForeignFolder("The message was written for another folder.", path=version.path))

    @property
    def renumbering(self) -> bool:
        """The server has given new numbers and the index still holds the old ones."""
        return self._index_generation != self._generation

    @property
    def generation(self) -> int:
        """Grows with each renumbering: UIDs that were learnt under another one mean nothing (FORMAT 2.5)."""
        return self._generation

    def check_generation(self, generation: int) -> None:
        """UIDs that were learnt under it are still those of the same messages.

        :raises Renumbered:
        """
        if self.renumbering or generation != self._generation:
            raise Renumbered("The mail server renumbered the folder meanwhile.")

    @property
    def being_removed(self) -> Collection[int]:
        """The UIDs of what is being removed now."""
        return self._removing

    @property
    def unread(self) -> bool:
        """The server told of messages that were not read yet, or could not tell of them."""
        return self.renumbering or self._compare or self._behind or self._claimed > len(self.index)

    @property
    def uidvalidity(self) -> int:
        """Of the UIDs in the index; 0 before the first listing."""
        return self.index.validity

    @property
    def read_only(self) -> bool:
        """The server takes no changes to the folder, as it said last."""
        return self._folder is not None and self._folder.read_only

    # Freshness

    def refresh(self) -> Deferred[None]:
        """Fires when a refresh that began after this call has ended."""
        return self._refreshes.next()

    def current(self) -> Deferred[None]:
        """Fires when the view is fresh enough to answer from."""
        told = self.store.traits.pushes and self._folder is not None
        if told and self.state == "connected" and not (self._compare or self._behind):
            return succeed(None)
        return self.recent()

    def recent(self) -> Deferred[None]:
        """Fires when the server was asked a moment ago: it may be late with what it tells by itself."""
        if not self.renumbering and self.elapsed() - self._refreshed < STALE_SECONDS:
            return succeed(None)
        return self.refresh()

    def advance(self) -> Deferred[None]:
        """Fires when the headers above the last known UID were read, by a FETCH sent after this call."""
        return self._advances.next()

    async def _refresh(self) -> None:
        for _ in range(TRIES):
            try:
                await self._refresh_once()
            except Renumbered:  # it is told before the places are read anew; try with the new ones
                continue
            return
        raise Renumbered("The server renumbers the folder again and again.")

    async def _refresh_once(self) -> None:
        generation = self._generation
        now = await self.store.poll()
        self._claimed = now.exists
        plan = planning.plan_refresh(self._folder, now, self.index)
        if plan.restart or self.renumbering:
            await self._reread(now)
        elif plan.first is not None:
            await self.absorb(await self.store.headers(plan.first))
        if self._compare or len(self.index) != now.exists:
            now = await self._compare_with_listing(now)
        else:
            self.incomplete = False
        if generation != self._generation and not plan.restart:
            raise Renumbered("The server renumbered the folder while it was read.")
        self._folder = now
        self._mark_fresh()
        await self.read_records()
        if self.elapsed() - self._looked_again >= LOOK_AGAIN_SECONDS:
            self._looked_again = self.elapsed()
            await self.look_again(foreign=True)

    async def _advance(self) -> None:
        await self.absorb(await self.store.headers(self.index.highest + 1))

    async def _reread(self, now: FolderState) -> None:
        """The UIDs mean nothing any more: find the versions again by their ids (FORMAT 2.5)."""
        generation = self._generation
        await self._build(await self.store.headers(1), generation, now.uidvalidity)
        self.incomplete = len(self.index) != now.exists
        self._compare = False
        self._watchers.tell(Event(kind="renewed"))

    async def _compare_with_listing(self, now: FolderState) -> FolderState:
        """Compare until the listing is complete, or does not become so although nothing changes meanwhile."""
        for _ in range(TRIES):
            before, now = now, await self._compare_once()
            if not self.incomplete or (now.exists, now.uidnext) == (before.exists, before.uidnext):
                break
        return now

    async def _compare_once(self) -> FolderState:
        """Read what was missed; forget what is not listed only if the count agrees with EXISTS (FORMAT 2.5).

        A listing of a server that is behind is not complete, whatever it counts.
        """
        generation = self._generation
        known = set(self.index.uids())  # what comes after the listing is not missing in it
        listed = set(await self.store.uids(1))
        now = await self.store.poll()
        for first, last in islice(runs(listed - set(self.index.uids())), RUNS):
            await self.absorb(await self.store.headers(first, last))
        if generation != self._generation:
            raise Renumbered("The server renumbered the folder while it was read.")
        agrees = len(listed) == now.exists and not planning.is_behind(now, known - listed)
        if agrees:
            self._lost(known - listed, self._heard)
        self.incomplete = not agrees or not listed <= set(self.index.uids())
        self._compare = self.incomplete
        return now

    async def look_again(self, *, foreign: bool = False) -> None:
        """Read anew what could not be used: the server may have garbled it for a while only (FORMAT 2.6).

        :param foreign: also what seemed to be mail of others.
        """
        useless = self.index.useless if foreign else self.index.rejected()
        above = [uid for uid in useless if uid > self._looked_to] or useless
        some = list(islice(runs(above), RUNS))
        self._looked_to = some[-1][1] if some else 0
        try:
            for first, last in some:
                await self._read_again(first, last)
        except (Renumbered, StoreError) as error:
            self._log.info("what could not be used is looked at again later: {reason}", reason=str(error))

    async def _read_again(self, first: int, last: int) -> None:
        generation = self._index_generation
        decoded = await self._decode(await self.store.headers(first, last), known=())
        if generation != self._generation:
            raise Renumbered("The server renumbered the folder while it was read.")
        self._note({uid: found for uid, found in decoded.items() if uid in self.index.useless and found is not None})

    def _mark_fresh(self) -> None:
        self._behind = False
        self._refreshed = self._heard = self.elapsed()
        self.last_refresh = date_by(self._clock)

    # Taking in

    async def _build(self, blocks: Mapping[int, HeaderBlock], generation: int, validity: int) -> None:
        """Make the index of a whole listing beside the one that is in use, off the reactor's thread."""
        self._absorbing += 1
        try:
            decoded = await self._decode(blocks, known=())
            before = self.index
            before.settle()
            now = self.elapsed()
            fresh = await self._worker(lambda: made_of(decoded, before, validity, now))
        finally:
            self._absorbing -= 1
        if generation != self._generation:
            raise Renumbered("The server renumbered the folder while it was read.")
        fresh.forget(self._gone)
        if not self._absorbing:
            self._gone.clear()
        before, self.index = self.index, fresh
        self._index_generation = generation
        self._tell_of_locks({*before.locked_paths(), *fresh.locked_paths()})

    async def absorb(self, blocks: Mapping[int, HeaderBlock]) -> None:
        """Decode headers and note what they say; watchers hear what changed."""
        generation = self._index_generation
        self._absorbing += 1
        try:
            decoded = await self._decode(blocks, known=self.index)
        finally:
            self._absorbing -= 1
        if generation != self._generation:
            raise Renumbered("The server renumbered the folder while it was read.")
        self._note({uid: found for uid, found in decoded.items() if uid not in self._gone})
        if not self._absorbing:
            self._gone.clear()

    async def _decode(self, blocks: Mapping[int, HeaderBlock], *, known: Container[int]) -> dict[int, Decoded]:
        decoded: dict[int, Decoded] = {}
        rest: list[HeaderBlock] = []
        for block in blocks.values():
            own = self.own.recognised(block)
            if own is not None:
                decoded[block.uid] = own
            elif block.uid not in known:
                rest.append(block)
        if len(rest) <= 8:  # less than a thread switch is worth
            decoded.update(self._decode_some(rest))
            return decoded
        for start in range(0, len(rest), PORTION):
            some = rest[start : start + PORTION]
            decoded.update(await self._worker(lambda some=some: self._decode_some(some)))  # type: ignore[misc]
        return decoded

    def _decode_some(self, blocks: Iterable[HeaderBlock]) -> dict[int, Decoded]:
        with collected_later():
            return {block.uid: self._decode_one(block) for block in blocks}

    def _decode_one(self, block: HeaderBlock) -> Decoded:
        try:
            return envelope.read_header(block.fields, dialect=self.dialect, keys=self.keys, home=self.home)
        except DataError as error:
            return None if envelope.is_foreign(block.fields, self.dialect) else error

    def _note(self, decoded: Mapping[int, Decoded]) -> None:
        versions = [found for found in decoded.values() if isinstance(found, Version)]
        locked = _locked(versions)
        before = self._before({*locked, *(found.path for found in versions)})
        now = self.elapsed()
        fill(self.index, decoded, lambda _version: now)
        self._tell_of_locks(locked)
        self._announce(before)

    def _tell_of_locks(self, touched: Collection[str]) -> None:
        if touched:
            self.lock_news(touched)

    def _before(self, touched: Iterable[str]) -> dict[str, History]:
        """What watchers are told the difference to."""
        return {path: self.index.history(path) for path in touched} if self._announcing and self._watchers else {}

    def _announce(self, before: Mapping[str, History]) -> None:
        for path, old in before.items():
            if not paths.is_reserved(path):
                for event in news(old, self.index.history(path), self.locked(path)):
                    self._watchers.tell(event)

    async def remove(self, uids: Collection[int], generation: int, due: Collection[int] | None = None) -> None:
        """Remove messages on purpose: nothing is missing afterwards (FORMAT 5.5).

        :param generation: under which the UIDs were learnt.
        :param due: as for ``IMessageStore.remove``.
        :raises Renumbered: they are those of other messages now.
        :raises NotSupported, MarkedByOthers, StoreError: as ``IMessageStore.remove``.
        """
        self.check_generation(generation)
        self._removing.update(uids)
        try:
            await self.store.remove(uids, self.index.validity, due)
            if generation == self._generation:
                self.vanished(uids)
        finally:
            self._removing.difference_update(uids)

    # Waiting for our own messages (FORMAT 4.2, 4.3)

    def found_own(self, sealed: Sealed) -> int | None:
        """Its UID, once its header was read back equal, its size is right, and the index holds it."""
        uid = self.own.uid(sealed)
        return uid if uid is not None and self.index.at(uid) is sealed.version else None

    def forget_own(self, sealed: Sealed) -> None:
        """Stop looking out; news that were left to the reading back are looked at now."""
        self.own.end(sealed)
        if not self.own:
            self._kick_when_behind()

    # What the shelf tells (IFolderListener)

    def arrived(self, state: FolderState) -> None:
        """Read what is new, unless the reading back of our own messages is about to; soon in any case."""
        self._claimed = state.exists
        if not self.own:
            self._kick()
        elif self._late is None or not self._late.active():
            self._late = self._clock.callLater(LATE_SECONDS, self._kick_when_behind)

    def vanished(self, uids: Collection[int]) -> None:
        """Forget exactly these."""
        told = self.store.traits.pushes and self.state == "connected"
        self._lost(uids, self.elapsed() if told else self._heard)

    def _lost(self, uids: Collection[int], moment: float) -> None:
        """They are gone, and were there until that moment for all that is known."""
        if self._absorbing or self.renumbering:
            self._gone.update(uids)
        if self.renumbering:
            return  # the index has the old numbers until everything was read anew
        versions = [version for uid in uids if (version := self.index.at(uid)) is not None]
        locked = _locked(versions)
        before = self._before({*locked, *(version.path for version in versions)})
        self._claimed -= sum(uid in self.index for uid in uids)
        self.index.discard(self._removing.intersection(uids))
        self.index.forget(uids, moment)
        self._tell_of_locks(locked)
        self._announce(before)

    def renumbered(self, uidvalidity: int) -> None:
        """Forget the places, keep what they told until everything was read again."""
        self._log.info("the server renumbered the folder (UIDVALIDITY {uidvalidity})", uidvalidity=uidvalidity)
        self._generation += 1
        self.own.forget_places()
        self._gone.clear()
        self._removing.clear()
        self._compare = True
        self._kick()

    def connected(self) -> None:
        """Look at everything that may have been missed."""
        self._compare = self._marks_unknown = True
        self._set_state("connected")
        self._kick()

    def disconnected(self, reason: BaseException) -> None:
        """Go on with what is known."""
        self._log.info("the mail server cannot be reached: {reason}", reason=str(reason))
        if self.store.traits.pushes and self.state == "connected":
            self._heard = self.elapsed()
        self._set_state("offline")

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._watchers.tell(Event(kind="connection", detail={"state": state}))

    def _kick_when_behind(self) -> None:
        if self._claimed > len(self.index):
            self._kick()

    def _kick(self) -> None:
        if self._announcing and self.state != "stopped":
            detach(self._kicked(), self._log, "refreshing after news from the server")

    @deferred
    async def _kicked(self) -> None:
        try:
            await self.refresh()
        except (StoreError, DataError) as error:
            self._log.info("news from the server could not be read yet: {reason}", reason=str(error))
            self._behind = True
            self._try_again(AGAIN_SECONDS)
        else:
            await self.look_for_marks()

    @deferred
    async def look_for_marks(self) -> None:
        """Unmark, if that was not done since the connection was made; what fails is tried again after a while."""
        if not self._marks_unknown:
            return
        self._marks_unknown = False  # until the connection is made anew, be it meanwhile
        try:
            await self.unmark()
        except IFAPError as error:
            self._log.info("marks of a removal that was cut short are looked for again later: {why}", why=str(error))
            self._marks_unknown = True
            self._try_again(self._patience)
            self._patience = min(2 * self._patience, LOOK_AGAIN_SECONDS)
        else:
            self._patience = AGAIN_SECONDS

    def _try_again(self, seconds: float) -> None:
        if self.state != "stopped" and (self._again is None or not self._again.active()):
            self._again = self._clock.callLater(seconds, self._kick)


async def _nothing() -> None:
    """Nobody is to be called yet."""


def _locked(versions: Iterable[Version]) -> set[str]:
    """The paths that lock objects among these are about."""
    return {version.lease.path for version in versions if version.lease is not None}
