"""A file that is open for reading bytes: of a large one only what is read is fetched (DESIGN 4.4)."""

from __future__ import annotations

import io
from typing import NoReturn

from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry
from ifap_twisted.deferreds import deferred
from ifap_twisted.interfaces import IStream


class StreamedFile:
    """An open file, mode ``rb``: the version that was opened, whatever is put meanwhile.

    A part around the position is held, so that many small reads ask for the stream once.
    """

    def __init__(self, stream: IStream) -> None:
        self._stream = stream
        self._position = 0
        self._start = 0
        self._held = b""
        self._open = True

    @deferred
    async def read(self, size: int | None = -1) -> bytes:
        """Read up to ``size`` bytes, or to the end; a failure leaves the position where it was.

        :raises TooLarge: that is more than is held in memory of one file.
        """
        self._check()
        start, end = self._position, self._stream.entry.size
        stop = max(start, end if size is None or size < 0 else min(start + size, end))
        self._position = stop  # at once: who reads again before this has ended reads what follows
        try:
            return await self._bytes(start, stop)
        except BaseException:
            self._position = start
            raise

    async def _bytes(self, start: int, stop: int) -> bytes:
        if not self._start <= start <= stop <= self._start + len(self._held):
            held = await self._stream.read(start, max(stop, start + limits.READ_TOGETHER))
            self._start, self._held = start, held[: limits.READ_TOGETHER]
            return held[: stop - start]
        return self._held[start - self._start : stop - self._start]

    @deferred
    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, also behind the end; fires with the new one."""
        self._check()
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"negative seek value {offset}")
        self._position = max(0, offset + (0, self._position, self._stream.entry.size)[whence])
        return self._position

    @deferred
    async def write(self, _data: bytes | str) -> int:
        """Refused: it is open for reading."""
        self._refuse()

    @deferred
    async def truncate(self, _size: int | None = None) -> int:
        """Refused: it is open for reading."""
        self._refuse()

    @deferred
    async def close(self) -> Entry | None:
        """Let go of it."""
        self._open, self._held = False, b""
        return None

    @deferred
    async def abort(self) -> None:
        """Let go of it."""
        self._open, self._held = False, b""

    def _check(self) -> None:
        if not self._open:
            raise ValueError("the file is closed")

    def _refuse(self) -> NoReturn:
        self._check()
        raise io.UnsupportedOperation("the file is not open for writing")
