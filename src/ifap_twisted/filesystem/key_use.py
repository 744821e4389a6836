"""Which files are under a former key still, after the key of a folder was changed (FORMAT 8.5)."""

from __future__ import annotations

from collections.abc import Iterable

from ifap_twisted.core import paths
from ifap_twisted.core.values import Version


class KeyUse:
    """Of each path the highest place under the newest key, and that under a former one.

    That is for people only: what is sealed anew is decided by looking at the messages.

    :ivar former: the UIDs of what former keys opened; of what is gone, too.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._former: dict[str, int] = {}
        self.former: set[int] = set()

    def note(self, uid: int, version: Version, *, former: bool) -> None:
        """A message was opened, with a former key or with the newest one."""
        (self.former.add if former else self.former.discard)(uid)
        tops = self._former if former else self._newest
        if not paths.is_reserved(version.path):
            tops[version.path] = max(uid, tops.get(version.path, 0))

    def change(self, versions: Iterable[tuple[int, Version]]) -> None:
        """There is a newer key: all that was opened until now, with its UIDs, is under former ones."""
        self.clear()
        for uid, version in versions:
            self.note(uid, version, former=True)

    def count_anew(self, versions: Iterable[tuple[int, Version]]) -> None:
        """These are left, with their UIDs, of what was noted."""
        former = set(self.former)
        self.clear()
        for uid, version in versions:
            self.note(uid, version, former=uid in former)

    def clear(self) -> None:
        """Nothing is known."""
        self.former.clear()
        self._newest.clear()
        self._former.clear()

    def behind(self) -> int:
        """How many paths have nothing under the newest key above what is under a former one."""
        return sum(uid > self._newest.get(path, 0) for path, uid in self._former.items())
