"""W8: a tree as people have them, there and back, beside what others do."""

from __future__ import annotations

import filecmp
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.live.servers import fresh_folder

from benchmarks import rivals
from benchmarks.devices import Device
from benchmarks.ground import Ground, tree
from benchmarks.report import Row
from benchmarks.samples import Samples

FILES = 5000
BYTES = 200_000_000
LARGEST = 16 * 1024 * 1024
RESTIC = 2.0


def sizes(files: int, total: int, seed: int = 6) -> list[int]:
    """Many small files and a few large ones, together about so many bytes; the same for the same seed."""
    drawn = random.Random(seed)
    rough = [drawn.lognormvariate(0, 2) for _ in range(files)]
    return [min(int(size * total / sum(rough)), LARGEST) for size in rough]


def w8(ground: Ground, samples: Samples) -> Iterator[Row]:
    """``put -r`` of 5,000 files with 200 MB together, and ``get -r`` of them: whole commands without a node.

    Faster than rclone, and at most twice as long as restic, in the same run. All servers keep their data in memory.
    """
    count = ground.count(FILES)
    with tempfile.TemporaryDirectory(prefix="ifap-w8-", dir="/dev/shm") as base:
        source, back = Path(base) / "tree", Path(base) / "back"
        tree(source, sizes(count, BYTES * count // FILES))
        put, get, profiles = _ours(ground, samples, source, back)
        theirs = dict(_theirs(source))
    for place, (work, ours) in enumerate((("put -r", put), ("get -r", get))):
        parts = {name: found[place] for name, found in theirs.items()}
        limit = min(parts["rclone"], RESTIC * parts["restic"]) if parts else None
        told = ", ".join(f"{name} {seconds:.2f} s (ours {ours / seconds:.2f} times)" for name, seconds in parts.items())
        yield Row(
            bar="W8",
            work=f"{work} of {count} files, {BYTES * count // FILES / 1e6:.0f} MB",
            ours=ours,
            limit=limit,
            note=told or f"without {' and '.join(rivals.missing())}: benchmarks/install.sh",
            profile=profiles[place],
        )


def _ours(ground: Ground, samples: Samples, source: Path, back: Path) -> tuple[float, float, list[list[str]]]:
    """Seconds of both commands; what came back is what went."""
    with Device(ground.memory, fresh_folder(), profile=ground.profile) as device:
        put, stored = device.watched("-q", "put", "-r", f"{source}/", "/tree/")
        get, fetched = device.watched("-q", "get", "-r", "/tree/", str(back))
    for found in (stored, fetched):
        samples.one(found)
    root = next(path for path in (back, back / "tree") if (path / "d0").is_dir())
    names = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    _equal, unequal, unreadable = filecmp.cmpfiles(source, root, names, shallow=False)
    if unequal or unreadable:
        raise RuntimeError(f"What came back differs: {unequal[:3]} {unreadable[:3]}")
    return put, get, [stored["profile"], fetched["profile"]]


def _theirs(source: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    works: dict[str, Callable[[Path], tuple[float, float]]] = {"rclone": rivals.rclone, "restic": rivals.restic}
    if not rivals.missing():
        for name, work in works.items():
            yield name, work(source)
