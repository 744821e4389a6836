"""Locks, for whoever asks for one, and for writes that have to ask (FORMAT 10).

A lock is advisory and belongs to a device. Reading and adding never ask for one; what another device holds is neither
overwritten nor removed. A write to a path whose last lock was never ended takes the path over for the moment, so that
what the former holder may still have on its way comes too late.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.values import Lock
from ifap_twisted.deferreds import undivided
from ifap_twisted.errors import CallerError, IFAPError, LeaseLost
from ifap_twisted.filesystem.claiming import Claims
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.filesystem.guarding import Admission
from ifap_twisted.filesystem.lockbook import LockBook, Own
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.writing import Writer

_NOTHING = Admission()


class Locking:
    """Answers who asks for a lock, and lets writes begin.

    :param holder: the name for people where none is given.
    """

    _log = Logger()

    def __init__(self, view: View, writer: Writer, book: LockBook, *, random: Random, holder: str = "") -> None:
        self._view = view
        self._book = book
        self._claims = Claims(view, writer, book, random=random, holder=holder)

    # For callers

    async def lock(self, path: str, *, seconds: int, holder: str | None, renew: str | None) -> Lock:
        """Take a lock, or renew one.

        :raises Locked: somebody holds one already.
        :raises LeaseLost: the one to be renewed is over.
        """
        name = self._claims.holder if holder is None else holder
        _check(path, seconds, name)
        await self._claims.enter(path)
        try:
            await self._view.current()
            if renew is not None:
                return await self._claims.renew(path, renew, seconds, holder)
            return self._book.lock_of(path, await self._claims.take(path, seconds, name))
        finally:
            self._claims.leave(path)

    async def unlock(self, path: str, *, force: bool) -> Lock:
        """End the lock on a path; fires with it.

        :raises NotFound: there is none.
        :raises Locked: another device holds it, and ``force`` is not set.
        :raises LeaseLost: this device had it, and lost it.
        """
        await self._claims.enter(path)
        try:
            await self._view.current()
            await self._book.ask_dates([path])
            own = self._book.held(path)
            mine = [claim for claim in self._book.at(path).open if self._book.is_mine(claim)]
            if mine:
                holding = self._book.holding(path)
                theirs = holding is not None and not self._book.is_mine(holding)
                ended = await self._claims.ended(path, mine)
                still = theirs and self._book.holding(path) is not None
                return await self._claims.broken(path, force=force) if still else ended
            await self._book.forget(path)
            if own is not None and not force:
                raise await self._claims.lost_before(path)
            return await self._claims.broken(path, force=force)
        finally:
            self._claims.leave(path)

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
                raise self._claims.locked_error(path, holding)

    # For the writer (writing.Guard)

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let a write begin: under this device's own lock, or where no other device holds one."""
        own = self._book.held(path)
        if own is None and not self._book.at(path).open:  # by far the most
            return _NOTHING
        return await undivided(self._admitted(path, own, adding=adding), partial(self.leave, path))

    async def _admitted(self, path: str, own: Own | None, *, adding: bool) -> Admission:
        if own is not None and self._claims.find_open(path, own.id) is None:
            raise await self._claims.lost_before(path)
        if own is not None and own.sent is not None:
            return Admission(lock=await self._kept(path, own))
        await self._book.ask_dates([path])
        holding = self._book.holding(path)
        if holding is not None and self._book.is_mine(holding):
            return Admission(lock=holding.id)
        if adding or all(self._book.is_mine(claim) for claim in self._book.at(path).open):
            await self._book.forget(path)  # it has run out, and nobody came meanwhile
            return _NOTHING
        await self._claims.enter(path)
        try:
            await self._view.current()
            claim = await self._claims.take(path, limits.LEASE_SECONDS, self._claims.holder)
        finally:
            self._claims.leave(path)
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
        raise self._claims.locked_error(path, holding)

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
        await self._claims.enter(path)
        try:
            await self._view.current()
            claim = next((one for one in self._book.at(path).open if one.id == admission.lock), None)
            if claim is not None and claim.number == admission.taken:
                await self._claims.end(path, [claim])
        finally:
            self._claims.leave(path)

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
            await self._claims.enter(path)
            try:
                await self._view.current()
                own = self._book.own(path) or own
                if own.has_run_out(self._book.elapsed()):
                    await self._claims.renew(path, own.id, own.seconds, None)
            finally:
                self._claims.leave(path)
        return own.id


def _check(path: str, seconds: int, holder: str) -> None:
    if not 1 <= seconds <= limits.LEASE_MOST:
        raise CallerError(f"A lock lasts between 1 and {limits.LEASE_MOST} seconds, not {seconds}.", path=path)
    if len(holder) > limits.HOLDER_CHARACTERS or not holder.isprintable():
        raise CallerError(
            f"The holder of a lock is a name of up to {limits.HOLDER_CHARACTERS} printable characters.", path=path
        )
