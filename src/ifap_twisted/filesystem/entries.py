"""Versions as front ends see them."""

from __future__ import annotations

from ifap_twisted.core import paths
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.tree import Tree
from ifap_twisted.core.values import Entry, Lock

BESIDE = "~file"
"""Added to the name of a file whose name a directory keeps (FORMAT 11.2)."""


def entry_of(history: History, placed: Placed, *, path: str | None = None, locked: Lock | None = None) -> Entry:
    """The entry of one version; ``path`` where it is shown under another name, ``locked`` where a lock holds on it."""
    version = placed.version
    directory = version.directory and not version.deleted
    return Entry(
        path=version.path if path is None else path,
        type="directory" if directory else "file",
        size=version.size,
        modified=version.modified,
        version=version.vid,
        parents=tuple(parent.version.vid for parent in history.parents(placed)),
        versions=sum(not one.missing for one in history.versions),
        keep=version.keep,
        deleted=version.deleted,
        mode=0o755 if directory and version.mode == DEFAULT_MODE else version.mode,
        mime=None if directory else version.mime or paths.suggested_mime(version.path),
        writer=version.writer,
        conflict=history.in_conflict,
        locked=locked,
        bound=version.bound,
        missing=placed.missing,
        sha256=None if version.chunked else version.sha256,
    )


DEFAULT_MODE = 0o644


def directory_entry(tree: Tree, path: str) -> Entry:
    """The entry of a directory that is there, with its marker or without."""
    history = tree.history(path)
    if markers := tree.markers(path):
        return entry_of(history, markers[-1])
    return Entry(path=path, type="directory", versions=0, mode=0o755, conflict=history.in_conflict)


def children(tree: Tree, path: str) -> list[Entry]:
    """The live entries of a directory, by name (FORMAT 11.2)."""
    found: list[Entry] = []
    for name in tree.children(path):
        child = paths.join(path, name)
        history = tree.history(child)
        file = tree.file(child)
        if tree.is_directory(child):
            found.append(directory_entry(tree, child))
            if file is not None:
                found.append(entry_of(history, file, path=child + BESIDE))
        elif file is not None:
            found.append(entry_of(history, file))
    return found


def descendants(tree: Tree, path: str) -> list[Entry]:
    """All live entries below a directory: each directory before what is in it."""
    found: list[Entry] = []
    waiting = children(tree, path)[::-1]
    while waiting:  # a tree may be deeper than Python's stack
        entry = waiting.pop()
        found.append(entry)
        if entry.type == "directory":
            waiting.extend(children(tree, entry.path)[::-1])
    return found


def hidden(tree: Tree, path: str) -> list[Entry]:
    """What ``ls -a`` shows besides, below a directory: tombstones, reserved files and odd names (FORMAT 6.1, 11.1)."""
    prefix = path + "/" if path else ""
    found = []
    for name in tree.paths():
        history = tree.history(name)
        if history.current is None or (prefix and not name.startswith(prefix)):
            continue
        if not history.live or paths.is_reserved(name) or not paths.is_writable(name):
            found.append(entry_of(history, history.current))
    return found


def as_of(tree: Tree, path: str, moment: float) -> list[Entry]:
    """The files below a directory, or the file itself, as they were, from the versions that are still there."""
    prefix = path + "/" if path else ""
    found = []
    for name in tree.paths():
        if (name != path and not name.startswith(prefix)) or paths.is_reserved(name) or not paths.is_writable(name):
            continue
        history = tree.history(name)
        then = history.of(placed for placed in history.versions if placed.version.written <= moment)
        if then.current is not None and then.live:
            found.append(entry_of(then, then.current))
    return found


def implied_directories(entries: list[Entry], path: str) -> list[Entry]:
    """The directories that the files of a past moment imply, which have no marker of their own among them."""
    named = {entry.path for entry in entries}
    above = {ancestor for entry in entries for ancestor in paths.ancestors(entry.path)}
    prefix = path + "/" if path else ""
    return [
        Entry(path=name, type="directory", versions=0, mode=0o755) for name in above - named if name.startswith(prefix)
    ]


def directly_in(entries: list[Entry], path: str) -> list[Entry]:
    """Those of a recursive listing that lie in the directory itself."""
    prefix = path + "/" if path else ""
    return [entry for entry in entries if "/" not in entry.path[len(prefix) :]]
