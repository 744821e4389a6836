"""Reading the manifests of all large files of a folder, and what follows for its chunks (FORMAT 5.3, 7.2).

A full mark each time it is asked: over all versions of all files, those that are missing or came too late included.
What a manifest names never changes, so that it is read once in the life of a process. It writes and removes nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from ifap_twisted.core.chunks import CHUNKS, chunk_path, is_chunk_name
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.references import Loss, Losses, Part, Row, named, parts
from ifap_twisted.core.usage import Usage, measured
from ifap_twisted.core.values import Notice, Version
from ifap_twisted.deferreds import Slots, deferred, settled
from ifap_twisted.errors import (
    ChunkLost,
    DataError,
    ForeignFolder,
    IFAPError,
    Plaintext,
    Renumbered,
    RevokedKey,
    StoreError,
)
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.naming import Naming

AT_ONCE: Final = 8
"""Manifests that are read at a time."""
PADDING: Final = b"\0"
NOTHING: Final = Row(0, b"", array("Q"))
"""Of this nothing is lost."""

_Top: TypeAlias = tuple[str, int]
"""What tells one manifest of a file from another: the hash of its content, and the length of the file."""


class Lost(NamedTuple):
    """A version of a large file of which something is lost, and the ranges that are."""

    placed: Placed
    ranges: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class References:
    """What is known of the chunks of a folder.

    :ivar unneeded: the paths of the chunks that no manifest names; None: that cannot be told, and no chunk may go.
    :ivar why: why not.
    :ivar lost: the versions of which chunks are not there, or were damaged when they were read last.
    :ivar missing: the names of what is lost, as far as the manifests tell that are there.
    :ivar doubtful: the UIDs of their manifests, and of those of which a chunk could not be read the last time.
    """

    unneeded: Collection[str] | None = frozenset()
    why: str = ""
    lost: tuple[Lost, ...] = ()
    missing: frozenset[str] = frozenset()
    doubtful: frozenset[int] = frozenset()

    def notices(self) -> tuple[Notice, ...]:
        """What to tell a person."""
        if self.unneeded is not None:
            return ()
        text = f"No chunk of a large file is removed, needed or not, because what is needed cannot be told: {self.why}"
        return (Notice(code="chunks-kept", text=text),)


class _Read(NamedTuple):
    """What was read.

    :ivar tops: the versions with manifests; ``rows`` these, as far as they can be read.
    :ivar chunks: the paths of all chunks.
    :ivar below: the manifests that these name; None: it cannot be read.
    :ivar obstacles: why it cannot be told what is needed.
    """

    tops: Sequence[Placed]
    chunks: Sequence[str]
    rows: Mapping[_Top, Row]
    below: Mapping[Part, Row | None]
    obstacles: Sequence[str]


class ManifestReading:
    """Reads the manifests of one folder."""

    def __init__(self, desk: Desk, naming: Naming) -> None:
        self._desk = desk
        self._naming = naming
        self._tops: dict[_Top, Row] = {}
        self._below: dict[Part, Row] = {}
        self._late: Sequence[Placed] = ()
        self._unseen: set[Part] = set()
        self._turn = Slots(1)

    async def look(self, histories: Mapping[str, History]) -> References:
        """What these histories need, and what was set aside or waits to be sent.

        :raises Renumbered: they speak of numbers that mean nothing any more.
        """
        async with self._turn:
            read = await self._read(histories)
        if read is None:
            return References()
        view, unseen = self._desk.view, frozenset(self._unseen)
        damaged = view.damage.keys()
        bad = view.unusable.keys() | view.rejected.keys()
        found = await self._desk.worker(lambda: _references(histories, read, unseen, damaged, bad))
        view.holed = _uids(found.lost)
        return found

    async def usage(self, histories: Mapping[str, History], root: str) -> list[Usage]:
        """How much room the files of these histories take that are at a path or below it.

        :raises Renumbered: as :meth:`look`.
        """
        async with self._turn:
            read = await self._read(histories)
        rows = {} if read is None else read.rows
        below = {} if read is None else read.below
        return await self._desk.worker(lambda: measured(histories, root, lambda one: rows.get(_top(one)), below))

    async def _read(self, histories: Mapping[str, History]) -> _Read | None:
        """All manifests; None where there are none, and no chunks."""
        late = [Placed(version, (uid,)) for uid, version in self._desk.view.late.items()]
        tops, chunks, odd = await self._desk.worker(lambda: _sorted_out(histories))
        set_aside = [one for one in late if one.version.chunked]
        if not (tops or chunks or set_aside):
            return None
        self._late = late
        self._unseen = set()
        obstacles = [*self._obstacles(), *odd]
        rows = await self._read_tops([*tops, *set_aside], obstacles)
        below = await self._read_below(rows.values(), obstacles)
        return _Read(tops, chunks, rows, below, obstacles)

    def _obstacles(self) -> list[str]:
        """What may be, or bring, a manifest that cannot be read."""
        rejected = self._desk.view.index.rejected().items()
        found = [uid for uid, error in rejected if not isinstance(error, ForeignFolder | Plaintext | RevokedKey)]
        if found:
            return [f"messages that cannot be read ({len(found)}) may tell of large files; see 'ifap check'."]
        for waiting in self._desk.writer.backlog:
            if waiting.version is None or waiting.version.chunked:
                return ["a large file that this device wrote is not on the mail server yet."]
        return []

    # Manifests of files

    async def _read_tops(self, tops: Sequence[Placed], obstacles: list[str]) -> Mapping[_Top, Row]:
        """Those of the versions that can be read; the others are obstacles."""
        wanted = {_top(placed.version): placed for placed in tops}
        self._tops = {key: row for key, row in self._tops.items() if key in wanted}
        left = [placed for key, placed in wanted.items() if key not in self._tops]
        for start in range(0, len(left), AT_ONCE):
            await settled([self._read_top(placed, obstacles) for placed in left[start : start + AT_ONCE]])
        return dict(self._tops)

    @deferred
    async def _read_top(self, placed: Placed, obstacles: list[str]) -> None:
        version = placed.version
        try:
            async with self._desk.admitted(version.length):
                content = await self._desk.reader.content(placed)
                row = await self._desk.worker(lambda: _row(content, version.size, None, version.path))
        except Renumbered:
            raise
        except (DataError, StoreError) as error:
            obstacles.append(f"the list of chunks of /{version.path} cannot be read. {error.detail}")
        else:
            self._tops[_top(version)] = row

    # Manifests that are chunks

    async def _read_below(self, rows: Iterable[Row], obstacles: list[str]) -> Mapping[Part, Row | None]:
        """All that these name, level by level; None for one that is lost or cannot be used."""
        found: dict[Part, Row | None] = {}
        level = list(rows)
        while wanted := {part for row in level for part in parts(row)} - found.keys():
            left = sorted(wanted - self._below.keys())
            for start in range(0, len(left), AT_ONCE):
                await settled([self._read_part(part, obstacles) for part in left[start : start + AT_ONCE]])
            found.update((part, self._below.get(part)) for part in wanted)
            level = [row for part in wanted if (row := found[part]) is not None]
        self._below = {part: row for part, row in found.items() if row is not None}
        return found

    @deferred
    async def _read_part(self, part: Part, obstacles: list[str]) -> None:
        try:
            self._below[part] = await self._part(part)
        except Renumbered:
            raise
        except (DataError, StoreError) as error:
            if isinstance(error, StoreError):  # what cannot be read now is not lost
                self._unseen.add(part)
            obstacles.append(f"a part of the list of chunks of a large file cannot be read. {error.detail}")

    async def _part(self, part: Part) -> Row:
        """From the first version at its path that has its name (FORMAT 2.3, 7.1).

        :raises ChunkLost: it is not there. :raises DataError, StoreError: it cannot be read, or not now.
        """
        key = await self._naming.key()
        path = chunk_path(part.name)
        failure: IFAPError = ChunkLost("It is not there any more.", path=path)
        late = [one for one in self._late if one.version.path == path]
        for placed in (*self._desk.view.index.history(path).versions, *late):
            try:
                return await self._part_at(placed, part, key)
            except Renumbered:
                raise
            except (DataError, StoreError) as error:
                failure = error
        raise failure

    async def _part_at(self, placed: Placed, part: Part, key: bytes) -> Row:
        path = placed.version.path
        async with self._desk.admitted(placed.version.length):
            content = await self._desk.reader.content(placed)

            def work() -> Row:
                if not is_chunk_name(key, content, part.name):
                    raise ChunkLost("Another content is there than its name says.", path=path)
                return _row(content.rstrip(PADDING), part.length, part.depth, path)

            return await self._desk.worker(work)


def _row(content: bytes, size: int, depth: int | None, path: str) -> Row:
    return Row.of(Manifest.decode(content, size=size, depth=depth, path=path))


def _top(version: Version) -> _Top:
    return version.sha256 or version.vid, version.size


def _sorted_out(histories: Mapping[str, History]) -> tuple[list[Placed], list[str], list[str]]:
    """The versions with manifests, the paths of chunks, and why it cannot be told what is needed."""
    tops, chunks, odd = list[Placed](), list[str](), list[str]()
    for path, history in histories.items():
        if path.startswith(CHUNKS):
            chunks.append(path)
        for placed in history.versions:
            if not placed.version.understood:
                odd.append(f"a newer version of ifap-twisted wrote /{path}.")
            elif placed.version.chunked:
                tops.append(placed)
    return tops, chunks, odd


def _references(
    histories: Mapping[str, History],
    read: _Read,
    unseen: Collection[Part],
    damaged: Collection[int],
    bad: Collection[int],
) -> References:
    """What follows from all manifests.

    :param unseen: what cannot be read now.
    :param damaged: the UIDs of messages that are damaged; ``bad`` also of those that could not be read the last time.
    """
    whole = _whole(histories, read.chunks, damaged)
    needed = named([*read.rows.values(), *(row for row in read.below.values() if row is not None)])
    unneeded = frozenset(path for path in read.chunks if path.removeprefix(CHUNKS) not in needed)
    readable = {part: NOTHING if part in unseen else row for part, row in read.below.items()}
    doubtful = Losses(read.below, _whole(histories, read.chunks, bad))
    return References(
        unneeded=None if read.obstacles else unneeded,
        why="".join(read.obstacles[:1]),
        lost=tuple(_lost(read.tops, read.rows, Losses(readable, whole))),
        missing=frozenset(needed - whole),
        doubtful=_uids(_lost(read.tops, read.rows, doubtful)),
    )


def _whole(histories: Mapping[str, History], chunks: Iterable[str], bad: Collection[int]) -> set[str]:
    """The names of the chunks that are at a place of which nothing bad is known."""
    return {
        path.removeprefix(CHUNKS)
        for path in chunks
        if any(uid not in bad for placed in histories[path].versions if _may_be(placed) for uid in placed.places)
    }


def _may_be(placed: Placed) -> bool:
    """Whether a version at the path of a chunk can be one."""
    return not (placed.version.deleted or placed.version.directory or placed.version.chunked)


def _lost(tops: Iterable[Placed], rows: Mapping[_Top, Row], losses: Losses) -> Iterator[Lost]:
    """Each version of which something is lost; of its manifest itself others tell."""
    for placed in tops:
        row = rows.get(_top(placed.version))
        if row is not None and (ranges := losses.of(row)):
            yield Lost(placed, ranges)


def _uids(lost: Iterable[Lost]) -> frozenset[int]:
    return frozenset(uid for one in lost for uid in one.placed.places)
