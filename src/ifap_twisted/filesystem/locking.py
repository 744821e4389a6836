"""Locks: taken, renewed, ended and broken by lock objects, and asked before a write (FORMAT 10).

A lock is advisory and belongs to a device. Reading and adding never ask for one; what another device holds is neither
overwritten nor removed. A write to a path whose last lock was never ended takes the path over for the moment, so that
what the former holder may still have on its way comes too late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.leases import Claim, Locks, may_go
from ifap_twisted.core.values import Lease, Lock
from ifap_twisted.deferreds import undivided
from ifap_twisted.errors import (
    CallerError,
    IFAPError,
    LeaseLost,
    Locked,
    NotFound,
    NotSupported,
    Renumbered,
    StoreError,
)
from ifap_twisted.filesystem.drafting import Random, new_vid
from ifap_twisted.filesystem.guarding import Admission
from ifap_twisted.filesystem.lockbook import LockBook, Own
from ifap_twisted.filesystem.queues import Queues
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.writing import Writer

TRIES = 5
"""How often somebody else's messages may come between before one's own attempt is given up."""
_NOTHING = Admission()


class Locking:
    """Takes, renews, ends and breaks locks; lets writes begin.

    :param holder: the name for people where none is given.
    """

    _log = Logger()

    def __init__(self, view: View, writer: Writer, book: LockBook, *, random: Random, holder: str = "") -> None:
        self._view = view
        self._writer = writer
        self._book = book
        self._random = random
        self._holder = holder
        self._turns = Queues()

    # For callers

    async def lock(self, path: str, *, seconds: int, holder: str | None, renew: str | None) -> Lock:
        """Take a lock, or renew one.

        :raises Locked: somebody holds one already.
        :raises LeaseLost: the one to be renewed is over.
        """
        name = self._holder if holder is None else holder
        _check(path, seconds, name)
        await self._enter(path)
        try:
            await self._view.current()
            if renew is not None:
                return await self._renewed(path, renew, seconds, holder)
            return self._book.lock_of(path, await self._taken(path, seconds, name))
        finally:
            self._turns.leave(path)

    async def unlock(self, path: str, *, force: bool) -> Lock:
        """End the lock on a path; fires with it.

        :raises NotFound: there is none.
        :raises Locked: another device holds it, and ``force`` is not set.
        :raises LeaseLost: this device had it, and lost it.
        """
        await self._enter(path)
        try:
            await self._view.current()
            await self._book.ask_dates([path])
            own = self._book.held(path)
            mine = [claim for claim in self._book.at(path).open if self._book.is_mine(claim)]
            if mine:
                return await self._ended(path, mine)
            await self._book.forget(path)
            if own is not None and not force:
                raise await self._lost_before(path)
            return await self._broken(path, force=force)
        finally:
            self._turns.leave(path)

    async def locks(self, path: str) -> list[Lock]:
        """The locks at or below a path, in the order of the names."""
        await self._view.current()
        names = [name for name in self._book.paths() if not path or name == path or name.startswith(path + "/")]
        await self._book.ask_dates(names)
        return [lock for name in names if (lock := self._book.locked(name)) is not None]

    def holds(self, path: str) -> bool:
        """Whether this device holds the lock on a path, as far as is known."""
        holding = self._book.holding(path)
        return holding is not None and self._book.is_mine(holding)

    async def require_free(self, paths: Iterable[str]) -> None:
        """See that nobody else holds any of these paths, before something is begun that ends with a write to them.

        :raises Locked:
        """
        await self._view.recent()
        names = [path for path in paths if self._book.at(path).open]
        await self._book.ask_dates(names)
        for path in names:
            holding = self._book.holding(path)
            if holding is not None and not self._book.is_mine(holding):
                raise self._locked_error(path, holding)

    # For the writer (writing.Guard)

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let a write begin: under this device's own lock, or where no other device holds one."""
        own = self._book.held(path)
        if own is None and not self._book.at(path).open:  # by far the most
            return _NOTHING
        return await undivided(self._admitted(path, own, adding=adding), partial(self.leave, path))

    async def _admitted(self, path: str, own: Own | None, *, adding: bool) -> Admission:
        if own is not None and self._find_open(path, own.id) is None:
            raise await self._lost_before(path)
        if own is not None and own.sent is not None:
            return Admission(lock=await self._kept(path, own))
        await self._book.ask_dates([path])
        holding = self._book.holding(path)
        if holding is not None and self._book.is_mine(holding):
            return Admission(lock=holding.id)
        if adding or all(self._book.is_mine(claim) for claim in self._book.at(path).open):
            await self._book.forget(path)  # it has run out, and nobody came meanwhile
            return _NOTHING
        await self._enter(path)
        try:
            await self._view.current()
            claim = await self._taken(path, limits.LEASE_SECONDS, self._holder)
        finally:
            self._turns.leave(path)
        return Admission(lock=claim.id, taken=claim.number)

    def admit_away(self, path: str, *, adding: bool) -> Admission:
        """Let a write be accepted while the server is away: under a lock of this device, or where none is known."""
        own, holding = self._book.held(path), self._book.holding(path)
        if own is not None:
            return Admission(lock=own.id)
        if holding is None or adding:
            return _NOTHING
        if self._book.is_mine(holding):
            return Admission(lock=holding.id)
        raise self._locked_error(path, holding)

    async def leave(self, path: str, admission: Admission) -> None:
        """The write has ended: a lock that was taken for it only is given back."""
        if admission.taken is None:
            return
        try:
            await self._given_back(path, admission)
        except IFAPError as error:  # it ends by itself; what was written is written
            self._log.info("a lock that was taken for one write stays until it runs out: {why}", why=str(error))

    async def _given_back(self, path: str, admission: Admission) -> None:
        """Unless somebody at this device renewed it meanwhile: then it is his."""
        await self._enter(path)
        try:
            await self._view.current()
            claim = next((one for one in self._book.at(path).open if one.id == admission.lock), None)
            if claim is not None and claim.number == admission.taken:
                await self._end(path, [claim])
        finally:
            self._turns.leave(path)

    async def lost(self, path: str) -> LeaseLost:
        """A write came too late: this device has no lock any more."""
        await self._book.forget(path)
        return LeaseLost(
            "Somebody took over the lock before this arrived; it was kept as a version in conflict, see "
            "'ifap conflicts'.",
            path=path,
        )

    async def _kept(self, path: str, own: Own) -> str:
        """A lock of this process, renewed first when it may have run out, and nobody here renewed it meanwhile.

        :raises LeaseLost:
        """
        if own.has_run_out(self._book.elapsed()):
            await self._enter(path)
            try:
                await self._view.current()
                own = self._book.own(path) or own
                if own.has_run_out(self._book.elapsed()):
                    await self._renewed(path, own.id, own.seconds, None)
            finally:
                self._turns.leave(path)
        return own.id

    # Taking (in the path's turn)

    async def _taken(self, path: str, seconds: int, holder: str) -> Claim:
        """Claim the path, and see whether it is ours: of the locks whose leases last the lowest UID holds."""
        await self._book.ask_dates([path])
        holding = self._book.holding(path)
        if holding is not None and (self._book.is_mine(holding) or self._book.surely_lasts(holding)):
            raise self._locked_error(path, holding)
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
            await self._end(path, [claim])
            raise
        await self._clean(path, claim)
        return claim

    async def _settled(self, path: str, lease: Lease) -> Claim:
        """Our claim, once it holds: everybody before it is over, and a message of ours says so.

        :raises Locked: somebody else holds it; ours is withdrawn.
        """
        for _ in range(TRIES):
            claim = self._find_open(path, lease.of)
            if claim is None:
                raise await self._lost_before(path)
            before = [other for other in self._book.at(path).open if other.rank < claim.rank]
            if not before:
                return claim
            await self._book.ask_dates([path])
            lasting = next((other for other in before if not self._book.has_ended(other)), None)
            if lasting is not None:
                await self._withdraw(path, claim)
                raise self._locked_error(path, lasting)
            await self._add(lease._replace(number=claim.number + 1))
        given_up = self._find_open(path, lease.of)
        if given_up is not None:
            await self._withdraw(path, given_up)
        raise Locked("Others lock and unlock this path all the time.", path=path)

    async def _renewed(self, path: str, lock: str, seconds: int, holder: str | None) -> Lock:
        """Renew a lock of this device.

        :raises LeaseLost: it is over.
        """
        claim = self._find_open(path, lock)
        if claim is None:
            raise await self._lost_before(path)
        if not self._book.is_mine(claim):
            raise self._locked_error(path, claim)
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

    async def _ended(self, path: str, mine: Collection[Claim]) -> Lock:
        lock = replace(self._book.lock_of(path, next(iter(mine))), mine=True)
        await self._end(path, mine)
        return lock

    async def _end(self, path: str, mine: Collection[Claim]) -> None:
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

    async def _broken(self, path: str, *, force: bool) -> Lock:
        """End the lock of another device."""
        broken: Lock | None = None
        for _ in range(TRIES):
            holding = self._book.holding(path)
            if holding is None:
                break
            if not force:
                raise self._locked_error(path, holding)
            broken = broken or self._book.lock_of(path, holding)
            await self._break(path)
        if broken is None:
            raise NotFound(f"/{path} is not locked.", path=path)
        return broken

    async def _break(self, path: str) -> None:
        locks = self._book.at(path)
        vid = new_vid(self._random)
        over, validity = locks.past(locks.claims), self._view.index.validity
        lease = Lease(path=path, of=vid, holder=self._holder, over=over, validity=validity)
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

    # Words

    async def _enter(self, path: str) -> None:
        turn = self._turns.enter(path)  # one at a time on this device
        if turn is not None:
            await turn

    def _find_open(self, path: str, lock: str) -> Claim | None:
        return next((claim for claim in self._book.at(path).open if claim.id == lock), None)

    async def _lost_before(self, path: str) -> LeaseLost:
        """A lock of this device is over, and nothing was written: that is told once."""
        await self._book.forget(path)
        return LeaseLost(
            "The lock of this device on it is over: somebody took it over or broke it, or the server renumbered the "
            "folder. Look at the file before you change it.",
            path=path,
        )

    def _locked_error(self, path: str, claim: Claim) -> Locked:
        lock = self._book.lock_of(path, claim)
        where = " (another basedir)" if self._holder and lock.holder == self._holder else ""
        detail = f"It is locked by {lock.who}{where}; 'ifap locks' shows the lock, 'ifap unlock --force' breaks it."
        return Locked(detail, path=path, holder=lock.who, seconds=lock.seconds)


def _check(path: str, seconds: int, holder: str) -> None:
    if not 1 <= seconds <= limits.LEASE_MOST:
        raise CallerError(f"A lock lasts between 1 and {limits.LEASE_MOST} seconds, not {seconds}.", path=path)
    if len(holder) > limits.HOLDER_CHARACTERS or not holder.isprintable():
        raise CallerError(
            f"The holder of a lock is a name of up to {limits.HOLDER_CHARACTERS} printable characters.", path=path
        )
