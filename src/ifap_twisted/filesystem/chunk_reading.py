"""Reading the chunks of large files: each is looked up by its name when it is read, wherever it lies then (FORMAT 7.1).

Who reads says in which file a chunk is needed, and where; what a chunk is does not depend on that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import chunk_path, is_chunk_name, padded_length, unpadded
from ifap_twisted.core.history import Placed
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.deferreds import Slots, detach
from ifap_twisted.errors import (
    ChunkLost,
    DataError,
    IFAPError,
    MessageGone,
    NewerVersionNeeded,
    ProtocolViolation,
    Renumbered,
    StoreError,
)
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.reading import Reader
from ifap_twisted.filesystem.shared import Shared
from ifap_twisted.filesystem.view import View
from ifap_twisted.workers import Worker

_Key: TypeAlias = tuple[str, int, int | None]
"""Name and length of a piece, and its depth where it is a manifest; or hash and length of a small file."""
_WHOLE: Final = -1
_DAMAGED: Final = "the chunk that holds them is damaged."
_GONE: Final = "the chunk that holds them is gone."
_PIECE_COST: Final = 300
"""Bytes of memory that a piece of a manifest takes."""


class ChunkReader:
    """Reads chunks of one folder, and keeps those that were read last for all who read.

    :param kept: bytes of them that are kept at most.
    """

    _log = Logger()

    def __init__(
        self, naming: Naming, view: View, reader: Reader, worker: Worker, *, kept: int = limits.CHUNKS_KEPT
    ) -> None:
        self._naming = naming
        self._view = view
        self._reader = reader
        self._worker = worker
        self._shared: Shared[_Key, bytes | Manifest] = Shared(kept, _weight)
        self._slots = Slots(limits.CHUNKS_FETCHED)
        self._ahead: set[Deferred[None]] = set()
        self._ends: OrderedDict[tuple[str, int], None] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes of memory that the contents kept take."""
        return self._shared.held

    async def content(self, piece: Piece) -> bytes:
        """A piece of a file, without padding.

        :raises ChunkLost: it is not there any more or damaged; where in which file is for the caller to add.
        :raises Malformed: it is of another length.
        :raises NewerVersionNeeded: :raises StoreError: it cannot be read, or not now: it may be there.
        """
        found = await self._shared.get((piece.name, piece.length, None), lambda: self._content(piece))
        assert isinstance(found, bytes)
        return found

    async def stored(self, name: str) -> bytes:
        """What lies in the folder of a chunk, padding and all, whatever was read before; raises as :meth:`content`."""
        return await self._read(name, padded_length(limits.CHUNK_MOST))

    async def manifest(self, piece: Piece, depth: int) -> Manifest:
        """A piece of a manifest of manifests; raises what :meth:`content` raises.

        :param depth: of the manifest that it has to be.
        :raises Malformed: it is none of that depth, or of another length.
        """
        found = await self._shared.get((piece.name, piece.length, depth), lambda: self._manifest(piece, depth))
        assert isinstance(found, Manifest)
        return found

    async def whole(self, placed: Placed) -> bytes:
        """The content of a small file, for who reads it in parts that are asked for one by one.

        :raises IFAPError: as :meth:`Reader.content`.
        """
        version = placed.version
        if placed.missing or not version.understood or version.sha256 is None:
            return await self._reader.content(placed)
        key = (version.sha256, version.length, _WHOLE)
        found = await self._shared.get(key, lambda: self._reader.content(placed))
        assert isinstance(found, bytes)
        return found

    def check_listed(self, piece: Piece) -> None:
        """A chunk is among what the server lists; nothing is asked of it.

        :raises ChunkLost: it is not. :raises MessageGone: the list is not complete.
        """
        if not self._there(piece.name, padded_length(piece.length)):
            raise self._unseen() if self._is_blind else ChunkLost(_GONE)

    def goes_on(self, version: str, start: int, stop: int) -> bool:
        """Whether a range of a version begins where one ended before; each request of HTTP has a stream of its own."""
        goes_on = (version, start) in self._ends
        self._ends.pop((version, start), None)
        self._ends[version, stop] = None
        if len(self._ends) > limits.READING_ON:
            self._ends.popitem(last=False)
        return goes_on

    def read_ahead(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        """Fetch what is likely to be needed, unless enough of that is under way; who needs it hears of a failure."""
        if len(self._ahead) >= limits.CHUNKS_FETCHED:
            return
        ahead = Deferred.fromCoroutine(work())
        self._ahead.add(ahead)
        detach(ahead.addErrback(_not_needed_yet).addBoth(self._ended, ahead), self._log, "reading ahead")

    def _ended(self, result: Failure | None, ahead: Deferred[None]) -> Failure | None:
        self._ahead.discard(ahead)
        return result

    def stop(self) -> None:
        """Keep nothing any more, and fetch nothing ahead."""
        for ahead in list(self._ahead):
            ahead.cancel()
        self._shared.clear()

    async def _content(self, piece: Piece) -> bytes:
        return unpadded(await self._read(piece.name, padded_length(limits.CHUNK_MOST)), piece.length)

    async def _manifest(self, piece: Piece, depth: int) -> Manifest:
        content = await self._read(piece.name, limits.MANIFEST_BYTES)
        return Manifest.decode(content, size=piece.length, depth=depth)

    # Looking one up

    async def _read(self, name: str, most: int) -> bytes:
        """The padded content of a chunk, of at most so many bytes, from any message that has it."""
        failure: IFAPError = Renumbered()
        tried: list[Placed] | None = None
        async with self._slots:
            for _ in range(limits.CHUNK_LOOKS):
                there = self._there(name, most)
                if there == tried:  # nobody put it there meanwhile
                    break
                tried = there
                try:
                    return await self._any_copy(name, there)
                except Renumbered as error:
                    failure, tried = error, None
                except (ChunkLost, MessageGone) as error:
                    failure = error
                await self._view.refresh()
        raise self._unseen() if isinstance(failure, ChunkLost) and self._is_blind else failure

    def _there(self, name: str, most: int) -> list[Placed]:
        """The versions at its name that may be it, by what their headers say."""
        path = chunk_path(name)
        return [
            one
            for one in (*self._view.index.history(path).versions, *self._late(path))
            if not (one.missing or one.version.deleted or one.version.chunked) and one.version.length <= most
        ]

    def _late(self, path: str) -> list[Placed]:
        """What came under a revoked key (FORMAT 8.5): whoever sealed it, only one content can have the name."""
        if not self._view.revocation.keys:
            return []
        return [Placed(version, (uid,)) for uid, version in self._view.late.items() if version.path == path]

    async def _any_copy(self, name: str, there: Iterable[Placed]) -> bytes:
        """The first that is what its name says (FORMAT 2.3).

        :raises ChunkLost: each of them is known to be bad, or there is none.
        :raises NewerVersionNeeded, StoreError: one of them may be good.
        """
        failures: list[IFAPError] = []
        for one in there:
            try:
                content = await self._reader.content(one)
            except (MessageGone, ProtocolViolation, DataError) as error:
                failures.append(error)
                continue
            if await self._is_named(content, name):
                return content
            failures.append(ChunkLost())
        for failure in failures:
            if isinstance(failure, StoreError | NewerVersionNeeded):
                raise failure
        raise ChunkLost(_DAMAGED if failures else _GONE)

    async def _is_named(self, content: bytes, name: str) -> bool:
        key = await self._naming.key()
        if len(content) <= limits.INLINE_BYTES:
            return is_chunk_name(key, content, name)
        return await self._worker(lambda: is_chunk_name(key, content, name))

    @property
    def _is_blind(self) -> bool:
        """Something may be there that is not known: not listed is not deleted (FORMAT 2.5)."""
        return self._view.incomplete or self._view.unread

    def _unseen(self) -> MessageGone:
        return MessageGone(
            "A chunk of the file is not among what the mail server lists, which is not all that is there."
        )


def _weight(value: bytes | Manifest) -> int:
    return len(value) if isinstance(value, bytes) else _PIECE_COST * len(value.pieces)


def _not_needed_yet(failure: Failure) -> None:
    """It is fetched once more when it is needed: then its reader is told."""
    failure.trap(IFAPError, CancelledError)  # type: ignore[no-untyped-call]
