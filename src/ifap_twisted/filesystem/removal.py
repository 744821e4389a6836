"""Removing and bringing back: tombstones, undelete, restore; nothing is expunged (FORMAT 5.1, 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

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
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.drafting import Change


class _KeptError(Exception):
    """Somebody marked the directory meanwhile; nothing was written."""


async def remove(desk: Desk, path: str, *, recursive: bool, expect: Expect) -> None:
    """Write a tombstone for a file, or for everything below a directory."""
    await desk.view.current()
    if desk.view.index.is_directory(path) or desk.writer.backlog.is_directory(path):
        if not recursive:
            raise IsADirectory(f"/{path} is a directory; removing it needs recursive.", path=path)
        await _remove_tree(desk, path)
        return
    if _is_removal_missing(desk, path) or _is_accepted_only(desk, path):
        await _bury_all(desk, path, expect=expect)
        return
    found = desk.file(path)
    real = found.placed.version.path
    change = Change(deleted=True, replaced=None if real == path else {found.placed.version.vid})
    # At once, so that the tombstone descends from what is there now and not from what comes while the marker is sent.
    with leaving(desk, real, {real}):
        burying = _bury(desk, real, change, expect=expect, shown=path)
        await settled([burying, keep_directory(desk, real)])


@deferred
async def _bury(desk: Desk, path: str, change: Change, *, expect: Expect, shown: str) -> None:
    await desk.writer.write(path, b"", change, expect=expect, check=lambda: _check_there(desk, shown))


def _is_removal_missing(desk: Desk, path: str) -> bool:
    """The file was removed, and what said so is gone from the server: to remove it once more says so again."""
    history = desk.view.index.history(path)
    return bool(history) and not history.live and any(head.missing for head in history.heads)


def _is_accepted_only(desk: Desk, path: str) -> bool:
    """The file waits for the server, and nothing else is there."""
    return not desk.view.index.history(path).live and desk.writer.history(path).live


def _check_there(desk: Desk, path: str) -> None:
    desk.file(path)


async def _remove_tree(desk: Desk, path: str) -> None:
    if not path:
        raise InvalidPath("The root directory cannot be removed.", path="")
    names = {*desk.view.index.paths(), *(one.path for one in desk.writer.backlog if one.path is not None)}
    below = [name for name in names if name.startswith(path + "/")]
    live = sorted(name for name in below if desk.writer.history(name).live and not paths.is_reserved(name))
    with leaving(desk, path, {path, *live}):
        burials = [_bury_all(desk, name) for name in live]
        if desk.view.index.markers(path):
            burials.append(_bury_marker(desk, path))
        await settled([*burials, keep_directory(desk, path)])


@deferred
async def _bury_all(desk: Desk, path: str, *, expect: Expect = None) -> None:
    """Write a tombstone that descends from all heads."""
    await desk.writer.write(path, b"", Change(deleted=True), expect=expect)


@deferred
async def _bury_marker(desk: Desk, path: str, check: Callable[[], None] | None = None) -> None:
    """Remove a directory's marker, not the file that may be shown beside it (FORMAT 11.2)."""
    await desk.writer.write(path, b"", Change(deleted=True, replaced=_without_files(desk, path)), check=check)


def _without_files(desk: Desk, path: str) -> set[str]:
    """The heads of a path but those that are files: what a marker, or the end of one, may descend from."""
    heads = desk.view.index.history(path).heads
    return {head.version.vid for head in heads if head.version.directory or head.version.deleted}


@contextmanager
def leaving(desk: Desk, path: str, names: Collection[str]) -> Iterator[None]:
    """What is being removed or moved away does not keep the directory above a path any more, whoever looks."""
    above = paths.parent(path)
    desk.leaving.setdefault(above, []).append(names)
    try:
        yield
    finally:
        desk.leaving[above].remove(names)
        if not desk.leaving[above]:
            del desk.leaving[above]


@deferred
async def keep_directory(desk: Desk, path: str) -> None:
    """Mark the directory above when what is :func:`leaving` it is the last thing in it (FORMAT 11.2)."""
    above = paths.parent(path)
    if not above or desk.view.index.markers(above) or desk.view.index.is_file(above):
        return
    gone = set().union(*desk.leaving[above])
    if any(file not in gone for file in desk.view.index.files_below(above)):
        return

    def check() -> None:
        if desk.view.index.markers(above):
            raise _KeptError

    with suppress(_KeptError):
        await desk.writer.write(above, b"", Change(directory=True, replaced=_without_files(desk, above)), check=check)


async def remove_directory(desk: Desk, path: str) -> None:
    """Remove an empty directory."""
    await desk.view.current()
    if not (desk.view.index.is_directory(path) or desk.writer.backlog.is_directory(path)):
        if desk.view.index.is_file(path) or desk.writer.backlog.accepted(path):
            raise NotADirectory(f"/{path} is a file, not a directory.", path=path)
        raise NotFound(f"There is no directory /{path}.", path=path)
    if not path:
        raise InvalidPath("The root directory cannot be removed.", path="")
    _check_empty(desk, path)
    with leaving(desk, path, {path}):
        await keep_directory(desk, path)
        await _bury_marker(desk, path, check=lambda: _check_empty(desk, path))


def _check_empty(desk: Desk, path: str) -> None:
    if desk.view.index.has_children(path) or desk.writer.backlog.is_directory(path):
        raise DirectoryNotEmpty(f"/{path} is not empty.", path=path)


async def undelete(desk: Desk, path: str, *, expect: Expect) -> Entry:
    """Write again what the path was before it was removed."""
    await desk.view.current()
    found = _before_removal(desk, path)

    def check() -> None:
        if _before_removal(desk, path).placed.version.directory:
            desk.check_above(path)
        else:
            desk.check_place(path)

    return await desk.rewrite(path, found, as_before(found, late_too=True), expect=expect, check=check)


def _before_removal(desk: Desk, path: str) -> Found:
    history = desk.view.index.history(path)
    if history.live or desk.writer.backlog.accepted(path):
        raise AlreadyExists(f"/{path} is not removed.", path=path)
    kept = [placed for placed in history.versions if not placed.version.deleted]
    if not kept:
        raise NotFound(f"Nothing of /{path} is left.", path=path)
    return Found(history, history.newest_of(kept), path)


async def restore(desk: Desk, path: str, version: str, *, expect: Expect) -> Entry:
    """Make an old version current again, as a new version that descends from all heads."""
    await desk.view.current()
    found = desk.file(path, version)
    if found.placed.version.deleted:
        raise NotFound(f"That version of /{path} is its removal; there is no content to restore.", path=path)

    def check() -> None:
        if not found.placed.version.directory:
            desk.check_place(path)

    return await desk.rewrite(path, found, as_before(found, late_too=True), expect=expect, check=check)
