"""A connection of the simulated network: two ends, and a stream of bytes in each direction.

Nothing is delivered while it is written: each block arrives by an event of the clock, so that no call nests in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IDelayedCall, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from ifap_twisted.testing.network import Road

WINDOW = 64 * 1024
"""Bytes on their way in one direction above which a producer is asked to pause."""


class Link:
    """One connection: two ends and a stream in each direction."""

    def __init__(self, road: Road, client: Any, server: Any) -> None:
        self.road = road
        self.client = End(self, client)
        self.server = End(self, server)
        self.up = self.client.out = Stream(road, f"{road.name} up", self.server)
        self.down = self.server.out = Stream(road, f"{road.name} down", self.client)

    def begin(self) -> None:
        """Tell both ends; the server's may speak at once."""
        self.road.links.append(self)
        self.server.protocol.makeConnection(self.server)
        self.client.protocol.makeConnection(self.client)

    def cut(self) -> None:
        """Break it; each end hears of it in its own time."""
        self.up.reset(ConnectionLost())
        self.down.reset(ConnectionLost())

    def ended(self) -> None:
        """One end has gone; when both have, it is forgotten."""
        if not (self.client.connected or self.server.connected) and self in self.road.links:
            self.road.links.remove(self)


class Stream:
    """Bytes in one direction, in their order.

    :ivar left: when so many more bytes have arrived, ``then`` happens; None: it does not.
    """

    def __init__(self, road: Road, name: str, to: End) -> None:
        self.left: int | None = None
        self.then: Callable[[], None] = road.cut
        self._road = road
        self._name = name
        self._to = to
        self._waiting = bytearray()
        self._end: Exception | None = None
        self._due: IDelayedCall | None = None

    @property
    def full(self) -> bool:
        """Whether so much is on its way that a sender should wait."""
        return len(self._waiting) > WINDOW

    def write(self, data: bytes) -> None:
        """Send something."""
        if self._end is None:
            self._waiting += data
            self.go_on()

    def close(self, reason: Exception) -> None:
        """Send no more; when everything has arrived, the other end is told."""
        self._end = self._end or reason
        self.go_on()

    def reset(self, reason: Exception) -> None:
        """Lose what is on its way; the other end is told."""
        self._waiting.clear()
        self.close(reason)

    def go_on(self) -> None:
        """Let the next block arrive in its time, if there is one."""
        if self._due is None and (self._waiting or self._end is not None) and not self._held():
            self._due = self._road.clock.callLater(self._road.delay(), self._arrive)

    def _held(self) -> bool:
        return self._road.silent or (self._to.paused and bool(self._waiting))

    def _arrive(self) -> None:
        self._due = None
        if self._held():
            return
        if self._waiting:
            self._deliver(self._take())
        elif self._end is not None:
            self._to.lose(self._end)
            return
        self.go_on()

    def _take(self) -> bytes:
        """The next block: all that waits, or a piece of it; no more than may arrive before the cut."""
        size = len(self._waiting)
        if self._road.shatters and size > 1 and self._road.random.random() < 0.3:
            size = self._road.random.randrange(1, size)
        if self.left is not None:
            size = min(size, self.left)
            self.left -= size
        block = bytes(self._waiting[:size])
        del self._waiting[:size]
        return block

    def _deliver(self, block: bytes) -> None:
        if block and self._to.connected:
            self._road.record.note(self._road.clock.seconds(), self._name, block)
            self._to.receive(block)
        if self.left == 0:
            self.left = None
            self.then()
        if not self.full:
            self._to.other.may_write()


@implementer(ITransport, IConsumer)
class End:
    """The transport at one end.

    :ivar deaf: its process is dead: the protocol is told nothing any more.
    """

    out: Stream

    def __init__(self, link: Link, protocol: Any) -> None:
        self.link = link
        self.protocol = protocol
        self.connected = True
        self.disconnecting = False
        self.paused = False
        self.deaf = False
        self._producer: Any = None
        self._producing = False

    @property
    def other(self) -> End:
        """The end that this one talks to."""
        return self.link.server if self is self.link.client else self.link.client

    # What the network calls

    def receive(self, block: bytes) -> None:
        """Bytes arrived."""
        if not self.deaf:
            self.protocol.dataReceived(block)

    def lose(self, reason: Exception) -> None:
        """It is over: the other end said so, or the network."""
        if self.connected:
            self.out.reset(reason)
            self.leave(reason)

    def leave(self, reason: Exception) -> None:
        """It is over at this end; what was sent goes on its way."""
        if not self.connected:
            return
        self.connected = False
        self._stop_producing()
        if not self.deaf:
            self.protocol.connectionLost(Failure(reason))  # type: ignore[no-untyped-call]
        self.link.ended()

    def bury(self) -> None:
        """Tell the protocol of a dead process what its life was too short for."""
        self.connected, self.deaf = True, False
        self.leave(ConnectionLost())

    def may_write(self) -> None:
        """There is room again."""
        if self._producer is not None and not self._producing and self.connected and not self.deaf:
            self._producing = True
            self._producer.resumeProducing()

    def _stop_producing(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None and not self.deaf:
            producer.stopProducing()

    # What the protocol calls

    def write(self, data: bytes) -> None:
        """Send."""
        if not self.connected or self.deaf:
            return
        self.out.write(data)
        if self.out.full and self._producer is not None and self._producing:
            self._producing = False
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send."""
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Ask a push producer to pause when much is on its way."""
        assert streaming, "there are push producers only"
        self._producer, self._producing = producer, True
        if not self.connected:
            self._stop_producing()

    def unregisterProducer(self) -> None:
        """It has no more to send."""
        self._producer = None
        if self.disconnecting:
            self._close()

    def loseConnection(self) -> None:
        """Close when everything is sent."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            if self._producer is None:
                self._close()

    def _close(self) -> None:
        self.out.close(ConnectionDone())
        self.link.road.clock.callLater(0, self.leave, ConnectionDone())

    def abortConnection(self) -> None:
        """Close at once; what is on its way is lost."""
        if self.connected:
            self.disconnecting = True
            self.out.reset(ConnectionLost())
            self.link.road.clock.callLater(0, self.leave, ConnectionAborted())

    def pauseProducing(self) -> None:
        """Receive nothing."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Receive again."""
        self.paused = False
        incoming = self.link.down if self is self.link.client else self.link.up
        incoming.go_on()

    def stopProducing(self) -> None:
        """Receive nothing any more."""
        self.loseConnection()

    def getPeer(self) -> UNIXAddress:
        """Nowhere."""
        return UNIXAddress(None)

    def getHost(self) -> UNIXAddress:
        """Nowhere."""
        return UNIXAddress(None)
