"""How much room files take: what is in them, what is stored for that, and what is stored once for several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ifap_twisted.core import paths
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.history import History
from ifap_twisted.core.references import Part, Row, named, parts
from ifap_twisted.core.values import JSON, Version

__all__ = ["Usage", "measured"]

_COUNTS: Final = ("files", "versions", "size", "stored", "shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much room a file takes, or all that is in a directory and below it.

    Bytes are those of content; sealed in a message they are a third more.

    :ivar path: without a leading slash (JSON shows it with one); empty for the root.
    :ivar type: ``file`` or ``directory``.
    :ivar files: that are there now; ``versions`` that are there of them, and of those that were removed.
    :ivar size: of the files as they are now.
    :ivar stored: for all versions, with their copies: what a mail server would have less without them, and the chunks
        that others need, too.
    :ivar shared: of ``stored``, the chunks that more than one version needs, of these files or of others.
    :ivar complete: every list of chunks could be read; otherwise ``stored`` and ``shared`` lack what these name.
    """

    path: str
    type: str = "file"
    files: int = 0
    versions: int = 0
    size: int = 0
    stored: int = 0
    shared: int = 0
    complete: bool = True

    def to_json(self) -> dict[str, JSON]:
        """The object that HTTP and ``--json`` give."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return {"path": "/" + self.path, "type": self.type, **counts, "complete": self.complete}

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Usage:
        """The inverse of :meth:`to_json`; unknown keys are ignored."""
        counts = {name: int(value[name]) for name in _COUNTS}
        return cls(path=value["path"].removeprefix("/"), type=value["type"], complete=value["complete"], **counts)


def measured(
    histories: Mapping[str, History],
    root: str,
    row_of: Callable[[Version], Row | None],
    below: Mapping[Part, Row | None],
) -> list[Usage]:
    """What is directly in a directory, by name, and last all of it; of a file only that.

    :param row_of: the manifest of a version of a large file; None: it cannot be read.
    :param below: the manifests that these name, as far as they can be read.
    :return: empty when there is nothing at that path, and no version of it.
    """
    names = {path: list(_names(history, row_of, below)) for path, history in histories.items()}
    needed = Counter(name for found in names.values() for some in found for name in some or ())
    groups: dict[str, list[str]] = {}
    for path in histories:
        if not paths.is_reserved(path) and (group := _group(path, root)) is not None:
            groups.setdefault(group, []).append(path)

    def usage(path: str, members: Collection[str]) -> Usage:
        return _usage(path, {member: histories[member] for member in members}, names, needed, histories)

    found = [usage(path, groups[path]) for path in sorted(groups) if path != root]
    everything = [member for members in groups.values() for member in members]
    return [*found, usage(root, everything)] if everything or not root else []


def _group(path: str, root: str) -> str | None:
    """The member of a directory to which a path belongs; None: it lies elsewhere."""
    if path == root or not (path.startswith(root + "/") if root else True):
        return path if path == root else None
    return paths.join(root, path[len(root) :].lstrip("/").split("/", 1)[0])


def _names(
    history: History, row_of: Callable[[Version], Row | None], below: Mapping[Part, Row | None]
) -> Iterator[set[str] | None]:
    """For each version of a large file the names of all chunks that it needs; None: they cannot be told."""
    for placed in history.versions:
        if placed.version.chunked:
            row = row_of(placed.version)
            yield None if row is None else _closure(row, below)


def _closure(row: Row, below: Mapping[Part, Row | None]) -> set[str] | None:
    seen: set[Part] = set()
    rows, level = [row], [row]
    while wanted := {part for one in level for part in parts(one)} - seen:
        seen |= wanted
        level = [one for part in wanted if (one := below.get(part)) is not None]
        if len(level) < len(wanted):
            return None
        rows += level
    return named(rows)


def _usage(
    path: str,
    members: Mapping[str, History],
    names: Mapping[str, Iterable[set[str] | None]],
    needed: Mapping[str, int],
    histories: Mapping[str, History],
) -> Usage:
    live = [history.current.version for history in members.values() if history.current and history.live]
    files = [version for version in live if not version.directory]
    sets = [some for member in members for some in names[member]]
    chunks = set[str]().union(*(some for some in sets if some is not None))
    sizes = {name: _stored(histories[CHUNKS + name]) for name in chunks if CHUNKS + name in histories}
    return Usage(
        path=path,
        type="file" if list(members) == [path] and not any(version.directory for version in live) else "directory",
        files=len(files),
        versions=sum(bool(one.places) for history in members.values() for one in history.versions),
        size=sum(version.size for version in files),
        stored=sum(map(_stored, members.values())) + sum(sizes.values()),
        shared=sum(size for name, size in sizes.items() if needed[name] > 1),
        complete=all(some is not None for some in sets),
    )


def _stored(history: History) -> int:
    return sum(placed.version.length * len(placed.places) for placed in history.versions)
