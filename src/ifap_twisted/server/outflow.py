"""Writing no faster than the peer reads, so that what waits in memory is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ifap_twisted.server import limits

__all__ = ["Closed", "Outflow"]


class Closed(Exception):
    """The connection is gone, or the server stops."""


@implementer(IPushProducer)
class Outflow:
    """Registered with a transport as the producer of all that it sends.

    :param on_room: called when the peer reads again and nobody waits to write.
    """

    def __init__(self, transport: IConsumer, on_room: Callable[[], None]) -> None:
        self._transport = transport
        self._on_room = on_room
        self._paused = False
        self._ended = False
        self._waiting: Deferred[None] | None = None
        transport.registerProducer(self, True)

    @property
    def stalled(self) -> bool:
        """Whether the peer does not read."""
        return self._paused

    async def write(self, pieces: Iterable[bytes]) -> None:
        """Send everything; returns when the transport has taken it, holding at most a chunk and what it buffers.

        :raises Closed: the connection was lost meanwhile.
        """
        small: list[bytes] = []
        size = 0
        for piece in pieces:
            small.append(piece)
            size += len(piece)
            if size >= limits.CHUNK:
                await self._write_chunks(small)
                small, size = [], 0
        await self._write_chunks(small)

    async def _write_chunks(self, pieces: list[bytes]) -> None:
        data = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        for start in range(0, len(data), limits.CHUNK):
            await self.room()
            self._transport.write(bytes(data[start : start + limits.CHUNK]))

    async def room(self) -> None:
        """Wait until the peer has read enough.

        :raises Closed: the connection was lost meanwhile.
        """
        if self._paused:
            self._waiting = Deferred()
            await self._waiting

    def end(self) -> None:
        """Let the transport close when it has sent what it has, or because it is lost."""
        if not self._ended:
            self._ended = True
            self._transport.unregisterProducer()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(Closed())

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has room again."""
        self._paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
        else:
            self._on_room()

    def stopProducing(self) -> None:
        """The connection is lost; ``end`` follows."""
        self._paused = True
