"""``ImapStore`` over connections that break, on real servers."""

from __future__ import annotations

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ifap_twisted.errors import OutcomeUnknown, ProtocolViolation, Unavailable
from tests.contract.message_store import Ear, places_of
from tests.live.proxy import Proxy
from tests.live.servers import fresh_folder, server
from tests.live.stores import imap_store
from tests.messages import letter


class DovecotCutTests(TestCase):
    """A store behind a proxy, and one that connects directly."""

    server = "dovecot"
    garbled: tuple[type[Exception], ...] = ()
    """What the server may do to the connection that looks, which is not the one that is tried here."""

    async def setUp(self):
        """Open both on a fresh folder with a message."""
        live, folder = server(self.server), fresh_folder()
        self.proxy = Proxy(live.host, live.port)
        self.addCleanup(self.proxy.stop)
        self.store = imap_store(live, folder, port=self.proxy.port)
        self.direct = imap_store(live, folder)
        for store in (self.store, self.direct):
            self.addCleanup(store.close)
            await store.open()
        await self.store.append(letter("first"))
        await self.store.poll(thorough=True)
        self.ear = Ear()
        self.store.listen(self.ear)

    async def until(self, true):
        """Wait up to 10 seconds."""
        for _turn in range(500):
            if await true():
                return
            await deferLater(reactor, 0.02)
        raise AssertionError("It did not happen within 10 seconds.")

    async def sent(self):
        """Whether something was sent through the proxy since its last order."""
        return self.proxy.sent > 0

    async def places(self, name):
        """How many messages of a name there really are."""
        try:
            await self.direct.poll(thorough=True)
        except self.garbled:
            await self.direct.poll(thorough=True)
        return len(await places_of(self.direct, name))

    async def test_reading_goes_on(self):
        """After a cut, reading goes on over a new connection, and listeners were told of both."""
        self.proxy.cut()
        (uid,) = await self.store.uids(1)
        self.assertIn(b"application/x-ifap", await self.store.message(uid))
        self.assertEqual([word for word in self.ear.words() if word != "arrived"], ["disconnected", "connected"])

    async def test_cut_while_reading(self):
        """A message that was asked for when the connection broke comes over the next one."""
        (uid,) = await self.store.uids(1)
        self.proxy.silence_after(0)
        call = self.store.message(uid)
        await self.until(self.sent)
        self.proxy.cut()
        self.assertIn(b"application/x-ifap", await call)

    async def test_cut_before_the_answer(self):
        """An append that was stored when the connection broke before the answer is unknown, and is there once."""
        self.proxy.silence_after(1000)
        call = self.store.append(letter("second", size=3000))

        async def stored():
            return await self.places("second") == 1

        await self.until(stored)
        self.proxy.cut()
        with self.assertRaises(OutcomeUnknown):
            await call
        await self.store.poll(thorough=True)
        self.assertEqual(len(await places_of(self.store, "second")), 1)

    async def test_cut_within_the_message(self):
        """An append that was cut within the message is unknown, and is not there; the next one is stored."""
        self.proxy.cut_after(2000)
        with self.assertRaises(OutcomeUnknown):
            await self.store.append(letter("second", size=5000))
        self.assertEqual(await self.places("second"), 0)
        await self.store.append(letter("third"))
        self.assertEqual(await self.places("third"), 1)

    async def test_cut_after_each_of_many(self):
        """Of appends under way when the connection breaks each is stored once, not at all, or not known."""
        self.proxy.cut_after(20_000)
        names = [f"n{number}" for number in range(20)]
        outcomes = {}
        for name, call in [(name, self.store.append(letter(name, size=2000))) for name in names]:
            try:
                await call
                outcomes[name] = {1}
            except OutcomeUnknown:
                outcomes[name] = {0, 1}
            except Unavailable:
                outcomes[name] = {0}
        for name in names:
            self.assertIn(await self.places(name), outcomes[name], name)
        self.assertIn({0, 1}, outcomes.values())


class CyrusCutTests(DovecotCutTests):
    """The same on Cyrus."""

    server = "cyrus"


class CourierCutTests(DovecotCutTests):
    """The same on Courier, which has no LITERAL+: a message leaves only when the server has said so."""

    server = "courier"

    async def test_cut_before_the_go_ahead(self):
        """An append whose literal had not been asked for when the connection broke is sent again, and is there once."""
        self.proxy.cut_after(10)
        await self.store.append(letter("second", size=100_000))
        self.assertEqual(await self.places("second"), 1)


class MailutilsCutTests(DovecotCutTests):
    """The same on mailutils."""

    server = "mailutils"
    garbled = (ProtocolViolation,)
    """Seen once in about thirty runs, on a busy machine, while another session stored a message."""
