"""The embedded server as a service: database, sockets and connections, from start to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger

from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings, IFAPError, Unavailable
from ifap_twisted.server import limits, storage
from ifap_twisted.server.account import Shelf
from ifap_twisted.server.connections import Connections
from ifap_twisted.server.credentials import AccountRealm, PasswordChecker, make_verifier
from ifap_twisted.server.database import Database
from ifap_twisted.server.listening import UnixListener
from ifap_twisted.workers import ThreadWorker

__all__ = ["EmbeddedServer"]


class EmbeddedServer(Service):
    """An IMAP server in this process, over a UNIX socket that only its owner can use.

    :param path: the database, made when it is missing.
    :param reactor: a reactor with threads, time and sockets.
    :param socket_path: the UNIX socket, of any length; what an earlier run left there is replaced.
    :param listen: a server endpoint string at which it listens too.
    :param message_limit: the largest message in bytes.
    :param clock: the time of messages and of every wait; the reactor's unless given.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        reactor: Any,
        *,
        socket_path: Path,
        listen: str | None = None,
        message_limit: int = limits.MESSAGE,
        clock: IReactorTime | None = None,
    ) -> None:
        self._reactor = reactor
        self._socket_path = socket_path
        self._listen = listen
        self._message_limit = message_limit
        self._clock: IReactorTime = reactor if clock is None else clock
        self._storing = ThreadWorker(reactor, threads=1, name="ifap-embedded")
        self._hashing = ThreadWorker(reactor, threads=1, name="ifap-login")
        self._database = Database(path, self._storing)
        self._shelf = Shelf(self._database, self._clock)
        self._starting: Deferred[None] | None = None
        self._outcome: Exception | bool = False
        self._waiting: list[Deferred[None]] = []
        self._connections: Connections | None = None
        self._socket: UnixListener | None = None
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Begin to open the database and to listen; ``when_ready`` says when, or why not."""
        super().startService()
        self._outcome = False
        self._starting = Deferred.fromCoroutine(self._start())

    @deferred
    async def stopService(self) -> None:
        """Stop listening, end connections after their commands, close the database."""
        super().stopService()
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting
        self._settle(Unavailable("The embedded server is stopped."))
        await self._stop_listening()
        await self._database.close()
        self._storing.stop()
        self._hashing.stop()

    def when_ready(self) -> Deferred[None]:
        """Fires when clients can connect; may be called at any time.

        :raises NewerVersionNeeded: the database has a newer format; it was not changed.
        :raises BadSettings: it cannot be opened, or it is not possible to listen.
        :raises Unavailable: the service was stopped.
        """
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if self._outcome is not False:
            self._settle(self._outcome)
        return waiting

    @deferred
    async def add_user(self, name: str, password: str) -> None:
        """Add a user with an empty INBOX; of the password only a scrypt verifier is kept.

        :raises AlreadyExists: there is one of that name.
        :raises BadSettings: the name is empty, too long or holds control characters, or the password is empty.
        """
        verifier = await self._verifier(name, password)
        await self._database.run(storage.add_user, name, verifier, self._shelf.now())

    @deferred
    async def set_password(self, name: str, password: str) -> None:
        """Change a user's password; sessions that are open stay so.

        :raises NotFound: there is no such user.
        :raises BadSettings: the password is empty.
        """
        verifier = await self._verifier(name, password)
        await self._database.run(storage.set_verifier, name, verifier)

    @deferred
    async def users(self) -> list[str]:
        """The names of all users."""
        return await self._database.run(storage.users)

    async def _verifier(self, name: str, password: str) -> str:
        if not password or not name or len(name) > limits.USER_CHARACTERS or not name.isprintable():
            raise BadSettings("A user of the embedded server needs a printable name and a password.")
        secret = password.encode("utf-8")
        return await self._hashing(lambda: make_verifier(secret))

    async def _start(self) -> None:
        try:
            await self._database.open()
            await self._start_listening()
        except IFAPError as error:
            self._settle(error)
        except (OSError, ValueError, CannotListenError) as error:
            self._log.failure("The embedded server cannot listen")
            self._settle(BadSettings("The embedded server cannot listen; the log says why."), cause=error)
        else:
            self._settle(True)

    async def _start_listening(self) -> None:
        checker = PasswordChecker(self._shelf, self._hashing)
        portal = Portal(AccountRealm(self._shelf), [checker])
        self._connections = Connections(portal, self._clock, self._message_limit)
        self._socket = UnixListener(self._reactor, self._socket_path, self._connections)
        if self._listen is not None:
            self._port = await serverFromString(self._reactor, self._listen).listen(self._connections)

    async def _stop_listening(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        unix, self._socket = self._socket, None
        if unix is not None:
            await unix.stop()
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.shut_down()

    def _settle(self, outcome: Exception | bool, cause: Exception | None = None) -> None:
        if isinstance(outcome, Exception) and cause is not None:
            outcome.__cause__ = cause
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(outcome, Exception):
                each.errback(outcome)
            else:
                each.callback(None)
