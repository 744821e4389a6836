"""Files in chunks, for tests: small ones, and what the folder holds of them, without the code that is tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from random import Random

from twisted.internet.defer import Deferred

from ifap_twisted.core import envelope
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.history import Placed
from ifap_twisted.core.manifests import Manifest
from ifap_twisted.core.values import Version
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.filesystem.folders import KEY, Folder, result

CUTTING = Cutting(least=64, most=512, bits=7)
"""Chunks of about 200 bytes."""
THRESHOLD = 2000
LARGE = Options(chunk_threshold=THRESHOLD, cutting=CUTTING)


def written_blindly(filesystem: Filesystem, path: str, content: bytes, change: Change) -> Placed:
    """Write what may be no manifest, or one whose chunks are not there: as a device does that looks after nothing."""
    writer = filesystem.desk.writer
    look, writer.look = writer.look, _nothing
    try:
        placed: Placed = result(Deferred.fromCoroutine(writer.write(path, content, change)))
    finally:
        writer.look = look
    return placed


async def _nothing(content: bytes, size: int, path: str) -> None:
    """Look at nothing."""


def noise(length: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat."""
    return Random(seed).randbytes(length)


async def stream(data: bytes, piece: int = 100) -> AsyncIterator[bytes]:
    """The same, as a stream."""
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


def messages(folder: Folder) -> Iterator[tuple[int, Version, bytes]]:
    """What lies in a folder: UID, version and content of each message."""
    for uid, message in folder.shelf.messages.items():
        version, content = envelope.read_message(message, dialect=IFAP, keys=(KEY,), home=None)
        yield uid, version, content


def chunks(folder: Folder) -> Counter[str]:
    """The names of the chunks in a folder, with how many copies there are of each."""
    found = (envelope.read_header(one, dialect=IFAP, keys=(KEY,), home=None) for one in folder.shelf.messages.values())
    return Counter(version.path.removeprefix(CHUNKS) for version in found if version.path.startswith(CHUNKS))


def assembled(folder: Folder, path: str) -> bytes:
    """The content of the newest version of a file, put together by hand."""
    there = list(messages(folder))
    known = {version.path.removeprefix(CHUNKS): content for _uid, version, content in there}
    newest = [(version, content) for _uid, version, content in there if version.path == path][-1]
    version, content = newest
    if not version.chunked:
        return content
    return b"".join(_parts(known, Manifest.decode(content, size=version.size)))


def _parts(known: dict[str, bytes], manifest: Manifest) -> Iterator[bytes]:
    for piece in manifest.pieces:
        content = known[piece.name]
        if manifest.depth:
            yield from _parts(known, Manifest.decode(content.rstrip(b"\0"), size=piece.length))
        else:
            yield content[: piece.length]
