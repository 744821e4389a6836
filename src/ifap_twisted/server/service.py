"""The embedded server as a service: from start to stop, and its users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings, Unavailable
from ifap_twisted.secrecy import Credentials
from ifap_twisted.server import limits, storage
from ifap_twisted.server.credentials import make_verifier
from ifap_twisted.server.running import Running

__all__ = ["EmbeddedServer"]


class EmbeddedServer(Service):
    """An IMAP server in this process, over a UNIX socket that only its owner can use.

    :param path: the database, made when it is missing.
    :param reactor: a reactor with threads, time and sockets.
    :param socket_path: the UNIX socket, of any length; what an earlier run left there is replaced.
    :param listen: a server endpoint string at which it listens too.
    :param message_limit: the largest message in bytes.
    :param owner: a user who is there before anybody can connect; made when missing.
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
        owner: Credentials | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._socket_path = socket_path
        self._listen = listen
        self._message_limit = message_limit
        self._owner = owner
        self._clock: IReactorTime = reactor if clock is None else clock
        self._running: Running | None = None
        self._starting: Deferred[None] | None = None
        self._outcome: Exception | bool = False
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        """Begin to open the database and to listen; ``when_ready`` says when, or why not."""
        super().startService()
        self._outcome = False
        self._running = Running(self._path, self._reactor, self._clock)
        self._starting = Deferred.fromCoroutine(self._start(self._running))

    @deferred
    async def stopService(self) -> None:
        """Stop listening, end connections after their commands, close the database."""
        super().stopService()
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting
        self._settle(Unavailable("The embedded server is stopped."))
        running, self._running = self._running, None
        if running is not None:
            await running.stop()

    @property
    def notices(self) -> list[Notice]:
        """What a person should know of the mail that is kept here."""
        return [] if self._running is None else self._running.database.notices

    def when_ready(self) -> Deferred[None]:
        """Fires when clients can connect; may be called at any time.

        :raises NewerVersionNeeded: the database has a newer format; it was not changed.
        :raises BadSettings: it cannot be opened, or it is not possible to listen.
        :raises Damaged: it is damaged; it was not changed.
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
        :raises BadSettings: the name is empty, too long or not printable, or the password is empty.
        :raises Unavailable: the service is not ready.
        """
        await self._add_user(self._now(), name, password)

    @deferred
    async def set_password(self, name: str, password: str) -> None:
        """Change a user's password; sessions that are open stay so.

        :raises NotFound: there is no such user.
        :raises BadSettings: the password is empty.
        :raises Unavailable: the service is not ready.
        """
        running = self._now()
        verifier = await self._verifier(running, name, password)
        await running.database.run(storage.set_verifier, name, verifier)

    @deferred
    async def users(self) -> list[str]:
        """The names of all users.

        :raises Unavailable: the service is not ready.
        """
        return await self._now().database.run(storage.users)

    async def _make_owner(self, running: Running) -> None:
        owner = self._owner
        if owner is not None and owner.user not in await running.database.run(storage.users):
            await self._add_user(running, owner.user, owner.password.reveal())

    async def _add_user(self, running: Running, name: str, password: str) -> None:
        verifier = await self._verifier(running, name, password)
        await running.database.run(storage.add_user, name, verifier, running.shelf.now())

    def _now(self) -> Running:
        if self._running is None:
            raise Unavailable("The embedded server is not started.")
        return self._running

    async def _verifier(self, running: Running, name: str, password: str) -> str:
        if not password or not name or len(name) > limits.USER_CHARACTERS or not name.isprintable():
            raise BadSettings("A user of the embedded server needs a printable name and a password.")
        secret = password.encode("utf-8")
        return await running.hashing(lambda: make_verifier(secret))

    async def _start(self, running: Running) -> None:
        try:
            await running.database.open()
            await self._make_owner(running)
            await running.listen(self._socket_path, self._listen, self._message_limit)
        except (OSError, ValueError, CannotListenError) as error:
            self._log.failure("The embedded server cannot listen")
            settings = BadSettings("The embedded server cannot listen; the log says why.")
            settings.__cause__ = error
            self._settle(settings)
        except Exception as error:  # noqa: BLE001 -- handed to those who wait
            self._settle(error)
        else:
            self._settle(True)

    def _settle(self, outcome: Exception | bool) -> None:
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(outcome, Exception):
                each.errback(outcome)
            else:
                each.callback(None)
