"""All connections of a client to its node: whatever the URL says, there is one node, and none of them is left over."""

# mypy: allow-untyped-calls
# (twisted.protocols.policies is not annotated; what is ours here is.)

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from ifap_twisted.deferreds import deferred


class _Counting(WrappingFactory):
    """Makes the one protocol of one connection, and tells when it begins and ends."""

    noisy = False

    def __init__(self, factory: Any, open_ones: Connections) -> None:
        super().__init__(factory)
        self._open_ones = open_ones

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        super().registerProtocol(p)
        self._open_ones.begun(p)

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        super().unregisterProtocol(p)
        self._open_ones.ended(p)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Connections:
    """The endpoint of an agent that talks to one node."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint
        self._open: set[ProtocolWrapper] = set()
        self._waiting: list[Deferred[None]] = []

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:  # noqa: ARG002 -- Twisted's interface
        """The same for every URI."""
        return self

    @deferred
    async def connect(self, protocolFactory: IProtocolFactory) -> IProtocol:
        """Connect, and remember the connection until it ends."""
        wrapper: Any = await self._endpoint.connect(_Counting(protocolFactory, self))
        protocol: IProtocol = wrapper.wrappedProtocol
        return protocol

    def begun(self, connection: ProtocolWrapper) -> None:
        """A connection is there."""
        self._open.add(connection)

    def ended(self, connection: ProtocolWrapper) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    @deferred
    async def abort(self) -> None:
        """End those that are still there, such as an upload that the node has refused in the middle."""
        if self._open:
            gone: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(gone)
            for connection in list(self._open):
                connection.abortConnection()
            await gone
