"""``python -m tests.campaigns.cuts``: cut the connection at every byte of a put, and let a fresh client judge (bar R1).

A case is a put (or three that leave together) over a version that is there, and one :class:`Cut`. Many cases share a
folder; each has paths of its own. The writer goes on after the cut: it connects again, looks, and perhaps sends again.
Its waits are on a clock that runs thirty times too fast within the cases. Afterwards a fresh client reads all versions,
and the model of the reference program all files. Exit status: 1 when something was lost, mixed or doubled.

The first half of the cuts is each byte once, in one manner or the other; the second half each byte in the other one.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater, react

from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import IFAPError, OutcomeUnknown, StoreError
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.campaigns.cutting import DOWN, FIN, RST, UP, Cut, CuttingProxy
from tests.campaigns.ground import KEY, write_state
from tests.campaigns.hurrying import Hurrying
from tests.campaigns.reference import unlike_reference
from tests.campaigns.servers import Client, Servers
from tests.live.servers import fresh_folder

HASTE = 30
"""Seconds of the clients' clock in one of ours."""
SIZE = 4096
"""Bytes of a file; sealed it has twice as many, and its conversation more."""
STORED, FAILED, UNKNOWN = "stored", "failed", "unknown"
MASKED = {
    "literal+": (b"MULTIAPPEND",),
    "synchronising": (b"MULTIAPPEND", b"LITERAL+"),
    "multiappend": (),
}
SERVERS = {"dovecot": tuple(MASKED), "embedded": ("literal+", "synchronising")}
"""The modes of each server: our own has no MULTIAPPEND."""
BATCH = 40
SLACK = 16
"""Bytes by which a conversation may be longer than the one that was measured: numbers grow."""


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
        wrong: list[str] = []
        contents: dict[str, bytes] = {}
        try:
            for case in cases:
                wrong += await judged(case, fresh, self._way, contents)
            reference = unlike_reference(await judge.messages(), KEY.text, contents)
        finally:
            await fresh.close()
        return [*wrong, *(f"{self._way}, cases from {cases[0].number}: {what}" for what in reference)]

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
async def judged(case: Case, fresh: Filesystem, way: Way, current: dict[str, bytes]) -> list[str]:
    """What a fresh client finds wrong with one case.

    :param current: takes the content of each file, by its path.
    """
    wrong = []
    for index, (outcome, version) in enumerate(case.told):
        path, old, new = case.path(index), case.content(index, "old"), case.content(index, "new")
        right = {STORED: [[new, old]], FAILED: [[old]], UNKNOWN: [[old], [new, old]]}[outcome]
        try:
            entries = await fresh.versions(path)
            contents = [await fresh.get(path, version=entry.version) for entry in entries]
            current[path] = await fresh.get(path)
            conflicts = await fresh.conflicts(path)
        except IFAPError as error:
            wrong.append(f"{way}, {case.cut}, file {index}: told {outcome}, found {error!r}")
            continue
        named = outcome != STORED or entries[0].version == version
        if contents not in right or not named or current[path] != contents[0] or conflicts:
            what = [content[:20] for content in contents]
            wrong.append(f"{way}, {case.cut}, file {index}: told {outcome}, found {what}")
    return wrong


async def measure(way: Way, servers: Servers) -> dict[str, int]:
    """How many bytes can be cut in each direction: of a put, or, with a login, of what comes before it."""
    whole = await _counted(way, servers)
    if not way.login:
        return {direction: count + SLACK for direction, count in whole.items()}
    put = await _counted(replace(way, login=False), servers)
    return {direction: count - put[direction] + SLACK for direction, count in whole.items()}


async def _counted(way: Way, servers: Servers) -> dict[str, int]:
    """How many bytes go in each direction when nothing is cut."""
    case = Case(Cut(UP, sys.maxsize, FIN), 0)
    for wrong in await Batch(way, servers).run([case]):
        raise AssertionError(wrong)
    return case.counts


@dataclass(slots=True)
class Coverage:
    """What was done; it is kept in the state file.

    :ivar following: by way, how many of its cuts in :func:`cuts_of` were made, from the first; ``counts``: of these.
    :ivar lengths: by way, how many bytes can be cut; measured once.
    """

    following: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    _early: dict[tuple[str, int], list[Case]] = field(default_factory=dict)

    def add(self, way: Way, cases: list[Case]) -> None:
        """Count a batch, as soon as all before it were counted: so that a run that breaks off leaves no gap."""
        self._early[str(way), cases[0].number - 1] = cases
        while following := self._early.pop((str(way), self.following.get(str(way), 0)), None):
            self.following[str(way)] = following[-1].number
            self._count(self.counts.setdefault(str(way), Counter()), following)

    def _count(self, counted: Counter[str], cases: list[Case]) -> None:
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
            listed = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
            found.append(
                f"{way}: k up to {lengths[UP]} up and {lengths[DOWN]} down; "
                f"{self.following[way]} of {2 * sum(lengths.values())}: {listed}"
            )
        bytes_ = sum(sum(lengths.values()) for lengths in self.lengths.values())
        once = sum(min(self.following.get(way, 0), sum(lengths.values())) for way, lengths in self.lengths.items())
        return [*found, f"{self.cuts} cuts in all; {once} of {bytes_} bytes"]

    def to_json(self) -> str:
        """As kept in a state file."""
        return json.dumps({"following": self.following, "lengths": self.lengths, "counts": self.counts})

    @classmethod
    def from_json(cls, text: str) -> Coverage:
        """The inverse."""
        value = json.loads(text)
        counts = {way: Counter(counted) for way, counted in value["counts"].items()}
        return cls(value["following"], value["lengths"], counts)


@lru_cache
def cuts_of(up: int, down: int, seed: int = 0) -> tuple[Cut, ...]:
    """Every byte in both directions, in an order and a manner of the seed; then each in the other manner."""
    drawn = random.Random(seed)
    places = [(direction, k) for direction, count in ((UP, up), (DOWN, down)) for k in range(1, count + 1)]
    drawn.shuffle(places)
    first = [Cut(direction, k, drawn.choice((FIN, RST))) for direction, k in places]
    return (*first, *(replace(cut, how=RST if cut.how == FIN else FIN) for cut in first))


class Campaign:
    """Takes batches from the ways in turn until it is enough.

    :param workers: batches at a time; ``batch``: cases in each.
    :param keep: called after each batch in which nothing was wrong.
    """

    def __init__(
        self,
        ways: tuple[Way, ...],
        coverage: Coverage,
        *,
        seed: int,
        workers: int = 4,
        batch: int = BATCH,
        keep: Callable[[Coverage], None] = lambda _coverage: None,
    ) -> None:
        self.coverage = coverage
        self.violations: list[str] = []
        self._ways = ways
        self._seed = seed
        self._workers = workers
        self._batch = batch
        self._keep = keep

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
                    await self._one(way, cases, servers)

            working = [Deferred.fromCoroutine(work()) for _worker in range(self._workers)]
            for success, failure in await DeferredList(working, consumeErrors=True):
                if not success:
                    failure.raiseException()
        finally:
            await servers.stop()

    async def _one(self, way: Way, cases: list[Case], servers: Servers) -> None:
        wrong = await Batch(way, servers).run(cases)
        self.violations += wrong
        if not wrong:
            self.coverage.add(way, cases)
            self._keep(self.coverage)

    def _batches(self, count: int) -> Iterator[tuple[Way, list[Case]]]:
        """From each way in turn the next cases; first of all every byte once."""
        for half in (1, 2):
            queues = {way: self._cases(way, half) for way in self._ways}
            while queues and count > 0:
                for way in list(queues):
                    cases = list(itertools.islice(queues[way], min(self._batch, max(count, 0))))
                    count -= len(cases)
                    if cases:
                        yield way, cases
                    else:
                        queues.pop(way)

    def _cases(self, way: Way, half: int) -> Iterator[Case]:
        lengths = self.coverage.lengths[str(way)]
        every = cuts_of(lengths[UP], lengths[DOWN], self._seed)
        for number in range(self.coverage.following.get(str(way), 0), half * len(every) // 2):
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

    def keep(found: Coverage) -> None:
        if state is not None:
            write_state(state, found.to_json())

    campaign = Campaign(ways, coverage, seed=seed, workers=workers, keep=keep)
    react(lambda _reactor: Deferred.fromCoroutine(_reported(campaign, count, seconds)))


async def _reported(campaign: Campaign, count: int, seconds: float | None) -> None:
    """Run it and print."""
    try:
        await campaign.run(count, seconds)
    finally:
        print("\n".join([*campaign.coverage.lines(), *(f"WRONG {wrong}" for wrong in campaign.violations)]))
    if campaign.violations:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
