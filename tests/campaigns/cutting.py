"""A proxy on loopback that cuts the connection after exactly so many bytes in one direction."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone

UP, DOWN = "up", "down"
"""From the client to the server, and back."""
FIN, RST = "fin", "rst"
_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection ends: ``after`` bytes of ``direction``, which are still passed on, by ``how``."""

    direction: str
    after: int
    how: str


class CuttingProxy:
    """Passes on what comes; counts it; cuts once when told.

    :param masked: words of the server that clients are not to see; each keeps its length.
    :ivar counts: bytes in each direction since :meth:`arm`; ``struck``: the cut was made.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, masked: tuple[bytes, ...] = ()) -> None:
        self.endpoint = endpoint
        self.masked = masked
        self.counts = {UP: 0, DOWN: 0}
        self.struck = False
        self._cut: Cut | None = None
        self._changes: list[tuple[str, bytes, bytes]] = []
        self._links: set[_Link] = set()
        self._port = reactor.listenTCP(0, Factory.forProtocol(lambda: _Side(_Link(self), UP)), interface="127.0.0.1")
        self.port = int(self._port.getHost().port)

    def arm(self, cut: Cut | None) -> None:
        """Count from now on, and cut once; None: only count."""
        self.counts, self.struck, self._cut = {UP: 0, DOWN: 0}, False, cut

    def change(self, direction: str, old: bytes, new: bytes) -> None:
        """Change the next such words, which have the same length; only those that come in one piece are seen."""
        assert len(old) == len(new)
        self._changes.append((direction, old, new))

    def still(self) -> None:
        """Change and cut nothing any more."""
        self._changes.clear()
        self.arm(None)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._links)

    def drop(self) -> None:
        """End all connections."""
        for link in list(self._links):
            link.end(RST)

    async def stop(self) -> None:
        """End everything."""
        await self._port.stopListening()
        gone = [side.gone for link in self._links for side in link.sides.values()]
        self.drop()
        for one in gone:
            await one

    def joined(self, link: _Link) -> None:
        """A connection was made."""
        self._links.add(link)

    def left(self, link: _Link) -> None:
        """A connection is gone."""
        self._links.discard(link)

    def passed(self, data: bytes, direction: str) -> tuple[bytes, str | None]:
        """What is passed on, and how the connection ends then, if it does."""
        for word in self.masked if direction == DOWN else ():
            data = data.replace(word, b"X" * len(word))
        data = self._changed(data, direction)
        self.counts[direction] += len(data)
        cut = self._cut
        if cut is None or cut.direction != direction or self.counts[direction] < cut.after:
            return data, None
        self._cut, self.struck = None, True
        return data[: len(data) - (self.counts[direction] - cut.after)], cut.how

    def _changed(self, data: bytes, direction: str) -> bytes:
        for change in [change for change in self._changes if change[0] == direction and change[1] in data]:
            self._changes.remove(change)
            data = data.replace(*change[1:], 1)
        return data


class _Link:
    """A connection through the proxy: the client's side and the server's."""

    def __init__(self, proxy: CuttingProxy) -> None:
        self.proxy = proxy
        self.sides: dict[str, _Side] = {}
        self.dead = False
        self._early: list[bytes] = []

    def join(self, side: _Side) -> None:
        """A side is there: first that of the client, on which the proxy calls the server."""
        self.sides[side.direction] = side
        self.proxy.joined(self)
        if side.direction == UP:
            calling = self.proxy.endpoint.connect(Factory.forProtocol(lambda: _Side(self, DOWN)))
            calling.addErrback(lambda _failure: self.end(RST))
        elif self.dead:
            side.transport.abortConnection()
        else:
            early, self._early = self._early, []
            for data in early:
                self.came(data, UP)

    def came(self, data: bytes, direction: str) -> None:
        """Pass bytes on, unless the connection was cut."""
        if self.dead:
            return
        other = self.sides.get(DOWN if direction == UP else UP)
        if other is None:
            self._early.append(data)
            return
        kept, how = self.proxy.passed(data, direction)
        other.transport.write(kept)
        if how is not None:
            self.end(how)

    def end(self, how: str) -> None:
        """End both sides once; what was passed on before still goes out."""
        self.dead = True
        for side in [side for side in self.sides.values() if not side.gone.called]:
            if how == RST and isinstance(side.transport.getPeer(), IPv4Address):
                with suppress(OSError):  # the other end was faster
                    side.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            side.transport.loseConnection()

    def lost(self, side: _Side) -> None:
        """One side is gone: so is the other."""
        if not self.dead:
            self.end(FIN)
        if all(one.gone.called for one in self.sides.values()):
            self.proxy.left(self)


class _Side(Protocol):
    """One side of a connection; ``direction`` is that of the bytes that come from it."""

    def __init__(self, link: _Link, direction: str) -> None:
        self.link = link
        self.direction = direction
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Begin."""
        self.link.join(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass on."""
        self.link.came(data, self.direction)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """End."""
        self.gone.callback(None)
        self.link.lost(self)
