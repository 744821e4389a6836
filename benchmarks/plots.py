"""Curves: cost against the number of files, as a table and, with matplotlib (the extra ``plots``), as pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from benchmarks import opening, ours
from benchmarks.ground import Ground
from benchmarks.samples import Samples

SIZES = (1000, 3000, 10_000, 30_000, 100_000)
WORKS = {"open": "cold open", "warm": "warm start", "list": "ls -R", "put_one": "one put"}


def measured(ground: Ground, samples: Samples) -> list[dict[str, Any]]:
    """For each size: seconds of each work, and memory of a process that opened the folder; what fails is left out."""
    curve = []
    for count in map(ground.count, SIZES):
        samples.bar = "curves"
        try:
            with opening.scaled(ground, samples, count) as once:
                found = {work: once(work) for work in WORKS}
        except ours.Failed as failed:
            print(f"files {count}  {failed}", flush=True)
            continue
        point = {work: found[work].median("seconds") for work in WORKS}
        curve.append({"files": count, **point, "peak_mib": found["open"].most("peak_mib")})
        print("  ".join(f"{name} {value:.4g}" for name, value in curve[-1].items()), flush=True)
    return curve


def drawn(curve: list[dict[str, Any]], directory: Path) -> list[Path]:
    """One picture of the times and one of the memory, as SVG."""
    from matplotlib.figure import Figure  # type: ignore[import-not-found]  # noqa: PLC0415 -- an extra

    directory.mkdir(parents=True, exist_ok=True)
    files = [point["files"] for point in curve]
    pictures = []
    for name, label, lines in (
        ("seconds", "seconds", WORKS),
        ("memory", "MiB", {"peak_mib": "memory after cold open"}),
    ):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for key, told in lines.items():
            axes.plot(files, [point[key] for point in curve], marker="o", label=told)
        axes.set(xscale="log", xlabel="files in the folder", ylabel=label)
        if name == "seconds":
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend()
        pictures.append(directory / f"{name}.svg")
        figure.savefig(pictures[-1])
    return pictures


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None
