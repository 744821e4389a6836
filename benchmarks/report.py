"""Rows of the table: what was measured, what it is held against, and whether the bar is met."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    :ivar bar: ``W1`` to ``W11``.
    :ivar ours: in ``unit``; None where it cannot be measured, which ``note`` says.
    :ivar limit: what it may be at most, in the same unit; None where it is only told.
    :ivar parts: what the limit is made of, in the unit.
    """

    bar: str
    work: str
    ours: float | None
    unit: str = "s"
    limit: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    profile: Sequence[str] = ()

    @property
    def ratio(self) -> float | None:
        """Ours to the sum of the parts, or to the limit where there are none."""
        beside = sum(self.parts.values()) or self.limit
        return None if self.ours is None or not beside else self.ours / beside

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where it is only told."""
        return None if self.ours is None or self.limit is None else self.ours <= self.limit

    def line(self) -> str:
        """For the table."""
        ratio = "" if self.ratio is None or self.limit is None else f"{self.ratio:7.2f}"
        limit = "" if self.limit is None else _figure(self.limit, self.unit)
        ours = "-" if self.ours is None else _figure(self.ours, self.unit)
        parts = " + ".join(f"{name} {_figure(value, self.unit)}" for name, value in self.parts.items())
        told = "; ".join(text for text in (parts, self.note) if text)
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return f"{self.bar:4} {self.work:54} {ours:>11} {limit:>11} {ratio:7} {met:4} {told}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """With what is computed."""
        return asdict(self) | {"ratio": self.ratio, "met": self.met}


HEADING = f"{'bar':4} {'work':54} {'ours':>11} {'limit':>11} {'ratio':>7} met  beside"


def times(factor: float, parts: Mapping[str, float]) -> float:
    """A limit that is a multiple of what raw work takes."""
    return factor * sum(parts.values())


def machine() -> dict[str, Any]:
    """Where it was measured."""
    dovecot = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    processors = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": processors[0].partition(":")[2].strip() if processors else platform.machine(),
        "python": platform.python_version(),
        "dovecot": dovecot,
        "load": os.getloadavg()[0],
    }


def write(path: Path, rows: Sequence[Row], **more: Any) -> None:
    """Write everything as JSON."""
    path.write_text(json.dumps({**more, "rows": [row.to_json() for row in rows]}, indent=2) + "\n")


def _figure(value: float, unit: str) -> str:
    digits = 4 if unit == "s" and value < 1 else 2 if unit in ("s", "ms", "us") else 0
    return f"{value:.{digits}f} {unit}"
