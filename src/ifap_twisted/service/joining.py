"""Opening an account for one caller: ``connect`` for scripts, ``login`` and ``open_local`` for the command line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ifap_twisted.accounts import Account, parse_account
from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings, Unavailable
from ifap_twisted.filesystem.rekeying import Rekeyed
from ifap_twisted.interfaces import IFilesystem, Progress
from ifap_twisted.keyrings import Backend
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service.facts import facts
from ifap_twisted.service.service import IFAPService
from ifap_twisted.service.shelves import Means
from ifap_twisted.service.standby import Standby
from ifap_twisted.settings import Settings
from ifap_twisted.settings.editing import save_settings


@implementer(IFilesystem)
class OwnFilesystem(Standby):
    """A filesystem with a service of its own, which ends with it."""

    def __init__(self, service: IFAPService) -> None:
        super().__init__(service)
        self._service = service

    @deferred
    async def close(self) -> None:
        """Finish what was accepted, log out and stop everything that belongs to it."""
        self.retire()
        await self._service.stopService()

    @deferred
    async def finish(self) -> None:
        """Try once to store what waits in the journal; what cannot go now stays, and the status says why."""
        if self._service.opened is not None:
            await self._service.opened.finish()

    @deferred
    async def info(self) -> Mapping[str, JSON]:
        """What is told of the account besides the status."""
        return await facts(self._service)


async def _ready(service: IFAPService, *, away: bool = False) -> OwnFilesystem:
    """Start a service and wait until its folder is open; when that fails, everything is stopped again.

    :param away: a server that is away is not waited for long, and no failure: what can be done without it is done.
    """
    service.startService()
    filesystem = OwnFilesystem(service)
    try:
        if away and not await filesystem.is_there():
            await service.be_ready_to_accept()
        else:
            filesystem.announce(await filesystem.ready())
    except BaseException:
        await service.stopService()
        raise
    return filesystem


@deferred
async def connect(
    reactor: Any,
    account: str | Account = "embedded",
    *,
    folder: str = "IFAP_DATA",
    password: str | Secret | None = None,
    key: str | Secret | None = None,
    passphrase: str | Secret | None = None,
    dialect: str | None = None,
    encryption: str = "required",
    endpoint: Any = None,
    tls: Any = None,
    authenticate: Any = None,
    basedir: str | Path | None = None,
    **settings: Any,
) -> IFilesystem:
    """Open a folder of an account as a filesystem (DESIGN 4.4).

    :param account: an account URL; the password is never part of it.
    :param key: the folder's key string, as ``ifap info --show-key`` prints it; without it the basedir's is used.
    :param passphrase: instead of the key, where one is set for the folder (``ifap passphrase``).
    :param endpoint: an ``IStreamClientEndpoint`` to reach the server through, instead of the URL's host and port.
    :param tls: an ``IOpenSSLClientConnectionCreator``, instead of verification against the system's authorities.
    :param authenticate: ``async (session) -> None`` that logs in, instead of a password.
    :param basedir: where key and writer are kept; without one nothing is kept on disk and each connection is a new
        writer.
    :param settings: any other setting by name (``max_file_size``, ``compat``, ``ca_file`` …).
    :raises KeyRequired, PassphraseRequired, WrongKey, AuthenticationRefused, NotTrusted, Unavailable, BadSettings:
    """
    parsed = account if isinstance(account, Account) else parse_account(account)
    if password is not None and parsed.user is None:
        raise BadSettings("A password was given for an account without a user.")
    service = IFAPService(
        Settings(
            account=parsed,
            folder=folder,
            dialect=dialect,
            encryption=encryption,
            basedir=None if basedir is None else Path(basedir),
            **settings,
        ),
        credentials=None if password is None else Credentials(parsed.user or "", _secret(password)),
        reactor=reactor,
        key=None if key is None else _secret(key),
        passphrase=None if passphrase is None else _secret(passphrase),
        means=Means(endpoint=endpoint, tls=tls, authenticate=authenticate),
        patient=False,
    )
    return await _ready(service)


def open_local(
    reactor: Any, basedir: Basedir, settings: Settings, *, passphrase: Secret | None = None, away: bool = False
) -> Deferred[OwnFilesystem]:
    """Open the account of a basedir in this process; the basedir is held by the caller and stays its own.

    :param away: while the mail server is away, give a filesystem all the same: for a status, and to queue writes.
    """
    service = IFAPService(settings, reactor=reactor, basedir=basedir, passphrase=passphrase, patient=False)
    return Deferred.fromCoroutine(_ready(service, away=away))


@deferred
async def login(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    *,
    password: Secret | None = None,
    key: Secret | None = None,
    passphrase: Secret | None = None,
    recovery_code: Secret | None = None,
    keyring: Backend | None = None,
) -> Mapping[str, JSON]:
    """Check an account, create or open its folder, and store what is needed to open it again.

    :param basedir: held by the caller.
    :param password: one that was typed; it is stored. Without it that of the settings or of the basedir is used.
    :param key: a key string that was given; without one and without a remembered one a key is made in an empty folder.
    :param passphrase: under which the folder keeps its key; a new folder gets it. ``recovery_code``: as it was typed.
    :param keyring: a backend of the package keyring, for the setting ``keyring``; None is the one of the system.
    :return: what ``facts`` tells.
    """
    account = settings.account
    if password is not None and account.user is None:
        raise BadSettings("A password was given for an account without a user.")
    credentials = None if password is None else Credentials(account.user or "", password)
    service = IFAPService(
        settings,
        credentials=credentials,
        reactor=reactor,
        key=key,
        passphrase=passphrase,
        recovery_code=recovery_code,
        basedir=basedir,
        keyring=keyring,
        make_key=True,
        joining=True,
        patient=False,
        random=os.urandom,
    )
    filesystem = await _ready(service)
    try:
        told = await filesystem.info()
        await service.keep_in_keyring()
    finally:
        await filesystem.close()
    if password is not None:
        PasswordFile(basedir).store_password(account, password)
    save_settings(basedir, _to_save(settings))
    return told


@deferred
async def change_passphrase(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    new: Secret,
    *,
    passphrase: Secret | None = None,
    keyring: Backend | None = None,
) -> bool:
    """Wrap the key under another passphrase, or the first one, in the folder and in the basedir.

    :param basedir: held by the caller.
    :param passphrase: the present one, where the basedir keeps the key under one; else that of the settings.
    :return: False when a former passphrase may still open the folder: its slot could not be removed.
    :raises WeakPassphrase: nothing was changed.
    :raises BadSettings: it is set, and the keyring did not keep it (setting ``keyring``; ``keyring``: its backend).
    """
    async with _opened(reactor, basedir, settings, passphrase, keyring) as service:
        return await service.set_passphrase(new)


@deferred
async def make_recovery_code(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    show: Callable[[str], None],
    *,
    passphrase: Secret | None = None,
) -> bool:
    """Make a recovery code, which voids the one before.

    :param basedir: held by the caller.
    :param show: prints it; it is kept nowhere.
    :return: False when a former one may still open the folder: its slot could not be removed.
    """
    async with _opened(reactor, basedir, settings, passphrase) as service:
        return await service.make_recovery_code(show)


@deferred
async def recover(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    *,
    passphrase: Secret | None = None,
    progress: Progress = None,
) -> Checkup:
    """Build everything that is known of the folder anew from its messages alone, mend it, and say what was done.

    :param basedir: held by the caller.
    :raises ReadOnly: nothing can be mended.
    """
    async with _opened(reactor, basedir, settings, passphrase) as service:
        if service.opened is None:
            raise Unavailable("The folder is not open.")
        await service.opened.finish()
        return await service.opened.recover(progress)


@deferred
async def change_key(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    *,
    passphrase: Secret | None = None,
    progress: Progress = None,
) -> Rekeyed:
    """Give the folder a new key, and seal everything anew under it; or go on with a change that was cut short.

    :param basedir: held by the caller.
    :param progress: told how many versions of how many were sealed anew.
    """
    async with _opened(reactor, basedir, settings, passphrase) as service:
        return await service.change_key(progress)


@deferred
async def revoke_key(
    reactor: Any,
    basedir: Basedir,
    settings: Settings,
    ask: Callable[[], Awaitable[Secret]],
    *,
    wanted: bool = False,
    passphrase: Secret | None = None,
    progress: Progress = None,
) -> Rekeyed:
    """Give the folder a new key which nobody gets by a former one; or go on with what was cut short.

    :param basedir: held by the caller.
    :param ask: gives the new passphrase; asked where the folder has one, or where one is ``wanted``.
    :param progress: told how many versions of how many were sealed anew.
    """
    async with _opened(reactor, basedir, settings, passphrase) as service:
        return await service.revoke_key(ask, wanted=wanted, progress=progress)


@asynccontextmanager
async def _opened(
    reactor: Any, basedir: Basedir, settings: Settings, passphrase: Secret | None, keyring: Backend | None = None
) -> AsyncIterator[IFAPService]:
    service = IFAPService(
        settings, reactor=reactor, basedir=basedir, passphrase=passphrase, keyring=keyring, patient=False
    )
    filesystem = await _ready(service)
    try:
        yield service
    finally:
        await filesystem.close()


def _to_save(settings: Settings) -> dict[str, object]:
    """Everything that was chosen for this login and is not in the file yet."""
    names = ("account", "folder", "dialect", "encryption", "password_file", "password_command", "key_file", "ca_file")
    return {name: getattr(settings, name) for name in (*names, "keyring") if settings.sources[name] == "option"}


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)
