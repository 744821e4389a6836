"""What a filesystem shows: content, single entries, directories and versions, from the view as it is now."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from ifap_twisted.core import paths
from ifap_twisted.core.tree import Tree
from ifap_twisted.core.values import Entry, Record
from ifap_twisted.errors import CallerError, NotFound, Renumbered
from ifap_twisted.filesystem import entries, streams
from ifap_twisted.filesystem.desk import Desk, Found
from ifap_twisted.filesystem.remarks import Remarks, remarks_now
from ifap_twisted.filesystem.sources import check_length
from ifap_twisted.interfaces import IStream, RemotePath

T = TypeVar("T")

AT_ONCE = 300
"""So many paths are looked at in some milliseconds."""


async def record(desk: Desk, path: RemotePath, version: str | None) -> Record:
    """The content of a file, or of one of its versions, and its entry.

    :raises NotFound, IsADirectory, UnknownVersion:
    :raises TooLarge: it is longer than any that is given as a whole.
    """
    return await _again(desk, lambda: _record(desk, path, version))


async def stream(desk: Desk, path: RemotePath, version: str | None) -> IStream:
    """The same, to be read a part at a time.

    :raises NotFound, IsADirectory, UnknownVersion:
    """
    return await _again(desk, lambda: _stream(desk, path, version))


async def _again(desk: Desk, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
    """Do it, once more when numbers changed meanwhile: the version is found again by its id (FORMAT 2.5)."""
    try:
        return await work()
    except Renumbered:
        await desk.view.refresh()
        return await work()


async def _record(desk: Desk, path: RemotePath, version: str | None) -> Record:
    found = _with_content(desk, path, version)
    size = found.placed.version.size
    if not found.placed.version.chunked:
        async with desk.admitted(size):
            return Record(entry=desk.entry_of(found), data=await desk.reader.content(found.placed))
    check_length(size, found.path)
    large = await streams.open_chunked(desk, found)
    async with desk.admitted(size):
        return Record(entry=large.entry, data=await large.read(0, size))


async def _stream(desk: Desk, path: RemotePath, version: str | None) -> IStream:
    found = _with_content(desk, path, version)
    if found.placed.version.chunked:
        return await streams.open_chunked(desk, found)
    async with desk.admitted(found.placed.version.size):
        return streams.WholeStream(desk.entry_of(found), await desk.chunks_read.whole(found.placed))


def _with_content(desk: Desk, path: RemotePath, version: str | None) -> Found:
    found = desk.file(desk.any_file(path, version), version)
    if found.placed.version.deleted:
        raise NotFound(f"That version of /{found.path} is its removal.", path=found.path)
    return found


def entry(desk: Desk, path: RemotePath, version: str | None) -> Entry:
    """The entry of a file, a directory or a version.

    :raises NotFound, UnknownVersion:
    """
    try:
        name = paths.clean(path)
    except CallerError:
        name = desk.any_file(path, version)
    if version is None and desk.view.index.is_directory(name):
        return entries.directory_entry(desk.view.index, name)
    return desk.entry_of(desk.file(name, version))


async def directory(desk: Desk, name: str, *, recursive: bool, everything: bool) -> Sequence[Entry]:
    """The entries of a directory by name, or the one of a file, all as of one moment.

    :raises NotFound:
    """
    index = desk.view.index
    is_directory = index.is_directory(name)
    if is_directory or (everything and not index.is_file(name)):
        remarks = remarks_now(desk.view, desk.book)
        many = index.count_paths() if recursive or everything else index.count_children(name)
        found = await _looked_up(
            desk, many, lambda tree: _directory(tree, name, remarks, recursive=recursive, everything=everything)
        )
        if is_directory or found:
            return found
    return [desk.entry_of(desk.file(name))]


async def _looked_up(desk: Desk, many: int, look: Callable[[Tree], list[Entry]]) -> list[Entry]:
    """What is found in the tree as it is now; where there is much to be looked at, by a thread."""
    if many <= AT_ONCE:
        return look(desk.view.index)
    tree = desk.view.index.at_moment()
    return await desk.worker(lambda: look(tree))


def _directory(tree: Tree, name: str, remarks: Remarks, *, recursive: bool, everything: bool) -> list[Entry]:
    hidden = entries.hidden(tree, name) if everything else []
    if not tree.is_directory(name):
        return _by_name(hidden if recursive else entries.directly_in(hidden, name))
    shown = entries.descendants(tree, name) if recursive else entries.children(tree, name)
    if not recursive:
        above = entries.implied_directories(hidden, name)
        known = {one.path for one in shown}
        hidden = [one for one in entries.directly_in([*hidden, *above], name) if one.path not in known]
    return _by_name(remarks.added_to([*shown, *hidden]))


async def directory_then(desk: Desk, name: str, moment: float, *, recursive: bool) -> Sequence[Entry]:
    """The same as it was at a moment, in Unix time, as far as versions are still there.

    :raises NotFound:
    """
    many = desk.view.index.count_paths()
    found = await _looked_up(desk, many, lambda tree: _directory_then(tree, name, moment, recursive=recursive))
    if not found and name:
        raise NotFound(f"There was no file or directory /{name} then.", path=name)
    return found


def _directory_then(tree: Tree, name: str, moment: float, *, recursive: bool) -> list[Entry]:
    found = entries.as_of(tree, name, moment)
    everything = [one for one in [*found, *entries.implied_directories(found, name)] if one.path != name]
    if not everything:
        return found
    return _by_name(everything if recursive else entries.directly_in(everything, name))


def versions(desk: Desk, name: str) -> Sequence[Entry]:
    """All versions of a path, newest first.

    :raises NotFound:
    """
    index = desk.view.index
    history = index.history(name) or index.history(name.removesuffix(entries.BESIDE))
    if not history:
        raise NotFound(f"There is no file /{name}, and no version of it.", path=name)
    return [desk.entry_of(Found(history, one, one.version.path)) for one in reversed(history.versions)]


def _by_name(found: Sequence[Entry]) -> list[Entry]:
    return sorted(found, key=lambda one: one.path.split("/"))
