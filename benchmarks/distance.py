"""W5: a server that is far away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.live.servers import fresh_folder

from benchmarks import ours
from benchmarks.ground import SIZE, Ground, tree
from benchmarks.link import line_to
from benchmarks.report import Row
from benchmarks.samples import Samples

MOST = 6


def w5(ground: Ground, samples: Samples) -> Iterator[Row]:
    """Putting 100 files, reading 100 files, opening 1,000 files over a line with a round trip of 50 ms.

    At most 6 round trips each after the login; of a put and a read those that an open folder makes.
    """
    few, many = ground.count(100), ground.count(1000)
    with tempfile.TemporaryDirectory(prefix="ifap-w5-") as base:
        tree(Path(base), [SIZE] * few)
        works = (
            (f"put {few} files", "put_tree", fresh_folder(), few, Path(base)),
            (f"read {few} files", "get", ours.filled(ground, few), few, None),
            (f"cold open of {many} files", "open", ours.filled(ground, many), many, None),
        )
        for told, work, folder, count, source in works:
            with line_to(ground.memory, ground.rtt) as (account, control):
                found = samples.of(
                    lambda work=work, folder=folder, count=count, source=source: ours.run(  # type: ignore[misc]
                        ground, work, folder, count, account=account, control=control, tree=source
                    ),
                    1,
                )  # fmt: skip
            seconds = found.median("seconds")
            yield Row(
                bar="W5",
                work=f"{told} at {ground.rtt:.0f} ms",
                ours=found.most("round_trips"),
                unit="trips",
                limit=MOST,
                note=f"{seconds:.3f} s; {found.most('all_round_trips'):.0f} trips with the login",
                profile=found.profile,
            )
