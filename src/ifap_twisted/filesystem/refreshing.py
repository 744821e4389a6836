"""Reading what is new on a shelf, and comparing what is known with its listing.

Absence is only ever believed when the server said EXPUNGE, or when a listing agrees with EXISTS (FORMAT 2.5); what was
refused, not fetched or not listed stays known.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ifap_twisted.core import envelope, planning
from ifap_twisted.core.values import Event, FolderState, HeaderBlock
from ifap_twisted.errors import DataError, Renumbered, StoreError
from ifap_twisted.filesystem.freshness import Freshness
from ifap_twisted.filesystem.intake import Intake
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.listing import runs
from ifap_twisted.filesystem.newer_keys import NewerKeys
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.revoked_keys import RevokedKeys
from ifap_twisted.filesystem.turns import Turns
from ifap_twisted.filesystem.watching import Watchers

TRIES = 3
RUNS = 50
"""Gaps in what is known that one refresh fills; the rest comes with the next."""
LOOK_AGAIN_SECONDS = 300.0
"""How often messages that could not be used are read anew."""


class Refreshing:
    """Asks the shelf, one refresh at a time for however many callers.

    :param objects: whose records are read at the end of each refresh, where there are new ones.
    :param newer_keys: follows a change of the key, before that, and before anything is taken for gone.
    :param revoked_keys: does not let it be followed elsewhere than where the revocation of a key leads.
    """

    _log = Logger()

    def __init__(
        self,
        known: Known,
        freshness: Freshness,
        intake: Intake,
        objects: Objects,
        watchers: Watchers,
        newer_keys: NewerKeys,
        revoked_keys: RevokedKeys,
    ) -> None:
        self._known = known
        self._freshness = freshness
        self._intake = intake
        self._objects = objects
        self._watchers = watchers
        self._newer_keys = newer_keys
        self._revoked_keys = revoked_keys
        self._looked_again = known.elapsed()
        self._looked_to = self._filled_to = 0
        self._refreshes = Turns(self._refresh)
        self._advances = Turns(self._advance)

    def refresh(self) -> Deferred[None]:
        """Fires when a refresh that began after this call has ended."""
        return self._refreshes.next()

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
        known = self._known
        generation, began = known.generation, known.elapsed()
        now = await known.store.poll()
        known.claimed = now.exists
        plan = planning.plan_refresh(known.folder, now, known.index)
        if plan.restart or known.renumbering:
            await self._reread(now)
        elif plan.first is not None:
            await self._intake.absorb(await known.store.headers(plan.first))
        now = await self._compare(now)
        if not plan.restart:
            known.check_read(generation)
        known.folder = now
        self._freshness.renew(began)
        again = known.elapsed() - self._looked_again >= LOOK_AGAIN_SECONDS
        if again:
            self._newer_keys.look_again()
            self._revoked_keys.look_again()
        await self._revoked_keys.look()
        await self._newer_keys.follow()
        await self._revoked_keys.look()
        await self._objects.read_records()
        if again:
            self._looked_again = known.elapsed()
            await self.look_again(foreign=True)

    async def _advance(self) -> None:
        await self._intake.absorb(await self._known.store.headers(self._known.index.highest + 1))

    async def _reread(self, now: FolderState) -> None:
        """The UIDs mean nothing any more: find the versions again by their ids (FORMAT 2.5)."""
        generation = self._known.generation
        self._freshness.doubtful = 0
        blocks = await self._known.store.headers(1)
        await self._newer_keys.follow_in(blocks, generation)
        await self._intake.build(blocks, generation, now.uidvalidity)
        self._freshness.incomplete = len(self._known.index) != now.exists
        self._freshness.compare = False
        self._watchers.tell(Event(kind="renewed"))

    # Comparing with a listing

    async def _compare(self, now: FolderState) -> FolderState:
        """Compare with a listing where something may have been missed, or the count or the numbers do not agree."""
        freshness = self._freshness
        if planning.gives_again(now, self._known.index):
            freshness.doubt()
        if freshness.compare or freshness.doubtful or len(self._known.index) != now.exists:
            return await self._compare_with_listing(now)
        self._freshness.incomplete = False
        return now

    async def _compare_with_listing(self, now: FolderState) -> FolderState:
        """Compare until the listing is complete, or does not become so although nothing changes meanwhile."""
        for _ in range(TRIES):
            before, now = now, await self._compare_once()
            if not self._freshness.incomplete or (now.exists, now.uidnext) == (before.exists, before.uidnext):
                break
        return now

    async def _compare_once(self) -> FolderState:
        """Read what was missed; forget what is not listed only if the count agrees with EXISTS (FORMAT 2.5).

        A listing of a server that is behind is not complete, whatever it counts.
        """
        known, freshness = self._known, self._freshness
        generation = known.generation
        there = set(known.index.uids())  # what comes after the listing is not missing in it
        listed = set(await known.store.uids(1))
        now = await known.store.poll()
        doubtful = freshness.doubtful or max(there, default=0)
        await self._check_numbers(there & listed)
        unread = listed - set(known.index.uids())
        some = list(islice(runs([uid for uid in unread if uid > self._filled_to] or unread), RUNS))
        self._filled_to = some[-1][1] if some else 0  # what the server never gives holds up nothing behind it
        for first, last in some:
            await self._intake.absorb(await known.store.headers(first, last))
        await self._revoked_keys.look()  # a slot under a key that was given up leads nobody away
        await self._newer_keys.follow()  # what is gone may be there under a newer key
        known.check_read(generation)
        agrees = len(listed) == now.exists and not planning.is_behind(now, there - listed)
        if agrees:
            self._intake.lose(there - listed, freshness.heard)
        else:  # the numbers of what is not shown may be given again
            freshness.doubtful = doubtful
        freshness.incomplete = not agrees or not listed <= set(known.index.uids())
        freshness.compare = freshness.incomplete
        return now

    async def _check_numbers(self, uids: Collection[int]) -> None:
        """Where it is in doubt, look whether a message is the one that is known by its number (FORMAT 2.1).

        A mailbox that was put back from a backup gives again the numbers above those that it had then: the highest that
        is known and listed tells for all. What is above it and was of no use is read anew.

        :raises Renumbered: it is another one; everything is to be read again, as under new numbers.
        """
        known, freshness = self._known, self._freshness
        doubtful = freshness.doubtful
        uids = [uid for uid in uids if uid <= doubtful]
        freshness.doubtful = 0  # until the connection is made anew, be it meanwhile
        if not uids:
            return
        generation, highest = known.index_generation, known.index.highest_version(uids)
        try:
            blocks = await known.store.headers(min(uids) if highest is None else highest, max(uids))
            known.check_read(generation)
            if highest is not None and highest in blocks and not self._is_known(blocks[highest]):
                self._intake.renumber()
                freshness.compare = True
                raise Renumbered("The mail server shows another message under a number than before.")
            await self._intake.absorb_again(blocks, generation)
        except BaseException:
            freshness.doubtful = doubtful
            raise
        if highest is not None and highest not in blocks:
            freshness.doubtful = doubtful

    def _is_known(self, block: HeaderBlock) -> bool:
        version = self._known.index.at(block.uid)
        try:
            return version is None or version.sealed_id == envelope.sealed_id_of(block.fields, self._known.dialect)
        except DataError:
            return False

    # Looking again

    async def look_at_all(self) -> None:
        """Read anew everything that could not be used.

        :raises Renumbered, StoreError: it was not all looked at.
        """
        for first, last in runs(self._known.index.useless):
            generation = self._known.index_generation
            blocks = await self._known.store.headers(first, last)
            await self._intake.absorb_again(blocks, generation)

    async def look_again(self, *, foreign: bool = False) -> None:
        """Read anew what could not be used: the server may have garbled it for a while only (FORMAT 2.6).

        :param foreign: also what seemed to be mail of others.
        """
        index = self._known.index
        useless = index.useless if foreign else index.rejected()
        above = [uid for uid in useless if uid > self._looked_to] or useless
        some = list(islice(runs(above), RUNS))
        self._looked_to = some[-1][1] if some else 0
        try:
            for first, last in some:
                generation = self._known.index_generation
                await self._intake.absorb_again(await self._known.store.headers(first, last), generation)
        except (Renumbered, StoreError) as error:
            self._log.info("what could not be used is looked at again later: {reason}", reason=str(error))
