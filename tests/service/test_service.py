"""The service in another application: it starts whatever is the case, and stops when all is safe (DESIGN 4.4)."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor  # noqa: TID251 -- real sockets
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ifap_twisted.accounts import parse_account
from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyFile
from ifap_twisted.errors import (
    AuthenticationRefused,
    BadSettings,
    BasedirInUse,
    Damaged,
    KeyRequired,
    MessageGone,
    NotTrusted,
    Unavailable,
    WrongKey,
)
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service import IFAPService, connect
from ifap_twisted.service.facts import facts
from ifap_twisted.service.shelves import heard_from
from ifap_twisted.settings import Settings
from tests.live import servers
from tests.service.basedirs import Basedirs, free_port


def running(test: Any) -> Any:
    """A test written as a coroutine."""

    def run(self: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(test(self))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class ServiceCase(Basedirs, TestCase):
    """Services that are stopped at the end of the test."""

    timeout = 60

    def service(self, settings: Settings, **options: Any) -> IFAPService:
        """A running service."""
        service = IFAPService(settings, reactor=reactor, **options)
        self.addCleanup(lambda: service.stopService() if service.running else None)
        service.startService()
        return service

    async def refused(self, kind: type[Exception], work: Any) -> Any:
        """The error, which has to be of that kind."""
        try:
            await work
        except kind as error:
            return error
        self.fail(f"{kind.__name__} was expected")
        return None


class EmbeddedServiceTests(ServiceCase):
    """On the embedded account, which needs nothing."""

    @running
    async def test_it_keeps_files_and_has_them_again_after_a_restart(self) -> None:
        """With the key that it made and remembers."""
        settings = Settings(basedir=self.basedir())
        service = self.service(settings)
        filesystem = await service.when_ready()
        entry = await filesystem.put("a/b.txt", b"hello")
        await service.stopService()
        again = self.service(settings)
        record = await (await again.when_ready()).read("a/b.txt")
        self.assertEqual((record.data, record.entry), (b"hello", entry))

    @running
    async def test_the_device_keeps_its_name_and_its_numbers_rise(self) -> None:
        """Over restarts (FORMAT 3.1)."""
        settings = Settings(basedir=self.basedir())
        versions = []
        for content in (b"1", b"2"):
            service = self.service(settings)
            filesystem = await service.when_ready()
            await filesystem.put("a", content)
            versions.append(service.opened.desk.view.index.file("a").version)  # type: ignore[union-attr]
            await service.stopService()
        one, other = versions
        self.assertEqual(one.writer, other.writer)
        self.assertGreater(other.clock[other.writer], one.clock[one.writer])

    @running
    async def test_its_filesystem_can_be_used_before_it_is_ready(self) -> None:
        """The call waits."""
        service = self.service(Settings(basedir=self.basedir()))
        await service.filesystem.put("a", b"early")
        self.assertEqual(await service.filesystem.get("a"), b"early")

    @running
    async def test_it_is_seen_that_opening_gets_on(self) -> None:
        """By what the server sends, and by what the threads have done."""
        service = self.service(Settings(basedir=self.basedir()))
        await service.when_ready()
        heard = heard_from(service.store)  # type: ignore[arg-type]
        self.assertEqual(service.life.attempt, 1)
        self.assertGreater(heard, 0)
        self.assertGreater(service.life.signs, heard)

    @running
    async def test_a_large_file_is_read_a_part_at_a_time(self) -> None:
        """Over the embedded server, in chunks, before the service is ready too."""
        service = self.service(Settings(basedir=self.basedir()))
        data = random.Random(9).randbytes(5 * 1024 * 1024)
        await service.filesystem.put("large", data)
        stream = await service.filesystem.stream("large")
        self.assertEqual(await stream.read(4_000_000, 4_000_100), data[4_000_000:4_000_100])
        async with service.filesystem.open("large", "rb") as file:
            await file.seek(-10, 2)
            self.assertEqual(await file.read(), data[-10:])
        self.assertEqual(await service.filesystem.get("large"), data)

    @running
    async def test_several_run_in_one_process(self) -> None:
        """Each with its basedir, and nothing in common."""
        services = [self.service(Settings(basedir=self.basedir())) for _ in range(2)]
        for number, service in enumerate(services):
            await service.filesystem.put("a", str(number).encode())
        self.assertEqual([await service.filesystem.get("a") for service in services], [b"0", b"1"])

    @running
    async def test_a_basedir_in_use_is_told_and_waited_for(self) -> None:
        """The parent is not failed; it opens when the other has gone."""
        settings = Settings(basedir=self.basedir())
        first = self.service(settings)
        await first.when_ready()
        second = self.service(settings)
        status = await self.until(reactor, lambda: self.offline(second))
        self.assertEqual(status.warnings[0].code, BasedirInUse.code)

    def offline(self, service: IFAPService) -> Any:
        """The status, once it says offline."""
        status: Any = self.successResultOf(service.status())
        return status if status.state == "offline" else None

    @running
    async def test_a_key_is_remembered_before_the_first_message(self) -> None:
        """With home, dialect and fingerprint (FORMAT 8.2, 8.3)."""
        settings = Settings(basedir=self.basedir())
        service = self.service(settings)
        await service.when_ready()
        await service.stopService()
        assert settings.basedir is not None
        with Basedir(settings.basedir) as basedir:
            entry = KeyFile(basedir).find(settings.account, settings.folder)
        assert entry is not None
        self.assertEqual((len(entry.key.reveal()) if entry.key else 0, entry.dialect), (44, "ifap"))
        self.assertTrue(entry.home)

    @running
    async def test_a_damaged_message_is_told_and_hides_nothing_else(self) -> None:
        """Its file is an error, the others are read, and the status says so; nothing is taken for removed."""
        settings = Settings(basedir=self.basedir())
        service = self.service(settings)
        for name in ("a", "b", "c"):
            await service.filesystem.put(name, name.encode() * 50)
        assert settings.basedir is not None
        with closing(sqlite3.connect(settings.basedir / "embedded.sqlite")) as database, database:
            (last,) = database.execute("SELECT max(place) FROM contents").fetchone()
            database.execute("UPDATE contents SET text = text || 'x' WHERE place = ?", (last,))
            database.execute("UPDATE contents SET header = header || 'x' WHERE place = ?", (last - 1,))
        await self.refused(Damaged, service.filesystem.get("c"))
        self.assertEqual(await service.filesystem.get("a"), b"a" * 50)
        await service.stopService()
        again = self.service(settings)
        entries = await again.filesystem.list("/")
        self.assertEqual([(entry.path, entry.missing) for entry in entries], [("a", False), ("b", True), ("c", False)])
        await self.refused(MessageGone, again.filesystem.get("b"))
        codes = {notice.code for notice in (await again.status()).warnings}
        self.assertEqual(codes, {"messages-damaged", "listing-incomplete", "damaged", "unreadable"})
        self.flushLoggedErrors(Damaged)

    @running
    async def test_a_damaged_database_is_not_opened(self) -> None:
        """It is told what to do, in the status too, and the file stays as it is."""
        settings = Settings(basedir=self.basedir())
        service = self.service(settings)
        await service.filesystem.put("a", b"a" * 50)
        await service.stopService()
        assert settings.basedir is not None
        database = settings.basedir / "embedded.sqlite"
        database.write_bytes(damaged := database.read_bytes()[: 3 * 4096])
        again = self.service(settings)
        error = await self.refused(Damaged, again.when_ready())
        self.assertIn("put a backup in its place", error.detail)
        self.assertEqual([notice.code for notice in (await again.status()).warnings], [Damaged.code])
        self.assertEqual(database.read_bytes(), damaged)

    @running
    async def test_it_needs_a_basedir(self) -> None:
        """For the embedded account's mail."""
        service = self.service(Settings())
        await self.refused(BadSettings, service.when_ready())

    @running
    async def test_it_can_be_a_child_of_another_service(self) -> None:
        """Which starts and stops it."""
        parent = MultiService()
        service = IFAPService(Settings(basedir=self.basedir()), reactor=reactor)
        service.setServiceParent(parent)
        parent.startService()
        await service.filesystem.put("a", b"1")
        await parent.stopService()
        self.assertEqual(self.successResultOf(service.status()).state, "stopped")
        await self.refused(Unavailable, service.filesystem.get("a"))


class DovecotServiceTests(ServiceCase):
    """On a real server."""

    def setUp(self) -> None:
        self.server = servers.server("dovecot")

    def settings(self, **options: Any) -> Settings:
        """Settings for a folder of its own."""
        url = options.pop("account", f"imap://{self.server.user}@{self.server.host}:{self.server.port}")
        return Settings(account=parse_account(url), folder=options.pop("folder", servers.fresh_folder()), **options)

    def credentials(self, password: str | None = None) -> Credentials:
        """Of the first user."""
        return Credentials(self.server.user, Secret(password or self.server.password))

    @running
    async def test_it_waits_for_a_login(self) -> None:
        """A mail proxy learns the password later."""
        service = self.service(self.settings(basedir=self.basedir()), key=Secret("key"))
        ready = service.when_ready()
        await self.until(reactor, lambda: service.problem)
        self.assertNoResult(ready)
        await service.login(self.credentials())
        filesystem: Any = await ready
        await filesystem.put("a", b"1")
        await service.logout()
        await self.refused(AuthenticationRefused, service.filesystem.get("a"))
        await service.login(self.credentials())
        self.assertEqual(await service.filesystem.get("a"), b"1")

    @running
    async def test_a_wrong_password_is_told_and_can_be_mended(self) -> None:
        """It is tried once, not again and again."""
        service = self.service(self.settings(), credentials=self.credentials("wrong"), key=Secret("key"))
        await self.refused(AuthenticationRefused, service.when_ready())
        status = self.successResultOf(service.status())
        self.assertEqual((status.state, status.warnings[0].code), ("stopped", "authentication-refused"))
        await service.login(self.credentials())
        await service.filesystem.put("a", b"1")

    @running
    async def test_a_server_that_is_not_there_yet_is_waited_for(self) -> None:
        """The state says so meanwhile."""
        account = f"imap://{self.server.user}@127.0.0.1:{free_port()}"
        service = self.service(self.settings(account=account), credentials=self.credentials(), key=Secret("key"))
        ready = service.when_ready()
        status: Any = self.successResultOf(service.status())
        self.assertEqual(status.state, "connecting")
        self.assertNoResult(ready)
        await service.stopService()
        await self.refused(Unavailable, ready)

    @running
    async def test_tls_is_verified(self) -> None:
        """A certificate of nobody's is refused, one of a given authority is accepted."""
        account = f"imaps://{self.server.user}@localhost:{self.server.tlsport}"
        folder = servers.fresh_folder()
        untrusted = self.service(
            self.settings(account=account, folder=folder), credentials=self.credentials(), key=Secret("key")
        )
        await self.refused(NotTrusted, untrusted.when_ready())
        trusted = self.service(
            self.settings(account=account, folder=folder, ca_file=self.server.cafile),
            credentials=self.credentials(),
            key=Secret("key"),
        )
        await trusted.filesystem.put("a", b"1")

    @running
    async def test_a_wrong_key_is_refused(self) -> None:
        """And nothing is written."""
        settings = self.settings()
        first = self.service(settings, credentials=self.credentials(), key=Secret("key"))
        await first.filesystem.put("a", b"1")
        other = self.service(settings, credentials=self.credentials(), key=Secret("other"))
        await self.refused(WrongKey, other.when_ready())
        none = self.service(settings, credentials=self.credentials())
        await self.refused(KeyRequired, none.when_ready())
        self.assertEqual(first.opened.desk.view.index.highest, 2)  # type: ignore[union-attr]

    @running
    async def test_two_devices_see_each_other_s_writes_within_seconds(self) -> None:
        """IDLE tells them."""
        settings = self.settings()
        one, other = (self.service(settings, credentials=self.credentials(), key=Secret("key")) for _ in range(2))
        await one.when_ready()
        await other.when_ready()
        await one.filesystem.put("a", b"1")
        await self.until(reactor, lambda: other.opened.desk.view.index.is_file("a"), 10)  # type: ignore[union-attr]
        self.assertEqual(await other.filesystem.get("a"), b"1")

    @running
    async def test_simultaneous_writes_end_as_a_conflict_with_both_readable(self) -> None:
        """On a real server, neither is lost (FORMAT 3.4)."""
        settings = self.settings()
        pair = [self.service(settings, credentials=self.credentials(), key=Secret("key")) for _ in range(2)]
        for service in pair:
            await service.when_ready()
        works = [service.filesystem.put("a", str(number).encode()) for number, service in enumerate(pair)]
        for work in works:
            await work
        await pair[0].filesystem.refresh()
        heads = await pair[0].filesystem.conflicts()
        contents = {await pair[0].filesystem.get("a", version=head.version) for head in heads}
        self.assertEqual(contents, {b"0", b"1"})


class ConnectTests(ServiceCase):
    """``connect`` for scripts."""

    @running
    async def test_it_opens_a_folder_and_leaves_nothing_behind(self) -> None:
        """Neither threads nor sockets, nor files without a basedir."""
        server = servers.server("dovecot")
        filesystem = await connect(
            reactor,
            f"imap://{server.user}@{server.host}:{server.port}",
            folder=servers.fresh_folder(),
            password=server.password,
            key="any key string",
        )
        await filesystem.put("/magic/path/name.txt", b"hello world")
        self.assertEqual(await filesystem.get("/magic/path/name.txt"), b"hello world")
        await filesystem.close()

    @running
    async def test_another_way_to_log_in_can_be_given(self) -> None:
        """The authentication dance (DESIGN 4.4)."""
        server = servers.server("dovecot")

        async def authenticate(session: Any) -> None:
            await session.authenticate_plain(server.user, server.password)

        filesystem = await connect(
            reactor,
            f"imap://{server.user}@{server.host}:{server.port}",
            folder=servers.fresh_folder(),
            key="key",
            authenticate=authenticate,
        )
        self.assertEqual((await filesystem.status()).state, "connected")
        await filesystem.close()

    @running
    async def test_what_is_missing_is_said_at_once(self) -> None:
        """No password, no key."""
        server = servers.server("dovecot")
        url = f"imap://{server.user}@{server.host}:{server.port}"
        folder = servers.fresh_folder()
        await self.refused(AuthenticationRefused, connect(reactor, url, folder=folder, key="key"))
        await self.refused(KeyRequired, connect(reactor, url, folder=folder, password=server.password))
        await self.refused(BadSettings, connect(reactor, "imaps://me:secret@example.org"))

    @running
    async def test_an_account_in_memory_needs_nothing(self) -> None:
        """For a first try."""
        filesystem = await connect(reactor, "memory:")
        await filesystem.put("a", b"1")
        self.assertEqual(await filesystem.get("a"), b"1")
        await filesystem.close()

    @running
    async def test_a_local_maildir_is_an_account(self) -> None:
        """With a key that the caller keeps."""
        path = self.basedir()
        path.mkdir()
        for expected in (None, b"1"):
            filesystem = await connect(reactor, f"maildir://{path}", key="key")
            if expected is None:
                await filesystem.put("a", b"1")
            else:
                self.assertEqual(await filesystem.get("a"), expected)
            await filesystem.close()


class FactsTests(ServiceCase):
    """What ``ifap info`` tells."""

    @running
    async def test_capabilities_and_quota_are_those_of_the_server(self) -> None:
        """In bytes; a server without a quota has none."""
        for quota, limit in (("20M", 20 * 1024 * 1024), (None, None)):
            server = servers.server("dovecot", **({} if quota is None else {"IFAP_DOVECOT_QUOTA": quota}))
            settings = Settings(
                account=parse_account(f"imap://{server.user}@{server.host}:{server.port}"),
                folder=servers.fresh_folder(),
            )
            credentials = Credentials(server.user, Secret(server.password))
            service = self.service(settings, credentials=credentials, key=Secret("canary"))
            await service.filesystem.put("a/b", b"12345")
            told = await facts(service)
            self.assertIn("UIDPLUS", told["capabilities"])
            self.assertEqual(None if told["quota"] is None else told["quota"]["limit"], limit)
            self.assertEqual(told["counts"] | {"versions": 1}, {"files": 1, "versions": 1, "bytes": 5, "messages": 2})
            self.assertFalse(told["made_key"])
            self.assertNotIn("canary", repr(told))

    @running
    async def test_the_embedded_account_says_that_it_made_a_key(self) -> None:
        """At its first start."""
        settings = Settings(basedir=self.basedir())
        service = self.service(settings)
        await service.when_ready()
        self.assertTrue((await facts(service))["made_key"])
        await service.stopService()
        again = self.service(settings)
        await again.when_ready()
        self.assertFalse((await facts(again))["made_key"])
