"""Moves, copies and directories (FORMAT 11.2, 11.3)."""

from __future__ import annotations

from ifap_twisted.core import paths
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import AlreadyExists, Conflict, InvalidPath, NotADirectory, NotFound
from ifap_twisted.filesystem import entries, removal
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.writing import Change


async def move(desk: Desk, source: str, destination: str, *, expect: Expect) -> Entry:
    """Write the destination, read it back, then write a tombstone for exactly what was moved."""
    await desk.view.current()
    _check_apart(source, destination)
    _check_free(desk, destination)
    if desk.view.index.is_directory(source):
        _check_movable(source)
        await removal.keep_directory(desk, source, without=_live_below(desk, source))
        await settled([_move_one(desk, name, destination + name[len(source) :], None) for name in _tree(desk, source)])
        if not desk.view.index.is_directory(destination):
            await desk.writer.write(destination, b"", Change(directory=True))
        return entries.directory_entry(desk.view.index, destination)
    await removal.keep_directory(desk, desk.file(source).placed.version.path, without={source})
    return await _move_one(desk, source, destination, expect)


@deferred
async def _move_one(desk: Desk, source: str, destination: str, expect: Expect) -> Entry:
    found = _file_or_marker(desk, source)
    real = found.placed.version.path
    vid = found.placed.version.vid

    def check() -> None:
        if isinstance(expect, str) and vid != expect:
            raise Conflict("The file is not the version that was expected.", path=source, expected=expect, found=vid)
        desk.check_above(destination)

    change = as_before(found, moved_from=vid, keep=found.placed.version.keep)
    entry = await desk.rewrite(destination, found, change, expect=ABSENT, check=check)
    await desk.writer.write(real, b"", Change(deleted=True, replaced={vid}))
    return entry


async def copy(desk: Desk, source: str, destination: str, *, expect: Expect) -> Entry:
    """Write the content of a file, or of all files of a directory, under another name."""
    await desk.view.current()
    _check_apart(source, destination)
    if desk.view.index.is_directory(source):
        _check_free(desk, destination)
        names = _tree(desk, source)
        await settled([_copy_one(desk, name, destination + name[len(source) :], ABSENT) for name in names])
        if not desk.view.index.is_directory(destination):
            await desk.writer.write(destination, b"", Change(directory=True))
        return entries.directory_entry(desk.view.index, destination)
    return await _copy_one(desk, source, destination, expect)


@deferred
async def _copy_one(desk: Desk, source: str, destination: str, expect: Expect) -> Entry:
    found = _file_or_marker(desk, source)

    def check() -> None:
        if found.placed.version.directory:
            desk.check_above(destination)
        else:
            desk.check_place(destination)

    return await desk.rewrite(destination, found, as_before(found), expect=expect, check=check)


async def make_directory(desk: Desk, path: str, *, parents: bool) -> Entry:
    """Write a marker; with ``parents`` for all that is missing above, too."""
    await desk.view.current()
    index = desk.view.index
    if index.is_directory(path):
        if not parents:
            raise AlreadyExists(f"/{path} exists already.", path=path)
        return entries.directory_entry(index, path)
    desk.check_above(path)
    above = paths.parent(path)
    if not index.is_directory(above):
        if not parents:
            raise NotFound(f"There is no directory /{above}.", path=above)
        await make_directory(desk, above, parents=True)

    def check() -> None:
        if desk.view.index.is_file(path):
            raise AlreadyExists(f"/{path} is a file.", path=path)
        desk.check_above(path)

    placed = await desk.writer.write(path, b"", Change(directory=True, mode=0o755), check=check)
    return desk.entry(path, placed)


def _file_or_marker(desk: Desk, path: str) -> Found:
    history = desk.view.index.history(path)
    current = history.current
    if current is not None and current.version.directory and not current.version.deleted:
        return Found(history, current, path)
    if desk.view.index.is_file(path) and current is not None:
        placed = desk.view.index.file(path)
        if placed is not None:
            return Found(history, placed, path)
    return desk.file(path)


def _tree(desk: Desk, directory: str) -> list[str]:
    """The paths of all live files and markers at and below a directory."""
    prefix = directory + "/"
    index = desk.view.index
    return sorted(
        name
        for name in index.paths()
        if (name == directory or name.startswith(prefix)) and index.history(name).live and not paths.is_reserved(name)
    )


def _live_below(desk: Desk, directory: str) -> set[str]:
    return set(_tree(desk, directory))


def _check_apart(source: str, destination: str) -> None:
    if destination == source or destination.startswith(source + "/"):
        raise InvalidPath(f"/{source} cannot go to /{destination}, which is the same or inside it.", path=destination)


def _check_movable(source: str) -> None:
    if not source:
        raise InvalidPath("The root directory cannot be moved.", path="")


def _check_free(desk: Desk, destination: str) -> None:
    if desk.view.index.is_directory(destination) or desk.view.index.is_file(destination):
        raise AlreadyExists(f"/{destination} exists already.", path=destination)
    try:
        desk.check_above(destination)
    except NotADirectory as error:
        error.path = destination
        raise
