"""Binding what the reference programs wrote to its contents: sealed anew with their hashes (FORMAT 1.5, 2.2)."""

from __future__ import annotations

from collections.abc import Iterator

from ifap_twisted.core import metadata, paths
from ifap_twisted.core.findings import NOTE, WARNING, Finding
from ifap_twisted.core.values import Version
from ifap_twisted.errors import NotSupported, ReadOnly, TooLarge, Unavailable
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.filesystem.resealing import Resealing
from ifap_twisted.interfaces import Progress


class Binding:
    """Binds the current versions of one folder that nothing binds yet; older ones stay as they are."""

    def __init__(self, desk: Desk, *, random: Random) -> None:
        self._desk = desk
        self._random = random

    def check(self) -> None:
        """Whether that can be done at all.

        :raises NotSupported: the folder is not encrypted. :raises ReadOnly:
        """
        view = self._desk.view
        if not view.keys:
            raise NotSupported("The folder is not encrypted: nothing in it can be bound.")
        if view.read_only:
            raise ReadOnly("The folder can only be read: nothing in it can be sealed anew.")

    async def run(self, progress: Progress) -> list[Finding]:
        """Bind them, and plan the unbound copies; what became of it.

        :raises Unavailable: not all of the folder is known.
        :raises Renumbered, StoreError: the rest stays as it was.
        """
        view = self._desk.view
        self.check()
        if view.incomplete:
            raise Unavailable(
                "The mail server does not list all messages: what is to be bound is not known. Try later."
            )
        names = [name for name in view.index.paths() if self._has_references(name)]
        resealing = Resealing(
            self._desk,
            key=view.keys[0],
            random=self._random,
            sound=self._is_sound,
            progress=progress,
            refusal=self._refusal,
        )
        await resealing.run(names)
        await resealing.plan(names)
        return list(_findings(resealing))

    def _has_references(self, name: str) -> bool:
        versions = self._desk.view.index.history(name).versions
        return not paths.is_reserved(name) and any(not one.version.ours for one in versions)

    def _is_sound(self, uid: int) -> bool:
        version = self._desk.view.index.at(uid)
        return version is not None and (version.ours or version.bound)

    def _refusal(self, version: Version) -> TooLarge | None:
        """The reference programs would not see it any more (FORMAT 1.6)."""
        if version.ours or not metadata.resealed_exceeds_reference(version, self._desk.view.dialect):
            return None
        return TooLarge("With the proof of its content the reference programs would not see the file any more.")


def _findings(resealing: Resealing) -> Iterator[Finding]:
    if resealing.made:
        text = (
            "Newest versions were written anew, bound to their contents; their earlier copies go when a grace is over."
        )
        yield Finding("bound", NOTE, text, places=len(resealing.made))
    for (path, vid), error in sorted(resealing.failed.items(), key=lambda one: one[0]):
        yield Finding("not-bound", WARNING, f"It could not be bound. {error.title()}", path, vid)
