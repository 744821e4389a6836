"""What one device knows of the locks of a folder: who holds, for how long, and which are its own (FORMAT 10.1)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from twisted.logger import Logger

from ifap_twisted.core.leases import Claim, Locks, Observations
from ifap_twisted.core.values import Entry, Event, Lock
from ifap_twisted.errors import IFAPError
from ifap_twisted.filesystem.entries import entry_of
from ifap_twisted.filesystem.known import Known
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import ILockMemory, IWriterIdentity

NEWEST = 3
"""Of so many of the last messages of ours the dates are asked for: they tell the server's time."""
FAR = 200
"""So far below the highest UID such messages are looked for."""


@dataclass(frozen=True, slots=True)
class Own:
    """A lock that this device took.

    :ivar sent: when its last renewal was sent, on the elapsed clock; None when an earlier process took it.
    :ivar seconds: of its lease; 0 when nobody knows whether it is there: taking or ending it failed.
    """

    id: str
    sent: float | None
    seconds: int

    def has_run_out(self, now: float) -> bool:
        """Whether it may be over for others; a little early, because their dates have no fractions."""
        return self.sent is None or now - self.sent >= self.seconds - min(1.0, self.seconds / 10)


class LockBook:
    """The locks as far as they are known; it writes nothing to the folder.

    :param elapsed: seconds that run while the machine sleeps.
    :param memory: keeps the locks of this device over the end of the process; None: they are forgotten with it.
    """

    _log = Logger()

    def __init__(
        self,
        known: Known,
        *,
        identity: IWriterIdentity,
        elapsed: Callable[[], float],
        watchers: Watchers,
        memory: ILockMemory | None = None,
    ) -> None:
        self._known = known
        self._identity = identity
        self.elapsed = elapsed
        self._watchers = watchers
        self._observed = Observations()
        self._generation = known.index_generation
        self._told: dict[str, str] = {}
        self._own: dict[str, Own] = {}
        self._memory = memory
        self._secret = b""

    def at(self, path: str) -> Locks:
        """What the lock objects of a path say."""
        return self._known.index.locks(path)

    def holding(self, path: str) -> Claim | None:
        """The lock that holds on a path; its lease may have run out without anybody knowing."""
        return self._observed.holding(self.at(path), self.elapsed())

    def locked(self, path: str) -> Lock | None:
        """The same, for callers."""
        claim = self.holding(path)
        return None if claim is None else self.lock_of(path, claim)

    def lock_of(self, path: str, claim: Claim) -> Lock:
        """A lock as callers see it."""
        return Lock(
            path=path,
            id=claim.id,
            holder=claim.last.lease.holder,
            writer=claim.writer,
            mine=self.is_mine(claim),
            seconds=claim.last.lease.seconds,
            renewed=self._observed.renewed(claim),
        )

    # Its own

    def own(self, path: str) -> Own | None:
        """The lock that this device took on a path and did not give back; whether it still holds is not said."""
        own = self._own.get(path)
        if own is None and self._memory is not None:
            found = self._memory.find(self._name(path))
            return None if found is None else Own(found[0], None, found[1])
        return own

    async def remember(self, path: str, own: Own) -> None:
        """This device has a lock, which was taken or renewed now.

        :raises IFAPError: it cannot be kept for the next process.
        """
        self._own[path] = own
        if self._memory is not None:
            await self._memory.keep(self._name(path), own.id, own.seconds)

    def held(self, path: str) -> Own | None:
        """The same; not one of which it is unknown whether it is there, and which is not."""
        own = self.own(path)
        known = own is not None and (own.seconds or any(claim.id == own.id for claim in self.at(path).open))
        return own if known else None

    async def doubt(self, path: str, lock: str) -> None:
        """This device took a lock, or ended it, and nobody knows whether it is there: if it is, it is its own."""
        try:
            await self.remember(path, Own(lock, None, 0))
        except IFAPError as error:  # the next process finds it locked by another device, until the lease runs out
            self._log.warn("whose a lock is could not be kept: {why}", why=str(error))

    async def forget(self, path: str) -> None:
        """This device has no lock any more."""
        self._own.pop(path, None)
        if self._memory is None:
            return
        try:
            await self._memory.forget(self._name(path))
        except IFAPError as error:  # the next process is told once more that it lost a lock
            self._log.warn("that a lock is over could not be kept: {why}", why=str(error))

    def _name(self, path: str) -> str:
        """What is kept in the place of a path: nobody learns it without a key of the folder."""
        if not self._secret:
            keys = self._known.keys
            self._secret = keys[0].subkey("locks") if keys else b"a folder in clear"
        return hmac.digest(self._secret, f"{self._known.home}/{path}".encode(), "sha256").hex()

    def paths(self) -> list[str]:
        """The paths of which lock objects are there, sorted."""
        return sorted(self._known.index.locked_paths())

    def count(self) -> int:
        """On how many paths a lock holds."""
        return sum(self.holding(path) is not None for path in self._known.index.locked_paths())

    def is_mine(self, claim: Claim) -> bool:
        """This device took it: as it remembers, or under its name in the history."""
        if claim.writer == self._identity.writer:
            return True
        own = self.own(claim.last.lease.path)
        return own is not None and own.id == claim.id

    def has_ended(self, claim: Claim) -> bool:
        """Whether its lease has run out, as far as can be told."""
        return self._observed.has_ended(claim, self.elapsed())

    def surely_lasts(self, claim: Claim) -> bool:
        """Whether it is certain that its lease has not run out."""
        return self._observed.surely_lasts(claim, self.elapsed())

    # Dates of the server

    async def ask_dates(self, paths: Iterable[str]) -> None:
        """Learn when the server received what the locks of some paths depend on."""
        claims = [claim for path in paths for claim in self.at(path).open]
        if not claims:
            return
        wanted = self._observed.undated([*(claim.last.rank for claim in claims), *self._newest()])
        if wanted:
            generation = self._known.index_generation
            self._date(await self._known.store.dates(wanted), generation)

    async def ask_date_of(self, uid: int, sent: float) -> None:
        """Learn when the server received a message that was sent no earlier than ``sent``."""
        generation = self._known.index_generation
        dates = await self._known.store.dates([uid])
        if self._date(dates, generation) and uid in dates:
            self._observed.sent(dates[uid], sent)

    def _date(self, dates: Mapping[int, float], generation: int) -> bool:
        """Note dates, unless they may be those of other messages by now; whether they are noted."""
        if self._known.generation != generation:
            return False
        self._observed.date(dates, self.elapsed())
        return True

    def _newest(self) -> list[int]:
        """The UIDs of the last messages of ours; others may have any date (FORMAT 10.1)."""
        index = self._known.index
        near = range(index.highest, max(0, index.highest - FAR), -1)
        found = [uid for uid in near if (version := index.at(uid)) is not None and version.ours]
        return found[:NEWEST]

    # News

    def noticed(self, paths: Collection[str]) -> None:
        """Lock objects of these paths came or went."""
        if self._generation != self._known.index_generation:  # the UIDs are others, UIDVALIDITY or not
            self._generation = self._known.index_generation
            self._observed = Observations()
        before = {path: self._told.get(path) for path in paths}
        self._see(paths)
        for path in paths:
            if self._told.get(path) != before[path]:
                self._watchers.tell(Event(kind="lock", entry=self._entry(path)))

    def _see(self, paths: Iterable[str]) -> None:
        for path in list(paths):
            messages = (message for claim in self.at(path).claims for message in claim.messages)
            vids = {message.rank: message.placed.version.vid for message in messages}
            self._observed.see(vids, self.elapsed())
            held = self.holding(path)
            if held is None:
                self._told.pop(path, None)
            else:
                self._told[path] = held.id
        self._observed.trim(self._known.index)

    def _entry(self, path: str) -> Entry:
        """What a lock is about: the file, or a name under which there is none yet."""
        history = self._known.index.history(path)
        if history.current is None:
            return Entry(path=path, versions=0, locked=self.locked(path))
        return entry_of(history, history.current, locked=self.locked(path))
