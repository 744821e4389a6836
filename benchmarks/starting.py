"""W11: how long a person waits for a verb that has nothing to do."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks import ours
from benchmarks.devices import Device
from benchmarks.ground import Ground
from benchmarks.report import Row
from benchmarks.samples import Samples

VERSION_SECONDS = 0.15
LIST_SECONDS = 0.5


def w11(ground: Ground, samples: Samples) -> Iterator[Row]:
    """``ifap --version``, and ``ifap ls`` of 100 files through a running node: whole processes."""
    rounds = 2 if ground.quick else 7
    with Device(ground.memory, ours.filled(ground, 100), profile=ground.profile) as device:
        version = statistics.median(device.seconds("--version") for _ in range(rounds))
        yield Row(bar="W11", work="ifap --version", ours=version, limit=VERSION_SECONDS)
        device.start()
        listing = statistics.median(device.seconds("ls", "/dir0") for _ in range(rounds))
        _seconds, watched = device.watched("ls", "/dir0")
        samples.one(watched)
        yield Row(
            bar="W11", work="ifap ls through a node", ours=listing, limit=LIST_SECONDS, profile=watched["profile"]
        )
