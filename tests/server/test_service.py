"""Tests of the embedded server with real sockets, threads and files."""

from __future__ import annotations

import imaplib
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ifap_twisted.errors import AlreadyExists, BadSettings, NewerVersionNeeded, NotFound, Unavailable
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.server.listening import UnixListener
from ifap_twisted.server.schema import FORMAT, open_database
from ifap_twisted.server.service import EmbeddedServer


class UnixIMAP4(imaplib.IMAP4):
    """imaplib over a UNIX socket at a path of any length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__()

    def _create_socket(self, timeout=None):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)
        return connection


class ServiceTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: TID251 -- the one that trial runs

        self.reactor = reactor
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def server(self, **options) -> EmbeddedServer:
        """A server in the directory."""
        options = {"socket_path": self.directory / "socket", **options}
        return EmbeddedServer(self.directory / "embedded.sqlite", self.reactor, **options)

    async def started(self, **options) -> EmbeddedServer:
        """One that is ready, with the user."""
        server = self.server(**options)
        server.startService()
        self.addCleanup(server.stopService)
        await server.when_ready()
        if "me" not in await server.users():
            await server.add_user("me", "sécret")
        return server

    def talk(self, work) -> Deferred:
        """Use imaplib in a thread."""
        return deferToThread(self._talk, work)

    def _talk(self, work):
        client = UnixIMAP4(self.directory / "socket")
        with client:
            client.authenticate("PLAIN", lambda _challenge: "\0me\0sécret".encode())
            return work(client)


class OwnerTests(ServiceTestCase):
    async def test_it_is_there_before_anybody_can_connect(self) -> None:
        """Whoever connects as early as possible is let in: nobody is told that a right password is wrong."""
        server = self.server(owner=Credentials("me", Secret("sécret")))
        server.startService()
        self.addCleanup(server.stopService)
        while not (self.directory / "socket").exists():
            await deferLater(self.reactor, 0.0, lambda: None)
        await self.talk(lambda client: self.assertEqual(client.state, "AUTH"))

    async def test_it_stays_as_it_is(self) -> None:
        """At the next start its password is not changed."""
        await (await self.started()).stopService()
        server = self.server(owner=Credentials("me", Secret("another")))
        server.startService()
        self.addCleanup(server.stopService)
        await server.when_ready()
        self.assertEqual(await server.users(), ["me"])
        await self.talk(lambda client: self.assertEqual(client.state, "AUTH"))


class ImaplibTests(ServiceTestCase):
    async def test_imaplib(self) -> None:
        """The standard library's client makes a mailbox, appends, lists, searches, fetches and removes."""
        message = b"X-IFAP: sealed\r\nX-Mailfile: no\r\n\r\nbody \xff without end"

        def work(client: imaplib.IMAP4) -> None:
            self.assertEqual(client.create("IFAP_DATA")[0], "OK")
            self.assertEqual(client.append("IFAP_DATA", "(\\Seen)", '"01-Feb-2020 03:04:05 +0000"', message)[0], "OK")
            self.assertEqual(client.append("nowhere", None, None, message)[0], "NO")
            self.assertIn(b'(\\HasNoChildren) "/" "IFAP_DATA"', client.list()[1])
            self.assertEqual(client.select("IFAP_DATA"), ("OK", [b"1"]))
            self.assertEqual(client.uid("SEARCH", "ALL"), ("OK", [b"1"]))
            self.assertEqual(client.uid("SEARCH", "UID", "5:9"), ("OK", [b""]))
            _ok, parts = client.uid("FETCH", "1", "(RFC822.SIZE BODY.PEEK[])")
            self.assertEqual(parts[0], (b"1 (UID 1 RFC822.SIZE %d BODY[] {%d}" % (len(message), len(message)), message))
            _ok, parts = client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])")
            self.assertEqual(parts[0][1], b"X-IFAP: sealed\r\nX-Mailfile: no\r\n\r\n")
            self.assertEqual(client.uid("STORE", "1", "+FLAGS.SILENT", "(\\Deleted)")[0], "OK")
            self.assertEqual(client.expunge(), ("OK", [b"1"]))
            self.assertEqual(client.close()[0], "OK")

        await self.started()
        await self.talk(work)

    async def test_large_message(self) -> None:
        """A message of 28 MB comes back byte for byte."""
        await self.started()
        # imaplib makes every line end CRLF
        message = (os.urandom(1 << 20) * 28).replace(b"\r", b"x").replace(b"\n", b"y")

        def work(client: imaplib.IMAP4) -> bool:
            client.append("INBOX", None, None, message)
            client.select("INBOX")
            _ok, parts = client.fetch("1", "(BODY.PEEK[])")
            return parts[0][1] == message

        self.assertTrue(await self.talk(work))

    async def test_restart(self) -> None:
        """After a restart the messages are there, and UIDs go on."""
        first = await self.started()
        self.assertEqual((await self.talk(lambda client: client.append("INBOX", None, None, b"one")))[0], "OK")
        await first.stopService()
        self.assertEqual(sorted(os.listdir(self.directory)), ["embedded.sqlite"])
        await self.started()
        _ok, (answer,) = await self.talk(lambda client: client.append("INBOX", None, None, b"two"))
        self.assertIn(b" 2]", answer)
        self.assertEqual(await self.talk(lambda client: client.select("INBOX")), ("OK", [b"2"]))

    async def test_idle(self) -> None:
        """A client that idles hears at once of a message that another appends."""
        await self.started()
        waiting = Deferred()

        def idle(client: imaplib.IMAP4) -> bytes:
            client.select("INBOX")
            client.send(b"i IDLE\r\n")
            client.readline()
            self.reactor.callFromThread(waiting.callback, None)
            heard = client.readline()
            client.readline()
            client.send(b"DONE\r\n")
            client.readline()
            return heard

        idling = self.talk(idle)
        await waiting
        await self.talk(lambda client: client.append("INBOX", None, None, b"x"))
        self.assertEqual(await idling, b"* 1 EXISTS\r\n")


class SocketTests(ServiceTestCase):
    async def test_mode(self) -> None:
        """Socket and database are for their owner only."""
        await self.started()
        for name in ("socket", "embedded.sqlite"):
            self.assertEqual(stat.S_IMODE((self.directory / name).stat().st_mode), 0o600, name)

    async def test_long_path(self) -> None:
        """A socket path longer than an address can hold works, and is removed at the end."""
        self.directory = self.directory / ("d" * 100) / ("e" * 100)
        self.directory.mkdir(parents=True)
        server = await self.started()
        self.assertEqual((await self.talk(lambda client: client.noop()))[0], "OK")
        self.assertEqual(stat.S_IMODE((self.directory / "socket").stat().st_mode), 0o600)
        await server.stopService()
        self.assertFalse((self.directory / "socket").exists())

    async def test_left_over(self) -> None:
        """A socket that a killed server left is replaced; anything else is not."""
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(self.directory / "socket"))
        left.close()
        server = await self.started()
        await self.talk(lambda client: client.noop())
        await server.stopService()
        (self.directory / "socket").write_text("mine")
        again = self.server()
        again.startService()
        with self.assertRaises(BadSettings):
            await again.when_ready()
        await again.stopService()
        self.assertEqual((self.directory / "socket").read_text(), "mine")
        self.assertEqual(len(self.flushLoggedErrors(FileExistsError)), 1)

    async def test_directory_missing(self) -> None:
        """Without its directory the listener holds nothing back."""
        with self.assertRaises(OSError):
            UnixListener(self.reactor, self.directory / "no" / ("x" * 120), None)

    async def test_extra_endpoint(self) -> None:
        """It listens at an endpoint of the settings too, loopback TCP for instance."""
        server = await self.started(listen="tcp:0:interface=127.0.0.1")
        port = server._running._port.getHost().port

        def work() -> str:
            client = imaplib.IMAP4("127.0.0.1", port)
            client.authenticate("PLAIN", lambda _challenge: "\0me\0sécret".encode())
            return client.logout()[0]

        self.assertEqual(await deferToThread(work), "BYE")

    async def test_bad_endpoint(self) -> None:
        """An endpoint that is none is refused; the service stops all the same."""
        server = self.server(listen="nonsense:1")
        server.startService()
        with self.assertRaises(BadSettings):
            await server.when_ready()
        await server.stopService()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class LifeTests(ServiceTestCase):
    async def test_newer_format(self) -> None:
        """A newer database is refused untouched, now and for who asks later."""
        path = self.directory / "embedded.sqlite"
        connection = open_database(path)
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        connection.close()
        before = path.read_bytes()
        server = self.server()
        early = server.when_ready()
        server.startService()
        with self.assertRaises(NewerVersionNeeded):
            await early
        with self.assertRaises(NewerVersionNeeded):
            await server.when_ready()
        await server.stopService()
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(os.listdir(self.directory), ["embedded.sqlite"])

    async def test_stop(self) -> None:
        """Stopping says goodbye to clients, also to one that idles, and closes the database."""
        server = await self.started()
        waiting = Deferred()

        def idle() -> list[bytes]:
            client = UnixIMAP4(self.directory / "socket")
            client.authenticate("PLAIN", lambda _challenge: "\0me\0sécret".encode())
            client.send(b"i IDLE\r\n")
            client.readline()
            self.reactor.callFromThread(waiting.callback, None)
            lines = [client.readline()]
            client.shutdown()
            return lines

        idling = deferToThread(idle)
        await waiting
        await server.stopService()
        self.assertEqual(await idling, [b"* BYE The server stops\r\n"])
        self.assertEqual(os.listdir(self.directory), ["embedded.sqlite"])
        with self.assertRaises(Unavailable):
            await server.when_ready()

    async def test_stop_at_once(self) -> None:
        """It can be stopped before it is ready, and started again."""
        server = self.server()
        server.startService()
        await server.stopService()
        server.startService()
        await server.when_ready()
        await server.stopService()

    async def test_never_started(self) -> None:
        """Stopping what was not started does nothing."""
        await self.server().stopService()

    async def test_users(self) -> None:
        """Users are added once, with a name and a password that can be; passwords can be changed."""
        server = await self.started()
        with self.assertRaises(AlreadyExists):
            await server.add_user("me", "x")
        for name, password in (("", "x"), ("you", ""), ("a\nb", "x"), ("x" * 256, "x")):
            with self.assertRaises(BadSettings):
                await server.add_user(name, password)
        with self.assertRaises(NotFound):
            await server.set_password("you", "x")
        await server.set_password("me", "new")
        with self.assertRaises(imaplib.IMAP4.error):
            await self.talk(lambda client: client.noop())
        await server.set_password("me", "sécret")
        self.assertEqual((await self.talk(lambda client: client.noop()))[0], "OK")
        self.assertEqual(await server.users(), ["me"])
