"""``python -m ifap_twisted.testing.simulate``: a campaign of simulated runs, one run again, or a shrunk script.

Exit status: 0 no promise was broken; 1 one was, and the script that shows it is printed; 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import click

from ifap_twisted.testing.campaign import Campaign, Found
from ifap_twisted.testing.judgement import judge
from ifap_twisted.testing.scenario import Scenario, draw
from ifap_twisted.testing.simulation import simulate
from ifap_twisted.testing.worlds import WORLDS

ENDLESS = sys.maxsize


def run_campaign(
    campaign: Campaign,
    count: int,
    seconds: float | None,
    now: Callable[[], float],
    out: TextIO,
    save: Callable[[], None] = lambda: None,
) -> bool:
    """Run seeds, say what they covered, and whether all promises were kept.

    :param seconds: begin no further seed after so long; None: only ``count`` ends it.
    :param save: called before each seed, so that a campaign that is killed goes on where it was.
    """
    began, before = now(), campaign.coverage.seeds

    def go_on() -> bool:
        save()
        return seconds is None or now() - began < seconds

    found = campaign.run(count, go_on)
    save()
    took = max(now() - began, 1e-9)
    ran = campaign.coverage.seeds - before
    for line in campaign.coverage.lines():
        print(line, file=out)
    print(f"{ran} seeds in {took:.1f} s, {ran / took:.1f} each second; the next is {campaign.following}", file=out)
    if found is not None:
        tell(found, out)
    return found is None


def tell(found: Found, out: TextIO) -> None:
    """Say which promises were broken, and print the script."""
    print(f"seed {found.seed} broke:", file=out)
    for violation in found.violations:
        print(f"  {violation}", file=out)
    print("the smallest script that still breaks one of them (for --script):", file=out)
    print(found.scenario.to_json(), file=out, end="")


def replay(scenario: Scenario, out: TextIO) -> bool:
    """Run one scenario, print what happened, and say whether all promises were kept."""
    trace = simulate(scenario)
    start = min((call.began for call in trace.calls), default=0.0)
    for call in trace.calls:
        names = " ".join(f"/{name}" for name in (call.path, call.other) if name)
        when = "-" if call.ended is None else f"{call.ended - start:.3f}"
        print(
            f"{call.began - start:9.3f} {when:>9} device {call.device}: {call.verb} {names}: {call.outcome}"
            f"{' ' + call.version if call.version else ''}",
            file=out,
        )
    violations = judge(trace)
    print(f"digest {trace.digest()}", file=out)
    for violation in violations:
        print(f"broken: {violation}", file=out)
    return not violations


@click.command()
@click.option("--count", type=click.IntRange(min=1), help="Seeds to run; without --seconds the default is 200.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no further seed after so many seconds.")
@click.option("--seed", type=click.IntRange(min=0), help="The first seed; default 0, or where --state stopped.")
@click.option("--world", "worlds", type=click.Choice(sorted(WORLDS)), multiple=True, help="Only this; default: all.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Continue from here, and keep it here.")
@click.option("--replay", "again", type=click.IntRange(min=0), help="Run this seed alone and print what happened.")
@click.option("--script", type=click.File("r", encoding="utf-8"), help="Run a printed script instead of a seed.")
def main(
    count: int | None,
    seconds: float | None,
    seed: int | None,
    worlds: tuple[str, ...],
    state: Path | None,
    again: int | None,
    script: TextIO | None,
) -> None:
    """Simulate folders, devices and servers that do their worst, and judge what became of every write."""
    from time import monotonic  # noqa: PLC0415 -- the only clock here, and only for the campaign's own pace

    chosen = worlds or tuple(WORLDS)
    if script is not None or again is not None:
        scenario = _script(script) if script is not None else draw(again or 0, chosen)
        sys.exit(0 if replay(scenario, sys.stdout) else 1)
    campaign = Campaign(worlds=chosen)
    if state is not None and state.exists():
        campaign = _continued(state, chosen)
    if seed is not None:
        campaign.following = seed
    most = count if count is not None else (200 if seconds is None else ENDLESS)
    kept = run_campaign(campaign, most, seconds, monotonic, sys.stdout, lambda: _keep(campaign, state))
    sys.exit(0 if kept else 1)


def _keep(campaign: Campaign, state: Path | None) -> None:
    if state is not None:
        written = state.with_name(state.name + ".tmp")
        written.write_text(campaign.to_json(), encoding="utf-8")
        written.replace(state)


def _script(file: TextIO) -> Scenario:
    try:
        return Scenario.from_json(file.read())
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"{file.name} is no script of a simulated run: {error}") from error


def _continued(state: Path, worlds: tuple[str, ...]) -> Campaign:
    try:
        return Campaign.from_json(state.read_text(encoding="utf-8"), worlds)
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"{state} is no state of a campaign: {error}") from error


if __name__ == "__main__":
    main()
