"""What was written through an open file, over what was there before: it is what a put takes when the file is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ifap_twisted.core import limits
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.errors import TooLarge
from ifap_twisted.interfaces import IStream

PIECE = limits.MIB
"""Bytes that are given on at a time."""


class HeldChanges:
    """Changes over any filesystem, in memory.

    :param base: what was there before; None: nothing.
    """

    def __init__(self, base: IStream | None) -> None:
        self._base = base
        self._overlay = Overlay(0 if base is None else base.entry.size)

    @property
    def size(self) -> int:
        """Bytes, the changes included."""
        return self._overlay.size

    async def content(self, start: int, stop: int) -> bytes:
        """A part of the content as it is now."""
        found = []
        for part in self._overlay.parts(start, stop):
            if part.data is not None:
                found.append(part.data)
            elif self._base is not None:
                found.append(await self._base.read(part.start, part.stop))
        return b"".join(found)

    async def write(self, offset: int, data: bytes) -> None:
        """Put bytes somewhere.

        :raises TooLarge: more than ``limits.CHANGES_HELD`` would be in memory.
        """
        if self._overlay.held + len(data) > limits.CHANGES_HELD:
            raise TooLarge(
                f"More than {limits.CHANGES_HELD} bytes of changes are not held in memory; 'put' takes a stream.",
                limit=limits.CHANGES_HELD,
            )
        self._overlay.write(offset, data)

    def truncate(self, size: int) -> None:
        """Cut the content, or extend it with NULs."""
        self._overlay.truncate(size)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The whole content as it is now."""
        for start in range(0, self.size, PIECE):
            yield await self.content(start, start + PIECE)
