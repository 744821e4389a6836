"""``ImapStore`` on real servers, held to the contract of ``IMessageStore``.

How the servers differ is data. mailutils removes nothing (no UIDPLUS) and is the worst case for reading and appending.
"""

from __future__ import annotations

import imaplib
from random import Random

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import AuthenticationRefused, NotTrusted, QuotaExceeded, TooLarge, Unavailable
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security, client_tls
from ifap_twisted.store.imap import ImapStore
from tests.contract.message_store import MessageStoreContract, Quirks
from tests.live.embedded import EmbeddedCase
from tests.live.servers import fresh_folder, server
from tests.live.stores import imap_store
from tests.messages import letter, mail


class LiveContract(MessageStoreContract):
    """The contract over a live server, each test in a folder of its own."""

    server = "dovecot"
    security = "plain"

    async def setUp(self):
        """Choose the folders."""
        self.folder, self.elsewhere = fresh_folder(), fresh_folder()
        self.live = server(self.server)
        await super().setUp()

    def make_store(self):
        """Another connection to the folder."""
        return imap_store(self.live, self.folder, security=self.security)

    def make_elsewhere(self):
        """A connection to another folder."""
        return imap_store(self.live, self.elsewhere, security=self.security)

    def look(self):
        """A connection of Python's own IMAP client, with the folder selected read-only."""
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=10)
        self.addCleanup(client.logout)
        client.login(self.live.user, self.live.password)
        client.select(self.live.prefix + self.folder, readonly=True)
        return client

    async def test_no_flags(self):
        """A message has no flags after it was appended, listed and read; it is the server's to say when it came."""
        uid = await self.put(letter("a"))
        await self.store.headers(uid)
        await self.store.message(uid)
        await self.store.close()
        _ok, (flags,) = self.look().uid("FETCH", str(uid), "(FLAGS INTERNALDATE)")
        self.assertNotIn(b"Seen", flags)
        self.assertNotIn(b"Deleted", flags)
        self.assertNotIn(b" 2026 00:00:00", flags)

    async def test_a_marked_message_of_others(self):
        """What another client marked as deleted is not expunged with ours."""
        uids = await self.put_all("a", "b", "c")
        client = imaplib.IMAP4(self.live.host, self.live.port, timeout=10)
        client.login(self.live.user, self.live.password)
        client.select(self.live.prefix + self.folder)
        client.uid("STORE", str(uids[0]), "+FLAGS", "(\\Deleted)")
        client.logout()
        if await self.removed(uids[1]):
            await self.store.close()
            self.assertEqual(self.look().uid("SEARCH", "ALL")[1], [f"{uids[0]} {uids[2]}".encode()])


class DovecotTests(LiveContract, TestCase):
    """Dovecot, over IMAPS."""

    security = "tls"


class CyrusTests(LiveContract, TestCase):
    """Cyrus, over STARTTLS."""

    server = "cyrus"
    security = "starttls"


class CourierTests(LiveContract, TestCase):
    """Courier: folders below INBOX only, appends seen after NOOP, no UIDNEXT, no LITERAL+."""

    server = "courier"
    quirks = Quirks(tells_uidnext=False)


class MailutilsTests(LiveContract, TestCase):
    """GNU mailutils: no UIDPLUS, appends seen after SELECT, silent in IDLE, other messages than those asked for."""

    server = "mailutils"
    quirks = Quirks(keeps_bytes=False, reports_uid=False, removes=False, silent=True)

    def make_store(self):
        """A connection that asks again when imap4d finds the folder in another process' way, and refuses for that."""
        store = super().make_store()
        append = store.append

        async def patient(message):
            for _attempt in range(5):
                try:
                    return await append(message)
                except Unavailable as refused:
                    if "refused to store" not in str(refused):
                        raise
                await deferLater(reactor, 0.5)
            return await append(message)

        store.append = deferred(patient)
        return store


class EmbeddedTests(MessageStoreContract, EmbeddedCase):
    """Our own server, over its UNIX socket."""

    async def setUp(self):
        """Start it before the contract opens a store."""
        await EmbeddedCase.setUp(self)
        await MessageStoreContract.setUp(self)

    def make_store(self):
        """Another connection to the folder."""
        return self.embedded_store("IFAP_DATA")

    def make_elsewhere(self):
        """A connection to another folder."""
        return self.embedded_store("OTHER")


class ConnectionTests(TestCase):
    """Every server over every kind of connection."""

    async def through(self, name, security):
        """Append and read back through a kind of connection."""
        live, folder = server(name), fresh_folder()
        store = imap_store(live, folder, security=security)
        self.addCleanup(store.close)
        await store.open()
        await store.append(letter("a", size=100_000))
        await store.poll(thorough=True)
        (uid,) = await store.uids(1)
        self.assertEqual(
            (await store.message(uid)).split(b"\r\n\r\n", 1)[1], letter("a", size=100_000).split(b"\r\n\r\n", 1)[1]
        )

    async def test_plain(self):
        """Without TLS, on loopback."""
        for name in ("dovecot", "cyrus", "courier", "mailutils"):
            await self.through(name, "plain")

    async def test_starttls(self):
        """With STARTTLS."""
        for name in ("dovecot", "cyrus", "courier", "mailutils"):
            await self.through(name, "starttls")

    async def test_tls(self):
        """With TLS from the first byte."""
        for name in ("dovecot", "cyrus", "courier", "mailutils"):
            await self.through(name, "tls")

    async def fails(self, store, kind):
        """Opening fails so."""
        self.addCleanup(store.close)
        try:
            await store.open()
        except kind as error:
            return error
        raise AssertionError("it opened")

    async def test_wrong_password(self):
        """A wrong password is ``AuthenticationRefused`` on every server, and is not in the error."""
        for name in ("dovecot", "cyrus", "courier", "mailutils"):
            live = server(name)
            connector = Connector(
                reactor,
                imap_store(live, "X")._connector._endpoint,
                security=Security.plain(),
                authenticate=password(live.user, "mistaken-canary"),
                folder="X",
                random=Random(0).random,
            )
            error = await self.fails(ImapStore(connector), AuthenticationRefused)
            self.assertNotIn("canary", str(error))

    async def test_unknown_authority(self):
        """A certificate of an authority that is not trusted here is ``NotTrusted``."""
        live = server("dovecot")
        connector = Connector(
            reactor,
            imap_store(live, "X", security="tls")._connector._endpoint,
            security=Security.tls(client_tls("localhost")),
            authenticate=password(live.user, live.password),
            folder="X",
            random=Random(0).random,
        )
        await self.fails(ImapStore(connector), NotTrusted)


class LimitTests(TestCase):
    """What servers refuse."""

    async def on(self, **settings):
        """A store on a Dovecot with settings."""
        store = imap_store(server("dovecot", **settings), fresh_folder())
        self.addCleanup(store.close)
        await store.open()
        return store

    async def test_quota(self):
        """A full mailbox is ``QuotaExceeded``; nothing is stored, and smaller messages still are."""
        store = await self.on(IFAP_DOVECOT_QUOTA="1M")
        await store.append(letter("a", size=800_000))
        with self.assertRaises(QuotaExceeded):
            await store.append(letter("b", size=800_000))
        await store.append(letter("c"))
        self.assertEqual((await store.poll(thorough=True)).exists, 2)

    async def test_largest_message(self):
        """A message that the server finds too large is ``TooLarge``; nothing is stored, and others still are."""
        store = await self.on(IFAP_DOVECOT_MAXMSG="100k")
        with self.assertRaises(TooLarge):
            await store.append(letter("a", size=200_000))
        await store.append(letter("b"))
        self.assertEqual((await store.poll(thorough=True)).exists, 1)

    async def test_maildir(self):
        """Dovecot on a Maildir keeps the order of many appends at once, and every byte."""
        store = await self.on(IFAP_DOVECOT_FORMAT="maildir", IFAP_DOVECOT_FSYNC="optimized")
        calls = [store.append(letter(f"m{number}", size=3000)) for number in range(100)]
        uids = [(await call).uid for call in calls]
        self.assertEqual(uids, sorted(uids))
        for number in (0, 50, 99):
            self.assertEqual(await store.message(uids[number]), letter(f"m{number}", size=3000))

    async def test_poor_dovecot(self):
        """With neither UIDPLUS nor IDLE nor LITERAL+ on offer, messages are appended, listed and read all the same."""
        store = await self.on(IFAP_DOVECOT_CAPABILITY="IMAP4rev1")
        self.assertEqual((store.traits.reports_uid, store.traits.expunges_by_uid, store.traits.pushes), (False,) * 3)
        for call in [store.append(letter(f"m{number}")) for number in range(20)]:
            await call
        await store.poll(thorough=True)
        self.assertEqual(len(await store.headers(1)), 20)

    async def test_many_messages(self):
        """A folder of more messages than one portion of headers is listed whole."""
        store = await self.on()
        names = [f"m{number}" for number in range(limits.UIDS_IN_A_RANGE + 500)]
        for call in [store.append(letter(name, size=10)) for name in names]:
            await call
        await store.append(mail())
        await store.poll(thorough=True)
        self.assertEqual(len(await store.uids(1)), len(names) + 1)
        self.assertEqual(sum(bool(block.fields.strip()) for block in (await store.headers(1)).values()), len(names))
