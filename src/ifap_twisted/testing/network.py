"""A network on a fake clock: ways to a server that take their time, are cut, or fall silent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet import error
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from zope.interface import implementer

from ifap_twisted.testing.links import End, Link

LONGEST = 20.0
"""Seconds that no block takes longer."""
SLOWNESS = 5.0
"""Seconds that a block takes more, in the mean, while a road is slow."""


class Record:
    """What was delivered on all roads, byte for byte, with its moments: equal for equal runs."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()

    def note(self, moment: float, name: str, data: bytes) -> None:
        """A block arrived."""
        self._state.update(b"%r %s %d " % (moment, name.encode(), len(data)) + data)

    def digest(self) -> str:
        """Of everything until now."""
        return self._state.hexdigest()


class Road:
    """The way of one device to the server, and the connections on it.

    :param latency: the mean of the seconds that a block takes; ``shatters``: blocks come in pieces.
    :ivar dead: nobody is at the client's end any more.
    """

    def __init__(
        self,
        clock: IReactorTime,
        random: Random,
        record: Record,
        name: str = "",
        *,
        latency: float = 0.0,
        shatters: bool = False,
    ) -> None:
        self.clock = clock
        self.random = random
        self.record = record
        self.name = name
        self.shatters = shatters
        self.silent = False
        self.dead = False
        self.links: list[Link] = []
        self._left_behind: list[End] = []
        self._latency = latency
        self._slow_until = 0.0

    def delay(self) -> float:
        """How long the next block takes."""
        mean = self._latency + (SLOWNESS if self.clock.seconds() < self._slow_until else 0.0)
        if not mean or self.random.random() < 0.2:
            return 0.0
        return min(self.random.expovariate(1 / mean), LONGEST)

    def slow_down(self, seconds: float) -> None:
        """Let every block take longer for a while."""
        self._slow_until = self.clock.seconds() + seconds

    def fall_silent(self, seconds: float) -> None:
        """Deliver nothing for a while; neither end is told."""
        self.silent = True
        self.clock.callLater(seconds, self.speak_again)

    def speak_again(self) -> None:
        """Deliver what waited, in its order."""
        self.silent = False
        for link in self.links:
            link.up.go_on()
            link.down.go_on()

    def behave(self) -> None:
        """From now on, no fault."""
        self._slow_until = 0.0
        for link in self.links:
            link.up.left = link.down.left = None
        self.speak_again()

    def cut(self) -> None:
        """Break all connections; what is on its way is lost."""
        for link in list(self.links):
            link.cut()

    def after(self, count: int, then: Callable[[], None], *, upstream: bool) -> bool:
        """Let something happen after so many more bytes to or from the server; tells whether there is a connection."""
        if not self.links:
            return False
        stream = self.links[-1].up if upstream else self.links[-1].down
        stream.left, stream.then = count, then
        return True

    def die(self, *, before: bool) -> None:
        """The client's process ends; ``before``: nothing that is on its way arrives any more."""
        self.dead = True
        for link in list(self.links):
            if link.client.connected:
                self._left_behind.append(link.client)
            link.client.deaf = True
            if before:
                link.client.abortConnection()
            else:
                link.up.close(error.ConnectionDone())

    def bury(self) -> None:
        """When all is over, end what the dead left behind."""
        self.dead = True
        self.cut()
        left_behind, self._left_behind = self._left_behind, []
        for end in left_behind:
            end.bury()


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Leads over a road to a server.

    :param accept: gives the protocol at the server's end, or None, which refuses the connection.
    """

    def __init__(self, road: Road, accept: Callable[[], IProtocol | None]) -> None:
        self._road = road
        self._accept = accept

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, in the road's time; on a silent one nothing comes back."""
        connected: Deferred[IProtocol] = Deferred()
        self._road.clock.callLater(self._road.delay(), self._arrive, protocolFactory, connected)
        return connected

    def _arrive(self, factory: IProtocolFactory, connected: Deferred[IProtocol]) -> None:
        if connected.called or self._road.silent or self._road.dead:
            return
        server = self._accept()
        if server is None:
            connected.errback(error.ConnectionRefusedError())  # type: ignore[no-untyped-call]
            return
        client: Any = factory.buildProtocol(UNIXAddress(None))
        Link(self._road, client, server).begin()
        connected.callback(client)
