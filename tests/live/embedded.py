"""Our own server, over its UNIX socket, for the tests that every server passes."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.trial.unittest import TestCase

from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security
from ifap_twisted.server.service import EmbeddedServer
from ifap_twisted.store.imap import ImapStore


class EmbeddedCase(TestCase):
    """A test with the server, which it starts and stops."""

    def directory(self) -> Path:
        """A directory that nobody else can read."""
        base = Path(self.mktemp())
        base.mkdir(mode=0o700)
        return base

    async def setUp(self) -> None:
        """Start it."""
        base = self.directory()
        self.socket = base / "socket"
        self.service = EmbeddedServer(base / "embedded.sqlite", reactor, socket_path=self.socket)
        self.service.startService()
        self.addCleanup(self.service.stopService)
        await self.service.when_ready()
        await self.service.add_user("me", "secret")

    def embedded_store(self, folder: str) -> ImapStore:
        """Another connection to a folder, not open yet."""
        connector = Connector(
            reactor,
            UNIXClientEndpoint(reactor, str(self.socket)),
            security=Security.plain(),
            authenticate=password("me", "secret"),
            folder=folder,
            random=Random(0).random,
        )
        return ImapStore(connector)
