"""Writes that a service accepts while its folder cannot be opened (DESIGN 4.2 ``put --queue``; FORMAT 3.2, 4.1)."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real sockets
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as Refusal
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from ifap_twisted.accounts import parse_account
from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.values import ABSENT, Event
from ifap_twisted.errors import AuthenticationRefused, InvalidPath, NotSupported, Unavailable
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.recovery import Place
from ifap_twisted.filesystem.surroundings import Surroundings
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.imap.sasl import password
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service import IFAPService
from ifap_twisted.service.accepting import Accepting
from ifap_twisted.service.shelves import Means, refusal_of
from ifap_twisted.settings import Settings
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import KEY
from tests.filesystem.test_recovery import Recovering
from tests.live import servers
from tests.service.test_service import ServiceCase, running


@implementer(IStreamClientEndpoint)
class Switch:
    """The way to a server, which can be shut: then connections are refused, and those that are there break."""

    def __init__(self, host: str, port: int) -> None:
        self._endpoint = TCP4ClientEndpoint(reactor, host, port)
        self._connected: list[Any] = []
        self.shut = False

    def connect(self, factory: Any) -> Deferred[Any]:
        """As ``IStreamClientEndpoint``."""
        if self.shut:
            return fail(Refusal())
        connecting: Deferred[Any] = self._endpoint.connect(factory)

        def keep(protocol: Any) -> Any:
            self._connected.append(protocol)
            return protocol

        return connecting.addCallback(keep)

    def close(self) -> None:
        """Shut it."""
        self.shut = True
        connected, self._connected = self._connected, []
        for protocol in connected:
            if protocol.transport is not None:
                protocol.transport.abortConnection()


class AcceptingCase(ServiceCase):
    """A device with a basedir, and the way to a real server."""

    def setUp(self) -> None:
        self.server = servers.server("dovecot")
        self.way = Switch(self.server.host, self.server.port)
        url = f"imap://{self.server.user}@{self.server.host}:{self.server.port}"
        self.account = parse_account(url)
        self.folder = servers.fresh_folder()
        self.base = self.basedir()

    def started(self, *, base: bool = True, **more: Any) -> IFAPService:
        """The device, started."""
        settings = Settings(account=self.account, folder=self.folder, basedir=self.base if base else None)
        credentials = Credentials(self.server.user, Secret(self.server.password))
        more = {"credentials": credentials, "key": Secret("key"), "means": Means(endpoint=self.way), **more}
        return self.service(settings, **more)

    async def known(self) -> None:
        """Let the device know the folder; it is stopped then."""
        service = self.started()
        await service.when_ready()
        await service.stopService()

    async def seen(self, path: str) -> list[bytes]:
        """Of all versions of a path, as another device sees them, oldest first."""
        settings = Settings(account=self.account, folder=self.folder)
        credentials = Credentials(self.server.user, Secret(self.server.password))
        other = self.service(settings, credentials=credentials, key=Secret("key"))
        entries = list(reversed(await other.filesystem.versions(path)))
        contents = [await other.filesystem.get(path, version=entry.version) for entry in entries]
        await other.stopService()
        return contents

    async def status(self, service: IFAPService) -> Any:
        """Its status."""
        return await service.status()

    async def settled(self, service: IFAPService) -> None:
        """Wait until nothing is pending."""

        async def idle() -> bool:
            return not (await service.status()).pending

        await self.until(reactor, lambda: Deferred.fromCoroutine(idle()), seconds=45)


class AcceptingTests(AcceptingCase):
    """Started without its server."""

    @running
    async def test_it_is_accepted_and_sent_later(self) -> None:
        """By the next process, when this one ends before: it is there once."""
        await self.known()
        self.way.close()
        service = self.started()
        entry = await service.filesystem.put("a", b"1", queue=True)
        self.assertTrue(entry.pending)
        status = await self.status(service)
        self.assertEqual((status.pending, status.failing), (1, 0))
        self.assertEqual([one.path for one in status.warnings if one.code == "write-pending"], ["a"])
        await service.stopService()
        self.way.shut = False
        again = self.started()
        await again.when_ready()
        await self.settled(again)
        self.assertEqual((await again.filesystem.stat("a")).version, entry.version)
        self.assertEqual(await self.seen("a"), [b"1"])

    @running
    async def test_the_same_process_sends_it(self) -> None:
        """When it has opened the folder; what is put then descends from it."""
        await self.known()
        self.way.close()
        service = self.started()
        events: list[Event] = []
        service.filesystem.watch(events.append)
        first = await service.filesystem.put("a", b"1", queue=True, expect=ABSENT)
        await service.filesystem.put("a", b"2", queue=True, expect=first.version)
        self.assertEqual([event.detail["pending"] for event in events if event.kind == "pending"][-1], 2)
        self.way.shut = False
        await service.logout()
        await service.login(Credentials(self.server.user, Secret(self.server.password)))
        await service.filesystem.put("a", b"3", queue=True)
        await self.settled(service)
        self.assertEqual(await self.seen("a"), [b"1", b"2", b"3"])
        self.assertEqual((await self.status(service)).conflicts, 0)

    @running
    async def test_what_the_journal_holds_besides_is_told_at_once(self) -> None:
        """A damaged entry is reported while the server is still away, and counts as what is not uploaded."""
        await self.known()
        self.way.close()
        service = self.started()
        await service.filesystem.put("a", b"1", queue=True)
        await service.filesystem.put("b", b"2", queue=True)
        await service.stopService()
        first, _second = sorted((self.base / "journal").glob("*.pending"))
        first.write_bytes(first.read_bytes()[:-1])
        service = self.started()
        await service.filesystem.put("c", b"3", queue=True)
        codes = [one.code for one in (await self.status(service)).warnings]
        self.assertEqual([code for code in codes if code != "unavailable"], [*["write-pending"] * 2, "journal-damaged"])

    @running
    async def test_over_several_processes(self) -> None:
        """What the next one accepts descends from what waits in the journal."""
        await self.known()
        self.way.close()
        for content in (b"1", b"2"):
            service = self.started()
            await service.filesystem.put("a", content, queue=True)
            await service.stopService()
        self.way.shut = False
        service = self.started()
        await service.when_ready()
        await self.settled(service)
        self.assertEqual(await self.seen("a"), [b"1", b"2"])
        self.assertEqual((await self.status(service)).conflicts, 0)

    @running
    async def test_what_is_on_the_server_is_never_overwritten_unseen(self) -> None:
        """A process that has not seen the folder accepts a version of a file that exists: a conflict, reported."""
        service = self.started()
        await service.filesystem.put("a", b"there")
        await service.stopService()
        self.way.close()
        service = self.started()
        await service.filesystem.put("a", b"unseen", queue=True)
        with self.assertRaises(Unavailable):
            await service.filesystem.put("a", b"x", queue=True, expect="x" * 22)
        await service.stopService()
        self.way.shut = False
        service = self.started()
        await service.when_ready()
        await self.settled(service)
        status = await self.status(service)
        self.assertEqual((status.conflicts, status.warnings[0].code), (1, "stored-as-conflict"))
        self.assertEqual(sorted(await self.seen("a")), [b"there", b"unseen"])

    @running
    async def test_a_folder_that_was_never_opened_here(self) -> None:
        """Nothing is accepted for it: its key and its home are not known."""
        self.way.close()
        service = self.started()
        await self.refused(Unavailable, service.filesystem.put("a", b"1", queue=True))
        self.assertEqual((await self.status(service)).pending, 0)

    @running
    async def test_without_a_basedir(self) -> None:
        """Nothing is accepted."""
        self.way.close()
        service = self.started(base=False)
        await self.refused(NotSupported, service.filesystem.put("a", b"1", queue=True))

    @running
    async def test_a_server_that_refuses_us_is_not_away(self) -> None:
        """A wrong password is told."""
        await self.known()
        wrong = Credentials(self.server.user, Secret("wrong"))
        service = self.started(credentials=wrong)
        await self.refused(AuthenticationRefused, service.filesystem.put("a", b"1", queue=True))

    @running
    async def test_what_waits_is_told_to_whom_the_server_refuses(self) -> None:
        """It was accepted, and is sent as soon as the password is right."""
        await self.known()
        self.way.close()
        service = self.started()
        await service.filesystem.put("a", b"1", queue=True)
        await service.stopService()
        self.way.shut = False
        service = self.started(credentials=Credentials(self.server.user, Secret("wrong")))
        await self.refused(AuthenticationRefused, service.when_ready())
        status = await self.status(service)
        self.assertEqual(("stopped", 1), (status.state, status.pending))
        self.assertEqual("authentication-refused", status.warnings[0].code)
        await service.login(Credentials(self.server.user, Secret(self.server.password)))
        await service.when_ready()
        await self.settled(service)
        self.assertEqual(await self.seen("a"), [b"1"])

    @running
    async def test_a_server_that_refuses_us_later(self) -> None:
        """With the folder open, after the password was changed: it is not tried again, and the status says why."""
        allowed = [password(self.server.user, self.server.password)]

        async def authenticate(session: Any) -> None:
            if not allowed:
                raise AuthenticationRefused("The password was changed.")
            await allowed.pop()(session)

        service = self.started(means=Means(endpoint=self.way, authenticate=authenticate))
        await service.when_ready()
        self.assertEqual("connected", (await self.status(service)).state)
        self.way.close()
        self.way.shut = False
        store = service.store
        assert store is not None
        await self.until(reactor, lambda: refusal_of(store))
        status = await self.status(service)
        self.assertEqual(("stopped", "authentication-refused"), (status.state, status.warnings[0].code))

    @running
    async def test_a_path_that_cannot_be(self) -> None:
        """It is refused at once."""
        await self.known()
        self.way.close()
        service = self.started()
        await self.refused(InvalidPath, service.filesystem.put("../a", b"1", queue=True))

    @running
    async def test_the_connection_goes_and_comes(self) -> None:
        """With the folder open: accepted at once, and there soon after the server is back."""
        service = self.started()
        filesystem = await service.when_ready()
        await filesystem.put("a", b"1")
        self.way.close()
        await self.until(reactor, lambda: service.opened.desk.view.state == "offline")  # type: ignore[union-attr]
        entry = await service.filesystem.put("a", b"2", queue=True)
        self.assertTrue(entry.pending)
        self.way.shut = False
        await self.settled(service)
        self.assertEqual(await self.seen("a"), [b"1", b"2"])


class EndTests(Recovering):
    """The folder is closed, for a logout perhaps."""

    def test_while_the_journal_is_read(self) -> None:
        """What comes then is not accepted with the key and the account of before."""
        surroundings = Surroundings(
            clock=self.folder.clock,
            worker=InlineWorker(),
            random=self.folder.random,
            identity=MemoryWriter(self.folder.random),
            journal=self.journal,
            backlog=Backlog(),
        )
        membership = Membership(found="ifap", keys=(KEY,), home="AAAAAAAA")
        accepting = Accepting(Watchers(), Place(), Options())
        accepting.prepare(self.folder.store(), membership, surroundings)
        self.worker.holds = True
        looking = Deferred.fromCoroutine(accepting.offline())
        ending = Deferred.fromCoroutine(accepting.close())
        self.worker.run()
        self.successResultOf(looking)
        self.successResultOf(ending)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(accepting.offline())))
