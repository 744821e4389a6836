"""Open files over any ``IFilesystem``: changed as it comes, and stored at ``close`` (DESIGN 4.4).

What is only read, as bytes, is in :mod:`.streamed_files`; how large ones are changed in :mod:`.changing`.

Nothing is stored when the ``async with`` block raises, or after ``abort``. A file that was opened for changing expects,
when it is stored, the version that it was read from.
"""

from __future__ import annotations

import io
from codecs import getincrementaldecoder
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.core import limits
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.deferreds import Slots, deferred
from ifap_twisted.errors import CallerError, NotFound
from ifap_twisted.filesystem.changes import HeldChanges
from ifap_twisted.filesystem.sources import check_length
from ifap_twisted.filesystem.streamed_files import StreamedFile
from ifap_twisted.interfaces import IFile, IStream, RemotePath

MODES = frozenset("rwax")
LONGEST = 4
"""Bytes of a character in UTF-8."""
SMALL = 256 * limits.KIB
"""What is no longer is put as it is, and as a stream else."""


class Mode:
    """A mode as Python's ``open`` takes it: one of ``rwax``, and ``b``, ``t``, ``+``.

    :raises CallerError: it is none.
    """

    def __init__(self, text: str) -> None:
        kinds = [letter for letter in text if letter in MODES]
        rest = sorted(letter for letter in text if letter not in MODES)
        if len(kinds) != 1 or rest not in ([], ["+"], ["b"], ["t"], ["+", "b"], ["+", "t"]):
            raise CallerError(f"{text!r} is not a mode to open a file with.")
        self.kind = kinds[0]
        self.binary = "b" in text
        self.readable = self.kind == "r" or "+" in text
        self.writable = self.kind != "r" or "+" in text
        self.loads = self.kind in "ra"
        self.streams = self.binary and not self.writable


class File:
    """An open file: one operation after the other, in the order in which they were asked for.

    Positions are bytes, in text files too, and mean something only as ``seek(0)`` or what ``seek`` gave.

    :param changes: its content.
    :param changed: it is to be stored, though nothing be written.
    """

    def __init__(
        self, filesystem: Any, path: RemotePath, mode: Mode, changes: HeldChanges, expect: Expect, *, changed: bool
    ) -> None:
        self._filesystem = filesystem
        self._path = path
        self._mode = mode
        self._expect = expect
        self._changes = changes
        self._changed = changed
        self._position = 0
        self._turn = Slots(1)
        self._open = True

    @deferred
    async def read(self, size: int | None = -1) -> Any:
        """Read up to ``size`` bytes or characters, or to the end.

        :raises TooLarge: that is more than is held in memory of one file.
        """
        self._check(self._mode.readable, "reading")
        async with self._turn:
            whole = size is None or size < 0
            if self._mode.binary:
                return await self._read(self._changes.size if whole else self._position + (size or 0))
            start = self._position
            data = await self._read(self._changes.size if whole else start + LONGEST * (size or 0))
            text = getincrementaldecoder("utf-8")().decode(data, final=self._position >= self._changes.size)
            text = text if whole else text[:size]
            self._position = start + len(text.encode("utf-8"))
            return text

    async def _read(self, stop: int) -> bytes:
        stop = min(stop, self._changes.size)
        check_length(stop - self._position, str(self._path))
        data = await self._changes.content(self._position, stop)
        self._position += len(data)
        return data

    @deferred
    async def write(self, data: Any) -> int:
        """Write bytes or text; fires with how much of it was written."""
        self._check(self._mode.writable, "writing")
        if self._mode.binary == isinstance(data, str):
            raise TypeError("a binary file takes bytes, a text file str")
        written = bytes(data) if self._mode.binary else data.encode("utf-8")
        async with self._turn:
            offset = self._changes.size if self._mode.kind == "a" else self._position
            await self._changes.write(offset, written)
            self._position = offset + len(written)
            self._changed = True
        return len(data)

    @deferred
    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, also behind the end; fires with the new one."""
        self._check(True, "seeking")
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"negative seek value {offset}")
        async with self._turn:
            self._position = max(0, offset + (0, self._position, self._changes.size)[whence])
            return self._position

    @deferred
    async def truncate(self, size: int | None = None) -> int:
        """Cut or extend with NULs to a size, by default to the position; the position stays."""
        self._check(self._mode.writable, "writing")
        async with self._turn:
            size = self._position if size is None else size
            if size < 0:
                raise ValueError(f"negative size value {size}")
            self._changes.truncate(size)
            self._changed = True
            return size

    @deferred
    async def close(self) -> Entry | None:
        """Store what was written; a second call does nothing."""
        if not self._open:
            return None
        self._open = False
        async with self._turn:
            if not self._changed:
                return None
            size = self._changes.size
            data = await self._changes.content(0, size) if size <= SMALL else self._changes
            entry: Entry = await self._filesystem.put(self._path, data, size=size, expect=self._expect)
            return entry

    @deferred
    async def abort(self) -> None:
        """Forget what was written."""
        self._open = False

    def _check(self, allowed: bool, what: str) -> None:
        if not self._open:
            raise ValueError("the file is closed")
        if not allowed:
            raise io.UnsupportedOperation(f"the file is not open for {what}")


class Opening:
    """What ``open`` returns: awaitable for the file, and an ``async with`` around it."""

    def __init__(
        self,
        filesystem: Any,
        path: RemotePath,
        mode: str,
        expect: Expect,
        changes: Callable[[IStream | None], HeldChanges] = HeldChanges,
    ) -> None:
        self._filesystem = filesystem
        self._path = path
        self._mode = Mode(mode)
        self._expect = expect
        self._changes = changes
        self._file: IFile | None = None

    def __await__(self) -> Generator[Any, Any, IFile]:
        """Open; gives the file."""
        return self._opened().__await__()

    async def __aenter__(self) -> IFile:
        """Open; gives the file."""
        self._file = await self._opened()
        return self._file

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Store, or forget when the block raised."""
        if self._file is None:
            return
        if error is None:
            await self._file.close()
        else:
            await self._file.abort()

    async def _opened(self) -> IFile:
        mode = self._mode
        if mode.streams:
            return StreamedFile(await self._filesystem.stream(self._path))
        stream = await self._stream() if mode.loads else None
        expect = ABSENT if mode.kind == "x" else self._expect
        if expect is None and mode.loads:
            expect = ABSENT if stream is None else stream.entry.version
        changed = mode.writable and stream is None
        return File(self._filesystem, self._path, mode, self._changes(stream), expect, changed=changed)

    async def _stream(self) -> IStream | None:
        """The present content; None when a file that is appended to is not there yet."""
        opening: Deferred[IStream] = self._filesystem.stream(self._path)
        try:
            return await opening
        except NotFound:
            if self._mode.kind != "a":
                raise
            return None
