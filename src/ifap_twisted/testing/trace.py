"""What a simulated run recorded: every call and its outcome, every message sent, and what is there at the end.

It judges nothing; :mod:`ifap_twisted.testing.judgement` does, from these records alone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ifap_twisted.core.values import Lease, Version
from ifap_twisted.testing.scenario import Scenario

DONE = "done"
"""The outcome of a call that did what it was asked for."""
CRASHED = "crashed"
"""The outcome of a call whose device died before it answered."""
CANCELLED = "cancelled"
UNENDED = "unended"

SITUATIONS: Final = (
    "a collected version came back",
    "a file went out in chunks",
    "a file was locked for others",
    "a known Message-ID was dropped",
    "a lease was lost",
    "a lock was taken over",
    "a new writer after an old copy",
    "a plan against a write in flight",
    "a write was accepted with the server away",
    "an incomplete listing",
    "checkpoints were published",
    "chunks were collected",
    "clocks ten minutes apart",
    "collected in the middle of a history",
    "collected while somebody did something else",
    "died with a write in the journal",
    "died with an accepted write",
    "messages are withheld from the next process",
    "renumbered while somebody wrote",
    "two devices at their first login",
    "versions were collected",
)
"""What faults can lead to, and a campaign has to meet."""


@dataclass(slots=True)
class Call:
    """One call to a filesystem.

    :ivar incarnation: how often the device had been started, this time included.
    :ivar content: what a put was given.
    :ivar lease: how many seconds a lock was asked for.
    :ivar pending: it was accepted, and not on the server yet.
    :ivar outcome: ``done``, ``crashed``, ``cancelled``, ``unended``, the code of an error, or ``bug: `` and what no
        caller should ever see.
    :ivar version: the version that a write made, or that a read gave.
    :ivar data: what a read gave.
    """

    number: int
    device: int
    incarnation: int
    verb: str
    path: str
    other: str
    began: float
    content: bytes | None = None
    expect: str | None = None
    ended: float | None = None
    outcome: str = UNENDED
    version: str | None = None
    data: bytes | None = None
    lease: float = 0.0
    pending: bool = False


@dataclass(slots=True)
class Sent:
    """A version that somebody sent to the server, with what its device knew of the path at that moment.

    :ivar call: the number of the call that sent it, or None: nobody's, or a reference program's.
    :ivar known: the ids of the versions of its path that it can possibly descend from.
    :ivar content: where it is known without reading: of a reference program.
    """

    version: Version
    at: float
    call: int | None
    known: frozenset[str]
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One version as a client shows it at the end; ``content`` is None for what has none, ``error`` why it failed."""

    path: str
    vid: str
    deleted: bool
    directory: bool
    content: bytes | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one client shows when everything is quiet.

    :ivar versions: of each path, newest first; ``listing``: path, type and version; ``conflicts``: path and version.
    :ivar uidvalidity: under which it shows all that.
    :ivar ranks: the lowest UID of each version, by path and version.
    :ivar recalled: paths and ids of versions of which it says that the server shows an older state (FORMAT 9.1).
    :ivar hidden: what it says of others who have seen more (FORMAT 9.2).
    """

    who: str
    versions: Mapping[str, tuple[Seen, ...]]
    listing: tuple[tuple[str, str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    ranks: Mapping[tuple[str, str], float]
    pending: int = 0
    uidvalidity: int = 0
    recalled: frozenset[tuple[str, str]] = frozenset()
    hidden: tuple[str, ...] = ()


@dataclass(slots=True)
class Trace:
    """Everything that a run recorded.

    :ivar sent: by path and version id, in the order in which they were first sent.
    :ivar destroyed: paths and ids of versions that a reference program expunged.
    :ivar collected: those that a device removed in a collection, and when first, by the server's clock.
    :ivar planned: the ids of those that were to be collected, and since when; ``recorded``: those on record in the end.
    :ivar founders: the devices that wrote a folder object.
    :ivar journalled: those in the journal of a device when it died, before anybody was told what became of them.
    :ivar kept: those in the journal of a device when it died, whatever had become of them.
    :ivar forsaken: those that were on a disk only with which no device goes on.
    :ivar leases: what the lock objects say that are there in the end, by UID.
    :ivar voids: the moments at which all locks ended: renumberings, and days that went by.
    :ivar restored: those in a journal that came back from a backup: they are sent again, however they had ended.
    :ivar blind: devices and incarnations that may know less than they knew, because the server hid messages from a
        listing that had to be read anew.
    :ivar mail: foreign messages that were delivered; ``touched``: those that are gone or changed at the end.
    :ivar apart: at some moment two clocks were ten minutes apart.
    :ivar slept: the numbers of calls that were under way when everybody slept for days.
    :ivar shuffled: a renumbering changed the order of the messages.
    :ivar logged: errors that were logged, and failures that nobody handled.
    :ivar key: that of the folder in the end; a simulation's is no secret.
    :ivar wires: the same for two runs in which the same bytes were delivered at the same moments.
    :ivar troubles: how often each fault struck; ``situations``: how often each of :data:`SITUATIONS` was met.
    """

    scenario: Scenario
    calls: list[Call] = field(default_factory=list)
    sent: dict[tuple[str, str], Sent] = field(default_factory=dict)
    destroyed: set[tuple[str, str]] = field(default_factory=set)
    collected: dict[tuple[str, str], float] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)
    founders: set[int] = field(default_factory=set)
    journalled: set[tuple[str, str]] = field(default_factory=set)
    kept: set[tuple[str, str]] = field(default_factory=set)
    restored: set[tuple[str, str]] = field(default_factory=set)
    forsaken: set[tuple[str, str]] = field(default_factory=set)
    leases: dict[int, Lease] = field(default_factory=dict)
    voids: list[float] = field(default_factory=list)
    blind: set[tuple[int, int]] = field(default_factory=set)
    mail: int = 0
    touched: int = 0
    apart: bool = False
    slept: set[int] = field(default_factory=set)
    shuffled: bool = False
    logged: list[str] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    situations: Counter[str] = field(default_factory=Counter)
    observations: list[Observation] = field(default_factory=list)
    key: str = ""
    messages: dict[int, bytes] = field(default_factory=dict)
    wires: str = ""

    def digest(self) -> str:
        """The same for two runs exactly when everything in them was the same."""
        state = hashlib.sha256(self.wires.encode())
        for call in self.calls:
            state.update(repr(call).encode())
        for (path, vid), sent in self.sent.items():
            state.update(repr((path, vid, sent.at, sent.call, sorted(sent.known))).encode())
        for uid, message in sorted(self.messages.items()):
            state.update(b"%d %b" % (uid, message))
        for seen in self.observations:
            state.update(repr((seen.who, sorted(seen.versions.items()), seen.listing, seen.conflicts)).encode())
        state.update(repr((sorted(self.destroyed), sorted(self.blind), self.logged)).encode())
        return state.hexdigest()
