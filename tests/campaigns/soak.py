"""``python -m tests.campaigns.soak``: many operations in one process, under faults, and nothing may grow (bar R24).

Several devices, each with a basedir, work in a folder of the embedded server and in one of Dovecot. Connections are
cut, appends and fetches refused, our own server and the devices started again. From time to time everything comes to
rest: a fresh client and the model of the reference compare what is there with what the callers know, conflicts are
resolved, old versions expunged so that the folders keep their size; and the process looks at what it holds.

The clients' clock is thirty times too fast. Exit status: 1 when something was wrong, or grew by more than 5 % after the
warm-up: memory, handles, threads, delayed calls, objects, entries of containers. The clocks of versions become longer
for tens of thousands of operations, with each writer that is drawn: they are counted apart, and have a bound that is
judged at each rest, as the versions that a device remembers to be gone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from traceback import format_exc
from typing import Any

import click
from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react
from twisted.logger import LogLevel, globalLogBeginner, globalLogPublisher

from tests.campaigns.folders import World
from tests.campaigns.gauges import Look, grown, growth, look, types
from tests.campaigns.ground import in_memory, write_state
from tests.campaigns.hurrying import HurriedReactor, Hurrying
from tests.campaigns.servers import Servers

SERVERS = ("embedded", "dovecot")
HASTE = 30
ROUND = 2_000
"""Operations between two rests."""
WARM = 15
"""Rounds after which nothing grows any more: by then a device remembers as many versions that are gone as it may."""


@dataclass(slots=True)
class Coverage:
    """What was done, in this process and, with a state file, in those before."""

    operations: int = 0
    done: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """For a person."""
        return [
            *(f"{name} {count}" for name, count in sorted(self.done.items())),
            "faults: " + ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())),
            f"{self.operations} operations",
        ]

    def to_json(self) -> str:
        """As kept in a state file."""
        return json.dumps({"operations": self.operations, "done": self.done, "faults": self.faults})

    @classmethod
    def from_json(cls, text: str) -> Coverage:
        """The inverse."""
        value = json.loads(text)
        return cls(value["operations"], Counter(value["done"]), Counter(value["faults"]))


class Soak:
    """A run in this process.

    :param told: takes a line after each round.
    :ivar looks: one for each rest.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        seed: int,
        *,
        coverage: Coverage | None = None,
        per_round: int = ROUND,
        warm: int = WARM,
        told: Any = lambda _line: None,
    ) -> None:
        self.coverage = coverage or Coverage()
        self.wrong: list[str] = []
        self.looks: list[Look] = []
        self._names = names
        self._seed = f"{seed} {self.coverage.operations}"
        self._per_round = per_round
        self._warm = warm
        self._told = told
        self._operations = 0
        self._types: Counter[str] = Counter()

    @property
    def warmed(self) -> list[Look]:
        """The looks after the warm-up."""
        return self.looks[self._warm :]

    async def run(self, count: int, seconds: float | None = None) -> None:
        """Begin no further round after ``count`` operations, after seconds, or once something was wrong."""
        began, servers, hurrying = reactor.seconds(), Servers(), Hurrying(HASTE)
        globalLogPublisher.addObserver(self._logged)
        base = Path(tempfile.mkdtemp(prefix="ifap-soak-", dir=in_memory()))
        clock = HurriedReactor(hurrying.clock)
        worlds = [World(name, servers, clock, base / name, Random(f"{self._seed} {name}")) for name in self._names]
        try:
            for world in worlds:
                await world.start()
            while self._operations < count and not self.wrong:
                if seconds is not None and reactor.seconds() - began >= seconds:
                    break
                await self._round(worlds, hurrying)
        finally:
            for world in worlds:
                await world.stop()
            await hurrying.stop()
            await servers.stop()
            shutil.rmtree(base)
            globalLogPublisher.removeObserver(self._logged)

    def _logged(self, event: dict[str, Any]) -> None:
        """Nothing fails unheard."""
        if event.get("log_level", LogLevel.info) >= LogLevel.error:
            failure = event.get("log_failure")
            what = "" if failure is None else failure.getTraceback()
            self.wrong.append(f"logged: {event.get('log_namespace')} {event.get('log_format')} {what}")

    async def _round(self, worlds: list[World], hurrying: Hurrying) -> None:
        lanes = sum(len(world.lanes) for world in worlds)
        each = max(1, self._per_round // lanes)
        await gatherResults([Deferred.fromCoroutine(world.work(each)) for world in worlds], consumeErrors=True)
        for world in worlds:
            self.wrong += await world.rest()
        self._operations += each * lanes
        self.coverage.operations += each * lanes
        for world in worlds:
            self.coverage.done += world.taken_done()
            self.coverage.faults += world.taken_faults()
        await deferLater(reactor, 0.2)  # connections that were closed are gone then
        calls = len(reactor.getDelayedCalls()) + len(hurrying.clock.getDelayedCalls())
        self.looks.append(look(self._operations, calls))
        if len(self.looks) == self._warm + 1:
            self._types = types()
        self._told(str(self.looks[-1]))

    def more(self) -> list[str]:
        """Which types of objects there are more of than after the warm-up, most first."""
        more = types() - self._types
        return [f"{name} +{count}" for name, count in more.most_common(25)]


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=100_000, help="Operations; default: 100,000.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further round after so many seconds.")
@click.option("--seed", type=int, default=0, help="What is done, and when which fault happens.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue counting, and keep it here.")
@click.option("--server", "names", type=click.Choice(SERVERS), multiple=True, help="Only this; default: both.")
def main(count: int, seconds: float | None, seed: int, state: Path | None, names: tuple[str, ...]) -> None:
    """Let devices work under faults for long, and see that nothing grows."""
    coverage = Coverage.from_json(state.read_text()) if state is not None and state.exists() else Coverage()
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # until then events are kept, and whose they are
    soak = Soak(names or SERVERS, seed, coverage=coverage, told=lambda line: print(line, flush=True))
    react(lambda _reactor: Deferred.fromCoroutine(_reported(soak, count, seconds, state)))


async def _reported(soak: Soak, count: int, seconds: float | None, state: Path | None) -> None:
    try:
        await soak.run(count, seconds)
    except Exception:  # what the log would tell goes nowhere
        soak.wrong.append(format_exc())
    finally:
        print("\n".join([*soak.coverage.lines(), *(f"WRONG {wrong}" for wrong in soak.wrong)]))
    if not soak.warmed:
        print("too short to say whether anything grows")
    elif grown(soak.warmed):
        print("\n".join(f"GROWN {what}" for what in (*grown(soak.warmed), *soak.more())))
    else:
        print("growth in per cent: " + ", ".join(f"{name} {cent:.1f}" for name, cent in growth(soak.warmed).items()))
    if soak.wrong or (soak.warmed and grown(soak.warmed)):
        raise SystemExit(1)
    if state is not None:
        write_state(state, soak.coverage.to_json())


if __name__ == "__main__":
    main()
