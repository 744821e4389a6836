"""Locks from their objects: who holds, what is over, and from where on a write came too late (FORMAT 10).

It decides from the messages and from what one observer saw of them; it knows no clock and no server. A lock is never
over because it seems old: its end is in a message, or follows from dates of the server or from time that the observer
itself has seen pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.history import Placed
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
        """The UIDs of all its messages."""
        return sorted(uid for message in self.messages for uid in message.placed.places)


class Locks:
    """What the lock objects of one path say.

    :param objects: in any order; the result is the same for every order.
    :param validity: the present UIDVALIDITY; what was written under another one is void (FORMAT 10.2).
    """

    def __init__(self, objects: Iterable[Placed] = (), validity: int = 0) -> None:
        messages: list[Message] = []
        self.void: list[int] = []
        """The UIDs of objects that mean nothing any more."""
        for placed in objects:
            lease = placed.version.lease
            if lease is not None and lease.validity == validity:
                messages.append(Message(lease, placed.places[0], placed))
            else:
                self.void.extend(placed.places)
        messages.sort(key=lambda message: message.rank)
        self.claims: tuple[Claim, ...] = _claims(messages)
        """All locks, ascending by rank, those that are over among them."""
        self.fences: dict[str, int] = _fences(messages)
        """For each lock that is over by what a later one says, the rank above which a write under it is too late."""

    @property
    def open(self) -> list[Claim]:
        """The locks that nobody ended: whether their leases last is not said, ascending by rank."""
        return [claim for claim in self.claims if not claim.released and claim.id not in self.fences]

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


@dataclass(slots=True)
class Observations:
    """What one observer saw of the messages of a folder.

    :ivar seen: when each lock message was first seen, by UID, on the observer's elapsed clock.
    :ivar dates: when the server received messages of ours, by UID, in Unix time.
    :ivar arrivals: when a dated message was known to be there already, on the elapsed clock.
    """

    seen: dict[int, float] = field(default_factory=dict)
    dates: dict[int, float] = field(default_factory=dict)
    arrivals: dict[int, float] = field(default_factory=dict)

    def see(self, uids: Iterable[int], now: float) -> None:
        """Lock messages are there, now at the latest."""
        for uid in uids:
            self.seen.setdefault(uid, now)

    def date(self, dates: Mapping[int, float], now: float) -> None:
        """The server told when it received these."""
        self.dates.update(dates)
        for uid in dates:
            self.arrivals.setdefault(uid, now)

    def has_ended(self, claim: Claim, now: float) -> bool:
        """Whether the lease of a lock has run out (FORMAT 10.1).

        A message of higher UID was received so much later than the last renewal, by the server's own dates and the
        time that passed since that message was there; or the observer has known the renewal for so long.
        """
        uid, seconds = claim.last.rank, claim.last.lease.seconds
        if now - self.seen.get(uid, now) >= seconds:
            return True
        renewed = self.dates.get(uid)
        if renewed is None:
            return False
        later = (date + now - self.arrivals[other] for other, date in self.dates.items() if other > uid)
        return any(moment >= renewed + seconds for moment in later)

    def holding(self, locks: Locks, now: float) -> Claim | None:
        """The lock that holds: of those whose lease lasts the one of lowest rank."""
        return next((claim for claim in locks.open if not self.has_ended(claim, now)), None)
