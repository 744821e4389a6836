"""What the processes of ours told, kept for W10: how long the reactor was away at most."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

Found = dict[str, Any]


class Rounds:
    """The same measurement some times."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found

    def median(self, name: str) -> float:
        """Of all rounds."""
        return statistics.median(one[name] for one in self._found)

    def most(self, name: str) -> float:
        """Of all rounds."""
        return max(float(one[name]) for one in self._found)

    @property
    def profile(self) -> Sequence[str]:
        """Of the last round."""
        profile: Sequence[str] = self._found[-1]["profile"]
        return profile


class Samples:
    """All measurements of a run.

    :ivar bar: the one that is measured now.
    :ivar longest: for each bar the longest stretch in milliseconds, the most processor's time in one, and how many were
        too long.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self.bar = ""
        self.longest: dict[str, tuple[float, float, int]] = {}
        self.where: dict[str, list[str]] = {}

    def of(self, work: Callable[[], Found], rounds: int | None = None) -> Rounds:
        """Do it as often as figures are taken."""
        return Rounds([self.one(work()) for _ in range(rounds or self._rounds)])

    def one(self, found: Found) -> Found:
        """Note what one process told."""
        longest, busiest, many = self.longest.get(self.bar, (0.0, 0.0, 0))
        longest, busiest = max(longest, found["longest_ms"]), max(busiest, found["busiest_ms"])
        self.longest[self.bar] = longest, busiest, many + found["long_stretches"]
        lines = [line for line in found["profile"] if line.startswith("in a stretch")]
        self.where.setdefault(self.bar, []).extend(lines)
        return found
