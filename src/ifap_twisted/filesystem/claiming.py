"""Lock objects added and removed: a path is claimed, and a claim renewed, ended or broken (FORMAT 10).

What is over is removed by UID only, and only what fences nothing that may still arrive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from twisted.logger import Logger

from ifap_twisted.core.leases import Claim, Locks, may_go
from ifap_twisted.core.values import Lease, Lock
from ifap_twisted.errors import (
    IFAPError,
    LeaseLost,
    Locked,
    NotFound,
    NotSupported,
    Renumbered,
    StoreError,
)
from ifap_twisted.filesystem.drafting import Random, new_vid
from ifap_twisted.filesystem.lockbook import LockBook, Own
from ifap_twisted.filesystem.queues import Queues
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.writing import Writer

TRIES = 5
"""How often somebody else's messages may come between before one's own attempt is given up."""


class Claims:
    """Claims paths for this device, one claim at a time per path, and ends claims.

    :param holder: the name for people where none is given.
    """

    _log = Logger()

    def __init__(self, view: View, writer: Writer, book: LockBook, *, random: Random, holder: str = "") -> None:
        self.holder = holder
        self._view = view
        self._writer = writer
        self._book = book
        self._random = random
        self._turns = Queues()

    async def enter(self, path: str) -> None:
        """Wait for the turn of a path, of which there is one at a time on this device."""
        turn = self._turns.enter(path)
        if turn is not None:
            await turn

    def leave(self, path: str) -> None:
        """Let the next one have the turn."""
        self._turns.leave(path)

    def find_open(self, path: str, lock: str) -> Claim | None:
        """The claim with this id, unless it is over or there is none."""
        return next((claim for claim in self._book.at(path).open if claim.id == lock), None)

    async def lost_before(self, path: str) -> LeaseLost:
        """A lock of this device is over, and nothing was written: that is told once."""
        await self._book.forget(path)
        return LeaseLost(
            "The lock of this device on it is over: somebody took it over or broke it, or the server renumbered the "
            "folder. Look at the file before you change it.",
            path=path,
        )

    def locked_error(self, path: str, claim: Claim) -> Locked:
        """Who holds the lock, and what can be done."""
        lock = self._book.lock_of(path, claim)
        where = " (another basedir)" if self.holder and lock.holder == self.holder else ""
        detail = f"It is locked by {lock.who}{where}; 'ifap locks' shows the lock, 'ifap unlock --force' breaks it."
        return Locked(detail, path=path, holder=lock.who, seconds=lock.seconds)

    async def take(self, path: str, seconds: int, holder: str) -> Claim:
        """Claim the path, and see whether it is ours: of the locks whose leases last the lowest UID holds."""
        await self._book.ask_dates([path])
        holding = self._book.holding(path)
        if holding is not None and (self._book.is_mine(holding) or self._book.surely_lasts(holding)):
            raise self.locked_error(path, holding)
        lease = Lease(path=path, of=new_vid(self._random), seconds=seconds, holder=holder)
        try:
            sent = await self._add(lease, vid=lease.of)
            claim = await self._settled(path, lease)
        except StoreError:
            await self._book.doubt(path, lease.of)
            raise
        try:
            await self._book.remember(path, Own(claim.id, sent, seconds))
        except IFAPError:
            await self.end(path, [claim])
            raise
        await self._clean(path, claim)
        return claim

    async def _settled(self, path: str, lease: Lease) -> Claim:
        """Our claim, once it holds: everybody before it is over, and a message of ours says so.

        :raises Locked: somebody else holds it; ours is withdrawn.
        """
        for _ in range(TRIES):
            claim = self.find_open(path, lease.of)
            if claim is None:
                raise await self.lost_before(path)
            before = [other for other in self._book.at(path).open if other.rank < claim.rank]
            if not before:
                return claim
            await self._book.ask_dates([path])
            lasting = next((other for other in before if not self._book.has_ended(other)), None)
            if lasting is not None:
                await self._withdraw(path, claim)
                raise self.locked_error(path, lasting)
            await self._add(lease._replace(number=claim.number + 1))
        given_up = self.find_open(path, lease.of)
        if given_up is not None:
            await self._withdraw(path, given_up)
        raise Locked("Others lock and unlock this path all the time.", path=path)

    async def renew(self, path: str, lock: str, seconds: int, holder: str | None) -> Lock:
        """Renew a lock of this device.

        :raises LeaseLost: it is over.
        """
        claim = self.find_open(path, lock)
        if claim is None:
            raise await self.lost_before(path)
        if not self._book.is_mine(claim):
            raise self.locked_error(path, claim)
        name = claim.last.lease.holder if holder is None else holder
        lease = Lease(path=path, of=lock, number=claim.number + 1, seconds=seconds, holder=name)
        sent = await self._add(lease)
        claim = await self._settled(path, lease)
        generation = self._view.generation
        await self._book.remember(path, Own(lock, sent, seconds))
        await self._tidy(path, [{message.rank for message in claim.messages[1:]} - {claim.last.rank}], generation)
        return self._book.lock_of(path, claim)

    async def _add(self, lease: Lease, vid: str | None = None) -> float:
        """Add a message of a lock, which also says what is over; fires with when it was sent, on the elapsed clock."""
        path, locks = lease.path, self._book.at(lease.path)
        over = locks.past([claim for claim in locks.claims if claim.id != lease.of and self._is_over(locks, claim)])
        over.pop(lease.of, None)
        sent = self._book.elapsed()
        whole = lease._replace(over=over, validity=self._view.index.validity)
        placed = await self._writer.add_lease(vid or new_vid(self._random), whole)
        if self._view.index.validity != whole.validity:
            raise Renumbered("The mail server renumbered the folder meanwhile; that ends all locks.", path=path)
        await self._book.ask_date_of(placed.places[0], sent)
        return sent

    def _is_over(self, locks: Locks, claim: Claim) -> bool:
        return claim.released or claim.id in locks.fences or self._book.has_ended(claim)

    # Ending

    async def ended(self, path: str, mine: Collection[Claim]) -> Lock:
        """End locks of this device; what the first of them was."""
        lock = replace(self._book.lock_of(path, next(iter(mine))), mine=True)
        await self.end(path, mine)
        return lock

    async def end(self, path: str, mine: Collection[Claim]) -> None:
        """End locks of this device; what this fails for is still its own, by its id: its name may be another soon."""
        own = self._book.own(path)
        try:
            for claim in mine:
                await self._withdraw(path, claim)
        except IFAPError:
            await self._book.doubt(path, next(iter(mine)).id if own is None else own.id)
            raise
        await self._book.forget(path)

    async def _withdraw(self, path: str, claim: Claim) -> None:
        """End a lock of one's own: remove its messages, or where they are needed or cannot be removed, say so.

        :param claim: as it was found some time ago; its messages may be elsewhere, or gone, by now.
        :raises Renumbered: that ends it, too.
        """
        known = self._book.at(path).find(claim.id)
        if known is None:
            return
        generation = self._view.generation
        if not await self._remove(path, known.places, generation):
            lease = Lease(path=path, of=known.id, number=known.number + 1, holder=known.last.lease.holder)
            await self._add(lease)
            await self._tidy(path, [known.places], generation)

    async def broken(self, path: str, *, force: bool) -> Lock:
        """End the lock of another device.

        :raises Locked: without ``force``, or others take it again and again.
        """
        broken: Lock | None = None
        tries = TRIES if force else 0
        while (holding := self._book.holding(path)) is not None:
            if not tries:
                raise self.locked_error(path, holding)
            broken = broken or self._book.lock_of(path, holding)
            await self._break(path)
            tries -= 1
        if broken is None:
            raise NotFound(f"/{path} is not locked.", path=path)
        return broken

    async def _break(self, path: str) -> None:
        locks = self._book.at(path)
        vid = new_vid(self._random)
        over, validity = locks.past(locks.claims), self._view.index.validity
        lease = Lease(path=path, of=vid, holder=self.holder, over=over, validity=validity)
        await self._writer.add_lease(vid, lease)
        await self._clean(path, None)

    # Removing what is over, by UID only

    async def _clean(self, path: str, own: Claim | None) -> None:
        """Remove what is over and fences nothing that newer messages do not; what fails stays for the next."""
        locks = self._book.at(path)
        dead = [claim for claim in locks.claims if own is None or claim.id != own.id]
        dead = [claim for claim in dead if claim.released or claim.id in locks.fences]
        await self._tidy(path, [locks.void, *(claim.places for claim in dead)], self._view.generation)

    async def _tidy(self, path: str, some: Iterable[Collection[int]], generation: int) -> None:
        try:
            for uids in some:
                await self._remove(path, uids, generation)
        except IFAPError as error:
            self._log.info("lock objects that are over were not removed yet: {why}", why=str(error))

    async def _remove(self, path: str, uids: Collection[int], generation: int) -> bool:
        """Remove messages of locks, unless something that came too late would not count as late without them.

        :param generation: under which their UIDs were learnt.
        :raises Renumbered: there is something else at one of them.
        """
        self._view.check_generation(generation)
        if not may_go(self._book.at(path), uids, self._view.index.history(path).versions):
            return False
        known = self._view.index.sealed_ids(uids)
        if not known:
            return True
        if not self._view.store.traits.expunges_by_uid:
            return False
        try:
            await self._view.remove(known, generation)
        except NotSupported:
            return False
        return True
