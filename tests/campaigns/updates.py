"""``python -m tests.campaigns.updates``: many devices change the same files, and no change is lost (bar R4).

A history is thousands of operations of eight devices: most read a file, add a line and write it back if nobody was
faster; some write blindly. Connections break, answers are lost, devices die with writes in their journals. Afterwards
the history is checked as a list of appends: each acknowledged write is current, an ancestor of the current version that
its successors knew, or in a conflict that is reported; and of two changes of one version only one was told that it had
succeeded, unless the conflict between them was reported. Exit status: 1 when an update was lost.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

import click

from ifap_twisted.testing.device import Plant
from ifap_twisted.testing.judgement import agreed
from ifap_twisted.testing.scenario import Place, Scenario, Step
from ifap_twisted.testing.simulation import simulate
from ifap_twisted.testing.trace import CANCELLED, CRASHED, DONE, UNENDED, Call, Observation, Trace
from ifap_twisted.testing.worlds import WORLDS
from tests.campaigns.ground import write_state
from tests.campaigns.reference import undisputed, unread_by_reference
from tests.campaigns.tidying import unlike_tidied

DEVICES = 8
OPERATIONS = 10_200
"""Some find their device dead, so that it is still more than 10,000 that are done."""
FILES = 40
"""Of which four are written to at a time."""
HOT = 250
"""Operations after which it is others."""
CHANGES = (*["append"] * 12, *["edit"] * 3, *["put"] * 4, "create")
FAULTS = ("offline", "offline", "slow", "fail", "lose", "late", "answer-lost", "drop", "double", "cancel")
LIFE = ("crash", "crash", "crash", "crash", "close", "renumber")
PERHAPS = frozenset({CRASHED, CANCELLED, UNENDED, "outcome-unknown", "stored-as-conflict"})
WRITES = frozenset(CHANGES)
COUNTED = ("outcomes", "troubles")
KEPT = ("following", "histories", "conflicts", "read", "tidied", *COUNTED)
"""What a state file holds."""


def draw(seed: int, operations: int, world: str) -> Scenario:
    """The history of a seed: it has so many operations, and a fault with one in twelve."""
    random = Random(f"updates {seed}")
    places = tuple(_place(random) for _ in range(DEVICES))
    steps = [Step(0.01 * who, who, "open") for who in range(DEVICES)]
    at = 2.0
    for number in range(operations):
        hot = [f"f{(number // HOT * 3 + one) % FILES}" for one in range(4)]
        at = round(at + random.choice((0.0, 0.0, 0.001, 0.01, 0.3, 2.0)), 4)
        verb = "read" if random.random() < 0.15 else random.choice(CHANGES)
        steps.append(Step(at, random.randrange(DEVICES), verb, random.choice(hot), "", random.randrange(1000)))
        if random.random() < 1 / 12:
            steps.append(Step(at, random.randrange(DEVICES), random.choice(FAULTS), "", "", random.randrange(1000)))
        if random.random() < 1 / 150:
            steps.append(Step(at, random.randrange(DEVICES), random.choice(LIFE), "", "", 1 + random.randrange(4)))
    return Scenario(seed, world, places, tuple(steps))


def _place(random: Random) -> Place:
    return Place(
        poor=random.random() < 0.2,
        late=random.random() < 0.2,
        latency=random.choice((0.0, 0.02, 0.1, 0.5)),
        skew=random.choice((0.0, 0.0, -600.0, 600.0)),
    )


@dataclass(slots=True)
class Ledger:
    """The versions of one path, numbered in the order in which they were first sent.

    Sets of versions are the bits of an integer, so that thousands of them can be compared.

    :ivar claimed: by version, those that it descends from by its clock; ``known``: those that its writer, and theirs,
        had seen.
    """

    vids: list[str]
    claimed: list[int]
    known: list[int]

    @classmethod
    def of(cls, trace: Trace, path: str, vids: list[str]) -> Ledger:
        """That of a path."""
        place = {vid: number for number, vid in enumerate(vids)}
        versions = [trace.sent[path, vid].version for vid in vids]
        by_writer: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, version in enumerate(versions):
            by_writer[version.writer].append((version.clock[version.writer], number))
        claimed = []
        for number, version in enumerate(versions):
            bits = sum(
                1 << other
                for writer, most in version.clock.items()
                for own, other in by_writer.get(writer, ())
                if own <= most
            )
            claimed.append(bits & ~(1 << number))
        known: list[int] = []
        for vid in vids:  # what a version's writer knew was sent before
            bits = 0
            for other in trace.sent[path, vid].known:
                if other in place:
                    bits |= 1 << place[other] | known[place[other]]
            known.append(bits)
        return cls(vids, claimed, known)

    def named(self, bits: int) -> list[str]:
        """The versions of a set."""
        return [self.vids[number] for number in self.members(bits)]

    def members(self, bits: int) -> list[int]:
        """The numbers in a set."""
        return [number for number in range(bits.bit_length()) if bits >> number & 1]


def lost(trace: Trace) -> Iterator[str]:
    """Everything that is wrong with a history; nothing, when no update was lost."""
    yield from trace.logged
    fresh = next((seen for seen in trace.observations if seen.who == "fresh"), None)
    if fresh is None:
        yield "no fresh client could look at the folder"
        return
    yield from _unended(trace)
    there = {(path, one.vid): one.content for path, found in fresh.versions.items() for one in found}
    yield from _contents(trace, there)
    ledgers = {
        path: Ledger.of(trace, path, [vid for name, vid in trace.sent if name == path and (path, vid) in there])
        for path in fresh.versions
    }
    for path, ledger in ledgers.items():
        yield from _hidden(path, ledger)
        yield from _unreachable(fresh, path, ledger)
    yield from _doubled(trace, ledgers, fresh)
    yield from (f"{seen.who} has {seen.pending} writes pending" for seen in trace.observations if seen.pending)
    yield from map(str, agreed(trace))


def _unended(trace: Trace) -> Iterator[str]:
    for call in trace.calls:
        if call.outcome == UNENDED or call.outcome.startswith("bug"):
            yield f"{_name(call)}: {call.outcome}"


def _name(call: Call) -> str:
    return f"call {call.number} ({call.verb} /{call.path} by device {call.device})"


def _contents(trace: Trace, there: Mapping[tuple[str, str], bytes | None]) -> Iterator[str]:
    """What was acknowledged is there, what failed is not, and reads gave what was written."""
    stored = Counter(sent.call for place, sent in trace.sent.items() if place in there)
    for call in trace.calls:
        if call.verb in WRITES and call.outcome == DONE and there.get((call.path, call.version or "")) != call.content:
            yield f"{_name(call)} was acknowledged and is not there with its content"
        most = 1 if call.outcome == DONE or call.outcome in PERHAPS else 0
        if call.verb in WRITES and stored[call.number] > most:
            yield f"{_name(call)}: {call.outcome}, but it is there {stored[call.number]} times"
        read = (call.path, call.version or "")
        if call.verb == "read" and call.outcome == DONE and read in there and there[read] != call.data:
            yield f"{_name(call)} gave another content than that of its version"
    for path, vid in there:
        if (path, vid) not in trace.sent:
            yield f"/{path}: nobody wrote {vid}"


def _hidden(path: str, ledger: Ledger) -> Iterator[str]:
    """A version seems to descend from one that its writer did not know: that one is lost to everybody."""
    for number, vid in enumerate(ledger.vids):
        unknown = ledger.claimed[number] & ~ledger.known[number]
        if unknown:
            yield f"/{path}: {vid} hides {ledger.named(unknown)}"


def _unreachable(fresh: Observation, path: str, ledger: Ledger) -> Iterator[str]:
    """Each version is current, an ancestor of it, or in the conflict that is reported (with its ancestors)."""
    shown = {vid for name, _kind, vid in fresh.listing if name == path}
    shown |= {vid for name, vid in fresh.conflicts if name == path}
    reached, waiting = 0, [number for number, vid in enumerate(ledger.vids) if vid in shown]
    while waiting:
        number = waiting.pop()
        if not reached >> number & 1:
            reached |= 1 << number
            waiting += ledger.members(ledger.claimed[number] & ~reached)
    missing = ((1 << len(ledger.vids)) - 1) & ~reached
    if missing:
        yield f"/{path}: neither current, nor before it, nor in a conflict: {ledger.named(missing)}"


def _doubled(trace: Trace, ledgers: Mapping[str, Ledger], fresh: Observation) -> Iterator[str]:
    """Of two changes of one version both were acknowledged, and neither was a conflict ever."""
    changes: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in trace.calls:
        present = call.path in ledgers and call.version in ledgers[call.path].vids
        if call.verb in WRITES and call.outcome == DONE and call.expect is not None and present:
            changes[call.path, call.expect].append(call)
    for (path, vid), calls in changes.items():
        if len(calls) > 1 and not _met(ledgers[path], calls, {one for name, one in fresh.conflicts if name == path}):
            yield f"/{path}: {[_name(call) for call in calls]} all changed {vid}, and no conflict was reported"


def _met(ledger: Ledger, calls: list[Call], conflicts: set[str]) -> bool:
    """They are in a conflict now, or a later version descends from all of them, whose writer had seen it."""
    places = [ledger.vids.index(call.version or "") for call in calls]
    together = sum(1 << place for place in places)
    apart = not any(ledger.claimed[one] & together for one in places)
    merged = any(bits & together == together for bits in ledger.known)
    return apart and (merged or {call.version for call in calls} <= conflicts)


@dataclass(slots=True)
class Campaign:
    """Histories of one seed after the other; the model of the reference reads the folder that each leaves.

    :ivar outcomes: operations by verb and outcome; ``troubles``: the faults that struck; ``read``: files that the
        reference read as they were left, ``tidied``: all that there are, after conflicts were ended and old versions
        collected.
    :ivar plant: breaks every filesystem, so that the campaign can be seen to find it.
    """

    world: str = "memory"
    operations: int = OPERATIONS
    following: int = 0
    plant: Plant | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    histories: int = 0
    conflicts: int = 0
    read: int = 0
    tidied: int = 0

    def run(self, count: int, go_on: Callable[[], bool]) -> list[str]:
        """Run so many histories, as long as ``go_on`` says; what was lost in the first that lost any."""
        for _ in range(count):
            if not go_on():
                break
            trace = simulate(draw(self.following, self.operations, self.world), self.plant)
            self.following += 1
            self.histories += 1
            self.outcomes.update(f"{call.verb} {call.outcome}" for call in trace.calls)
            self.troubles.update(trace.troubles)
            self.conflicts += len(trace.observations[0].conflicts) if trace.observations else 0
            found = list(dict.fromkeys(lost(trace))) or self._read_by_reference(trace)
            if found:
                return [f"seed {self.following - 1}: {line}" for line in found]
        return []

    def _read_by_reference(self, trace: Trace) -> list[str]:
        """What the reference reads otherwise of what is left."""
        if wrong := unread_by_reference(trace):
            return wrong
        files, wrong = unlike_tidied(trace)
        self.read += sum(1 for _file in undisputed(trace))
        self.tidied += files
        return wrong

    def lines(self) -> list[str]:
        """For a person."""
        counts = [f"{name}: {count}" for name, count in sorted(self.outcomes.items())]
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.troubles.items()))
        done = sum(count for name, count in self.outcomes.items() if name.split()[0] in {*WRITES, "read"})
        last = (
            f"{self.histories} histories, {done} operations of {DEVICES} devices, {self.conflicts} conflict heads, "
            f"{self.read} files read by the reference as they were left, {self.tidied} (all) after tidying up"
        )
        return [*counts, f"faults: {faults}", last]

    def to_json(self) -> str:
        """To be continued."""
        return json.dumps({name: getattr(self, name) for name in KEPT})

    def take_up(self, text: str) -> None:
        """Go on where a state file says."""
        kept = json.loads(text)
        for name in KEPT:
            setattr(self, name, Counter(kept[name]) if name in COUNTED else kept[name])


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=1, help="Histories; default: one.")
@click.option("--operations", type=click.IntRange(min=10), default=OPERATIONS, help="Of each; default: 10,200.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further history after so many seconds.")
@click.option("--seed", type=click.IntRange(min=0), help="The first; default 0, or where --state stopped.")
@click.option("--world", type=click.Choice(sorted(WORLDS)), default="memory")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue from here, and keep it here.")
def main(count: int, operations: int, seconds: float | None, seed: int | None, world: str, state: Path | None) -> None:
    """Let eight devices change the same files, and check that no change is lost."""
    campaign = Campaign(world=world, operations=operations)
    if state is not None and state.exists():
        campaign.take_up(state.read_text(encoding="utf-8"))
    campaign.following = campaign.following if seed is None else seed
    began = monotonic()

    def go_on() -> bool:
        if state is not None:
            write_state(state, campaign.to_json())
        return seconds is None or monotonic() - began < seconds

    found = campaign.run(count, go_on)
    print("\n".join([*campaign.lines(), f"{monotonic() - began:.1f} s", *(f"LOST {line}" for line in found)]))
    if not found:
        go_on()
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
