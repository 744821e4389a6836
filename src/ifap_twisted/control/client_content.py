"""The content of a version at a node, a part at a time: ``IStream`` over HTTP ranges (RFC 9110 14).

Only what was asked for, of exactly this version, is content: an answer of another version, range or length is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ifap_twisted.control.client_link import Link, Question
from ifap_twisted.control.client_values import entry_from, parse_json
from ifap_twisted.core.values import Entry, Record
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import ProtocolViolation, Unavailable
from ifap_twisted.filesystem.sources import check_length

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse

_PARTIAL: Final = 206


class _Ahead(NamedTuple):
    """A part that nobody has asked for yet; its work never fails, it tells of a failure."""

    start: int
    stop: int
    work: Deferred[tuple[bytes, Failure | None]]


class HttpStream:
    """The content of one version at a node.

    When reading goes on where it ended, as much again is fetched ahead; the rest of the reading ahead is the node's.

    :param url: of the file, percent-encoded.
    """

    def __init__(self, link: Link, url: str, entry: Entry) -> None:
        self.entry = entry
        self._link = link
        self._url = url
        self._read_to = 0
        self._ahead: _Ahead | None = None

    @deferred
    async def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop`` or to the end.

        :raises TooLarge: it is asked for more at once than is held in memory for one file.
        :raises ChunkLost: naming the first range of bytes that is lost.
        """
        start, stop = max(start, 0), min(stop, self.entry.size)
        if start >= stop:
            return b""
        check_length(stop - start, self.entry.path)
        goes_on, self._read_to = start == self._read_to, stop
        work = self._begun(start, stop)
        if goes_on and stop < self.entry.size:
            self._ahead = self._begin(stop, min(2 * stop - start, self.entry.size))
        data, failure = await work
        if failure is not None:
            self._forget()
            failure.raiseException()
        return data

    def _begun(self, start: int, stop: int) -> Deferred[tuple[bytes, Failure | None]]:
        """What was begun ahead, if it is this; else it is begun now."""
        ahead = self._ahead
        if ahead is not None and (ahead.start, ahead.stop) == (start, stop):
            self._ahead = None
            return ahead.work
        self._forget()
        return self._begin(start, stop).work

    def _begin(self, start: int, stop: int) -> _Ahead:
        def came(data: bytes) -> tuple[bytes, Failure | None]:
            return data, None

        def failed(failure: Failure) -> tuple[bytes, Failure | None]:
            return b"", failure

        return _Ahead(start, stop, self._range(start, stop).addCallbacks(came, failed))

    def _forget(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.work.cancel()

    @deferred
    async def _range(self, start: int, stop: int) -> bytes:
        data = bytearray()
        await self.complete(data, start, stop)
        return bytes(data)

    async def complete(self, data: bytearray, start: int, stop: int) -> None:
        """Add what is missing of a range; an answer that is cut is asked for again from there: the node says why."""
        while len(data) < stop - start:
            before = len(data)
            try:
                await self._part(start + before, stop, data)
            except Unavailable:
                if len(data) == before:
                    raise

    async def _part(self, start: int, stop: int, data: bytearray) -> None:
        entry = self.entry
        expected = [f"bytes {start}-{stop - 1}/{entry.size}", f'"{entry.version}"']

        def check(response: IResponse) -> None:
            found = [response.headers.getRawHeaders(name, [""])[-1] for name in ("Content-Range", "ETag")]
            if response.code != _PARTIAL or response.length != stop - start or found != expected:
                raise ProtocolViolation("The node sent another part than it was asked for.", path=entry.path)

        question = Question(
            method="GET",
            path=self._url,
            query={"version": entry.version},
            headers={"Range": f"bytes={start}-{stop - 1}"},
        )
        await self._link.body(question, check, data.extend)


async def read_whole(link: Link, url: str, version: str | None) -> Record:
    """The content of a file and its entry, from one answer as long as that is not cut.

    :raises TooLarge: it is longer than any that is given as a whole.
    """
    data = bytearray()
    entries: list[Entry] = []

    def check(response: IResponse) -> None:
        entry = entry_from(parse_json(response.headers.getRawHeaders("X-IFAP-Entry", [""])[-1]))
        if response.length != entry.size:
            raise ProtocolViolation("The node sent another file than it said.", path=entry.path)
        check_length(entry.size, entry.path)
        entries.append(entry)

    query = {} if version is None else {"version": version}
    try:
        await link.body(Question(method="GET", path=url, query=query), check, data.extend)
    except Unavailable:
        if not data:
            raise
        await HttpStream(link, url, entries[0]).complete(data, 0, entries[0].size)
    return Record(entry=entries[0], data=bytes(data))
