"""Two protocols joined in memory: bytes move when ``Pump.run`` says so, with the brakes of a real transport."""

from __future__ import annotations

from collections import deque

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import fail, succeed
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, IStreamClientEndpoint, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

BUFFER = 1 << 16


class Pump:
    """Moves bytes until nothing more can move."""

    def __init__(self) -> None:
        self.ends: list[End] = []

    def run(self) -> None:
        moved = True
        while moved:
            moved = False
            for end in list(self.ends):
                moved = end.move() or moved


@implementer(ITransport, IPushProducer, IConsumer)
class End:
    """One end of a connection; like a socket it tells its producer to pause when its buffer is full."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._out: deque[bytes] = deque()
        self._producer = None
        self._producer_paused = False
        self._reading = True
        self._lost = False
        self.disconnecting = False
        self.protocol = None
        self.peer: End | None = None
        pump.ends.append(self)

    def write(self, data: bytes) -> None:
        if self._lost or not data:
            return
        self._out.append(bytes(data))
        if self._producer is not None and sum(map(len, self._out)) > BUFFER and not self._producer_paused:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data) -> None:
        self.write(b"".join(data))

    def move(self) -> bool:
        """Give the other end what it takes; whether anything happened."""
        moved = False
        while self._out and self.peer._reading and not self.peer._lost and not self._lost:
            moved = True
            self.peer.protocol.dataReceived(self._out.popleft())
        if not self._out and self._producer_paused and self._producer is not None and not self._lost:
            moved = True
            self._producer_paused = False
            self._producer.resumeProducing()
        if self.disconnecting and not self._out and self._producer is None and not self._lost:
            moved = True
            self.end(ConnectionDone())
        return moved

    def end(self, reason: Exception) -> None:
        """Both sides hear that it is over."""
        for end in (self, self.peer):
            if not end._lost:
                end._lost = True
                end._pump.ends.remove(end)
                if end._producer is not None:
                    end._producer.stopProducing()
                end.protocol.connectionLost(Failure(reason))

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.disconnecting = True
        self._out.clear()
        self.end(ConnectionLost())

    def registerProducer(self, producer, streaming) -> None:
        assert self._producer is None
        assert streaming
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self._reading = False

    def resumeProducing(self) -> None:
        self._reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self):
        return IPv4Address("TCP", "127.0.0.1", 50000)

    def getHost(self):
        return UNIXAddress("/control.socket")


@implementer(IStreamClientEndpoint)
class PipeEndpoint:
    """Connects a client to a site in memory.

    :ivar up: whether the node runs; ``connections`` is how many were made.
    """

    def __init__(self, site) -> None:
        self.site = site
        self.pump = Pump()
        self.up = True
        self.connections = 0

    def connect(self, protocolFactory):
        if not self.up:
            return fail(ConnectError())
        self.connections += 1
        client, server = End(self.pump), End(self.pump)
        client.peer, server.peer = server, client
        client.protocol = protocolFactory.buildProtocol(None)
        server.protocol = self.site.buildProtocol(None)
        server.protocol.makeConnection(server)
        client.protocol.makeConnection(client)
        return succeed(client.protocol)

    def break_all(self) -> None:
        """Cut every connection."""
        for end in list(self.pump.ends):
            end.end(ConnectionLost())
