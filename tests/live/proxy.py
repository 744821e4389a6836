"""A TCP proxy on loopback that breaks connections when told."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone


class Proxy:
    """Passes on what comes, until it is told otherwise.

    :ivar sent: bytes that clients sent since the last order.
    """

    def __init__(self, host: str, port: int) -> None:
        self._endpoint = TCP4ClientEndpoint(reactor, host, port)
        self._listener = reactor.listenTCP(0, Factory.forProtocol(lambda: _End(self)), interface="127.0.0.1")
        self._ends: list[_End] = []
        self._cut_after: int | None = None
        self._silent_after: int | None = None
        self.sent = 0

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listener.getHost().port)

    def cut(self) -> None:
        """Break all connections; new ones are served well."""
        self._silent_after = self._cut_after = None
        for end in list(self._ends):
            end.transport.abortConnection()

    def cut_after(self, count: int) -> None:
        """Break all connections when clients have sent so many bytes more, and pass on exactly these."""
        self.sent, self._cut_after = 0, count

    def silence_after(self, count: int) -> None:
        """Keep from clients what servers say from when clients have sent so many bytes more, until the next cut."""
        self.sent, self._silent_after = 0, count

    async def stop(self) -> None:
        """End everything."""
        await self._listener.stopListening()
        gone = [end.gone for end in self._ends]
        self.cut()
        await DeferredList(gone)

    def passed(self, data: bytes, *, from_client: bool) -> bytes:
        """What of some bytes is passed on."""
        if not from_client:
            return data if self._silent_after is None or self.sent < self._silent_after else b""
        self.sent += len(data)
        if self._cut_after is not None and self.sent >= self._cut_after:
            kept = data[: len(data) - (self.sent - self._cut_after)]
            reactor.callLater(0, self.cut)
            return kept
        return data

    async def connect(self, client: _End) -> None:
        """Connect a client's end with one to the server."""
        server = await self._endpoint.connect(Factory.forProtocol(lambda: _End(self, client)))
        client.meet(server)


class _End(Protocol):
    """One end of a connection."""

    def __init__(self, proxy: Proxy, client: _End | None = None) -> None:
        self._proxy = proxy
        self._client = client
        self._other: _End | None = None
        self._early: list[bytes] = []
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """A client came, or the server answered."""
        self._proxy._ends.append(self)
        if self._client is None:
            connecting = Deferred.fromCoroutine(self._proxy.connect(self))
            connecting.addErrback(lambda _failure: self.transport.abortConnection())
        else:
            self._other = self._client

    def meet(self, other: _End) -> None:
        """The other end is there."""
        self._other = other
        early, self._early = self._early, []
        for data in early:
            self.dataReceived(data)

    def dataReceived(self, data: bytes) -> None:
        """Pass on."""
        if self._other is None:
            self._early.append(data)
            return
        passed = self._proxy.passed(data, from_client=self._client is None)
        if passed:
            self._other.transport.write(passed)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Let the other end go too, after what was written to it."""
        if self in self._proxy._ends:
            self._proxy._ends.remove(self)
        if self._other is not None:
            self._other.transport.loseConnection()
        self.gone.callback(None)
