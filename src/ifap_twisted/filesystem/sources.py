"""What a put takes, turned into bytes: never more of it than can be stored."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import IO, cast

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


async def gather(source: Source, *, size: int | None, limit: int, path: str, worker: Worker) -> bytes:
    """Read a source to its end.

    :raises TooLarge: as soon as it is passed.
    :raises IncompleteSource: it is not as long as announced.
    """
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, bytearray | memoryview):
        data = bytes(source)
    else:
        pieces: list[bytes] = []
        length = 0
        async for piece in _pieces(source, worker):
            pieces.append(bytes(piece))
            length += len(piece)
            check_size(length, limit, path)
            if size is not None and length > size:
                break
        data = b"".join(pieces)
    check_size(len(data), limit, path)
    if size is not None and len(data) != size:
        raise IncompleteSource(
            f"{size} bytes were announced but {'more' if len(data) > size else len(data)} came; nothing was stored.",
            path=path,
        )
    return data


async def _pieces(source: object, worker: Worker) -> AsyncIterator[bytes]:
    if hasattr(source, "read"):
        file = cast("IO[bytes]", source)  # the other members of Source have no such method
        while piece := await worker(lambda: file.read(PIECE)):
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in cast("AsyncIterable[bytes]", source):
            yield piece
    else:
        for piece in cast("Iterable[bytes]", source):
            yield piece
