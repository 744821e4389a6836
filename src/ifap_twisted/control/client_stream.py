"""Bytes on their way between a program and a node: uploads with a brake, downloads, lines."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import IO, Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IncompleteSource, Unavailable
from ifap_twisted.interfaces import Source
from ifap_twisted.workers import Worker


async def pieces_of(source: Source, *, size: int | None, path: str, worker: Worker) -> AsyncIterator[bytes]:
    """A source in pieces that are no longer than what fits into a buffer of the socket.

    :raises IncompleteSource: it is not as long as announced.
    """
    length = 0
    async for piece in _raw(source, worker):
        length += len(piece)
        if size is not None and length > size:
            break
        for start in range(0, len(piece), limits.ANSWER_PIECE):
            yield bytes(piece[start : start + limits.ANSWER_PIECE])
    if size is not None and length != size:
        came = "more" if length > size else str(length)
        raise IncompleteSource(f"{size} bytes were announced but {came} came; nothing was stored.", path=path)


async def _raw(source: Source, worker: Worker) -> AsyncIterator[bytes | memoryview]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield memoryview(source).cast("B")
    elif hasattr(source, "read"):
        file = cast("IO[bytes]", source)  # the other members of Source have no such method
        while piece := await worker(lambda: file.read(limits.ANSWER_PIECE)):
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in cast("AsyncIterable[bytes]", source):
            yield piece
    else:
        for piece in source:
            yield piece


def _nothing() -> None:
    """Nobody wants to know."""


@implementer(IBodyProducer)
class Upload:
    """The body of a request, made of pieces, as fast as the node takes them.

    :param length: bytes, or None when it is not known.
    :ivar error: what the source raised, if it did.
    :ivar moved: called whenever something of it was handed on.
    :ivar ended: the source has given all.
    """

    _log = Logger()

    def __init__(self, pieces: AsyncIterator[bytes], length: int | None) -> None:
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.error: BaseException | None = None
        self.moved: Callable[[], None] = _nothing
        self.ended = False
        self._pieces = pieces
        self._resumed: Deferred[None] | None = None
        self._work: Deferred[None] | None = None
        self._stopped = False

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Begin; the result fires when all was written, and never after :meth:`stopProducing`."""
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        self._work = self._produce(consumer)

        def ended(result: Failure | None) -> None:
            if isinstance(result, Failure) and not isinstance(result.value, CancelledError):
                self.error = result.value
            if not self._stopped and not done.called:
                done.callback(result)

        self._work.addBoth(ended)  # type: ignore[unused-awaitable]
        return done

    @deferred
    async def _produce(self, consumer: IConsumer) -> None:
        async for piece in self._pieces:
            if self._resumed is not None:
                await self._resumed
            consumer.write(piece)
            self.moved()
        self.ended = True

    def pauseProducing(self) -> None:
        """The node takes no more for now."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """Nobody takes any more of it."""
        self._stopped = True
        if self._work is not None:
            self._work.cancel()


def upload_bytes(data: bytes) -> Upload:
    """A short body. (treq's own way of sending bytes uses the global reactor.)"""

    async def once() -> AsyncIterator[bytes]:
        yield data

    return Upload(once(), len(data))


class Download(Protocol):
    """The body of an answer, given piece by piece to a callable.

    :ivar done: fires at its end; cancelling it closes the connection.
    :ivar moved: called whenever something of it has come.
    """

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.moved: Callable[[], None] = _nothing
        self.done: Deferred[None] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        """A piece has come."""
        self.moved()
        self._take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end has come, or no more will."""
        if self.done.called:
            return
        if isinstance(reason.value, ResponseDone):
            self.done.callback(None)
        else:
            self.done.errback(Unavailable("The node closed the connection in the middle of its answer."))

    def _abort(self) -> None:
        if self.transport is not None:
            transport: Any = self.transport
            transport.loseConnection()  # what HTTP gives here knows no abort


def delivered(response: IResponse, download: Download) -> Deferred[None]:
    """Give the body of an answer to a download; fires at its end."""
    response.deliverBody(download)  # type: ignore[no-untyped-call]
    return download.done


class Lines(Download):
    """The body of an answer, given line by line to a callable."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__(self._split)
        self._take_line = take
        self._rest = b""

    def _split(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take_line(line)


class Unwanted(Protocol):
    """Takes nothing of an answer: the connection is closed."""

    def connectionMade(self) -> None:
        """It could be taken now."""
        transport: Any = self.transport
        transport.loseConnection()
