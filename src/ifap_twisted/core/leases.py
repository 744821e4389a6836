"""Locks from their objects: who holds, what is over, and from where on a write came too late (FORMAT 10).

It decides from the messages and from what one observer saw of them; it knows no clock and no server. A lock is never
over because it seems old: its end is in a message, or follows from dates of the server or from time that the observer
itself has seen pass.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.history import Placed, late_ranks
from ifap_twisted.core.values import Lease, Version

PREFIX: Final = "IFAP/locks/"


def object_path(vid: str) -> str:
    """The reserved name of a lock object."""
    return PREFIX + vid


def is_lock_object(version: Version) -> bool:
    """It is ours, says something of a lock, and has the name that belongs to it."""
    return version.ours and version.lease is not None and version.path == object_path(version.vid)


class Message(NamedTuple):
    """One message of a lock: what it says, and its rank."""

    lease: Lease
    rank: int
    placed: Placed


@dataclass(frozen=True, slots=True)
class Claim:
    """One lock: its messages, those that claim or renew and those that end it.

    :ivar messages: ascending by rank, never empty.
    """

    id: str
    messages: tuple[Message, ...]

    @property
    def rank(self) -> int:
        """Of its first message: of several locks of a path the lowest holds (FORMAT 10.1)."""
        return self.messages[0].rank

    @property
    def last(self) -> Message:
        """The last renewal, or the first message."""
        return max(self.messages, key=lambda message: (message.lease.number, message.rank))

    @property
    def number(self) -> int:
        """The greatest of its messages."""
        return self.last.lease.number

    @property
    def writer(self) -> str:
        """The device that wrote its last message."""
        return self.last.placed.version.writer

    @property
    def released(self) -> bool:
        """Its holder ended it, or it claims nothing."""
        return any(not message.lease.seconds for message in self.messages)

    @property
    def places(self) -> list[int]:
        """The UIDs of all its messages, ascending."""
        return sorted(uid for message in self.messages for uid in message.placed.places)


class Locks:
    """What the lock objects of one path say.

    :param objects: in any order; the result is the same for every order.
    :param validity: the present UIDVALIDITY; what was written under another one is void (FORMAT 10.2).
    """

    def __init__(self, objects: Iterable[Placed] = (), validity: int = 0) -> None:
        found = [Message(lease, one.places[0], one) for one in objects if (lease := one.version.lease) is not None]
        self._messages = sorted((one for one in found if one.lease.validity == validity), key=lambda one: one.rank)
        self._validity = validity
        messages = self._messages
        self.void: list[int] = [uid for one in found if one.lease.validity != validity for uid in one.placed.places]
        """The UIDs of objects that mean nothing any more."""
        self.claims: tuple[Claim, ...] = _claims(messages)
        """All locks, ascending by rank, those that are over among them."""
        self.fences: dict[str, int] = _fences(messages)
        """For each lock that is over by what a later one says, the rank above which a write under it is too late."""

    @property
    def open(self) -> list[Claim]:
        """The locks that nobody ended: whether their leases last is not said, ascending by rank."""
        return [claim for claim in self.claims if not claim.released and claim.id not in self.fences]

    def without(self, uids: Collection[int]) -> Locks:
        """What the others say when these messages are gone."""
        return Locks((one.placed for one in self._messages if one.rank not in uids), self._validity)

    def find(self, lock: str) -> Claim | None:
        """The lock of that id."""
        return next((claim for claim in self.claims if claim.id == lock), None)

    def past(self, over: Sequence[Claim]) -> dict[str, int]:
        """What a message says to be over: these and those that were already; the newest, as many as it may hold."""
        found: dict[str, int] = {}
        for claim in sorted(over, key=lambda claim: -claim.rank):
            found.setdefault(claim.id, claim.number)
        for claim in reversed(self.claims):
            for message in reversed(claim.messages):
                for lock, number in message.lease.over.items():
                    found.setdefault(lock, number)
        return dict(list(found.items())[: limits.LOCKS_OVER])


def may_go(locks: Locks, uids: Collection[int], versions: Iterable[Placed]) -> bool:
    """Whether messages of locks can be removed: what came too late is so without them, and will be (FORMAT 10.2).

    :param versions: all that are known of the path.
    """
    fences, left = locks.fences, locks.without(uids).fences
    there = list(versions)
    return left.keys() == fences.keys() and late_ranks(there, left) == late_ranks(there, fences)


def _claims(messages: Sequence[Message]) -> tuple[Claim, ...]:
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message.lease.of, []).append(message)
    claims = [Claim(lock, tuple(of_it)) for lock, of_it in found.items()]
    return tuple(sorted(claims, key=lambda claim: claim.rank))


def _fences(messages: Sequence[Message]) -> dict[str, int]:
    """A message ends the locks that it names, unless one of them was renewed before it and its writer did not know."""
    found: dict[str, int] = {}
    greatest: dict[str, int] = {}
    for message in messages:  # ascending by rank
        for lock, number in message.lease.over.items():
            if greatest.get(lock, 0) <= number:
                found.setdefault(lock, message.rank)
        lock, number = message.lease.of, message.lease.number
        greatest[lock] = max(number, greatest.get(lock, 0))
    return found


class Observations:
    """What one observer saw of the messages of a folder, by their UIDs.

    Times that have passed are those of the observer's elapsed clock, which runs while the machine sleeps; dates are the
    server's. The two are never compared.
    """

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._vids: dict[int, str] = {}
        self._dates: dict[int, float] = {}
        self._ahead: dict[int, float] = {}
        """By how much the server's clock is ahead of the elapsed one at least, as a message tells that was there."""
        self._latest: tuple[list[int], list[float]] | None = None
        self._ahead_at_most: float | None = None
        self._enough = FACTS_OF_GONE

    def see(self, messages: Mapping[int, str], now: float) -> None:
        """Lock messages are there, now at the latest.

        :param messages: their vids, by UID: where a mailbox was put back from a backup a UID may be that of another
            message than before, of which nothing is known yet (FORMAT 2.1).
        """
        for uid, vid in messages.items():
            if self._vids.get(uid) != vid:
                self._vids[uid], self._seen[uid] = vid, now
                self._dates.pop(uid, None)

    def date(self, dates: Mapping[int, float], now: float) -> None:
        """The server told when it received these messages of ours; all of them are there."""
        for uid, date in dates.items():
            self._dates[uid] = date
            self._ahead.setdefault(uid, date - now)
        self._latest = None

    def sent(self, date: float, then: float) -> None:
        """The server received at this date what was sent no earlier than ``then``."""
        self._ahead_at_most = date + WHOLE_SECOND - then

    def undated(self, uids: Iterable[int]) -> list[int]:
        """Those of whom no date is known."""
        return [uid for uid in uids if uid not in self._dates]

    def renewed(self, claim: Claim) -> float | None:
        """When the server received the last renewal of a lock, in Unix time, as far as is known."""
        return self._dates.get(claim.last.rank)

    def has_ended(self, claim: Claim, now: float) -> bool:
        """Whether the lease of a lock has run out (FORMAT 10.1).

        A message of higher UID was received so much later than the last renewal, by the server's own dates and the
        time that passed since that message was there; or the observer has known the renewal for so long.
        """
        uid, seconds = claim.last.rank, claim.last.lease.seconds
        if now - self._seen.get(uid, now) >= seconds:
            return True
        renewed, ahead = self._dates.get(uid), self._ahead_after(uid)
        return renewed is not None and ahead is not None and ahead + now >= renewed + seconds

    def surely_lasts(self, claim: Claim, now: float) -> bool:
        """Whether it is certain that the lease has not run out: the server's clock cannot be that far yet."""
        renewed = self._dates.get(claim.last.rank)
        if renewed is None or self._ahead_at_most is None or self.has_ended(claim, now):
            return False
        return self._ahead_at_most + now < renewed + claim.last.lease.seconds

    def holding(self, locks: Locks, now: float) -> Claim | None:
        """The lock that holds: of those whose lease lasts the one of lowest rank."""
        return next((claim for claim in locks.open if not self.has_ended(claim, now)), None)

    def trim(self, present: Container[int]) -> None:
        """Forget what says nothing any more: of messages that are gone all but the newest."""
        if len(self._ahead) + len(self._seen) <= self._enough:
            return
        newest = set(sorted(self._ahead)[-FACTS_OF_GONE // 4 :])
        for facts in (self._seen, self._vids, self._dates, self._ahead):
            for uid in [uid for uid in facts if uid not in newest and uid not in present]:
                del facts[uid]
        self._enough = 2 * (len(self._ahead) + len(self._seen)) + FACTS_OF_GONE
        self._latest = None

    def _ahead_after(self, uid: int) -> float | None:
        """The greatest of what the messages above a UID tell."""
        if self._latest is None:
            uids = sorted(self._ahead)
            greatest = list(accumulate((self._ahead[one] for one in reversed(uids)), max))[::-1]
            self._latest = (uids, greatest)
        uids, greatest = self._latest
        place = bisect_right(uids, uid)
        return greatest[place] if place < len(uids) else None


FACTS_OF_GONE: Final = 1000
"""So many are kept, those of messages that are gone among them, before all but a few of these are forgotten."""
WHOLE_SECOND: Final = 1.0
"""A date of the server may be so much earlier than the moment, because it has no fractions."""
