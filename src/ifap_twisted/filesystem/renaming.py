"""Moves, copies and directories (FORMAT 11.2, 11.3)."""

from __future__ import annotations

import functools

from ifap_twisted.core import paths
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import (
    AlreadyExists,
    Conflict,
    DataError,
    InvalidPath,
    MessageGone,
    NotADirectory,
    NotFound,
)
from ifap_twisted.filesystem import entries, removal, streams
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.drafting import Change


async def move(desk: Desk, source: str, destination: str, *, expect: Expect) -> Entry:
    """Write the destination, read it back, then write a tombstone for exactly what was moved.

    A move that was cut is finished by asking for it again (FORMAT 11.3).
    """
    await desk.view.current()
    _check_apart(source, destination)
    if not _is_half_moved(desk, source, destination):
        _check_free(desk, destination)
    if desk.view.index.is_directory(source):
        _check_movable(source)
        tree = _tree(desk, source)
        await desk.locking.require_free(found.placed.version.path for found in tree)
        with removal.leaving(desk, source, {found.path for found in tree}):
            await removal.keep_directory(desk, source)
            await settled(
                [_move_one(desk, found, destination + found.path[len(source) :], destination) for found in tree]
            )
        return entries.directory_entry(desk.view.index, destination)
    found = desk.file(source)
    vid = found.placed.version.vid
    if isinstance(expect, str) and vid != expect:
        raise Conflict("The file is not the version that was expected.", path=source, expected=expect, found=vid)
    real = found.placed.version.path
    await desk.locking.require_free([real])
    if destination.startswith(paths.parent(real) + "/"):
        return await _move_one(desk, found, destination, destination)
    with removal.leaving(desk, real, {real}):
        await removal.keep_directory(desk, real)
        return await _move_one(desk, found, destination, destination)


@deferred
async def _move_one(desk: Desk, found: Found, destination: str, root: str) -> Entry:
    """Move one version; ``root`` is where the whole tree goes: what is above it may not have become a file."""
    real = found.placed.version.path
    vid = found.placed.version.vid

    def check() -> None:
        desk.check_above(root)

    there = desk.view.index.file(destination) or _marker(desk, destination)
    arrived = there if there is not None and there.version.moved_from == vid else None
    if arrived is not None and await _is_there_to_stay(desk, arrived):
        entry = desk.entry(destination, arrived)
    else:  # what had arrived and is gone from the server, or damaged, or may yet be taken back, arrives anew
        expect = ABSENT if arrived is None else arrived.version.vid
        change = as_before(found, moved_from=vid, keep=found.placed.version.keep)
        entry = await desk.rewrite(destination, found, change, expect=expect, check=check)
    await desk.writer.write(real, b"", Change(deleted=True, replaced={vid}))
    return entry


async def finish(desk: Desk, left: Placed, arrived: Placed) -> None:
    """Write the tombstone of a move that was cut, once it is certain that the file has arrived whole (FORMAT 11.3).

    :raises DataError, MessageGone: it has not; nothing was written.
    """
    await _read(desk, arrived)
    if not _is_settled(desk, arrived):
        there = Found(desk.view.index.history(arrived.version.path), arrived, arrived.version.path)
        change = as_before(there, moved_from=arrived.version.moved_from, keep=arrived.version.keep)
        await desk.rewrite(there.path, there, change, expect=arrived.version.vid)
    path, vid = left.version.path, left.version.vid
    await desk.writer.write(path, b"", Change(deleted=True, replaced={vid}), expect=vid)


async def _read(desk: Desk, arrived: Placed) -> None:
    """Read what arrived; of a large file its list of chunks, which have to be listed."""
    version = arrived.version
    if version.chunked:
        found = Found(desk.view.index.history(version.path), arrived, version.path)
        await (await streams.open_chunked(desk, found)).check_listed()
    elif not version.directory:
        async with desk.admitted(version.length):
            await desk.reader.content(arrived)


def _is_settled(desk: Desk, arrived: Placed) -> bool:
    return desk.view.index.is_settled(arrived, desk.view.elapsed())


async def _is_there_to_stay(desk: Desk, arrived: Placed) -> bool:
    """Whether what a move brought to its destination can be read there, and its writer will not take it back (4.4)."""
    if not _is_settled(desk, arrived):
        return False
    try:
        await _read(desk, arrived)
    except (DataError, MessageGone):
        return False
    return True


def _is_half_moved(desk: Desk, source: str, destination: str) -> bool:
    """Everything at the destination came from the same place below the source: a move of it was cut."""
    index = desk.view.index
    arrived = [name for name in index.paths() if name == destination or name.startswith(destination + "/")]
    live = [name for name in arrived if index.history(name).live]
    return bool(live) and all(_came_from(desk, name, source + name[len(destination) :]) for name in live)


def _came_from(desk: Desk, path: str, source: str) -> bool:
    current = desk.view.index.history(path).current
    moved_from = None if current is None else current.version.moved_from
    return moved_from is not None and bool(desk.view.index.history(source).find(moved_from))


async def copy(desk: Desk, source: str, destination: str, *, expect: Expect) -> Entry:
    """Write the content of a file, or of all files of a directory, under another name."""
    await desk.view.current()
    _check_apart(source, destination)
    if desk.view.index.is_directory(source):
        _check_free(desk, destination)
        tree = _tree(desk, source)
        await settled([_copy_one(desk, found, destination + found.path[len(source) :], destination) for found in tree])
        return entries.directory_entry(desk.view.index, destination)
    found = desk.file(source)
    check = functools.partial(desk.check_place, destination)
    return await desk.rewrite(destination, found, as_before(found), expect=expect, check=check)


@deferred
async def _copy_one(desk: Desk, found: Found, destination: str, root: str) -> Entry:
    check = functools.partial(desk.check_above, root)
    return await desk.rewrite(destination, found, as_before(found), expect=ABSENT, check=check)


async def make_directory(desk: Desk, path: str, *, parents: bool) -> Entry:
    """Write a marker; with ``parents`` for all that is missing above, too."""
    await desk.view.current()
    index = desk.view.index
    marker = _marker(desk, path)
    if index.is_directory(path) and not (marker is not None and marker.missing):
        if not parents:
            raise AlreadyExists(f"/{path} exists already.", path=path)
        return entries.directory_entry(index, path)
    desk.check_above(path)
    missing = [above for above in paths.ancestors(path) if not index.is_directory(above)]
    if missing and not parents:
        raise NotFound(f"There is no directory /{missing[-1]}.", path=missing[-1])
    for above in missing:
        await _mark(desk, above)
    return await _mark(desk, path)


async def _mark(desk: Desk, path: str) -> Entry:
    def check() -> None:
        if desk.view.index.is_file(path) or desk.writer.backlog.accepted(path):
            raise AlreadyExists(f"/{path} is a file.", path=path)
        desk.check_above(path)

    placed = await desk.writer.write(path, b"", Change(directory=True, mode=0o755), check=check)
    return desk.entry(path, placed)


def _tree(desk: Desk, directory: str) -> list[Found]:
    """All live files and markers below a directory, and its own marker; not the file beside it (FORMAT 11.2)."""
    index = desk.view.index
    names = sorted(name for name in index.paths() if name.startswith(directory + "/") and not paths.is_reserved(name))
    found = [
        Found(index.history(name), placed, name)
        for name in names
        if (placed := index.file(name) or _marker(desk, name)) is not None
    ]
    marker = _marker(desk, directory)
    return found if marker is None else [Found(index.history(directory), marker, directory), *found]


def _marker(desk: Desk, path: str) -> Placed | None:
    return next(reversed(desk.view.index.markers(path)), None)


def _check_apart(source: str, destination: str) -> None:
    if destination == source or destination.startswith(source + "/"):
        raise InvalidPath(f"/{source} cannot go to /{destination}, which is the same or inside it.", path=destination)


def _check_movable(source: str) -> None:
    if not source:
        raise InvalidPath("The root directory cannot be moved.", path="")


def _check_free(desk: Desk, destination: str) -> None:
    index, backlog = desk.view.index, desk.writer.backlog
    if index.is_directory(destination) or index.is_file(destination) or backlog.concerns(destination):
        raise AlreadyExists(f"/{destination} exists already.", path=destination)
    desk.check_hides_nothing(destination)
    try:
        desk.check_above(destination)
    except NotADirectory as error:
        error.path = destination
        raise
