"""What the server holds between one start and the next stop: threads, database, sockets and connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IReactorTime

from ifap_twisted.deferreds import deferred
from ifap_twisted.server.account import Shelf
from ifap_twisted.server.connections import Connections
from ifap_twisted.server.credentials import AccountRealm, PasswordChecker
from ifap_twisted.server.database import Database
from ifap_twisted.server.listening import UnixListener
from ifap_twisted.workers import ThreadWorker

__all__ = ["Running"]


class Running:
    """One run of the server.

    :ivar hashing: the worker of passwords, apart from the database's: guessing must not hold up the mail.
    """

    def __init__(self, path: Path, reactor: Any, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        self._storing = ThreadWorker(reactor, threads=1, name="ifap-embedded")
        self.hashing = ThreadWorker(reactor, threads=1, name="ifap-login")
        self.database = Database(path, self._storing)
        self.shelf = Shelf(self.database, clock)
        self._connections: Connections | None = None
        self._socket: UnixListener | None = None
        self._port: IListeningPort | None = None

    @deferred
    async def listen(self, socket_path: Path, listen: str | None, message_limit: int) -> None:
        """Let clients connect, once the database is open."""
        portal = Portal(AccountRealm(self.shelf), [PasswordChecker(self.shelf, self.hashing)])
        self._connections = Connections(portal, self._clock, message_limit)
        self._socket = UnixListener(self._reactor, socket_path, self._connections)
        if listen is not None:
            self._port = await serverFromString(self._reactor, listen).listen(self._connections)

    @deferred
    async def stop(self) -> None:
        """Stop listening, end the connections, close the database, end the threads."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        if self._socket is not None:
            await self._socket.stop()
        if self._connections is not None:
            await self._connections.shut_down()
        await self.database.close()
        self._storing.stop()
        self.hashing.stop()
