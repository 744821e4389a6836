"""Who holds which lock, by what devices were told: never two at a time (FORMAT 10.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ifap_twisted.core.values import Lock

UNSURE = 2.0
"""Seconds before the end of a lease from which on others may take it for over: dates have no fractions."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A device of some names was told that it has a lock, and until when that is certain."""

    names: set[str]
    lock: str
    until: float


class Holders:
    """The locks that surely hold.

    :param wrong: told of two that hold at once.
    """

    def __init__(self, now: Callable[[], float], wrong: Callable[[str], None]) -> None:
        self._now = now
        self._wrong = wrong
        self._held: dict[str, list[Hold]] = {}
        self._ending: Counter[str] = Counter()
        self._ended: dict[str, float] = {}
        self._renumbered = float("-inf")
        self.count = 0

    def taken(self, names: set[str], lock: Lock, began: float) -> None:
        """A device of these names has it, and asked for it at that time."""
        now, path = self._now(), lock.path
        until = began + lock.seconds - UNSURE
        unsure = self._ending[path] or began <= max(self._renumbered, self._ended.get(path, float("-inf")))
        if unsure or now >= until:
            return
        for other in self.of(path):
            if other.names is not names:
                self._wrong(f"{path} is locked by two devices at once")
        self._held[path] = [*self.of(path), Hold(names, lock.id, until)]
        self.count += 1

    def renewing(self, path: str, lock: str) -> None:
        """It is renewed, perhaps for a shorter time: until that is known nothing is certain of it."""
        self._held[path] = [one for one in self.of(path) if one.lock != lock]

    def of(self, path: str) -> list[Hold]:
        """Those that hold now."""
        return [one for one in self._held.get(path, ()) if self._now() < one.until]

    def all(self) -> list[Hold]:
        """Those of all paths."""
        return [one for path in self._held for one in self.of(path)]

    def begin_end(self, path: str) -> Callable[[Any], Any]:
        """Somebody ends the locks of a path; to be told when that is over, whatever came of it."""
        self._held.pop(path, None)
        self._ending[path] += 1

        def over(outcome: Any) -> Any:
            self._ending[path] -= 1
            self._ended[path] = self._now()
            return outcome

        return over

    def renumber(self) -> None:
        """That ends all (FORMAT 10.2)."""
        self._held.clear()
        self._renumbered = self._now()
