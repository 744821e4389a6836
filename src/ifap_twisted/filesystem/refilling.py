"""Storing the lost chunks of large files again, from local files that still have them (FORMAT 7.1).

A chunk is known by its name, which only its content can have: whatever else lies there is of no use and does no harm.
Nothing is written to the local files, and no link is followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import CHUNKS, chunk_name, padded
from ifap_twisted.core.findings import WARNING, Finding
from ifap_twisted.core.manifests import Piece, grouped
from ifap_twisted.errors import CallerError
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.manifest_reading import ManifestReading

if TYPE_CHECKING:
    from ifap_twisted.core.chunking import Chunker

STEP: Final = 8 * limits.MIB
"""Bytes of a local file that are cut at a time."""


class _Source:
    """One local file, cut as it was when it was stored.

    :param wanted: names of chunks; what is found is taken out.
    """

    def __init__(self, path: Path, key: bytes, chunker: Chunker, wanted: set[str]) -> None:
        self._key = key
        self._chunker = chunker
        self._wanted = wanted
        self._buffer = bytearray()
        self._position = 0
        self._pieces: list[Piece] = []
        # Not through a link that was put in its place, and without waiting for the other end of a pipe.
        self._file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self.ended = not stat.S_ISREG(os.fstat(self._file).st_mode)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def found(self) -> list[tuple[str, bytes]]:
        """Wanted chunks in what comes next: names and padded contents; and of all lists of chunks, at the end."""
        found: list[tuple[str, bytes]] = []
        # By position: should the file be closed meanwhile, nothing is taken out of what its number stands for then.
        while len(self._buffer) < STEP and (data := os.pread(self._file, STEP, self._position)):
            self._buffer += data
            self._position += len(data)
        last = len(self._buffer) < STEP
        at = 0
        with memoryview(self._buffer) as view:
            while at < len(view) and (last or len(view) - at >= self._chunker.cutting.most):
                length = self._chunker.cut(view[at:])
                found += self._named(bytes(view[at : at + length]), length, self._pieces)
                at += length
        del self._buffer[:at]
        self.ended = last
        return found + list(self._lists()) if last else found

    def _lists(self) -> Iterator[tuple[str, bytes]]:
        """The manifests that are chunks, level by level: they may be lost as well."""
        level, depth = self._pieces, 0
        while len(level) > 1 and depth <= limits.MANIFEST_DEPTH:
            above: list[Piece] = []
            for manifest in grouped(level, depth):
                yield from self._named(manifest.encode(), manifest.size, above)
            level, depth = above, depth + 1

    def _named(self, data: bytes, length: int, pieces: list[Piece]) -> Iterator[tuple[str, bytes]]:
        content = padded(data)
        name = chunk_name(self._key, content)
        pieces.append(Piece(name, length))
        if name in self._wanted:
            self._wanted.discard(name)
            yield name, content


class Refilling:
    """Stores lost chunks of one folder again."""

    _log = Logger()

    def __init__(self, desk: Desk, manifests: ManifestReading) -> None:
        self._desk = desk
        self._manifests = manifests

    async def run(self, sources: Path) -> list[Finding]:
        """Look through a local file, or all in a directory and below it; what else is to be told.

        Where a list of chunks is found, those that it names are looked for after it.

        :raises CallerError: there is no such directory.
        :raises TooLarge, DataError, StoreError: nothing can be stored, or not now; what was found before is stored.
        """
        failures: list[OSError] = []
        files = await self._desk.worker(lambda: list(_files(sources, failures)))
        for failure in failures:
            self._log.warn("a local directory could not be read: {why}", why=failure.strerror)
        unread = 0
        known: set[str] = set()
        for _ in range(limits.MANIFEST_DEPTH + 2):
            missing = (await self._manifests.look(self._desk.view.index.histories())).missing
            if missing <= known:
                break
            known |= missing
            unread = await self._pass(files, set(missing))
        if not (unread := unread + len(failures)):
            return []
        return [Finding("not-readable-now", WARNING, "Local files could not be read; see the log.", places=unread)]

    async def _pass(self, files: Sequence[Path], wanted: set[str]) -> int:
        """Through all files, or until nothing is wanted any more; how many could not be read."""
        key, chunker = await self._desk.chunks.chunker(CHUNKS)
        unread = 0
        for path in files:
            if not wanted:
                break
            try:
                await self._file(path, key, chunker, wanted)
            except OSError as error:
                self._log.warn("a local file could not be read: {why}", why=error.strerror)
                unread += 1
        return unread

    async def _file(self, path: Path, key: bytes, chunker: Chunker, wanted: set[str]) -> None:
        source = await self._desk.worker(lambda: _Source(path, key, chunker, wanted))
        try:
            while wanted and not source.ended:
                async with self._desk.admitted(2 * STEP):
                    for name, content in await self._desk.worker(source.found):
                        with self._desk.writer.underway:
                            await self._desk.chunks.store(name, content)
        finally:
            source.close()


def _files(sources: Path, failures: list[OSError]) -> Iterator[Path]:
    """All regular files, in an order of their own; no link is followed below what was named.

    :param failures: takes what the system says of what cannot be looked into.
    :raises CallerError: it is neither a directory nor a file.
    """
    if sources.is_file():
        yield sources.resolve()
        return
    if not sources.is_dir():
        raise CallerError(f"{sources} is no directory.")
    for directory, directories, names in os.walk(sources, onerror=failures.append):
        directories.sort()
        for name in sorted(names):
            path = Path(directory, name)
            try:
                regular = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                failures.append(error)
                continue
            if regular:
                yield path
