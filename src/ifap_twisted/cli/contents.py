"""The content of files of any size, part by part; what is lost of one, as far as the filesystem can tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.errors import ChunkLost, Truncated

if TYPE_CHECKING:
    from ifap_twisted.interfaces import IStream

PART: Final = 4 * limits.MIB
"""Asked for at a time: a few chunks, so that fetching ahead has something to do."""


class Lost(NamedTuple):
    """A range of bytes that nobody can read any more."""

    offset: int
    length: int


async def content_of(stream: IStream, start: int = 0) -> AsyncIterator[bytes]:
    """The content from an offset on, in parts of ``PART`` bytes at most.

    :raises ChunkLost: some of it is lost.
    """
    for begin in range(start, stream.entry.size, PART):
        yield await _part(stream, begin, min(begin + PART, stream.entry.size))


async def salvage(stream: IStream) -> AsyncIterator[bytes | Lost]:
    """All of a file in order: what is left of it in parts, and what is lost.

    :raises ChunkLost: it is not told where something is lost. Other errors are not salvaged over.
    """
    position, until, size = 0, stream.entry.size, stream.entry.size
    while position < size:
        stop = min(position + PART, until)
        try:
            part = await _part(stream, position, stop)
        except ChunkLost as error:
            lost = _lost(error, position, stop, size)
            if lost.offset > position:  # what comes before it may be whole
                until = lost.offset
                continue
            yield lost
            position, until = position + lost.length, size
        else:
            yield part
            position = stop
            until = size if position == until else until


async def _part(stream: IStream, start: int, stop: int) -> bytes:
    data = await stream.read(start, stop)
    if len(data) != stop - start:
        raise Truncated(f"{len(data)} bytes came of {stop - start}.", path=stream.entry.path)
    return data


def _lost(error: ChunkLost, position: int, stop: int, size: int) -> Lost:
    """What an error says, of a range that was asked for; raises it where that helps nobody."""
    if error.offset is None or error.length is None:
        raise error
    begin, end = max(error.offset, position), min(error.offset + error.length, size)
    if not position <= begin < min(end, stop):
        raise error
    return Lost(begin, end - begin)
