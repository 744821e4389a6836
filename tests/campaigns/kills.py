"""``python -m tests.campaigns.kills``: kill a device at every step of a change, and let a fresh client judge (bar R2).

A step is a call to the store or to the disk; the device dies before the call is made, or after it without the answer.
The basedir and the server outlive it. Then it is started again, the same is asked again, and it is started once more:
that changes nothing. Exit status: 1 when a state was found that is neither the old nor the new one.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core.values import ABSENT
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import CallerError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.testing.process import Lifetime
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import KEY, Folder, result

CALLS = frozenset({"append", "remove", "headers", "poll", "uids", "message", "find", "dates"})
BIG = b"big " * 60_000
Listing = dict[str, bytes | None]
"""By path the content; None for a directory."""


class Fate:
    """Counts the steps of a process, and ends it at one.

    :ivar last: the step that it does not survive; None: it lives.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.last: int | None = None
        self.dead = False

    def step(self, call: Callable[[], Any]) -> Deferred[Any]:
        """Two steps: before the call, and after it."""
        if self._dies():
            return Deferred()
        done = maybeDeferred(call)
        return Deferred() if self._dies() else done

    def _dies(self) -> bool:
        self.steps += 1
        self.dead = self.dead or self.steps == self.last
        return self.dead


class Store:
    """A store whose calls are steps."""

    def __init__(self, store: Any, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in CALLS:
            return found
        return lambda *args, **kwargs: self._fate.step(lambda: found(*args, **kwargs))


class Machine:
    """A folder, and a device with a basedir that is started again and again."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder()
        path.mkdir(mode=0o700)
        self._basedir = Basedir(path)
        result(self._basedir.hold(0, self.folder.clock))
        self._graves: list[Any] = []

    def start(self) -> tuple[Filesystem, Fate]:
        """What was before is dead: no timer of it fires, no answer reaches it."""
        for _filesystem, store, lifetime, fate in self._graves:
            fate.dead = True
            lifetime.end()
            self.folder.shelf.detach(store)
        fate, lifetime, store = Fate(), Lifetime(self.folder.clock), self.folder.store()

        def worker(work: Callable[[], Any]) -> Deferred[Any]:
            return fate.step(work)

        surroundings = Surroundings(
            clock=lifetime,
            worker=InlineWorker(),
            random=self.folder.random,
            identity=result(FileWriter.open(self._basedir, self.folder.random, worker)),
            journal=lambda keys: FileJournal(self._basedir, keys, random=self.folder.random, worker=worker),
        )
        opening = open_folder(Store(store, fate), Membership(keys=(KEY,)), surroundings)
        filesystem = result(Deferred.fromCoroutine(opening)).filesystem
        self._graves.append((filesystem, store, lifetime, fate))
        return filesystem, fate

    def rest(self) -> None:
        """Let what was left behind be finished."""
        for _second in range(90):
            self.folder.clock.advance(1)

    def messages(self) -> dict[int, bytes]:
        """What is on the server."""
        return dict(self.folder.shelf.messages)

    def end(self) -> None:
        """Let go of the basedir."""
        self._basedir.close()


IMPLIED = frozenset({"d", "d/e"})
"""Directories that are there because of what is in them. When the last file in one goes, a marker is sent together with
the file's end; a kill between the two leaves no empty directory behind. No content is in that, so it is not judged."""


@deferred
async def listing(filesystem: Filesystem) -> Listing:
    """What a client shows."""
    entries = [entry for entry in await filesystem.list("/", recursive=True) if entry.path not in IMPLIED]
    return {entry.path: None if entry.type == "directory" else await filesystem.get(entry.path) for entry in entries}


@deferred
async def populate(filesystem: Filesystem) -> None:
    """What is there before."""
    files = {"three": b"123", "one": b"1", "d/x": b"x", "d/e/y": b"y", "gone": b"g"}
    for path, contents in files.items():
        for content in contents:
            await filesystem.put(path, b"content " + bytes([content]) + path.encode())
    await filesystem.remove("gone")
    await filesystem.make_directory("empty")


@deferred
async def _restore(filesystem: Filesystem, path: str) -> None:
    versions = await filesystem.versions(path)
    await filesystem.restore(path, versions[-1].version)


@deferred
async def _edit(filesystem: Filesystem, path: str, content: bytes) -> None:
    before = await filesystem.stat(path)
    await filesystem.put(path, content, expect=before.version)


@deferred
async def _batch(filesystem: Filesystem, *names: str) -> None:
    async with filesystem.batch():
        for name in names:
            await filesystem.put(name, b"batched " + name.encode())


def _put(path: str, content: bytes = b"new", **more: Any) -> Callable[[Filesystem], Deferred[Any]]:
    return lambda f: f.put(path, content, **more)


SCENARIOS: dict[str, Callable[[Filesystem], Deferred[Any]]] = {
    **{f"put {name}": _put(name) for name in ("new", "one", "three", "gone", "d/x", "d/e/y", "d/new", "n/e/w")},
    **{f"put {name}, large": _put(name, BIG) for name in ("new", "one", "three")},
    "put one, empty": _put("one", b""),
    "put new if absent": _put("new", expect=ABSENT),
    **{f"edit {name}": (lambda f, n=name: _edit(f, n, b"new")) for name in ("one", "three", "d/x")},
    **{f"remove {name}": (lambda f, n=name: f.remove(n)) for name in ("one", "three", "d/x", "d/e/y")},
    **{f"remove {name}, all": (lambda f, n=name: f.remove(n, recursive=True)) for name in ("d", "d/e")},
    **{
        f"{verb} {source} {to}": (lambda f, v=verb, s=source, t=to: getattr(f, v)(s, t))
        for verb, source, to in itertools.product(("move", "copy"), ("one", "three", "d/x"), ("new", "n/new"))
    },
    **{f"keep {name} {n}": (lambda f, a=name, n=n: f.keep(a, n)) for name in ("one", "three") for n in (1, 2, 9)},
    **{f"mkdir {name}": (lambda f, n=name: f.make_directory(n, parents=True)) for name in ("new", "n/e/w", "d/new")},
    "rmdir empty": lambda f: f.remove_directory("empty"),
    "undelete gone": lambda f: f.undelete("gone"),
    "restore three": lambda f: _restore(f, "three"),
    "snapshot": lambda f: f.snapshot(),
    "batch of three": lambda f: _batch(f, "one", "new", "d/new"),
    "three puts at once": lambda f: gatherResults([f.put(n, b"new") for n in ("one", "new", "d/x")]),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario and the step that the device does not survive."""

    scenario: str
    step: int


def steps_of(scenario: str) -> tuple[int, Listing, Listing]:
    """How many steps there are when nobody is killed; the old listing and the new one."""
    with _machine() as machine:
        filesystem, fate = machine.start()
        result(populate(filesystem))
        before, began = result(listing(machine.folder.device())), fate.steps
        result(SCENARIOS[scenario](filesystem))
        return fate.steps - began, before, result(listing(machine.folder.device()))


@contextmanager
def _machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="ifap-kills-") as directory:
        machine = Machine(Path(directory) / "node")
        try:
            yield machine
        finally:
            machine.end()


def judged(case: Case, before: Listing, after: Listing) -> list[str]:
    """Run one case; what is wrong with it."""
    with _machine() as machine:
        filesystem, fate = machine.start()
        result(populate(filesystem))
        fate.last = fate.steps + case.step
        SCENARIOS[case.scenario](filesystem).addErrback(lambda _failure: None)
        wrong = list(_mixed(result(listing(machine.folder.device())), before, after, "killed"))
        again, _fate = machine.start()
        machine.rest()
        wrong += _mixed(result(listing(again)), before, after, "started again")
        wrong += _asked_again(case, machine, again, after)
        return [f"{case}: {what}" for what in wrong]


def _asked_again(case: Case, machine: Machine, again: Filesystem, after: Listing) -> Iterator[str]:
    """The same change once more completes what was killed; another start finds nothing to do."""
    with suppress(CallerError):  # it was done before: what is there says whether
        result(SCENARIOS[case.scenario](again))
    for who, client in (("the device", again), ("a fresh client", machine.folder.device())):
        if result(listing(client)) != after:
            yield f"after it was asked again {who} shows {sorted(result(listing(client)))}"
        if result(client.conflicts()):
            yield f"{who} has conflicts"
    kept = machine.messages()
    last, _fate = machine.start()
    machine.rest()
    if machine.messages() != kept or result(listing(last)) != after:
        yield "another start changed something"
    if result(last.status()).pending:
        yield "something is pending for ever"


def _mixed(found: Listing, before: Listing, after: Listing, when: str) -> Iterator[str]:
    """Each path is as before or as after; no content that both have, or that was moved, is absent."""
    missing = object()
    for path in sorted({*found, *before, *after}):
        if found.get(path, missing) not in (before.get(path, missing), after.get(path, missing)):
            yield f"{when}: {path} is neither old nor new"
    lost = set(before.values()) & set(after.values()) - set(found.values())
    if lost:
        yield f"{when}: {lost} is nowhere"


@dataclass(slots=True)
class Coverage:
    """What was done: by scenario its steps and the cases run; kept in the state file."""

    steps: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def run(self, count: int, going_on: Callable[[], bool], seed: int) -> None:
        """Kill at steps in an order of the seed, each scenario in turn, ``count`` times."""
        for _scenario, cases in itertools.islice(self._turns(seed), count):
            if not going_on() or self.violations:
                return
            self.violations += cases()

    def _turns(self, seed: int) -> Iterator[tuple[str, Callable[[], list[str]]]]:
        known = {}
        for turn in itertools.count():
            open_ = [name for name in SCENARIOS if name not in self.steps or self.done[name] < self.steps[name]]
            if not open_:
                return
            name = open_[turn % len(open_)]
            if name not in known:
                known[name] = steps_of(name)
                self.steps[name] = known[name][0]
            order = list(range(1, self.steps[name] + 1))
            random.Random(f"{seed} {name}").shuffle(order)
            case = Case(name, order[self.done[name]])
            self.done[name] += 1
            yield name, lambda case=case, known=known[name]: judged(case, *known[1:])

    def lines(self) -> list[str]:
        """For a person."""
        each = [f"{name}: {count} of {self.steps[name]} steps" for name, count in sorted(self.done.items())]
        return [*each, f"{self.done.total()} kills in {len(self.done)} of {len(SCENARIOS)} scenarios"]


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=sys.maxsize, help="Kills; default: all.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further case after so many seconds.")
@click.option("--seed", type=int, default=0, help="The order of the steps; the same when continued.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue from here, and keep it here.")
def main(count: int, seconds: float | None, seed: int, state: Path | None) -> None:
    """Kill a device at every step of a change, and let a fresh client judge."""
    coverage = Coverage()
    if state is not None and state.exists():
        coverage.done.update(json.loads(state.read_text()))
    coverage.steps.update({name: steps_of(name)[0] for name in coverage.done})
    began = time.monotonic()
    coverage.run(count, lambda: seconds is None or time.monotonic() - began < seconds, seed)
    print("\n".join([*coverage.lines(), *(f"WRONG {wrong}" for wrong in coverage.violations)]))
    if state is not None and not coverage.violations:
        state.write_text(json.dumps(coverage.done))
    sys.exit(1 if coverage.violations else 0)


if __name__ == "__main__":
    main()
