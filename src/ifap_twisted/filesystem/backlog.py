"""Writes that the journal keeps until they are on the server, and what the next writes make of them (FORMAT 4.1).

Two kinds wait here: those whose outcome is unknown, and those that were *accepted* while the server was away. Whoever
writes to a path descends from what was accepted for it, as if it were there: so they may arrive in any order, late or
twice, and none is ever a sibling of its own device's next write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ifap_twisted.core import paths
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Version
from ifap_twisted.filesystem.queues import Queues

BEYOND = 1 << 32
"""The rank of what waits: behind every message that is there."""


class Waiting(NamedTuple):
    """One write that waits: its entry in the journal, by its head, and its version, unless that cannot be told."""

    frozen: Frozen
    version: Version | None

    @property
    def path(self) -> str | None:
        """What it is a version of."""
        return None if self.version is None else self.version.path


class Backlog:
    """What waits, oldest first.

    :ivar turns: one write to a path at a time, also while the folder is being opened.
    :ivar unclean: an earlier life of this device may have written, or have on its way, what this one does not know of:
        it takes another name before it writes (FORMAT 3.2).
    :ivar added: called when something begins to wait.
    """

    def __init__(self) -> None:
        self.turns = Queues()
        self.unclean = False
        self.added: Callable[[], None] = lambda: None
        self._waiting: dict[str, Waiting] = {}
        self._accepted: dict[str, dict[str, Version]] = {}
        self._replaced: dict[str, tuple[str, ...]] = {}
        self._overtaken: set[str] = set()
        self._directories: Counter[str] = Counter()
        self._under_way: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, waiting: Waiting) -> bool:
        return waiting.frozen.sealed_id in self._waiting

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting.values())

    @contextmanager
    def under_way(self, frozen: Frozen) -> Iterator[None]:
        """While this lasts somebody brings a message to the server and waits for its end: it does not wait here."""
        self._under_way.add(frozen.sealed_id)
        try:
            yield
        finally:
            self._under_way.discard(frozen.sealed_id)

    def is_under_way(self, frozen: Frozen) -> bool:
        """Whether somebody waits for the end of a message."""
        return frozen.sealed_id in self._under_way

    def add(self, frozen: Frozen, version: Version | None) -> None:
        """Let one more wait; the journal has it already."""
        self._waiting[frozen.sealed_id] = Waiting(frozen.head(), version)
        if version is not None:
            self._replaced[version.vid] = frozen.replaced
        if frozen.accepted and version is not None:
            if version.path not in self._accepted:
                self._directories.update(paths.ancestors(version.path))
            self._accepted.setdefault(version.path, {})[frozen.sealed_id] = version
        self.added()

    def remove(self, waiting: Waiting) -> None:
        """It has arrived."""
        sealed_id, path = waiting.frozen.sealed_id, waiting.path
        self._waiting.pop(sealed_id, None)
        if waiting.version is not None and not self._waits(waiting.version.vid):
            self._overtaken.discard(waiting.version.vid)
            self._replaced.pop(waiting.version.vid, None)
        if path is not None and sealed_id in self._accepted.get(path, {}):
            del self._accepted[path][sealed_id]
            if not self._accepted[path]:
                del self._accepted[path]
                self._directories.subtract(paths.ancestors(path))

    def _waits(self, vid: str) -> bool:
        """Whether a version waits: one that was sealed anew does in another message."""
        return any(one.version is not None and one.version.vid == vid for one in self)

    def put_in_place(self, sealed_id: str, frozen: Frozen, version: Version) -> None:
        """Let another message wait for one that waits: of the same path, and where it was in the order."""
        later = list(self._waiting)[list(self._waiting).index(sealed_id) + 1 :]
        accepted = self._accepted.get(version.path, {})
        self.add(frozen, version)
        for one in later:
            self._waiting[one] = self._waiting.pop(one)
            if one in accepted:
                accepted[one] = accepted.pop(one)

    def accepted(self, path: str) -> tuple[Version, ...]:
        """The versions of a path that were accepted and have not arrived, oldest first."""
        return tuple(self._accepted.get(path, {}).values())

    def overtake(self, stored: Version) -> None:
        """A version was stored at once: those that wait at its path and that it descends from arrive after it."""
        for one in self.accepted(stored.path):
            if stored.clock.get(one.writer, 0) >= one.clock[one.writer]:
                self._overtaken.add(one.vid)

    def is_overtaken(self, vid: str) -> bool:
        """Whether this device stored, or was about to, what descends from one that waits."""
        return vid in self._overtaken or any(
            vid in self.replaced(one.frozen) for one in self if not one.frozen.accepted
        )

    def replaced(self, frozen: Frozen) -> tuple[str, ...]:
        """The vids of what a write replaces; where one of these waits itself, also of what that replaces."""
        found = dict.fromkeys(frozen.replaced)
        waiting = list(found)
        while waiting:
            more = [vid for vid in self._replaced.get(waiting.pop(), ()) if vid not in found]
            found.update(dict.fromkeys(more))
            waiting += more
        return tuple(found)

    def is_directory(self, path: str) -> bool:
        """Whether something below a path was accepted and has not arrived."""
        return self._directories[path] > 0

    def concerns(self, path: str) -> bool:
        """Whether something at a path or below it was accepted and has not arrived."""
        return bool(self.accepted(path)) or self.is_directory(path)

    def history(self, path: str, known: History) -> History:
        """What is known of a path, and what was accepted for it: whom the next version descends from."""
        late = [version for version in self.accepted(path) if not known.find(version.vid)]
        if not late:
            return known
        return known.followed_by([Placed(one, (BEYOND + number,)) for number, one in enumerate(late)])
