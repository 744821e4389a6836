"""Large files that are in no folder: streams that are cut, lost in part, or held up, as a test says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed

from ifap_twisted.core.limits import MIB
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import ChunkLost
from ifap_twisted.interfaces import IFilesystem

_BLOCK = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(2039))
CONTENT = (_BLOCK * (41 * MIB // len(_BLOCK) + 1))[: 40 * MIB + 4321]
"""Any range of it differs from its neighbours."""


class FakeStream:
    """A file with faults.

    :ivar lost: ranges as (offset, length); ``cut`` is an offset beyond which reading fails with ``error``.
    :ivar asked: the ranges that were asked for.
    """

    def __init__(self, data: bytes = CONTENT, path: str = "big", version: str = "V" * 22) -> None:
        self.entry = Entry(path=path, version=version, size=len(data), mode=0o640, modified=1234.5)
        self.data = data
        self.lost: list[tuple[int, int]] = []
        self.cut = len(data)
        self.error: Exception | None = None
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        self.asked.append((start, stop))
        for offset, length in sorted(self.lost):
            if start < offset + length and offset < stop:
                return fail(ChunkLost("Gone.", path=self.entry.path, offset=offset, length=length))
        if stop > self.cut:
            return Deferred() if self.error is None else fail(self.error)
        return succeed(self.data[start:stop])


class WithLarge:
    """A folder in which some files are large: those of the streams."""

    def __init__(self, real: IFilesystem, *streams: FakeStream) -> None:
        self._real = real
        self._streams = {stream.entry.path: stream for stream in streams}

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def stat(self, path: str, *, version: str | None = None) -> Deferred[Entry]:
        if path in self._streams:
            return succeed(self._streams[path].entry)
        return self._real.stat(path, version=version)

    def list(self, path: str = "/", **_more: object) -> Deferred[Sequence[Entry]]:
        return succeed([stream.entry for stream in self._streams.values()])

    def stream(self, path: str, *, version: str | None = None) -> Deferred[FakeStream]:
        del version
        return succeed(self._streams[path])
