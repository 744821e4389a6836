"""Passphrases in another application: a folder opened with one, a service that waits for one (DESIGN 4.4)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real files and threads

from ifap_twisted.accounts import parse_account
from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyFile
from ifap_twisted.core.limits import KDF_MEMORY
from ifap_twisted.core.recovery_codes import decode
from ifap_twisted.core.values import Status
from ifap_twisted.errors import (
    CallerError,
    KeyRequired,
    NotSupported,
    PassphraseRequired,
    Unavailable,
    WeakPassphrase,
    WrongKey,
)
from ifap_twisted.filesystem.keyslots import KeySlots
from ifap_twisted.secrecy import Secret
from ifap_twisted.service import IFAPService, connect, login
from ifap_twisted.settings import Settings
from tests.service.test_service import ServiceCase, running

PASSPHRASE = Secret("vier Gurken tanzen am Kanal")
OTHER = Secret("seven grey herons play chess")


class PassphraseTests(ServiceCase):
    """A folder in a Maildir, which a service made."""

    def settings(self, name: str = "one", **more: Any) -> Settings:
        """The settings of a device."""
        mail = Path(self.mktemp()) if not hasattr(self, "mail") else self.mail
        self.mail = mail.absolute()
        self.mail.mkdir(exist_ok=True)
        return Settings(account=parse_account(f"maildir://{self.mail}"), basedir=self.basedir(), **more)

    async def founded(self, settings: Settings) -> IFAPService:
        """A service that made the folder and put a file into it."""
        service = self.service(settings, make_key=True)
        await (await service.when_ready()).put("a", b"one")
        return service

    @running
    async def test_connect(self) -> None:
        """``connect(passphrase=)`` opens the folder without a basedir and without the key."""
        service = await self.founded(self.settings())
        self.assertTrue(await service.set_passphrase(PASSPHRASE))
        filesystem = await connect(reactor, f"maildir://{self.mail}", passphrase=PASSPHRASE.reveal())
        self.assertEqual(b"one", await filesystem.get("a"))
        self.assertEqual("none", (await filesystem.status()).key)
        await filesystem.close()
        wrong = connect(reactor, f"maildir://{self.mail}", passphrase=OTHER)
        await self.refused(WrongKey, wrong)

    @running
    async def test_the_key_is_wrapped_here_too(self) -> None:
        """After the passphrase was set, in the running service and after a restart."""
        settings = self.settings()
        service = await self.founded(settings)
        self.assertEqual("clear", (await service.status()).key)
        await service.set_passphrase(PASSPHRASE)
        self.assertEqual("wrapped", (await service.status()).key)
        await service.filesystem.put("b", b"two")
        await service.stopService()
        with Basedir(settings.basedir or Path()) as basedir:
            (entry,) = KeyFile(basedir).entries()
        self.assertEqual((None, KDF_MEMORY), (entry.key, (entry.wrapped or {})["kdf"]["memory"]))
        again = self.service(settings, passphrase=PASSPHRASE)
        self.assertEqual(b"two", await (await again.when_ready()).get("b"))
        self.assertEqual("wrapped", (await again.status()).key)

    @running
    async def test_it_waits_for_a_passphrase(self) -> None:
        """As it waits for a login; a wrong one is told, and the right one opens the folder."""
        settings = self.settings()
        service = await self.founded(settings)
        await service.set_passphrase(PASSPHRASE)
        await service.stopService()
        again = self.service(settings)
        ready = again.when_ready()
        status = await self.until(reactor, lambda: self.told(again))
        self.assertEqual((PassphraseRequired.code, "wrapped"), (status.warnings[0].code, status.key))
        self.assertFalse(ready.called)
        await again.login(passphrase=PASSPHRASE)
        self.assertEqual(b"one", await (await ready).get("a"))

    def told(self, service: IFAPService) -> Status | None:
        """The status, as soon as it says why the folder is not open."""
        status: Status = self.successResultOf(service.status())
        return status if status.warnings else None

    @running
    async def test_a_wrong_one_is_told(self) -> None:
        """It is no reason to wait, and key.json stays as it is."""
        settings = self.settings()
        service = await self.founded(settings)
        await service.set_passphrase(PASSPHRASE)
        await service.stopService()
        before = ((settings.basedir or Path()) / "key.json").read_bytes()
        again = self.service(settings, passphrase=OTHER)
        await self.refused(WrongKey, again.when_ready())
        self.assertEqual(before, ((settings.basedir or Path()) / "key.json").read_bytes())

    @running
    async def test_a_key_that_is_given_takes_nothing_out(self) -> None:
        """Opened with the key itself, a basedir under a passphrase stays under it."""
        settings = self.settings()
        service = await self.founded(settings)
        assert service.opened is not None
        key = Secret(service.opened.desk.view.keys[0].text)
        await service.set_passphrase(PASSPHRASE)
        await service.stopService()
        before = ((settings.basedir or Path()) / "key.json").read_bytes()
        again = self.service(settings, key=key)
        self.assertEqual(b"one", await (await again.when_ready()).get("a"))
        await again.stopService()
        self.assertEqual(before, ((settings.basedir or Path()) / "key.json").read_bytes())

    @running
    async def test_a_newer_key_that_cannot_be_kept(self) -> None:
        """Opened with the key that was given, a basedir under a passphrase is read with the newer one of the folder; it
        is not written with, and none is drawn: nothing but the folder would keep it.
        """
        settings = self.settings()
        service = await self.founded(settings)
        assert service.opened is not None
        key = Secret(service.opened.desk.view.keys[0].text)
        await service.set_passphrase(PASSPHRASE)
        await service.stopService()
        before = ((settings.basedir or Path()) / "key.json").read_bytes()
        again = self.service(settings, key=key)
        await again.when_ready()
        await self.refused(PassphraseRequired, again.change_key())
        await again.stopService()
        other = self.service(self.settings("two"), key=key)
        await (await other.when_ready()).put("b", b"two")
        done = await other.change_key()
        await other.stopService()
        late = self.service(settings, key=key)
        filesystem = await late.when_ready()
        assert late.opened is not None
        self.assertEqual((b"one", b"two"), (await filesystem.get("a"), await filesystem.get("b")))
        self.assertEqual(key.reveal(), late.opened.desk.view.keys[0].text)
        await late.stopService()
        self.assertEqual(before, ((settings.basedir or Path()) / "key.json").read_bytes())
        last = self.service(settings, passphrase=PASSPHRASE)
        await last.when_ready()
        assert last.opened is not None
        self.assertEqual(done.key, last.opened.desk.view.keys[0].fingerprint)
        await last.stopService()

    @running
    async def test_another_key_that_is_given(self) -> None:
        """One that opens nothing is refused, though the basedir has the right one, and is not kept; one of before does
        not go before the newest.
        """
        settings = self.settings()
        service = await self.founded(settings)
        assert service.opened is not None
        key = Secret(service.opened.desk.view.keys[0].text)
        done = await service.change_key()
        await service.stopService()
        before = ((settings.basedir or Path()) / "key.json").read_bytes()
        wrong = self.service(settings, key=Secret("another"))
        await self.refused(WrongKey, wrong.when_ready())
        await wrong.stopService()
        self.assertEqual(before, ((settings.basedir or Path()) / "key.json").read_bytes())
        again = self.service(settings, key=key)
        await again.when_ready()
        assert again.opened is not None
        self.assertEqual(done.key, again.opened.desk.view.keys[0].fingerprint)
        await again.stopService()
        self.assertEqual(before, ((settings.basedir or Path()) / "key.json").read_bytes())

    @running
    async def test_weak(self) -> None:
        """A weak one changes nothing."""
        service = await self.founded(self.settings())
        error = await self.refused(WeakPassphrase, service.set_passphrase(Secret("password password")))
        self.assertNotIn("password password", error.detail)
        self.assertEqual("clear", (await service.status()).key)
        await self.refused(CallerError, service.set_passphrase(Secret(b"\xff" * 20)))

    @running
    async def test_passphrase_of_a_key_that_is_in_clear(self) -> None:
        """A passphrase in the settings does not stop a basedir that knows the key, nor pass for a set one."""
        file = self.written()
        settings = self.settings()
        await (await self.founded(settings)).stopService()
        again = self.service(Settings(account=settings.account, basedir=settings.basedir, passphrase_file=file))
        self.assertEqual(b"one", await (await again.when_ready()).get("a"))
        self.assertEqual("clear", (await again.status()).key)

    def written(self) -> Path:
        """A file with the passphrase."""
        file = Path(self.mktemp())
        file.write_text(PASSPHRASE.reveal())
        file.chmod(0o600)
        return file

    @running
    async def test_new_folder_with_a_passphrase(self) -> None:
        """The key that is made is wrapped from the start, and the folder opens with the passphrase alone."""
        service = self.service(self.settings(), make_key=True, passphrase=PASSPHRASE)
        await (await service.when_ready()).put("a", b"one")
        self.assertEqual("wrapped", (await service.status()).key)
        other = self.service(self.settings(), passphrase=PASSPHRASE)
        self.assertEqual(b"one", await (await other.when_ready()).get("a"))
        self.assertEqual("wrapped", (await other.status()).key)

    @running
    async def test_new_folder_with_a_weak_one(self) -> None:
        """Nothing is made."""
        settings = self.settings()
        service = self.service(settings, make_key=True, passphrase=Secret("maildir maildir"))
        await self.refused(WeakPassphrase, service.when_ready())
        self.assertEqual([], [path for path in self.mail.rglob("*") if path.parent.name in ("cur", "new")])
        self.assertFalse(((settings.basedir or Path()) / "key.json").exists())

    @running
    async def test_recovery_code(self) -> None:
        """It is shown once it opens the folder, and opens it on a device that knows nothing else."""
        service = await self.founded(self.settings())
        codes: list[str] = []
        self.assertTrue(await service.make_recovery_code(codes.append))
        other = self.service(self.settings(), recovery_code=Secret(codes[0]))
        self.assertEqual(b"one", await (await other.when_ready()).get("a"))
        self.assertEqual("clear", (await other.status()).key)

    @running
    async def test_a_recovery_code_is_random(self) -> None:
        """It is 256 bits as they were drawn, a new one each time."""
        drawn: list[bytes] = []

        def draw(count: int) -> bytes:
            drawn.append(os.urandom(count))
            return drawn[-1]

        service = self.service(self.settings(), make_key=True, random=draw)
        await service.when_ready()
        codes: list[str] = []
        for _ in range(2):
            await service.make_recovery_code(codes.append)
        secrets = [decode(code) for code in codes]
        self.assertEqual([32, 32], [len(secret) for secret in secrets])
        self.assertLessEqual(set(secrets), set(drawn))
        self.assertNotEqual(*secrets)

    @running
    async def test_nobody_sees_a_code_that_was_not_told(self) -> None:
        """When it cannot be shown, the former one still opens the folder."""
        service = await self.founded(self.settings())
        codes: list[str] = []
        await service.make_recovery_code(codes.append)

        def fails(_code: str) -> None:
            raise OSError("no paper")

        await self.refused(OSError, service.make_recovery_code(fails))
        other = self.service(self.settings(), recovery_code=Secret(codes[0]))
        self.assertEqual(b"one", await (await other.when_ready()).get("a"))

    @running
    async def test_cut_between_folder_and_basedir(self) -> None:
        """When key.json cannot be written, both passphrases open the folder, and the former one opens the basedir."""
        settings = self.settings()
        service = await self.founded(settings)
        await service.set_passphrase(PASSPHRASE)

        def fails(*_arguments: object) -> None:
            raise OSError(28, "No space left on device")

        store = KeyFile.store
        self.patch(KeyFile, "store", fails)
        await self.refused(OSError, service.set_passphrase(OTHER))
        self.patch(KeyFile, "store", store)
        await service.stopService()
        for device, passphrase in ((settings, PASSPHRASE), (self.settings(), PASSPHRASE), (self.settings(), OTHER)):
            again = self.service(device, passphrase=passphrase)
            self.assertEqual(b"one", await (await again.when_ready()).get("a"))
            await again.stopService()

    @running
    async def test_the_same_service_again(self) -> None:
        """A service that is stopped and started goes on with the passphrase that was set last."""
        service = await self.founded(self.settings())
        await service.set_passphrase(PASSPHRASE)
        await service.set_passphrase(OTHER)
        await service.login()
        self.assertEqual(b"one", await service.filesystem.get("a"))
        await service.stopService()
        service.startService()
        self.assertEqual(b"one", await service.filesystem.get("a"))

    @running
    async def test_login_that_cannot_write_the_slot(self) -> None:
        """It fails, leaves nothing running, and the next one writes it: then another device needs nothing else."""
        settings = self.settings()
        basedir = Basedir(settings.basedir or Path())
        self.addCleanup(basedir.close)
        await basedir.hold(0, reactor)

        async def fails(*_arguments: object) -> int:
            raise Unavailable("The mail server went away.")

        write = KeySlots.write
        self.patch(KeySlots, "write", fails)
        await self.refused(Unavailable, login(reactor, basedir, settings, passphrase=PASSPHRASE))
        self.patch(KeySlots, "write", write)
        await login(reactor, basedir, settings, passphrase=PASSPHRASE)
        other = self.service(self.settings(), passphrase=PASSPHRASE)
        self.assertEqual([], await (await other.when_ready()).list("/"))

    @running
    async def test_without_encryption(self) -> None:
        """There is no key to be wrapped."""
        service = await self.founded(self.settings(encryption="off"))
        await self.refused(NotSupported, service.set_passphrase(PASSPHRASE))
        self.assertEqual("none", (await service.status()).key)

    @running
    async def test_no_passphrase_is_set(self) -> None:
        """A device without a key is told what to do."""
        await self.founded(self.settings())
        error = await self.refused(KeyRequired, self.service(self.settings(), passphrase=PASSPHRASE).when_ready())
        self.assertIn("ifap passphrase", error.detail)
