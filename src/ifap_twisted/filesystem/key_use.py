"""Which files are under a former key still, after the key of a folder was changed (FORMAT 8.5)."""

from __future__ import annotations

from collections.abc import Iterable

from ifap_twisted.core import paths
from ifap_twisted.core.values import Version


class KeyUse:
    """Of each path the highest place under the newest key, and that under a former one.

    It is for people only: what is sealed anew is decided by looking at the messages.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._former: dict[str, int] = {}

    def note(self, uid: int, version: Version, *, former: bool) -> None:
        """A message was opened, with a former key or with the newest one."""
        tops = self._former if former else self._newest
        if not paths.is_reserved(version.path):
            tops[version.path] = max(uid, tops.get(version.path, 0))

    def change(self, versions: Iterable[tuple[int, Version]]) -> None:
        """There is a newer key: all that was opened until now, with its UIDs, is under former ones."""
        self.clear()
        for uid, version in versions:
            self.note(uid, version, former=True)

    def clear(self) -> None:
        """Nothing is known."""
        self._newest.clear()
        self._former.clear()

    def behind(self) -> int:
        """How many paths have nothing under the newest key above what is under a former one."""
        return sum(uid > self._newest.get(path, 0) for path, uid in self._former.items())
