"""Open files over any ``IFilesystem``: read whole, changed in memory, stored whole at ``close`` (DESIGN 4.4).

What is only read, as bytes, is not read whole: :mod:`.streamed_files`.

Nothing is stored when the ``async with`` block raises, or after ``abort``. A file that was opened for changing expects,
when it is stored, the version that it was read from.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.core.values import ABSENT, Entry, Expect, Record
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import CallerError, NotFound
from ifap_twisted.filesystem.streamed_files import StreamedFile
from ifap_twisted.interfaces import IFile, RemotePath

MODES = frozenset("rwax")


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
    """An open file: its content in memory.

    Positions are bytes, in text files too, and mean something only as ``seek(0)`` or what ``seek`` gave.
    """

    def __init__(self, filesystem: Any, path: RemotePath, mode: Mode, record: Record | None, expect: Expect) -> None:
        self._filesystem = filesystem
        self._path = path
        self._mode = mode
        self._expect = expect
        self._buffer = io.BytesIO(record.data if record is not None else b"")
        self._changed = mode.writable and (record is None or mode.kind == "w")
        self._open = True

    @deferred
    async def read(self, size: int = -1) -> Any:
        """Read up to ``size`` bytes or characters, or to the end."""
        self._check(self._mode.readable, "reading")
        if self._mode.binary or size < 0:
            data = self._buffer.read(size)
            return data if self._mode.binary else data.decode("utf-8")
        start = self._buffer.tell()
        text = self._buffer.read().decode("utf-8")[:size]
        self._buffer.seek(start + len(text.encode("utf-8")))
        return text

    @deferred
    async def write(self, data: Any) -> int:
        """Write bytes or text; fires with how much of it was written."""
        self._check(self._mode.writable, "writing")
        if self._mode.binary == isinstance(data, str):
            raise TypeError("a binary file takes bytes, a text file str")
        if self._mode.kind == "a":
            self._buffer.seek(0, io.SEEK_END)
        self._buffer.write(data if self._mode.binary else data.encode("utf-8"))
        self._changed = True
        return len(data)

    @deferred
    async def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; fires with the new one."""
        self._check(True, "seeking")
        return self._buffer.seek(offset, whence)

    @deferred
    async def truncate(self, size: int | None = None) -> int:
        """Cut or extend with NULs to a size, by default to the position; the position stays."""
        self._check(self._mode.writable, "writing")
        size = self._buffer.tell() if size is None else size
        length = self._buffer.getbuffer().nbytes
        if size > length:
            position = self._buffer.tell()
            self._buffer.seek(length)
            self._buffer.write(bytes(size - length))
            self._buffer.seek(position)
        else:
            self._buffer.truncate(size)
        self._changed = True
        return size

    @deferred
    async def close(self) -> Entry | None:
        """Store what was written; a second call does nothing."""
        if not self._open:
            return None
        self._open = False
        if not self._changed:
            return None
        entry: Entry = await self._filesystem.put(self._path, self._buffer.getvalue(), expect=self._expect)
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

    def __init__(self, filesystem: Any, path: RemotePath, mode: str, expect: Expect) -> None:
        self._filesystem = filesystem
        self._path = path
        self._mode = Mode(mode)
        self._expect = expect
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
        if mode.kind == "x":
            return File(self._filesystem, self._path, mode, None, ABSENT)
        if not mode.loads:
            return File(self._filesystem, self._path, mode, None, self._expect)
        record = await self._record()
        expect = self._expect
        if expect is None and mode.writable:
            expect = ABSENT if record is None else record.entry.version
        return File(self._filesystem, self._path, mode, record, expect)

    async def _record(self) -> Record | None:
        """The present content; None when a file that is appended to is not there yet."""
        reading: Deferred[Record] = self._filesystem.read(self._path)
        try:
            return await reading
        except NotFound:
            if self._mode.kind != "a":
                raise
            return None
