"""Measures ifap-twisted beside what the server and the cipher allow, in one run against one Dovecot.

    python -m benchmarks [--only W1,W3] [--rtt MS] [--json FILE] [--profile] [--plot DIR] [--quick]

The server keeps its mail in memory (sdbox, mail_fsync=never), so that the figures tell of the client; some bars are
measured with a Maildir on disk, too. docs/development/performance.rst says what each bar means.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import distance, opening, plots, report, starting, storing, trees, web
from benchmarks.ground import Ground, server_in_memory, server_on_disk
from benchmarks.ours import Failed
from benchmarks.report import Row
from benchmarks.samples import Samples
from benchmarks.watchdog import LONG

Bar = Callable[[Ground, Samples], Iterator[Row]]

BARS: dict[str, Bar] = {
    "W1": storing.w1,
    "W2": opening.w2,
    "W3": storing.w3,
    "W4": opening.w4,
    "W5": distance.w5,
    # W6, one large file, is a command of its own: benchmarks.large.
    "W7": opening.w7,
    "W8": trees.w8,
    "W9": web.w9,
    "W11": starting.w11,
}


def w10(samples: Samples) -> Iterator[Row]:
    """The longest time for which a reactor of ours did not look at its connections, in each bar that was measured."""
    for bar, (longest, busiest, many) in samples.longest.items():
        yield Row(
            bar="W10",
            work=f"longest stretch without the reactor in {bar}",
            ours=longest,
            unit="ms",
            limit=LONG * 1000,
            note=f"{many} above {LONG * 1000:.0f} ms; CPU of one at most {busiest:.0f} ms",
            profile=samples.where.get(bar, []),
        )


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, and print a table."""
    options = _options(arguments)
    wanted = options.only.split(",") if options.only else [*BARS, "W10"]
    unknown = set(wanted) - {*BARS, "W10"}
    if unknown:
        print(f"There is no bar {', '.join(sorted(unknown))}: {', '.join([*BARS, 'W10'])}", file=sys.stderr)
        return 2
    if options.plot and not plots.can_draw():
        print("--plot needs matplotlib: pip install 'ifap-twisted[plots]'", file=sys.stderr)
        return 2
    rows: list[Row] = []
    more: dict[str, Any] = {"machine": report.machine(), "rtt_ms": options.rtt, "quick": options.quick}
    print(report.HEADING, flush=True)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # what was started is ended then, too
    with ExitStack() as servers:
        ground = Ground(
            memory=servers.enter_context(server_in_memory()),
            disk=cache(lambda: servers.enter_context(server_on_disk())),
            rtt=options.rtt,
            profile=options.profile,
            quick=options.quick,
        )
        samples = Samples(1 if options.quick else 3)
        for row in _rows(ground, samples, wanted):
            rows.append(row)
            print(row.line(), *(f"       {line}" for line in row.profile), sep="\n", flush=True)
        if options.plot:
            more["curves"] = plots.measured(ground, samples)
            for picture in plots.drawn(more["curves"], options.plot):
                print(picture)
    if options.json:
        report.write(options.json, rows, **more)
    return int(any(row.work.startswith("failed") for row in rows))


def _rows(ground: Ground, samples: Samples, wanted: list[str]) -> Iterator[Row]:
    for name, bar in BARS.items():
        if name in wanted:
            samples.bar = name
            try:
                yield from bar(ground, samples)
            except Failed as failed:
                print(failed.told, file=sys.stderr)
                yield Row(bar=name, work="failed, and what comes after it is not measured", ours=None, note=str(failed))
    if "W10" in wanted:
        yield from w10(samples)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="W1,W3", help="the bars to measure; W10 is about the others (all)")
    parser.add_argument("--rtt", type=float, default=50.0, metavar="MS", help="the round trip of W5 (50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    parser.add_argument("--profile", action="store_true", help="tell where the time goes; all figures become worse")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="measure and draw cost against size, too")
    parser.add_argument("--quick", action="store_true", help="everything small: only to see that it runs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
