"""The passphrase in a keyring, for a service: taken from there, given to it, and what happens when it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real files and threads

from ifap_twisted.accounts import parse_account
from ifap_twisted.basedir import Basedir
from ifap_twisted.errors import BadSettings, PassphraseRequired
from ifap_twisted.secrecy import Secret
from ifap_twisted.service import IFAPService, change_passphrase, login
from ifap_twisted.settings import Settings
from tests.service.test_service import ServiceCase, running
from tests.test_keyrings import FakeBackend

PASSPHRASE = Secret("vier Gurken tanzen am Kanal")
OTHER = Secret("seven grey herons play chess")


class KeyringTests(ServiceCase):
    """A device whose settings want the passphrase in the keyring."""

    def setUp(self) -> None:
        """Nothing is there yet."""
        super().setUp()
        self.backend = FakeBackend()
        self.settings = self.fresh()

    def fresh(self) -> Settings:
        """Those of a device with an account of its own."""
        mail = Path(self.mktemp()).absolute()
        mail.mkdir()
        return Settings(account=parse_account(f"maildir://{mail}"), basedir=self.basedir(), keyring=True)

    async def founded(self) -> None:
        """The folder is made, by somebody who gives the passphrase."""
        await self.logged_in(passphrase=PASSPHRASE)

    async def logged_in(self, **more: Any) -> None:
        with Basedir(self.settings.basedir or Path()) as basedir:
            await basedir.hold(0, reactor)
            await login(reactor, basedir, self.settings, keyring=self.backend, **more)

    def started(self, **more: Any) -> IFAPService:
        return self.service(self.settings, keyring=self.backend, **more)

    def kept(self) -> list[str]:
        return list(self.backend.entries.values())

    @running
    async def test_login(self) -> None:
        """What opened the folder at a login is in the keyring, and a service needs nothing else."""
        await self.founded()
        self.assertEqual(self.kept(), [PASSPHRASE.reveal()])
        service = self.started()
        await (await service.when_ready()).put("a", b"one")
        self.assertEqual((await service.status()).key, "wrapped")

    @running
    async def test_another_passphrase(self) -> None:
        """A new one takes the place of the former."""
        await self.founded()
        with Basedir(self.settings.basedir or Path()) as basedir:
            await basedir.hold(0, reactor)
            self.assertTrue(await change_passphrase(reactor, basedir, self.settings, OTHER, keyring=self.backend))
        self.assertEqual(self.kept(), [OTHER.reveal()])
        await self.started().when_ready()

    @running
    async def test_a_service_that_goes_on(self) -> None:
        """A running service gives the keyring what is set through it."""
        await self.founded()
        service = self.started()
        await service.when_ready()
        self.assertTrue(await service.set_passphrase(OTHER))
        self.assertEqual(self.kept(), [OTHER.reveal()])

    @running
    async def test_not_kept(self) -> None:
        """A keyring that fails keeps no passphrase from being set; it is told."""
        await self.founded()
        service = self.started()
        await service.when_ready()
        self.backend.failure = RuntimeError("locked")
        error = await self.refused(BadSettings, service.set_passphrase(OTHER))
        self.assertIn("The passphrase is set, but it is not in the keyring.", error.detail)
        await service.stopService()
        self.backend.failure = None
        stale = self.started(patient=False)
        error = await self.refused(PassphraseRequired, stale.when_ready())
        self.assertIn("not the one of this basedir", error.detail)
        await stale.stopService()
        await self.started(passphrase=OTHER).when_ready()

    @running
    async def test_locked(self) -> None:
        """A service whose keyring is locked waits for a login, as one without a passphrase does."""
        await self.founded()
        self.backend.failure = RuntimeError("locked")
        service = self.started()
        ready = service.when_ready()
        status = await self.until(reactor, lambda: self.told(service))
        self.assertEqual(status.warnings[0].code, "passphrase-required")
        self.assertIn("is it unlocked?", status.warnings[0].text)
        await service.login(passphrase=PASSPHRASE)
        await ready

    def told(self, service: IFAPService) -> Any:
        status = self.successResultOf(service.status())
        return status if status.warnings else None

    @running
    async def test_asked_only_when_needed(self) -> None:
        """A basedir that keeps its key in clear, or a service that is given what opens it, asks no keyring."""
        await self.founded()
        self.backend.failure = RuntimeError("nobody shall be asked to unlock anything")
        service = self.started(passphrase=PASSPHRASE)
        await service.when_ready()
        await service.stopService()
        self.settings = self.fresh()
        await self.logged_in()
        await self.started().when_ready()

    @running
    async def test_without_a_passphrase_nothing_is_kept(self) -> None:
        """A login that needs none gives none to the keyring."""
        await self.logged_in()
        self.assertEqual(self.kept(), [])
