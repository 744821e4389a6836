"""TLS with real handshakes on loopback: what is trusted, and why something is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, UNIXClientEndpoint, UNIXServerEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ifap_twisted.errors import AuthenticationRefused, BadSettings, NotTrusted, Unavailable
from ifap_twisted.imap import sasl
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.security import Security, client_tls, connection_failure
from ifap_twisted.store.imap import ImapStore
from tests.imap.certificates import Authority

# Twisted itself hands pyOpenSSL's objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


class Tiny(LineReceiver):
    """As much of a server as a login and a SELECT need; notes every line."""

    def connectionMade(self):
        self.factory.connections.append(self)
        self.sendLine(b"* OK ready")

    def connectionLost(self, reason):
        self.factory.connections.remove(self)
        if not self.factory.connections:
            waiting, self.factory.waiting = self.factory.waiting, []
            for one in waiting:
                one.callback(None)

    def lineReceived(self, line):
        self.factory.lines.append(line)
        tag, _blank, rest = line.partition(b" ")
        word = rest.split(b" ")[0]
        if word == b"CAPABILITY":
            self.sendLine(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR" + self.factory.more)
        elif word == b"SELECT":
            self.sendLine(b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] v")
        elif word == b"LOGOUT":
            self.sendLine(b"* BYE")
        self.sendLine(tag + (b" NO no" if word == self.factory.refuses else b" OK done"))
        if word == b"STARTTLS":
            self.transport.startTLS(self.factory.options)
        if word == b"LOGOUT":
            self.transport.loseConnection()


class TinyFactory(Factory):
    """Makes them."""

    protocol = Tiny
    noisy = False

    def __init__(self, options=None, *, more=b"", refuses=b""):
        self.options, self.more, self.refuses = options, more, refuses
        self.lines, self.connections, self.waiting = [], [], []

    def empty(self):
        """Fires when nobody is connected."""
        done = Deferred()
        if self.connections:
            self.waiting.append(done)
        else:
            done.callback(None)
        return done


class TlsTests(TestCase):
    """Real connections."""

    def setUp(self):
        from twisted.internet import reactor  # noqa: TID251 -- real handshakes need it

        self.reactor = reactor
        self.authority = Authority()
        self.ca_file = self.authority.file(FilePath(self.mktemp()))

    async def serve(self, factory, *, tls):
        """Start a server; gives an endpoint to it."""
        served = TLSMemoryBIOFactory(factory.options, False, factory, clock=self.reactor) if tls else factory
        port = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(served)
        self.addCleanup(factory.empty)
        self.addCleanup(port.stopListening)
        return TCP4ClientEndpoint(self.reactor, "127.0.0.1", port.getHost().port)

    def store(self, endpoint, security, password="secret"):
        """A store there."""
        connector = Connector(
            self.reactor,
            endpoint,
            security=security,
            authenticate=sasl.password("me", password),
            folder="box",
            random=lambda: 0.0,
        )
        store = ImapStore(connector)
        self.addCleanup(store.close)
        return store

    async def opened(self, factory, kind, *, host="localhost", ca_file=None):
        """Open a store over TLS of a kind; gives its state, or raises."""
        endpoint = await self.serve(factory, tls=kind == "tls")
        creator = client_tls(host, ca_file or self.ca_file)
        store = self.store(endpoint, getattr(Security, kind)(creator))
        state = await store.open()
        await store.close()
        return state

    async def refused(self, factory, kind, **kwargs):
        """The sentence of the refusal; nothing secret was sent, and no second attempt is made."""
        try:
            await self.opened(factory, kind, **kwargs)
        except NotTrusted as error:
            self.assertFalse(any(b"AUTHENTICATE" in line or b"LOGIN" in line for line in factory.lines))
            return str(error)
        raise AssertionError("It was trusted.")

    def factory(self, *args, **kwargs):
        """A server with a certificate."""
        return TinyFactory(self.authority.server(*args, **kwargs), more=b" STARTTLS")

    async def test_trusted(self):
        """A valid certificate for the host from a trusted authority, from the first byte or by STARTTLS."""
        for kind in ("tls", "starttls"):
            factory = self.factory()
            self.assertEqual((await self.opened(factory, kind)).uidvalidity, 7)
            self.assertTrue(any(b"AUTHENTICATE PLAIN" in line for line in factory.lines))

    async def test_address(self):
        """A certificate may be for an address."""
        self.assertEqual((await self.opened(self.factory("127.0.0.1"), "tls", host="127.0.0.1")).exists, 0)

    async def test_expired(self):
        """An expired certificate is named as such."""
        for kind in ("tls", "starttls"):
            self.assertIn("expired", await self.refused(self.factory(first=-20, last=-1), kind))

    async def test_not_yet(self):
        """So is one that is not valid yet."""
        self.assertIn("not valid yet", await self.refused(self.factory(first=5), "tls"))

    async def test_foreign_authority(self):
        """So is one of an authority that is not trusted."""
        other = Authority().file(FilePath(self.mktemp()))
        for kind in ("tls", "starttls"):
            self.assertIn("authority", await self.refused(self.factory(), kind, ca_file=other))

    async def test_wrong_host(self):
        """So is one for another host."""
        for kind in ("tls", "starttls"):
            self.assertIn("another host name", await self.refused(self.factory("elsewhere.example"), kind))

    async def test_no_tls(self):
        """A server that speaks clear text where TLS is expected is not trusted."""
        factory = self.factory()
        endpoint = await self.serve(factory, tls=False)
        store = self.store(endpoint, Security.tls(client_tls("localhost", self.ca_file)))
        error = await self.assertFailure(store.open(), NotTrusted)
        self.assertIn("TLS", str(error))

    async def test_stripped(self):
        """A server that does not offer STARTTLS gets no login."""
        self.assertIn("STARTTLS", await self.refused(TinyFactory(self.authority.server()), "starttls"))

    async def test_starttls_refused(self):
        """A server that refuses STARTTLS gets no login."""
        factory = TinyFactory(self.authority.server(), more=b" STARTTLS", refuses=b"STARTTLS")
        self.assertIn("secure", await self.refused(factory, "starttls"))

    async def test_plain_stays_plain(self):
        """Without a demand for TLS none is negotiated behind the caller's back, even when it is offered."""
        factory = self.factory()
        store = self.store(await self.serve(factory, tls=False), Security.plain())
        await store.open()
        await store.close()
        self.assertNotIn(b"STARTTLS", b" ".join(factory.lines))

    async def test_wrong_password_once(self):
        """A refused password is tried once; the attempts have stopped."""
        factory = TinyFactory(refuses=b"AUTHENTICATE")
        store = self.store(await self.serve(factory, tls=False), Security.plain())
        await self.assertFailure(store.open(), AuthenticationRefused)
        self.assertEqual(store.state, "stopped")
        await self.assertFailure(store.poll(), AuthenticationRefused)
        self.assertEqual(len([line for line in factory.lines if b"AUTHENTICATE" in line]), 1)

    async def test_unix_socket(self):
        """A UNIX socket works like any other."""
        path = f"{self.mktemp()[-60:]}.s"
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        factory = TinyFactory()
        port = await UNIXServerEndpoint(self.reactor, path).listen(factory)
        self.addCleanup(factory.empty)
        self.addCleanup(port.stopListening)
        store = self.store(UNIXClientEndpoint(self.reactor, path), Security.plain())
        self.assertEqual((await store.open()).uidvalidity, 7)
        await store.close()


class FailureTests(SynchronousTestCase):
    """What a lost connection means."""

    def reason(self, error, *, established=False):
        """The error for a reason."""
        return connection_failure(error, None, 0.0, established=established)

    def test_ours_stay(self):
        """An error of ours stays what it is."""
        error = Unavailable("x")
        self.assertIs(self.reason(error), error)

    def test_lost(self):
        """A connection that breaks can be made again."""
        self.assertIs(type(self.reason(ConnectionLost("gone"))), Unavailable)

    def test_name(self):
        """A certificate for another name."""
        self.assertIs(type(self.reason(VerificationError(errors=[]))), NotTrusted)

    def test_handshake(self):
        """A handshake that fails is a matter of trust; a break after it is not."""
        broken = SSL.Error([("SSL routines", "", "tlsv1 alert protocol version")])
        self.assertIn("protocol version", str(self.reason(broken)))
        self.assertIs(type(self.reason(broken)), NotTrusted)
        self.assertIs(type(self.reason(broken, established=True)), Unavailable)
        self.assertIs(type(self.reason(SSL.Error([("SSL routines", "", "certificate verify failed")]))), NotTrusted)
        self.assertIs(type(self.reason(SSL.Error())), NotTrusted)


class SettingsTests(SynchronousTestCase):
    """What a caller says."""

    def test_kinds(self):
        """The kinds differ, and there is none that turns verification off."""
        creator = client_tls("localhost")
        kinds = [Security.tls(creator), Security.starttls(creator), Security.plain()]
        self.assertEqual([security.kind for security in kinds], ["tls", "starttls", "plain"])
        self.assertEqual([security.creator for security in kinds], [creator, creator, None])

    def test_bad_ca_files(self):
        """A file of certificates that is absent, empty or none is refused."""
        path = FilePath(self.mktemp())
        for content in (None, b"", b"hello", b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"):
            if content is not None:
                path.setContent(content)
            with self.assertRaises(BadSettings):
                client_tls("localhost", path.path)
