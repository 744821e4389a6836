"""What watchers are told of a path that changed."""

from __future__ import annotations

from collections.abc import Iterator

from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.values import Event, Lock
from ifap_twisted.filesystem.entries import entry_of


def news(old: History, new: History, locked: Lock | None = None) -> Iterator[Event]:
    """The events between two states of one path, on which a lock holds or not."""
    current = new.current
    if current is None:
        return
    if old.current is None or _sight(old.current) != _sight(current):
        kind = "removed" if current.version.deleted else "vanished" if current.missing else "changed"
        yield Event(kind=kind, entry=entry_of(new, current, locked=locked))
    known = {head.version.vid for head in old.heads if head.missing}
    for head in new.heads:
        if head.missing and head is not current and head.version.vid not in known:
            yield Event(kind="vanished", entry=entry_of(new, head, locked=locked))
    if new.in_conflict and not old.in_conflict:
        yield Event(kind="conflict", entry=entry_of(new, current, locked=locked))


def _sight(placed: Placed) -> tuple[str, bool]:
    return placed.version.vid, placed.missing
