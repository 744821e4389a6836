"""Large files made by hand, of small chunks: what is read does not depend on how it was written (FORMAT 7.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.core import envelope
from ifap_twisted.core.chunks import CHUNKS, chunk_draft, chunk_name, chunk_path, padded
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.store.memory import MemoryStore
from tests.filesystem.folders import result
from tests.filesystem.uploads import written_blindly


class CountingStore(MemoryStore):
    """Remembers which messages were asked for.

    :ivar asked: their UIDs, in order.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.asked: list[int] = []

    def message(self, uid: int) -> Deferred[bytes]:
        """One message."""
        self.asked.append(uid)
        return super().message(uid)


class Chunked:
    """Puts chunks and manifests into the folder of a device; what it puts that device knows.

    :param length: bytes of a chunk.
    :param most: pieces of one manifest.
    :ivar key: the folder's sub-key for names.
    """

    def __init__(self, filesystem: Filesystem, *, length: int = 1000, most: int = 256) -> None:
        self.filesystem = filesystem
        self.length = length
        self.most = most
        self.key = result(Deferred.fromCoroutine(Naming(filesystem.desk.view).key()))

    def chunk(self, data: bytes, *, name: str | None = None) -> Piece:
        """Store a chunk, once more if it is there; under a wrong ``name`` where one is given."""
        view, content = self.filesystem.desk.view, padded(data)
        name = chunk_name(self.key, content) if name is None else name
        sealed = envelope.seal(
            chunk_draft(name, view.home or ""),
            content,
            dialect=view.dialect,
            key=view.keys[0] if view.keys else None,
            now=1_800_000_000.0,
            random=self.filesystem.desk.writer.drafting.random,
        )
        result(view.store.append(sealed.message))
        result(self.filesystem.refresh())
        return Piece(name, len(data))

    def pieces(self, data: bytes) -> list[Piece]:
        """Store the chunks of a content."""
        return [self.chunk(data[start : start + self.length]) for start in range(0, len(data), self.length)]

    def manifest(self, pieces: Sequence[Piece], *, depth: int = 0) -> Manifest:
        """Of pieces of a depth; where they are too many, of manifests of them, which are stored."""
        if len(pieces) <= self.most:
            return Manifest(tuple(pieces), depth)
        return self.manifest([self.nested(one) for one in self._rows(pieces, depth)], depth=depth + 1)

    def _rows(self, pieces: Sequence[Piece], depth: int) -> Iterator[Manifest]:
        for start in range(0, len(pieces), self.most):
            yield Manifest(tuple(pieces[start : start + self.most]), depth)

    def nested(self, manifest: Manifest) -> Piece:
        """Store a manifest as a piece of another one."""
        return Piece(self.chunk(manifest.encode()).name, manifest.size)

    def file(self, path: str, manifest: Manifest | bytes, *, size: int | None = None) -> str:
        """Store the file of a manifest, or of anything in place of one; its version."""
        content = manifest if isinstance(manifest, bytes) else manifest.encode()
        if size is None:
            assert isinstance(manifest, Manifest)
            size = manifest.size
        return written_blindly(self.filesystem, path, content, Change(size=size)).version.vid

    def tombstone(self, path: str) -> None:
        """Store a removal of anything, a chunk too."""
        result(Deferred.fromCoroutine(self.filesystem.desk.writer.write(path, b"", Change(deleted=True))))

    def put(self, path: str, data: bytes) -> str:
        """Store a large file; its version."""
        return self.file(path, self.manifest(self.pieces(data)))

    def places(self, piece: Piece) -> tuple[int, ...]:
        """The UIDs at which a chunk lies."""
        history = self.filesystem.desk.view.index.history(chunk_path(piece.name))
        return tuple(uid for placed in history.versions for uid in placed.places)

    def fetched(self, asked: Sequence[int]) -> list[str]:
        """Of messages that were asked for, the names of those that are chunks."""
        index = self.filesystem.desk.view.index
        found = [version.path for uid in asked if (version := index.at(uid)) is not None]
        return [path.removeprefix(CHUNKS) for path in found if path.startswith(CHUNKS)]
