"""Large files put together by hand, in pieces as small as a test likes, and what becomes of their chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.core import envelope
from ifap_twisted.core.chunks import CHUNKS, chunk_draft, chunk_name, padded
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.naming import Naming
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.uploads import written_blindly


class LargeFiles:
    """Writes chunks and manifests into a folder.

    :param fs: a device on it, of which the files are.
    """

    def __init__(self, folder: Folder, fs: Filesystem) -> None:
        self.folder = folder
        self.fs = fs
        self.key: bytes = result(Deferred.fromCoroutine(Naming(fs.desk.view).key()))

    def chunk(self, data: bytes, name: str | None = None) -> Piece:
        """Add a chunk with this content; it is read with the next refresh.

        :param name: one that is not its own.
        """
        content = padded(data)
        name = chunk_name(self.key, content) if name is None else name
        draft = chunk_draft(name, self.fs.desk.view.home or "")
        now = self.folder.clock.seconds()
        sealed = envelope.seal(
            draft, content, dialect=self.fs.desk.view.dialect, key=KEY, now=now, random=self.folder.random
        )
        self.folder.shelf.passed(now)
        self.folder.shelf.add(sealed.message)
        return Piece(name, len(data))

    def chunks(self, contents: Iterable[bytes]) -> list[Piece]:
        """Several."""
        return [self.chunk(data) for data in contents]

    def below(self, pieces: Sequence[Piece], depth: int = 0) -> Piece:
        """Add a manifest that is a chunk itself."""
        manifest = Manifest(tuple(pieces), depth)
        return self.chunk(manifest.encode())._replace(length=manifest.size)

    def file(self, path: str, pieces: Sequence[Piece], depth: int = 0, **change: Any) -> str:
        """Add a version of a file; its id."""
        manifest = Manifest(tuple(pieces), depth)
        return written_blindly(self.fs, path, manifest.encode(), Change(size=manifest.size, **change)).version.vid

    def put(self, path: str, *contents: bytes) -> str:
        """Add chunks and a version of a file of them; its id."""
        return self.file(path, self.chunks(contents))

    def places(self, piece: Piece) -> tuple[int, ...]:
        """The UIDs at which a chunk lies, as a fresh device sees it."""
        fresh = self.folder.device()
        found = fresh.desk.view.index.history(CHUNKS + piece.name).versions
        result(fresh.close())
        return tuple(uid for placed in found for uid in placed.places)

    def there(self) -> set[str]:
        """The names of all chunks."""
        fresh = self.folder.device()
        found = {one.version.path.removeprefix(CHUNKS) for one in fresh.desk.view.index.objects(CHUNKS)}
        result(fresh.close())
        return found
