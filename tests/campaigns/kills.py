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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred

from ifap_twisted.errors import CallerError
from ifap_twisted.interfaces import IFilesystem
from tests.campaigns.ground import KEY, write_state
from tests.campaigns.places import ACCOUNTS, Place, messages
from tests.campaigns.reference import unlike_reference
from tests.campaigns.scenarios import SCENARIOS, Shown, mixed, populate, shown, thinned
from tests.campaigns.victims import Fate, Killed, in_process, make_steps

AGAIN = "start after "
"""A scenario that begins so is a start that is killed, after a process that was killed in the middle of a change."""
REMOVING = "collect what was planned"
"""Its grace is over."""
GRACE = 8 * 86400.0
STARTS = tuple(AGAIN + name for name in ("put one", "put new, large", "move one new", "three puts at once"))
EVERY = dict.fromkeys(ACCOUNTS, (*SCENARIOS, *STARTS, REMOVING)) | {"plain": (REMOVING,)}
"""The scenarios of each account; without UIDPLUS removing alone is done otherwise."""


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario on an account, and the step that the process does not survive."""

    account: str
    scenario: str
    step: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a scenario on an account when nobody is killed."""

    steps: tuple[str, ...]
    before: Shown
    after: Shown


def change_of(scenario: str) -> Callable[[Any], Deferred[Any]]:
    """What is done in a scenario."""
    return SCENARIOS["collect" if scenario == REMOVING else scenario.removeprefix(AGAIN)]


async def victim(reactor: Any, place: Place, scenario: str, last: int | None) -> list[str]:
    """The life of a process that is to be killed; the steps, when it was not."""
    fate, start = Fate(last), scenario.startswith(AGAIN)
    make_steps(fate)
    if start:
        fate.arm()
    async with place.device(reactor) as filesystem:
        if scenario in SCENARIOS:
            await populate(filesystem)
        fate.arm()
        await (settled(filesystem) if start else change_of(scenario)(filesystem))
    return fate.disarm()


def prepare(place: Place, account: str, scenario: str) -> None:
    """What comes before, when it is more than to fill an empty folder."""

    async def plan(reactor: Any) -> int:
        async with place.device(reactor) as filesystem:
            await populate(filesystem)
            await change_of(scenario)(filesystem)
            return max(await messages(filesystem))

    if scenario == REMOVING:
        place.age(in_process(plan), GRACE)
    elif scenario.startswith(AGAIN):
        change = scenario.removeprefix(AGAIN)
        middle = known(account, change).steps.index("store append") + 1
        with suppress(Killed):
            in_process(lambda reactor: victim(reactor, place, change, middle))


async def settled(filesystem: IFilesystem) -> None:
    """Let what was left behind be finished."""
    await filesystem.refresh()
    status = await filesystem.status()
    if status.pending:
        raise AssertionError(f"something is pending for ever: {status}")


@lru_cache
def known(account: str, scenario: str) -> Known:
    """Run a scenario without killing anybody."""
    with _place(account) as place:
        prepare(place, account, scenario)
        before = (
            _populated(account) if scenario in SCENARIOS else in_process(lambda reactor: fresh_look(reactor, place))
        )
        steps = in_process(lambda reactor: victim(reactor, place, scenario, None))
        after = in_process(lambda reactor: fresh_look(reactor, place))
    if scenario.startswith(AGAIN):  # who was killed in the middle may have stored anything that he was about to
        change = known(account, scenario.removeprefix(AGAIN))
        before, after = change.before, change.after
    return Known(tuple(steps), before, after)


@lru_cache
def _populated(account: str) -> Shown:
    async def work(reactor: Any) -> None:
        async with place.device(reactor) as filesystem:
            await populate(filesystem)

    with _place(account) as place:
        in_process(work)
        return in_process(lambda reactor: fresh_look(reactor, place))


@contextmanager
def _place(account: str) -> Iterator[Place]:
    place = Place(account)
    try:
        yield place
    finally:
        place.remove()


async def fresh_look(reactor: Any, place: Place) -> Shown:
    """What a fresh client shows."""
    async with place.fresh(reactor) as filesystem:
        return await shown(filesystem)


def judged(case: Case) -> tuple[bool, list[str]]:
    """Run one case: whether the step was reached, and what is wrong."""
    found = known(case.account, case.scenario)
    with _place(case.account) as place:
        try:
            prepare(place, case.account, case.scenario)
            reached = _kill(case, place)
            look = in_process(lambda reactor: fresh_look(reactor, place))
            wrong = list(_between(case, look, found, "killed"))
            wrong += in_process(lambda reactor: _started_again(reactor, place, case, found))
            place.settle()
            wrong += in_process(lambda reactor: _started_once_more(reactor, place, found))
        except RuntimeError as error:
            return True, [f"{case}: {error}"]
    return reached, [f"{case}: {what}" for what in wrong]


def _kill(case: Case, place: Place) -> bool:
    """Let a process live until its step; False: it did not come to it."""
    try:
        in_process(lambda reactor: victim(reactor, place, case.scenario, case.step))
    except Killed:
        return True
    return False


def _between(case: Case, look: Shown, found: Known, when: str) -> Iterator[str]:
    """What is neither old nor new; of what is collected any part may be gone."""
    return (thinned if case.scenario == REMOVING else mixed)(look, found.before, found.after, when)


async def _started_again(reactor: Any, place: Place, case: Case, found: Known) -> list[str]:
    """The device finishes what was left; the same change once more completes what was not begun."""
    async with place.device(reactor) as filesystem:
        await settled(filesystem)
        wrong = list(_between(case, await shown(filesystem), found, "started again"))
        with suppress(CallerError):  # it was done before: what is there says whether
            await change_of(case.scenario)(filesystem)
        look = await shown(filesystem)
        if look.files != found.after.files:
            wrong.append(f"after it was asked again the device shows {sorted(look.files)}")
        if case.scenario == REMOVING and look.versions != found.after.versions:
            wrong.append("after it was asked again not all is collected, or too much")
    return wrong


async def _started_once_more(reactor: Any, place: Place, found: Known) -> list[str]:
    """Another start finds nothing to do; a fresh client and the reference see what the device sees."""
    async with place.fresh(reactor) as fresh:
        before, look = await messages(fresh), await shown(fresh)
        wrong = ["a fresh client has conflicts"] if await fresh.conflicts() else []
    async with place.device(reactor) as filesystem:
        await settled(filesystem)
        if await shown(filesystem) != look or look.files != found.after.files:
            wrong.append(f"after another start the device shows {sorted(look.files)}, or not what a fresh client does")
    async with place.fresh(reactor) as fresh:
        after = await messages(fresh)
        if after != before:
            wrong.append(f"another start changed the messages from {sorted(before)} to {sorted(after)}")
    files = {path: content for path, content in look.files.items() if content is not None}
    return [*wrong, *unlike_reference(before, KEY.text, files)]


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
