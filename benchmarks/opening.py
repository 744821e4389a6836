"""W2, W4, W7: opening a folder of which nothing or much is known, looking for news, and many files."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks import cipher, ours, raw
from benchmarks.ground import Account, Ground
from benchmarks.link import line_to
from benchmarks.report import Row, times
from benchmarks.samples import Rounds, Samples

FACTOR = 1.5
LINEAR = 1.25
SMALL = 64
"""Bytes of a file in the folders of which only headers are read."""


def w2(ground: Ground, samples: Samples) -> Iterator[Row]:
    """From nothing to an open folder of 10,000 files: connecting, logging in, reading and opening all headers.

    Against 1.5 times one FETCH of the same headers and opening them on one core. Then with a snapshot in the folder:
    round trips after the login.
    """
    count = ground.count(10_000)
    folder = ours.filled(ground, count, SMALL)
    yield cold_open(ground, samples, ground.memory, folder, count)
    row = cold_open(ground, samples, ground.disk(), ours.filled(ground, count, SMALL, ground.disk()), count)
    yield replace(row, work="  of a Maildir on disk")
    ours.run(ground, "snapshot", folder, count)
    found = _through_line(ground, samples, "open", folder, count, rounds=1)
    yield Row(
        bar="W2",
        work=f"cold open of {count} files with a snapshot",
        ours=found.most("round_trips"),
        unit="trips",
        limit=4,
        note=f"{found.median('seconds'):.3f} s; {found.most('all_round_trips'):.0f} with the login",
    )


def cold_open(ground: Ground, samples: Samples, account: Account, folder: str, count: int) -> Row:
    """One row of W2 or W7."""
    parts = header_parts(ground, account, folder)
    found = samples.of(lambda: ours.run(ground, "open", folder, count, account=account))
    return Row(
        bar=samples.bar,
        work=f"cold open of {count} files",
        ours=found.median("seconds"),
        limit=times(FACTOR, parts),
        parts=parts,
        note=f"CPU {found.median('cpu'):.3f} s, {found.most('peak_mib'):.0f} MiB",
        profile=found.profile,
    )


def header_parts(ground: Ground, account: Account, folder: str) -> Mapping[str, float]:
    """One raw FETCH of all headers, and opening them: medians."""
    found = []
    for _ in range(1 if ground.quick else 3):
        with raw.Session(account) as session:
            session.select(folder)
            seconds, headers = session.headers()
        found.append((seconds, cipher.opening_headers(headers)))
    names = ("raw FETCH", "opening")
    return {name: statistics.median(one[place] for one in found) for place, name in enumerate(names)}


def _through_line(
    ground: Ground, samples: Samples, work: str, folder: str, count: int, *, rounds: int | None = None, **more: Any
) -> Rounds:
    """Counted by a line that adds nothing."""
    with line_to(ground.memory, 0) as (account, control):
        return samples.of(
            lambda: ours.run(ground, work, folder, count, account=account, control=control, **more), rounds
        )


def w4(ground: Ground, samples: Samples) -> Iterator[Row]:
    """Looking for news when there are none: on the open connection, after it broke, and in a new process.

    The round trips may not grow with the folder.
    """
    for count in map(ground.count, (1000,) if ground.quick else (1000, 10_000, 100_000)):
        folder = ours.filled(ground, count, SMALL)
        for work, limit, told in (
            ("refresh", 1, "refresh, nothing changed"),
            ("reconnect", 4, "  the same after the connections broke"),
        ):
            found = _through_line(ground, samples, work, folder, count, rounds=1)
            yield _trips(f"{told}, {count} files", found, limit)
        with tempfile.TemporaryDirectory(prefix="ifap-") as basedir:
            _through_line(ground, samples, "open", folder, count, rounds=1, basedir=basedir)
            found = _through_line(ground, samples, "open", folder, count, rounds=1, basedir=basedir)
        yield _trips(f"  warm start of a new process, {count} files", found, 4)


def _trips(work: str, found: Rounds, limit: float) -> Row:
    trips = found.most("round_trips")
    return Row(
        bar="W4", work=work, ours=trips, unit="trips", limit=limit, note=f"{found.median('seconds'):.4f} s",
        profile=found.profile,
    )  # fmt: skip


def w7(ground: Ground, samples: Samples) -> Iterator[Row]:
    """A folder of 100,000 files: cold open, warm start, ``ls -R``, one put; memory at most 300 MiB.

    Linear: 100,000 take at most ten times what 10,000 take, and a quarter more for what differs from run to run. A put
    takes at most what it takes in an empty folder, and half as much again.
    """
    few, many = ground.count(10_000), ground.count(100_000)
    peaks = []
    with scaled(ground, samples, few) as small, scaled(ground, samples, many) as large:
        for name, work in (("open", "cold open"), ("warm", "warm start"), ("list", "ls -R")):
            linear = small(name).median("seconds") * many / few
            parts = {f"{few} files, times {many // few}": linear}
            try:
                found = large(name)
            except ours.Failed as failed:
                yield Row(bar="W7", work=f"{work} of {many} files", ours=None, note=str(failed))
            else:
                peaks.append(found.most("peak_mib"))
                yield _times(f"{work} of {many} files", found, LINEAR, parts)
        with scaled(ground, samples, 0) as empty:
            parts = {"in an empty folder": empty("put_one").median("seconds")}
        found = large("put_one")
        yield _times(f"one put among {many} files", found, FACTOR, parts)
    peaks.append(found.most("peak_mib"))
    yield Row(bar="W7", work=f"memory with {many} files", ours=max(peaks), unit="MiB", limit=300)


def _times(work: str, found: Rounds, factor: float, parts: Mapping[str, float]) -> Row:
    return Row(
        bar="W7",
        work=work,
        ours=found.median("seconds"),
        limit=times(factor, parts),
        parts=parts,
        note=f"CPU {found.median('cpu'):.3f} s",
        profile=found.profile,
    )


@contextmanager
def scaled(ground: Ground, samples: Samples, count: int) -> Iterator[Callable[[str], Rounds]]:
    """A folder of so many files; gives what does a work in it, ``warm`` being ``open`` with the basedir of the last."""
    folder = ours.filled(ground, count, SMALL)
    with tempfile.TemporaryDirectory(prefix="ifap-") as basedir:

        def once(work: str) -> Rounds:
            name, more = ("open", {"basedir": basedir}) if work in ("open", "warm") else (work, {})
            return samples.of(lambda: ours.run(ground, name, folder, count, **more), 1)

        yield once
