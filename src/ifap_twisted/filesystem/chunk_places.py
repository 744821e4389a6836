"""Which chunks count as there for whoever writes a large file (FORMAT 7.2)."""

from __future__ import annotations

from collections.abc import Iterable

from ifap_twisted.core.chunks import chunk_path
from ifap_twisted.core.history import Placed
from ifap_twisted.core.plans import Plan, standing
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.view import View

__all__ = ["ChunkPlaces"]


class ChunkPlaces:
    """The chunks of a folder, and what the plans say of them, as they were read last."""

    def __init__(self, view: View, objects: Objects) -> None:
        self._view = view
        self._objects = objects
        self._planned: frozenset[tuple[int, str]] = frozenset()
        self._doubtful = 0

    async def look(self) -> None:
        """Read the plans that are known to be there.

        One that cannot be read may name any place below its own, and none above: a plan names what was there before.
        """
        plans = [(placed.rank, plan) for placed, plan in await self._objects.plans() if placed.places]
        told = [(int(rank), 0.0, plan) for rank, plan in plans if plan is not None]
        self._doubtful = int(max((rank for rank, plan in plans if plan is None), default=0))
        self._planned = frozenset((*self._named(told, resealed=False), *self._named(told, resealed=True)))

    def _named(self, plans: Iterable[tuple[int, float, Plan | None]], *, resealed: bool) -> list[tuple[int, str]]:
        found = standing(plans, self._view.uidvalidity, resealed=resealed)
        return [(uid, one.vid) for uid, one in found.items()]

    def copies(self, name: str) -> list[Placed]:
        """The versions that hold a chunk, planned or not, and are there."""
        home = self._view.home
        return [
            one
            for one in self._view.index.history(chunk_path(name)).versions
            if one.places
            and one.version.home == home
            and one.version.understood
            and not (one.version.deleted or one.version.directory or one.version.chunked)
        ]

    def is_there(self, name: str) -> bool:
        """Whether a chunk has a place that no plan names, and of which nothing bad is known."""
        copies = self.copies(name)
        if not copies:
            return False
        bad = self._view.unusable
        return any(
            uid > self._doubtful and uid not in bad and (uid, one.version.vid) not in self._planned
            for one in copies
            for uid in one.places
        )
