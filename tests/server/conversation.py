"""Conversations with the embedded server in memory: the real server without its sockets, threads and clock."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.cred.portal import Portal
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server import limits, storage
from ifap_twisted.server.account import Shelf
from ifap_twisted.server.connections import Connections
from ifap_twisted.server.credentials import AccountRealm, PasswordChecker, make_verifier
from ifap_twisted.server.database import Database
from ifap_twisted.workers import InlineWorker, Worker

START = 1_700_000_000
USER, PASSWORD = "me", "secret"
CHEAP = (1, 1, 1)


class Client:
    """One connection; ``say`` sends and returns the lines that come back."""

    def __init__(self, connections: Connections, peer: IAddress | None = None) -> None:
        self.transport = StringTransport(peerAddress=peer or UNIXAddress(b""))
        connection = connections.buildProtocol(None)
        assert connection is not None
        self.connection = connection
        connection.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.dataReceived(data)

    def received(self) -> bytes:
        """All that came since the last look."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def lines(self) -> list[bytes]:
        """The same, as lines."""
        return self.received().split(b"\r\n")[:-1]

    def say(self, line: bytes) -> list[bytes]:
        """Send a line; what comes back."""
        self.send(line + b"\r\n")
        return self.lines()

    def append(self, mailbox: bytes, message: bytes, tag: bytes = b"p") -> int:
        """Append a message; its UID."""
        self.send(tag + b" APPEND %b {%d+}\r\n%b\r\n" % (mailbox, len(message), message))
        found = re.search(rb"\[APPENDUID \d+ (\d+)\]", self.received())
        assert found is not None
        return int(found[1])

    def drop(self) -> None:
        """Lose the connection."""
        self.connection.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        """Whether the server has closed it."""
        return bool(self.transport.disconnecting or self.transport.disconnected)


class ConversationTestCase(SynchronousTestCase):
    """A server with one user and a mailbox ``box``."""

    message_limit = limits.MESSAGE

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.path = Path(self.mktemp())
        self.start(InlineWorker())
        verifier = make_verifier(PASSWORD.encode(), CHEAP)
        self.successResultOf(self.database.run(storage.add_user, USER, verifier, START))
        self.successResultOf(self.database.run(storage.create_mailbox, 1, "box", START))

    def start(self, worker: Worker) -> None:
        """Open the database and serve it; again after ``self.database.close()``."""
        self.database = Database(self.path, worker)
        self.successResultOf(self.database.open())
        self.addCleanup(self.database.close)
        self.shelf = Shelf(self.database, self.clock)
        portal = Portal(AccountRealm(self.shelf), [PasswordChecker(self.shelf, InlineWorker())])
        self.connections = Connections(portal, self.clock, self.message_limit)

    def connect(self, peer: IAddress | None = None) -> Client:
        """A connection that was greeted."""
        client = Client(self.connections, peer)
        client.lines()
        return client

    def client(self, select: bytes | None = None) -> Client:
        """A connection that has logged in, and perhaps selected a mailbox."""
        client = self.connect()
        client.say(b"l LOGIN me secret")
        if select is not None:
            client.say(b"s SELECT " + select)
        return client


class SlowWorker:
    """Runs work in order, one each time it is told to; so a test can look in between."""

    def __init__(self) -> None:
        self._worker = InlineWorker()
        self._waiting = []

    def __call__(self, work):
        """Keep the work."""
        from twisted.internet.defer import Deferred

        result = Deferred()
        self._waiting.append((work, result))
        return result

    def step(self) -> bool:
        """Do the oldest; false when there was none."""
        if not self._waiting:
            return False
        work, result = self._waiting.pop(0)
        self._worker(work).chainDeferred(result)
        return True

    def finish(self) -> int:
        """Do all; how many there were."""
        count = 0
        while self.step():
            count += 1
        return count
