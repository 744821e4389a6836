"""The command of a campaign whose cases are numbered: each number decides everything of its case."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import click

from tests.campaigns.ground import write_state

Case = Callable[[int], tuple[Counter[str], list[str]]]
"""Runs the case of a number: what there was of it, and what was wrong."""


@dataclass(slots=True)
class Campaign:
    """Cases in the order of their numbers, until one is wrong."""

    case: Case
    following: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def run(self, count: int, going_on: Callable[[], bool]) -> None:
        """Run so many cases, or fewer when it is enough."""
        for _ in range(count):
            if self.wrong or not going_on():
                return
            found, wrong = self.case(self.following)
            self.counts.update(found)
            self.wrong += [f"case {self.following}: {what}" for what in wrong]
            self.following += 1

    def lines(self) -> list[str]:
        """For a person."""
        counted = [f"{name}: {count}" for name, count in sorted(self.counts.items())]
        return [*counted, f"up to case {self.following}", *(f"WRONG {what}" for what in self.wrong)]


def command(case: Case, about: str) -> click.Command:
    """A command with ``--count --seconds --seed --state``.

    The state is kept before each case, so that a run that was ended in the middle goes on with it, and so does one of
    which a case was wrong. Exit status: 1 when one was.
    """

    def main(count: int, seconds: float | None, seed: int | None, state: Path | None) -> None:
        campaign = Campaign(case)
        if state is not None and state.exists():
            found = json.loads(state.read_text())
            campaign.following, campaign.counts = found["following"], Counter(found["counts"])
        campaign.following = campaign.following if seed is None else seed
        began = monotonic()

        def going_on() -> bool:
            if state is not None:
                write_state(state, json.dumps({"following": campaign.following, "counts": campaign.counts}))
            return seconds is None or monotonic() - began < seconds

        campaign.run(count, going_on)
        print("\n".join(campaign.lines()))
        if not campaign.wrong:
            going_on()
        sys.exit(1 if campaign.wrong else 0)

    options = [
        click.Option(["--count"], type=click.IntRange(min=1), default=100, help="Cases; default: 100."),
        click.Option(["--seconds"], type=click.FloatRange(min=0), help="Begin no further case after so many seconds."),
        click.Option(["--seed"], type=click.IntRange(min=0), help="The first; default 0, or where --state stopped."),
        click.Option(["--state"], type=click.Path(dir_okay=False, path_type=Path), help="Continue, and keep it, here."),
    ]
    return click.Command("campaign", callback=main, params=options, help=about)
