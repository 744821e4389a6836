"""What was written over a content and is not stored yet: stretches of bytes, where they lie, and how long it all is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from ifap_twisted.core.limits import KIB

__all__ = ["Overlay", "Part"]

_TOGETHER: Final = 256 * KIB
"""Writes that follow one another are one stretch up to this length: so that none is copied again and again."""
_STRETCH_COST: Final = 200
"""Bytes of memory that a stretch takes besides what is in it."""


class Part(NamedTuple):
    """A part of a content: from ``start`` up to ``stop``; ``data`` is None where what was there before counts."""

    start: int
    stop: int
    data: bytes | None


class Overlay:
    """Changes to a content of a known length.

    :ivar size: of the content with the changes, in bytes.
    :ivar intact: up to here what was there before counts, where nothing was written over it; behind it there are NULs.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.intact = size
        self._starts: list[int] = []
        self._stretches: list[bytearray] = []
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes of memory that the changes take."""
        return self._held + _STRETCH_COST * len(self._starts)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes somewhere; what lies between the end and them becomes NULs."""
        if not data:
            return
        self._clear(offset, offset + len(data))
        number = bisect_left(self._starts, offset)
        before = self._stretches[number - 1] if number else None
        if before is not None and self._starts[number - 1] + len(before) == offset and len(before) < _TOGETHER:
            before += data
        else:
            self._starts.insert(number, offset)
            self._stretches.insert(number, bytearray(data))
        self._held += len(data)
        self.size = max(self.size, offset + len(data))

    def truncate(self, size: int) -> None:
        """Cut the content, or extend it with NULs."""
        if size < self.size:
            self._clear(size, self.size)
            self.intact = min(self.intact, size)
        self.size = size

    def is_clean(self, start: int, stop: int) -> bool:
        """Whether a stretch is what was there before."""
        return stop <= self.intact and all(part.data is None for part in self.parts(start, stop))

    def parts(self, start: int, stop: int) -> Iterator[Part]:
        """What a stretch is made of, in order; the stretch is cut to what is there."""
        stop = min(stop, self.size)
        position = start
        for number in range(max(bisect_right(self._starts, start) - 1, 0), len(self._starts)):
            begin, data = self._starts[number], self._stretches[number]
            if begin >= stop:
                break
            if begin + len(data) <= position:
                continue
            yield from self._between(position, begin)
            first, last = max(position, begin), min(stop, begin + len(data))
            yield Part(first, last, bytes(data[first - begin : last - begin]))
            position = last
        yield from self._between(position, stop)

    def _between(self, start: int, stop: int) -> Iterator[Part]:
        """Where nothing was written: what was there before, and NULs behind its end."""
        middle = min(max(start, self.intact), stop)
        if start < middle:
            yield Part(start, middle, None)
        if middle < stop and start < stop:
            yield Part(max(start, middle), stop, bytes(stop - max(start, middle)))

    def _clear(self, start: int, stop: int) -> None:
        """Forget what was written into a stretch."""
        number = max(bisect_right(self._starts, start) - 1, 0)
        while number < len(self._starts) and self._starts[number] < stop:
            begin, data = self._starts[number], self._stretches[number]
            if begin + len(data) <= start:
                number += 1
                continue
            kept = [(begin, data[: start - begin])] if begin < start else []
            if begin + len(data) > stop:
                kept.append((stop, data[stop - begin :]))
            self._starts[number : number + 1] = [where for where, _data in kept]
            self._stretches[number : number + 1] = [rest for _where, rest in kept]
            self._held -= len(data) - sum(len(rest) for _where, rest in kept)
            number += len(kept)
