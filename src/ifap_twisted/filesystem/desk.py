"""What every operation works with, and the few steps that all of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import limits, paths
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.retention import Policy
from ifap_twisted.core.values import Entry, Expect
from ifap_twisted.errors import (
    AlreadyExists,
    InvalidPath,
    IsADirectory,
    MessageGone,
    NotADirectory,
    NotFound,
    UnknownVersion,
    VidCollision,
)
from ifap_twisted.filesystem.admission import Budget
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.chunk_writing import ChunkWriter
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.entries import BESIDE, entry_of
from ifap_twisted.filesystem.lockbook import LockBook
from ifap_twisted.filesystem.locking import Locking
from ifap_twisted.filesystem.objects import Objects
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.filesystem.remarks import doubtful_versions
from ifap_twisted.filesystem.view import View
from ifap_twisted.filesystem.writing import Writer
from ifap_twisted.interfaces import RemotePath
from ifap_twisted.workers import Worker

LEAST_PREFIX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a filesystem behaves (DESIGN 4.6).

    :ivar max_file_size: bytes that go out as one message at most.
    :ivar chunk_threshold: a longer file goes out in chunks (FORMAT 7.1); 0: none, so that ``max_file_size`` is the end.
    :ivar cutting: how long these chunks are.
    :ivar keep: versions kept of a file of which nobody said otherwise.
    :ivar retention: which versions are kept by their age; ``keep`` of its own counts for nothing.
    :ivar grace: seconds between planning and collecting (FORMAT 5.3); ``limits.LEAST_GRACE_SECONDS`` at least.
    :ivar expunges_plainly: a collection may send plain EXPUNGE where there is no UIDPLUS (FORMAT 5.4).
    :ivar compat: refuse what the reference programs could not see (FORMAT 1.6).
    :ivar require_bound: refuse content that nothing binds to its name (FORMAT 1.5).
    :ivar holder: the name for people in locks that are taken without one.
    :ivar checkpoint_every: seconds between two looks whether there is news for a checkpoint (FORMAT 9.2); None
        publishes with ``snapshot`` only.
    """

    max_file_size: int = limits.MAX_FILE_SIZE
    chunk_threshold: int = limits.CHUNK_THRESHOLD
    cutting: Cutting = field(default_factory=Cutting)
    keep: int = limits.WIRE_VERSIONS
    retention: Policy = field(default_factory=Policy)
    grace: float = limits.GRACE_SECONDS
    expunges_plainly: bool = False
    compat: bool = False
    require_bound: bool = False
    holder: str = ""
    checkpoint_every: float | None = None

    @property
    def whole(self) -> int:
        """A file of up to so many bytes goes out as one message."""
        return min(self.max_file_size, self.chunk_threshold or self.max_file_size)

    @property
    def held(self) -> int:
        """Of a file of unknown length so many bytes are in memory at a time, at most."""
        return max(self.whole, limits.UPLOAD_WINDOW) if self.chunk_threshold else self.max_file_size

    @property
    def largest(self) -> int:
        """So many bytes a file may have."""
        return limits.CHUNKED_SIZE if self.chunk_threshold else self.max_file_size


@dataclass(frozen=True, slots=True)
class Found:
    """A version of a file, its history, and the name under which it is shown."""

    history: History
    placed: Placed
    path: str

    @property
    def entry(self) -> Entry:
        """As front ends see it."""
        return entry_of(self.history, self.placed, path=self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The view, the readers, the writer and the locks of one open folder.

    :ivar chunks_read: reads the chunks of large files.
    :ivar chunks: stores those of large files.
    :ivar lenders: places for those whose source says nothing, and who let others have their part of the budget.
    :ivar leaving: for each directory what is on its way out of it, by each that is at it.
    """

    view: View
    reader: Reader
    chunks_read: ChunkReader
    writer: Writer
    book: LockBook
    locking: Locking
    budget: Budget
    lenders: Budget
    clock: IReactorTime
    worker: Worker
    options: Options
    objects: Objects
    chunks: ChunkWriter
    leaving: dict[str, list[Collection[str]]] = field(default_factory=dict)

    @property
    def in_use(self) -> frozenset[str]:
        """The paths that are being written or read on this device."""
        return frozenset((*self.writer.in_use, *self.reader.in_use))

    @property
    def expunges(self) -> bool:
        """Single messages can be removed here, or plain EXPUNGE is allowed (FORMAT 5.4)."""
        return self.options.expunges_plainly or self.view.store.traits.expunges_by_uid

    # Finding

    def file(self, path: str, version: str | None = None) -> Found:
        """The live file at a path, or one of its versions.

        :raises NotFound, IsADirectory, UnknownVersion, VidCollision:
        """
        if version is not None:
            return self._version(path, version)
        placed = self.view.index.file(path)
        if self.view.index.is_directory(path):
            raise IsADirectory(f"/{path} is a directory.", path=path)
        if placed is not None:
            return Found(self.view.index.history(path), placed, path)
        beside = path.removesuffix(BESIDE)
        placed = self.view.index.file(beside)
        if beside != path and placed is not None and self.view.index.is_directory(beside):
            return Found(self.view.index.history(beside), placed, path)
        raise NotFound(f"There is no file /{path}.", path=path)

    def _version(self, path: str, prefix: str) -> Found:
        history = self.view.index.history(path) or self.view.index.history(path.removesuffix(BESIDE))
        if not history:
            history = self._odd_history(path)
        if (late := self._late(path, prefix)) is not None and not history.find(prefix):
            return Found(history, late, path)
        if not history:
            raise NotFound(f"There is no file /{path}, and no version of it.", path=path)
        exact = history.find(prefix)
        matching = exact or tuple(
            placed
            for placed in history.versions
            if len(prefix) >= LEAST_PREFIX and placed.version.vid.startswith(prefix)
        )
        if not matching:
            self._check_gone(path, prefix)
            raise UnknownVersion(f"/{path} has no version {prefix}.", path=path)
        if len({placed.version.vid for placed in matching}) > 1:
            raise UnknownVersion(f"More than one version of /{path} begins with {prefix}.", path=path)
        if len(matching) > 1:
            raise VidCollision(f"Two different versions of /{path} carry the id {prefix}.", path=path)
        return Found(history, matching[0], path)

    def _late(self, path: str, vid: str) -> Placed | None:
        """What is set aside because it came under a revoked key, for whoever asks by its id (FORMAT 8.5)."""
        late = sorted(self.view.late.items())
        return next((Placed(one, (uid,)) for uid, one in late if (one.path, one.vid) == (path, vid)), None)

    def _check_gone(self, path: str, prefix: str) -> None:
        """A version that was there is not unknown (FORMAT 5.5).

        :raises MessageGone:
        """
        if len(prefix) >= LEAST_PREFIX and any(one.vid.startswith(prefix) for one in self.view.index.gone(path)):
            raise MessageGone(f"Version {prefix} of /{path} was there and is gone from the mail server.", path=path)

    def _odd_history(self, shown: str) -> History:
        """The history of a name that we would not write, by the form in which it is shown (FORMAT 11.1)."""
        odd = [name for name in self.view.index.paths() if not paths.is_writable(name) and paths.escaped(name) == shown]
        return self.view.index.history(odd[0]) if len(odd) == 1 else History()

    def any_file(self, path: RemotePath, version: str | None = None) -> str:
        """A path to read from: reserved files and, by version, odd names can be read (FORMAT 6.1, 11.1)."""
        try:
            cleaned = paths.clean(path)
        except InvalidPath:
            if version is None or not self._odd_history(str(path)):
                raise
            return str(path)
        if not cleaned and version is None:
            raise IsADirectory("/ is a directory.", path="")
        return cleaned

    def check_place(self, path: str) -> None:
        """A file can be written there: it is no directory, nothing above it is a file, and it hides nothing.

        :raises IsADirectory, NotADirectory, AlreadyExists:
        """
        if self.view.index.is_directory(path):
            raise IsADirectory(f"/{path} is a directory.", path=path)
        if self.writer.backlog.is_directory(path):
            raise IsADirectory(f"/{path} is a directory: what is in it waits for the mail server.", path=path)
        self.check_above(path)
        self.check_hides_nothing(path)

    def check_hides_nothing(self, path: str) -> None:
        """No file whose name a directory keeps is shown under this name (FORMAT 11.2).

        :raises AlreadyExists:
        """
        index = self.view.index
        beside = path.removesuffix(BESIDE)
        if beside != path and index.is_file(beside) and index.is_directory(beside) and not index.is_file(path):
            raise AlreadyExists(
                f"/{path} is what the file /{beside} is shown as, because a directory has its name; move it first.",
                path=path,
            )

    def check_above(self, path: str) -> None:
        """Nothing above a path is a file.

        :raises NotADirectory:
        """
        for above in paths.ancestors(path):
            if self.view.index.is_file(above) and not self.view.index.is_directory(above):
                raise NotADirectory(f"/{above} is a file, not a directory.", path=above)
            if self.writer.backlog.accepted(above):
                raise NotADirectory(f"/{above} is a file that waits for the mail server, no directory.", path=above)

    # Doing

    @asynccontextmanager
    async def admitted(self, amount: int) -> AsyncIterator[None]:
        """Hold so many bytes of plaintext; waits while too many are held."""
        await self.budget.acquire(amount)
        try:
            yield
        finally:
            self.budget.release(amount)

    async def rewrite(
        self, path: str, found: Found, change: Change, *, expect: Expect = None, check: Callable[[], None] | None = None
    ) -> Entry:
        """Write the content of a version again, as a new version of a path (FORMAT 7.3)."""
        async with self.admitted(found.placed.version.length):
            content = b"" if found.placed.version.directory else await self.reader.content(found.placed)
            placed = await self.writer.write(path, content, change, expect=expect, check=check)
        return self.entry(path, placed)

    def entry(self, path: str, placed: Placed) -> Entry:
        """The entry of a version that was just written, or accepted."""
        locked = self.book.locked(path)
        if not self.writer.waits(placed):
            return entry_of(self.view.index.history(path), placed, locked=locked)
        history = self.writer.history(path)
        return replace(entry_of(history, history.find(placed.version.vid)[0], locked=locked), pending=True)

    def entry_of(self, found: Found) -> Entry:
        """The entry of a version that was found."""
        name, vid = found.placed.version.path, found.placed.version.vid
        doubtful = (name, vid) in doubtful_versions(self.view, [name])
        return replace(found.entry, locked=self.book.locked(name), doubtful=doubtful)


def as_before(found: Found, **changes: object) -> Change:
    """A change that keeps everything that an old version said of itself."""
    version = found.placed.version
    kept: dict[str, object] = {
        "modified": version.modified,
        "mode": version.mode,
        "mime": version.mime,
        "directory": version.directory,
        "size": version.size if version.chunked else None,
        "extra": version.extra,
    }
    return Change(**{**kept, **changes})  # type: ignore[arg-type]
