"""``python -m tests.campaigns.kills``: kill a process at every step of a change, and let a fresh client judge (bar R2).

Each process is a real one with a basedir, on Dovecot, on a Maildir, or with the embedded server inside, and is ended by
SIGKILL: before a call to the server or after its answer, before a command that marks or expunges messages, before a
file is made, half written, synced, renamed or removed, and between two statements of the embedded server's database. A
fresh client looks; the device is started again, and finishes; the same is asked again; then it is started once more,
and that changes nothing. What is left the model of the reference reads as we do. Exit status: 1 when a state was
neither the old nor the new one.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.campaigns.ground import write_state
from tests.campaigns.killing import EVERY, Case, judged, known
from tests.campaigns.places import ACCOUNTS


@dataclass(slots=True)
class Coverage:
    """What was done: by account and scenario its steps and the cases run; kept in the state file.

    :ivar kinds: of the steps at which a process was killed.
    """

    accounts: tuple[str, ...] = ACCOUNTS
    steps: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def run(self, count: int, going_on: Callable[[], bool], seed: int) -> None:
        """Kill at steps in an order of the seed, each scenario in turn, ``count`` times."""
        for case in itertools.islice(self._turns(seed), count):
            if self.violations or not going_on():
                return
            reached, self.violations = judged(case)
            self.kinds[known(case.account, case.scenario).steps[case.step - 1] if reached else "not reached"] += 1
            self.done[f"{case.account}: {case.scenario}"] += 1

    def _turns(self, seed: int) -> Iterator[Case]:
        every = [(account, scenario) for account in self.accounts for scenario in EVERY[account]]
        random.Random(seed).shuffle(every)
        while every:
            for account, scenario in list(every):
                name = f"{account}: {scenario}"
                self.steps[name] = len(known(account, scenario).steps)
                order = list(range(1, self.steps[name] + 1))
                random.Random(f"{seed} {name}").shuffle(order)
                if self.done[name] < self.steps[name]:
                    yield Case(account, scenario, order[self.done[name]])
                else:
                    every.remove((account, scenario))

    def lines(self) -> list[str]:
        """For a person."""
        each = [f"{name}: {count} of {self.steps.get(name, '?')} steps" for name, count in sorted(self.done.items())]
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.kinds.items()))
        total = f"{self.done.total()} kills in {len(self.done)} of {sum(map(len, EVERY.values()))} scenarios"
        return [*each, f"before: {kinds}", total]

    def to_json(self) -> str:
        """As kept in a state file."""
        return json.dumps({"done": self.done, "kinds": self.kinds})


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=sys.maxsize, help="Kills; default: all.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further case after so many seconds.")
@click.option("--seed", type=int, default=0, help="The order of the steps; the same when continued.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue from here, and keep it here.")
@click.option("--account", "accounts", type=click.Choice(ACCOUNTS), multiple=True, help="Only this; default: all.")
def main(count: int, seconds: float | None, seed: int, state: Path | None, accounts: tuple[str, ...]) -> None:
    """Kill a process at every step of a change, and let a fresh client judge."""
    coverage = Coverage(accounts or ACCOUNTS)
    if state is not None and state.exists():
        kept = json.loads(state.read_text())
        coverage.done.update(kept["done"])
        coverage.kinds.update(kept["kinds"])
    began = time.monotonic()

    def going_on() -> bool:
        if state is not None:
            write_state(state, coverage.to_json())
        return seconds is None or time.monotonic() - began < seconds

    coverage.run(count, going_on, seed)
    print("\n".join([*coverage.lines(), *(f"WRONG {wrong}" for wrong in coverage.violations)]))
    if state is not None and not coverage.violations:
        write_state(state, coverage.to_json())
    sys.exit(1 if coverage.violations else 0)


if __name__ == "__main__":
    main()
