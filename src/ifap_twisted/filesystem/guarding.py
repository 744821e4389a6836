"""Whether a path may be written to now: what a write asks whoever knows the locks (FORMAT 10.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ifap_twisted.errors import LeaseLost


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """That a path may be written to now.

    :ivar lock: the lock under which it is written, or None.
    :ivar taken: by which of its messages it was taken, for this write only; None: it was there, or there is none.
    """

    lock: str | None = None
    taken: int | None = None


class Guard(Protocol):
    """Who knows the locks."""

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let a write begin.

        :param adding: nothing live is there: that never waits for a lock (P7).
        :raises Locked: somebody else holds a lock on the path.
        :raises LeaseLost: the lock that this device held is over.
        """

    def admit_away(self, path: str, *, adding: bool) -> Admission:
        """Let a write be accepted while the server cannot be asked: by the locks that are known here.

        :raises Locked:
        """

    async def leave(self, path: str, admission: Admission) -> None:
        """The write has ended."""

    async def lost(self, path: str) -> LeaseLost:
        """The write came when its lock had been taken over: what its writer is told."""


class Unguarded:
    """There are no locks."""

    async def admit(self, path: str, *, adding: bool) -> Admission:
        """Let everybody write."""
        del path, adding
        return Admission()

    def admit_away(self, path: str, *, adding: bool) -> Admission:
        """Let everybody write."""
        del path, adding
        return Admission()

    async def leave(self, path: str, admission: Admission) -> None:
        """Nothing."""

    async def lost(self, path: str) -> LeaseLost:
        """As for every lock."""
        return LeaseLost(path=path)
