"""Removing and bringing back: tombstones, undelete, restore; nothing is expunged (FORMAT 5.1, 5.2)."""

from __future__ import annotations

from ifap_twisted.core import history as histories
from ifap_twisted.core import paths
from ifap_twisted.core.values import Entry, Expect
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    InvalidPath,
    IsADirectory,
    NotADirectory,
    NotFound,
)
from ifap_twisted.filesystem import entries
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.writing import Change


async def remove(desk: Desk, path: str, *, recursive: bool, expect: Expect) -> None:
    """Write a tombstone for a file, or for everything below a directory."""
    await desk.view.current()
    if desk.view.index.is_directory(path):
        if not recursive:
            raise IsADirectory(f"/{path} is a directory; removing it needs recursive.", path=path)
        await _remove_tree(desk, path)
        return
    found = desk.file(path)
    real = found.placed.version.path
    change = Change(deleted=True, replaced=None if real == path else {found.placed.version.vid})
    # At once, so that the tombstone descends from what is there now and not from what comes while the marker is sent.
    burying = _bury(desk, real, change, expect=expect, shown=path)
    await settled([burying, keep_directory(desk, real, without={real})])


@deferred
async def _bury(desk: Desk, path: str, change: Change, *, expect: Expect, shown: str) -> None:
    await desk.writer.write(path, b"", change, expect=expect, check=lambda: _check_there(desk, shown))


def _check_there(desk: Desk, path: str) -> None:
    desk.file(path)


async def _remove_tree(desk: Desk, path: str) -> None:
    if not path:
        raise InvalidPath("The root directory cannot be removed.", path="")
    below = [name for name in desk.view.index.paths() if name == path or name.startswith(path + "/")]
    live = sorted(name for name in below if desk.view.index.history(name).live and not paths.is_reserved(name))
    await settled([*(bury(desk, name) for name in live), keep_directory(desk, path, without=set(live))])


@deferred
async def bury(desk: Desk, path: str) -> None:
    """Write a tombstone that descends from all heads."""
    await desk.writer.write(path, b"", Change(deleted=True))


@deferred
async def keep_directory(desk: Desk, path: str, *, without: set[str]) -> None:
    """Mark the directory above when what is removed is the last thing in it (FORMAT 11.2)."""
    above = paths.parent(path)
    if not above:
        return
    current = desk.view.index.history(above).current
    if current is not None and current.version.directory and not current.version.deleted:
        return
    others = [entry.path for entry in entries.descendants(desk.view.index, above) if entry.type == "file"]
    if any(other not in without for other in others):
        return
    await desk.writer.write(above, b"", Change(directory=True))


async def remove_directory(desk: Desk, path: str) -> None:
    """Remove an empty directory."""
    await desk.view.current()
    if not desk.view.index.is_directory(path):
        if desk.view.index.is_file(path):
            raise NotADirectory(f"/{path} is a file, not a directory.", path=path)
        raise NotFound(f"There is no directory /{path}.", path=path)
    if not path:
        raise InvalidPath("The root directory cannot be removed.", path="")
    _check_empty(desk, path)
    await keep_directory(desk, path, without={path})
    await desk.writer.write(path, b"", Change(deleted=True), check=lambda: _check_empty(desk, path))


def _check_empty(desk: Desk, path: str) -> None:
    if desk.view.index.has_children(path):
        raise DirectoryNotEmpty(f"/{path} is not empty.", path=path)


async def undelete(desk: Desk, path: str, *, expect: Expect) -> Entry:
    """Write again what the path was before it was removed."""
    await desk.view.current()
    found = _before_removal(desk, path)

    def check() -> None:
        _before_removal(desk, path)
        desk.check_above(path)

    return await desk.rewrite(path, found, as_before(found), expect=expect, check=check)


def _before_removal(desk: Desk, path: str) -> Found:
    history = desk.view.index.history(path)
    if history.live:
        raise AlreadyExists(f"/{path} is not removed.", path=path)
    kept = [placed for placed in history.versions if not placed.version.deleted]
    if not kept:
        raise NotFound(f"Nothing of /{path} is left.", path=path)
    return Found(history, histories.heads(kept)[-1], path)


async def restore(desk: Desk, path: str, version: str, *, expect: Expect) -> Entry:
    """Make an old version current again, as a new version that descends from all heads."""
    await desk.view.current()
    found = desk.file(path, version)
    if found.placed.version.deleted:
        raise NotFound(f"That version of /{path} is its removal; there is no content to restore.", path=path)

    def check() -> None:
        if not found.placed.version.directory:
            desk.check_place(path)

    return await desk.rewrite(path, found, as_before(found), expect=expect, check=check)
