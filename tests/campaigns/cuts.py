"""``python -m tests.campaigns.cuts``: cut the connection at every byte of a put, and let a fresh client judge (bar R1).

A case is a put (or three that leave together) over a version that is there, and one :class:`Cut`. Many cases share a
folder; each has paths of its own. The writer goes on after the cut: it connects again, looks, and perhaps sends again.
Its waits are on a clock that runs thirty times too fast within the cases. Exit status: 1 when something was lost, mixed
or doubled.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock, LoopingCall, deferLater, react

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import OutcomeUnknown, StoreError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.server.service import EmbeddedServer
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.workers import InlineWorker
from tests.campaigns.cutting import DOWN, FIN, RST, UP, Cut, CuttingProxy
from tests.live.servers import fresh_folder, server

KEY = Key.from_text("a key for cuts")
START = 1_800_000_000.0
HASTE = 30
"""Seconds of the clients' clock in one of ours."""
TICK = 0.005
SIZE = 300
"""Bytes of a file; sealed it has several times as many, and its conversation more."""
STORED, FAILED, UNKNOWN = "stored", "failed", "unknown"
MASKED = {
    "literal+": (b"MULTIAPPEND",),
    "synchronising": (b"MULTIAPPEND", b"LITERAL+"),
    "multiappend": (),
}
SERVERS = {"dovecot": tuple(MASKED), "embedded": ("literal+", "synchronising")}
"""The modes of each server: our own has no MULTIAPPEND."""
BATCH = 40


@dataclass(frozen=True, slots=True)
class Way:
    """How a put goes: to which server, in which mode, and whether the connection is made first, within the case."""

    server: str
    mode: str
    login: bool

    def __str__(self) -> str:
        return f"{self.server} {self.mode} {'with login' if self.login else 'open'}"

    @property
    def files(self) -> int:
        """How many are put at once."""
        return 3 if self.mode == "multiappend" else 1


WAYS = tuple(Way(name, mode, login) for name, modes in SERVERS.items() for mode in modes for login in (False, True))


@dataclass(slots=True)
class Case:
    """One cut, and what the writer was told: an outcome and a version for each file."""

    cut: Cut
    number: int
    told: list[tuple[str, str]] = field(default_factory=list)
    struck: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def path(self, index: int) -> str:
        """Where a file is."""
        return f"case-{self.number:05}-{index}"

    def content(self, index: int, age: str) -> bytes:
        """Of the ``old`` or the ``new`` version."""
        return f"{age} {self.number} {index} ".encode().ljust(SIZE, b".")


class Hurrying:
    """The clock of a writer, which may be faster than ours.

    :ivar haste: seconds of it in one of ours. A busy machine makes it slower, so that no time-out is from haste alone.
    """

    def __init__(self) -> None:
        self.haste = 1
        self.clock = Clock()
        self.clock.advance(START)
        self._ticking = LoopingCall(self._tick)
        self._ended = self._ticking.start(TICK)

    def _tick(self) -> None:
        for _step in range(5):
            self.clock.advance(TICK * self.haste / 5)

    async def stop(self) -> None:
        """Stand still."""
        self._ticking.stop()
        await self._ended


class Servers:
    """Where each server is; our own is started in this process when it is first needed."""

    def __init__(self) -> None:
        self._embedded: EmbeddedServer | None = None
        self._base: Path | None = None

    async def endpoint(self, name: str) -> tuple[IStreamClientEndpoint, str, str]:
        """The endpoint, user and password."""
        if name != "embedded":
            live = server(name)
            return TCP4ClientEndpoint(reactor, live.host, live.port), live.user, live.password
        if self._embedded is None:
            self._base = Path(tempfile.mkdtemp(prefix="ifap-cuts-"))
            made = EmbeddedServer(self._base / "embedded.sqlite", reactor, socket_path=self._base / "socket")
            self._embedded = made
            made.startService()
            await made.when_ready()
            await made.add_user("me", "secret")
        assert self._base is not None
        return UNIXClientEndpoint(reactor, str(self._base / "socket")), "me", "secret"

    async def stop(self) -> None:
        """End our own, and remove its files."""
        embedded, self._embedded = self._embedded, None
        if embedded is not None and self._base is not None:
            await embedded.stopService()
            shutil.rmtree(self._base)


class Client:
    """A connector and the filesystem over it."""

    def __init__(self, clock: Any, endpoint: IStreamClientEndpoint, user: str, secret: str, folder: str) -> None:
        self._clock = clock
        self.connector = Connector(
            clock,
            endpoint,
            security=Security.plain(),
            authenticate=password(user, secret),
            folder=folder,
            random=lambda: 0.0,
        )
        self._store = ImapStore(self.connector)
        self.filesystem: Any = None

    async def open(self, seed: str) -> Filesystem:
        """Open the folder."""
        drawn = random.Random(seed).randbytes
        surroundings = Surroundings(
            clock=self._clock, worker=InlineWorker(), random=drawn, identity=MemoryWriter(drawn)
        )
        opened = await open_folder(self._store, Membership(keys=(KEY,)), surroundings)
        self.filesystem = opened.filesystem
        return opened.filesystem

    def hurry(self) -> None:
        """Connect again soon after each failure: the back-off has tests of its own."""

        def changed() -> None:
            if self.connector.state == "offline":
                self._clock.callLater(0.5, self.connector.retry)

        self.connector.watch(changed)


class Batch:
    """A folder, a writer behind a proxy, and its cases, one after the other; then the judge's."""

    def __init__(self, way: Way, servers: Servers) -> None:
        self._way = way
        self._servers = servers

    async def run(self, cases: list[Case]) -> list[str]:
        """What was lost, mixed or doubled."""
        endpoint, user, secret = await self._servers.endpoint(self._way.server)
        folder = fresh_folder()
        proxy, hurrying = CuttingProxy(endpoint, MASKED[self._way.mode]), Hurrying()
        between = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.port)
        writer = Client(hurrying.clock, between, user, secret, folder)
        try:
            await self._written(cases, writer, proxy, hurrying)
        finally:
            await proxy.stop()
            await hurrying.stop()
        judge = Client(reactor, endpoint, user, secret, folder)
        fresh = await judge.open(f"judge {folder}")
        try:
            return [wrong for case in cases for wrong in await judged(case, fresh, self._way)]
        finally:
            await fresh.close()

    async def _written(self, cases: list[Case], writer: Client, proxy: CuttingProxy, hurrying: Hurrying) -> None:
        files = await writer.open(str(cases[0].number))
        writer.hurry()
        try:
            old = [files.put(case.path(i), case.content(i, "old")) for case in cases for i in range(self._way.files)]
            await settled(old)
            hurrying.haste = HASTE
            for case in cases:
                await self._case(case, writer, proxy)
        finally:
            hurrying.haste = 1
            proxy.arm(None)
            await files.close()

    async def _case(self, case: Case, writer: Client, proxy: CuttingProxy) -> None:
        while writer.connector.state != "connected":
            await deferLater(reactor, 0.001)
        if self._way.login:
            proxy.drop()
            while writer.connector.state == "connected":
                await deferLater(reactor, 0)
        proxy.arm(case.cut)
        puts = [writer.filesystem.put(case.path(index), case.content(index, "new")) for index in range(self._way.files)]
        for success, result in await DeferredList(puts, consumeErrors=True):
            case.told.append(_told(success=success, result=result))
        case.struck, case.counts = proxy.struck, proxy.counts


def _told(*, success: bool, result: Any) -> tuple[str, str]:
    """What a writer was told; what is no error of the server is a fault of ours, and raised."""
    if success:
        return STORED, result.version
    if result.check(OutcomeUnknown):
        return UNKNOWN, ""
    if result.check(StoreError):
        return FAILED, ""
    result.raiseException()
    raise AssertionError("unreachable")


@deferred
async def judged(case: Case, fresh: Filesystem, way: Way) -> list[str]:
    """What a fresh client finds wrong with one case."""
    wrong = []
    for index, (outcome, version) in enumerate(case.told):
        path, old, new = case.path(index), case.content(index, "old"), case.content(index, "new")
        entries = await fresh.versions(path)
        contents = [await fresh.get(path, version=entry.version) for entry in entries]
        right = {STORED: [[new, old]], FAILED: [[old]], UNKNOWN: [[old], [new, old]]}[outcome]
        named = outcome != STORED or (bool(entries) and entries[0].version == version)
        current = contents and await fresh.get(path) == contents[0]
        if contents not in right or not named or not current or await fresh.conflicts(path):
            what = [content[:20] for content in contents]
            wrong.append(f"{way}, {case.cut}, file {index}: told {outcome}, found {what}")
    return wrong


async def measure(way: Way, servers: Servers) -> dict[str, int]:
    """How many bytes go in each direction when nothing is cut."""
    case = Case(Cut(UP, sys.maxsize, FIN), 0)
    for wrong in await Batch(way, servers).run([case]):
        raise AssertionError(wrong)
    return case.counts


@dataclass(slots=True)
class Coverage:
    """What was done; it is kept in the state file.

    :ivar following: by way, the next of its cuts in :func:`cuts_of`; ``lengths``: its conversation, measured once.
    """

    following: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, way: Way, cases: list[Case]) -> None:
        """Count cases."""
        counted = self.counts.setdefault(str(way), Counter())
        for case in cases:
            counted["cuts" if case.struck else "not reached"] += 1
            counted.update(outcome for outcome, _version in case.told if case.struck)
            counted.update([f"{case.cut.direction} {case.cut.how}"] if case.struck else [])

    @property
    def cuts(self) -> int:
        """How many were made."""
        return sum(counted["cuts"] for counted in self.counts.values())

    def lines(self) -> list[str]:
        """For a person."""
        found = []
        for way, counted in sorted(self.counts.items()):
            lengths = self.lengths[way]
            whole = len(cuts_of(lengths))
            listed = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
            found.append(
                f"{way}: k up to {lengths[UP]} up and {lengths[DOWN]} down; "
                f"{self.following.get(way, 0)} of {whole}: {listed}"
            )
        return [*found, f"{self.cuts} cuts in all"]

    def to_json(self) -> str:
        """As kept in a state file."""
        return json.dumps({"following": self.following, "lengths": self.lengths, "counts": self.counts})

    @classmethod
    def from_json(cls, text: str) -> Coverage:
        """The inverse."""
        value = json.loads(text)
        counts = {way: Counter(counted) for way, counted in value["counts"].items()}
        return cls(value["following"], value["lengths"], counts)


def cuts_of(lengths: dict[str, int], seed: int = 0) -> list[Cut]:
    """Every byte of a conversation in both directions and both manners, in an order drawn from the seed."""
    every = [
        Cut(direction, after, how)
        for direction in (UP, DOWN)
        for after in range(1, lengths[direction] + 1)
        for how in (FIN, RST)
    ]
    random.Random(seed).shuffle(every)
    return every


class Campaign:
    """Takes batches from the ways in turn until it is enough.

    :param workers: batches at a time; ``batch``: cases in each.
    """

    def __init__(
        self, ways: tuple[Way, ...], coverage: Coverage, *, seed: int, workers: int = 4, batch: int = BATCH
    ) -> None:
        self.coverage = coverage
        self.violations: list[str] = []
        self._ways = ways
        self._seed = seed
        self._workers = workers
        self._batch = batch

    async def run(self, count: int, seconds: float | None) -> None:
        """Begin no further batch after ``count`` cases, or after seconds, or once one was wrong."""
        began, servers = reactor.seconds(), Servers()
        try:
            for way in self._ways:
                if str(way) not in self.coverage.lengths:
                    self.coverage.lengths[str(way)] = await measure(way, servers)
            batches = self._batches(count)

            async def work() -> None:
                for way, cases in batches:
                    if self.violations or (seconds is not None and reactor.seconds() - began >= seconds):
                        return
                    self.violations.extend(await Batch(way, servers).run(cases))
                    self.coverage.add(way, cases)
                    before = self.coverage.following.get(str(way), 0)
                    self.coverage.following[str(way)] = max(before, cases[-1].number)

            working = [Deferred.fromCoroutine(work()) for _worker in range(self._workers)]
            for success, failure in await DeferredList(working, consumeErrors=True):
                if not success:
                    failure.raiseException()
        finally:
            await servers.stop()

    def _batches(self, count: int) -> Iterator[tuple[Way, list[Case]]]:
        """From each way in turn the next cases."""
        queues = {way: self._cases(way) for way in self._ways}
        while queues and count > 0:
            for way in list(queues):
                cases = list(itertools.islice(queues[way], min(self._batch, max(count, 0))))
                count -= len(cases)
                if cases:
                    yield way, cases
                else:
                    queues.pop(way)

    def _cases(self, way: Way) -> Iterator[Case]:
        every = cuts_of(self.coverage.lengths[str(way)], self._seed)
        for number in range(self.coverage.following.get(str(way), 0), len(every)):
            yield Case(every[number], number + 1)


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=sys.maxsize, help="Cases to run; default: all.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further batch after so many seconds.")
@click.option("--seed", type=int, default=0, help="The order of the cuts; the same when continued.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue from here, and keep it here.")
@click.option("--server", "names", type=click.Choice(sorted(SERVERS)), multiple=True, help="Only this; default: all.")
@click.option("--workers", type=click.IntRange(min=1), default=4, help="Batches at a time.")
def main(
    count: int, seconds: float | None, seed: int, state: Path | None, names: tuple[str, ...], workers: int
) -> None:
    """Cut the connection at every byte of a put, and let a fresh client judge."""
    coverage = Coverage.from_json(state.read_text()) if state is not None and state.exists() else Coverage()
    ways = tuple(way for way in WAYS if not names or way.server in names)
    campaign = Campaign(ways, coverage, seed=seed, workers=workers)
    react(lambda _reactor: Deferred.fromCoroutine(_reported(campaign, count, seconds, state)))


async def _reported(campaign: Campaign, count: int, seconds: float | None, state: Path | None) -> None:
    """Run it and print; a run that broke off or found something leaves the state as it was."""
    try:
        await campaign.run(count, seconds)
    finally:
        print("\n".join([*campaign.coverage.lines(), *(f"WRONG {wrong}" for wrong in campaign.violations)]))
    if campaign.violations:
        raise SystemExit(1)
    if state is not None:
        _keep(state, campaign.coverage)


def _keep(state: Path, coverage: Coverage) -> None:
    state.write_text(coverage.to_json())


if __name__ == "__main__":
    main()
