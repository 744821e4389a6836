"""Many simulated runs, one seed after the other: what they covered, and the first that broke a promise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ifap_twisted.testing.device import Plant
from ifap_twisted.testing.judgement import Violation, judge
from ifap_twisted.testing.scenario import Scenario, draw
from ifap_twisted.testing.shrinking import shrink
from ifap_twisted.testing.simulation import simulate
from ifap_twisted.testing.trace import Trace

FORMAT = 2
COUNTED = ("actions", "faults", "situations", "worlds")


@dataclass(slots=True)
class Coverage:
    """What was done and met.

    :ivar seeds: runs; ``actions``: calls by verb and outcome; ``faults``: those that struck;
        ``situations``: what they led to; ``worlds``: runs by world.
    """

    seeds: int = 0
    versions: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    situations: Counter[str] = field(default_factory=Counter)
    worlds: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0

    def add(self, trace: Trace) -> None:
        """Count one run."""
        self.seeds += 1
        self.worlds[trace.scenario.world] += 1
        self.actions.update(f"{call.verb} {call.outcome}" for call in trace.calls)
        self.faults.update(trace.troubles)
        self.faults.update(trace.scenario.quirks)
        self.situations.update(trace.situations)
        self.versions += len(trace.sent)
        self.conflicts += len(trace.observations[0].conflicts) if trace.observations else 0

    def to_json(self) -> dict[str, Any]:
        """As kept in a state file."""
        counted = {name: dict(getattr(self, name)) for name in COUNTED}
        return {"seeds": self.seeds, "versions": self.versions, "conflicts": self.conflicts, **counted}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Coverage:
        """As read from a state file."""
        counters = {name: Counter(value[name]) for name in COUNTED}
        return cls(seeds=value["seeds"], versions=value["versions"], conflicts=value["conflicts"], **counters)

    def lines(self) -> list[str]:
        """For a person: one line for each kind of action, with its outcomes by number."""
        outcomes: dict[str, Counter[str]] = {}
        for name, count in self.actions.items():
            verb, _, outcome = name.partition(" ")
            outcomes.setdefault(verb, Counter())[outcome] = count
        found = [f"{self.seeds} seeds, {self.versions} versions sent, {self.conflicts} conflict heads reported"]
        found.append("worlds: " + _listed(self.worlds))
        found.append("faults: " + _listed(self.faults))
        found.append("situations: " + _listed(self.situations))
        found.extend(f"{verb}: {_listed(counts)}" for verb, counts in sorted(outcomes.items()))
        return found


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


@dataclass(frozen=True, slots=True)
class Found:
    """A seed that broke promises, and the smallest scenario that still breaks one of them."""

    seed: int
    violations: tuple[Violation, ...]
    scenario: Scenario


@dataclass(slots=True)
class Campaign:
    """Seeds from ``following`` on.

    :param plant: breaks every filesystem, so that the campaign can be seen to find it.
    """

    following: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    worlds: Sequence[str] = ("memory",)
    plant: Plant | None = None

    def run(self, count: int, go_on: Callable[[], bool] = lambda: True) -> Found | None:
        """Run so many seeds, as long as ``go_on`` says; stop at the first that breaks a promise."""
        for _ in range(count):
            if not go_on():
                break
            seed = self.following
            scenario = draw(seed, self.worlds)
            trace = simulate(scenario, self.plant)
            violations = judge(trace)
            self.coverage.add(trace)
            self.following = seed + 1
            if violations:
                return Found(seed, tuple(violations), self.shrunk(scenario, violations))
        return None

    def shrunk(self, scenario: Scenario, violations: Sequence[Violation]) -> Scenario:
        """The smallest scenario that breaks one of the same promises."""
        promises = {violation.promise for violation in violations}

        def fails(candidate: Scenario) -> bool:
            return any(violation.promise in promises for violation in judge(simulate(candidate, self.plant)))

        return shrink(scenario, fails)

    def to_json(self) -> str:
        """To be continued."""
        return json.dumps({"format": FORMAT, "following": self.following, "coverage": self.coverage.to_json()}) + "\n"

    @classmethod
    def from_json(cls, text: str, worlds: Sequence[str] = ("memory",)) -> Campaign:
        """Continue.

        :raises ValueError, KeyError: it is no state of a campaign.
        """
        value = json.loads(text)
        if value["format"] != FORMAT:
            raise ValueError("the state is of another version")
        return cls(value["following"], Coverage.from_json(value["coverage"]), worlds)
