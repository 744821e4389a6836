"""The connections of the server: how many there may be, and how they end together."""

from __future__ import annotations

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from ifap_twisted.deferreds import deferred
from ifap_twisted.server import limits
from ifap_twisted.server.connection import Connection

__all__ = ["Connections"]


class Connections(Factory):
    """Makes connections, at most ``limits.CONNECTIONS`` at a time, and ends them."""

    noisy = False

    def __init__(self, portal: Portal, clock: IReactorTime, message_limit: int = limits.MESSAGE) -> None:
        self._portal = portal
        self._clock = clock
        self._message_limit = message_limit
        self._open: set[Connection] = set()
        self._all_lost: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        """A new connection; None, which closes it, when there are too many or the server stops."""
        del addr
        if self._all_lost is not None or len(self._open) >= limits.CONNECTIONS:
            return None
        connection = Connection(self._portal, self._clock, self._message_limit, self._lost)
        connection.factory = self
        self._open.add(connection)
        return connection

    @deferred
    async def shut_down(self) -> None:
        """End every connection after the commands that it has received; those that take too long, at once."""
        self._all_lost = Deferred()
        for connection in tuple(self._open):
            connection.shut_down()
        if self._open:
            cut = self._clock.callLater(limits.SHUTDOWN_SECONDS, self._cut)
            await self._all_lost
            if cut.active():
                cut.cancel()

    def _cut(self) -> None:
        for connection in tuple(self._open):
            connection.transport.abortConnection()

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if self._all_lost is not None and not self._open:
            self._all_lost.callback(None)
