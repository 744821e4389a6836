"""The servers of the campaigns, and clients of them."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.server import storage
from ifap_twisted.server.credentials import make_verifier
from ifap_twisted.server.schema import open_database
from ifap_twisted.server.service import EmbeddedServer
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.workers import InlineWorker
from tests.campaigns.ground import KEY, START, in_memory
from tests.live.servers import server

USER, SECRET = "me", "secret"
CHEAP = (4, 8, 1)
"""What a login costs: campaigns log in some ten thousand times, and none of them is about guessing passwords."""


def make_accounts(database: Path) -> None:
    """A database of the embedded server with one user, who logs in quickly."""
    connection = open_database(database)
    try:
        storage.add_user(connection, USER, make_verifier(SECRET.encode(), CHEAP), int(START))
    finally:
        connection.close()


class Servers:
    """Where each server is; our own is started in this process when it is first needed."""

    def __init__(self) -> None:
        self._embedded: EmbeddedServer | None = None
        self._base: Path | None = None

    async def endpoint(self, name: str) -> tuple[IStreamClientEndpoint, str, str]:
        """The endpoint, user and password."""
        if name != "embedded":
            live = server(name)
            return TCP4ClientEndpoint(reactor, live.host, live.port), live.user, live.password
        if self._base is None:
            self._base = Path(tempfile.mkdtemp(prefix="ifap-campaign-", dir=in_memory()))
            make_accounts(self._base / "embedded.sqlite")
            await self.start()
        return UNIXClientEndpoint(reactor, str(self._base / "socket")), USER, SECRET

    async def start(self) -> None:
        """Start our own, which was stopped."""
        assert self._base is not None
        self._embedded = EmbeddedServer(self._base / "embedded.sqlite", reactor, socket_path=self._base / "socket")
        self._embedded.startService()
        await self._embedded.when_ready()

    async def pause(self) -> None:
        """Stop our own; its database stays."""
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            await embedded.stopService()

    async def stop(self) -> None:
        """End our own, and remove its files."""
        await self.pause()
        if self._base is not None:
            shutil.rmtree(self._base)
            self._base = None


class Client:
    """A connector and the filesystem over it.

    :param clock: of all its waits.
    """

    def __init__(self, clock: Any, endpoint: IStreamClientEndpoint, user: str, secret: str, folder: str) -> None:
        self._clock = clock
        self.connector = Connector(
            clock,
            endpoint,
            security=Security.plain(),
            authenticate=password(user, secret),
            folder=folder,
            random=lambda: 0.0,
        )
        self.store: IMessageStore = ImapStore(self.connector)
        self.filesystem: Any = None

    async def open(self, seed: str) -> Filesystem:
        """Open the folder."""
        drawn = random.Random(seed).randbytes
        surroundings = Surroundings(
            clock=self._clock, worker=InlineWorker(), random=drawn, identity=MemoryWriter(drawn)
        )
        opened = await open_folder(self.store, Membership(keys=(KEY,)), surroundings)
        self.filesystem = opened.filesystem
        return opened.filesystem

    async def messages(self) -> dict[int, bytes]:
        """What is in the folder, as the server gives it."""
        return {uid: await self.store.message(uid) for uid in await self.store.uids(1)}

    def hurry(self) -> None:
        """Connect again soon after each failure: the back-off has tests of its own."""

        def changed() -> None:
            if self.connector.state == "offline":
                self._clock.callLater(0.5, self.connector.retry)

        self.connector.watch(changed)
