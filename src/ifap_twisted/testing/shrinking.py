"""Makes a failing scenario small: whatever can be left out without the failure going away is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ifap_twisted.testing.scenario import Place, Scenario, Step

CALM = Place()


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool], tries: int = 2000) -> Scenario:
    """The smallest scenario found that still fails: fewer devices, fewer steps, quicker networks, rounder numbers.

    :param fails: runs one; true when it fails as the given one does.
    :param tries: how many are run at most.
    """
    attempts = _Attempts(fails, tries)
    before = None
    while before != scenario:
        before = scenario
        scenario = _without_devices(scenario, attempts)
        scenario = _without_steps(scenario, attempts)
        scenario = _calmer(scenario, attempts)
        scenario = _plainer(_simpler(scenario, attempts), attempts)
    return scenario


class _Attempts:
    """Runs scenarios until there were enough; then nothing fails any more."""

    def __init__(self, fails: Callable[[Scenario], bool], tries: int) -> None:
        self._fails = fails
        self._left = tries

    def __call__(self, scenario: Scenario) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(scenario)


def _without_devices(scenario: Scenario, fails: _Attempts) -> Scenario:
    """All steps of a device at once."""
    for who in range(len(scenario.places)):
        fewer = scenario.with_steps([step for step in scenario.steps if step.who != who])
        if len(fewer.steps) < len(scenario.steps) and fails(fewer):
            scenario = fewer
    return scenario


def _without_steps(scenario: Scenario, fails: _Attempts) -> Scenario:
    """Halves, quarters, and at last each step alone (delta debugging)."""
    size = max(1, len(scenario.steps) // 2)
    while True:
        scenario = _without_runs(scenario, size, fails)
        if size == 1:
            return scenario
        size //= 2


def _without_runs(scenario: Scenario, size: int, fails: _Attempts) -> Scenario:
    start = 0
    while start < len(scenario.steps):
        fewer = scenario.with_steps(scenario.steps[:start] + scenario.steps[start + size :])
        if fails(fewer):
            scenario = fewer
        else:
            start += size
    return scenario


def _calmer(scenario: Scenario, fails: _Attempts) -> Scenario:
    """Devices with a good server and a quick line."""
    for who, place in enumerate(scenario.places):
        places = (*scenario.places[:who], CALM, *scenario.places[who + 1 :])
        calmer = replace(scenario, places=places)
        if place != CALM and fails(calmer):
            scenario = calmer
    return scenario


def _simpler(scenario: Scenario, fails: _Attempts) -> Scenario:
    """Steps without what they do not need."""
    for place, step in enumerate(scenario.steps):
        simple = _simplified(step)
        if simple != step:
            simpler = scenario.with_steps([*scenario.steps[:place], simple, *scenario.steps[place + 1 :]])
            if fails(simpler):
                scenario = simpler
    return scenario


def _plainer(scenario: Scenario, fails: _Attempts) -> Scenario:
    """A server without quirks."""
    plain = replace(scenario, quirks=())
    return plain if scenario.quirks and fails(plain) else scenario


def _simplified(step: Step) -> Step:
    return replace(step, at=round(step.at, 1), other="" if step.verb not in {"move", "copy"} else step.other)
