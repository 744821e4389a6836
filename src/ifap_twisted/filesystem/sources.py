"""What a put takes, as bytes: never more of it at a time than is asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import IO, cast

from ifap_twisted.core import limits
from ifap_twisted.core.limits import KIB
from ifap_twisted.errors import IncompleteSource, TooLarge
from ifap_twisted.interfaces import Source
from ifap_twisted.workers import Worker

PIECE = 256 * KIB


def known_size(source: Source, size: int | None) -> int | None:
    """The length of a source in bytes, where it is known before reading."""
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    return size


def check_size(size: int | None, limit: int, path: str) -> None:
    """Refuse a known size before a byte is read.

    :raises TooLarge:
    """
    if size is not None and size > limit:
        raise TooLarge(
            f"The file has {size} bytes; at most {limit} can be stored here.", path=path, limit=limit, size=size
        )


def check_length(length: int, path: str) -> None:
    """So much of a file can be given as a whole.

    :raises TooLarge:
    """
    if length > limits.FILE_IN_MEMORY:
        raise TooLarge(
            f"These are {length} bytes of /{path}; at most {limits.FILE_IN_MEMORY} are given as a whole. "
            "Read a part at a time ('ifap get', or 'open' and 'stream' in a program).",
            path=path,
            limit=limits.FILE_IN_MEMORY,
            size=length,
        )


class Input:
    """A source as it is read; a file that is changed meanwhile is noticed.

    :param size: how long it is, as announced.
    :param limit: it is not read any further.
    :param path: for errors.
    """

    def __init__(self, source: Source, *, size: int | None, limit: int, path: str, worker: Worker) -> None:
        if isinstance(source, bytearray) or (isinstance(source, memoryview) and not _is_fixed(source)):
            source = bytes(source)  # somebody may change it before it is stored
        self._source = source
        self._size = size
        self._limit = limit
        self._path = path
        self._worker = worker
        self._held: list[bytes | memoryview] = []
        self._came = 0
        self._start: int | None = None
        self._pieces = self._read()

    async def small(self, most: int) -> bytes | None:
        """All of it; None when it is longer than ``most``: then :meth:`pieces` gives it.

        :raises TooLarge, IncompleteSource: as :meth:`pieces`.
        """
        if isinstance(self._source, bytes) and len(self._source) <= most:
            self._count(len(self._source))
            self._check_end()
            return self._source
        length = 0
        async for piece in self._pieces:
            self._held.append(piece)
            length += len(piece)
            if length > most:
                return None
        return b"".join(self._held)

    async def again(self) -> bool:
        """Begin anew where that can be done: not with a stream."""
        source = self._source
        if self._start is None and not isinstance(source, bytes | memoryview):
            return False
        if self._start is not None:
            file, start = cast("IO[bytes]", source), self._start
            await self._worker(lambda: file.seek(start))
        self._came, self._held, self._pieces = 0, [], self._read()
        return True

    async def pieces(self) -> AsyncIterator[bytes | memoryview]:
        """All of it, a few bytes at a time, once.

        :raises TooLarge: as soon as it is passed.
        :raises IncompleteSource: it is not as long as announced, or changed meanwhile.
        """
        held, self._held = self._held, []
        for piece in held:
            yield piece
        held.clear()
        async for piece in self._pieces:
            yield piece

    async def _read(self) -> AsyncIterator[bytes | memoryview]:
        before = await self._begin()
        async for piece in _pieces(self._source, self._worker):
            self._count(len(piece))
            for start in range(0, len(piece), PIECE):
                yield memoryview(piece)[start : start + PIECE] if len(piece) > PIECE else piece
            if self._size is not None and self._came > self._size:
                break
        self._check_end()
        if before is not None and await self._worker(lambda: _stat(cast("IO[bytes]", self._source))) != before:
            raise IncompleteSource("The file changed while it was read; nothing was stored.", path=self._path)

    def _count(self, length: int) -> None:
        self._came += length
        check_size(self._came, self._limit, self._path)

    def _check_end(self) -> None:
        if self._size is not None and self._came != self._size:
            came = "more" if self._came > self._size else self._came
            raise IncompleteSource(
                f"{self._size} bytes were announced but {came} came; nothing was stored.", path=self._path
            )

    async def _begin(self) -> tuple[int, ...] | None:
        """What changes with a file; None of what is none."""
        if not hasattr(self._source, "read"):
            return None
        file = cast("IO[bytes]", self._source)
        self._start, before = await self._worker(lambda: (_position(file), _stat(file)))
        return before


def _is_fixed(view: memoryview) -> bool:
    return isinstance(view.obj, bytes) and view.c_contiguous


def _position(file: IO[bytes]) -> int | None:
    """Where a file is read from; None where it can be read once only."""
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, OSError, ValueError):  # it has something of the face of a file only
        return None


def _stat(file: IO[bytes]) -> tuple[int, ...] | None:
    try:
        found = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # it is none of the system, or closed: reading says so
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def _pieces(source: object, worker: Worker) -> AsyncIterator[bytes | memoryview]:
    if isinstance(source, bytes | memoryview):
        yield memoryview(source).cast("B")
    elif hasattr(source, "read"):
        file = cast("IO[bytes]", source)  # the other members of Source have no such method
        while piece := await worker(lambda: file.read(PIECE)):
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in cast("AsyncIterable[bytes]", source):
            yield piece
    else:
        for piece in cast("Iterable[bytes]", source):
            yield piece
