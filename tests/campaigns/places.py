"""Where the devices of the campaign of kills keep their folders: on Dovecot, in a Maildir, in a server of their own."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import UNIXClientEndpoint

from ifap_twisted import connect
from ifap_twisted.accounts import parse_account
from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyFile
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.core.keys import Key
from ifap_twisted.deferreds import deferred
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.server.service import EmbeddedServer
from ifap_twisted.service import IFAPService
from ifap_twisted.service.joining import _ready
from ifap_twisted.service.shelves import Means
from ifap_twisted.settings import Settings
from tests.campaigns.ground import KEY, in_memory
from tests.live.servers import fresh_folder, server

SETTLED = 2.1
"""Seconds."""
ACCOUNTS = ("dovecot", "maildir", "embedded", "plain")
POOR = {"IFAP_DOVECOT_CAPABILITY": "IMAP4rev1 LITERAL+ SASL-IR ID IDLE NAMESPACE"}


class Place:
    """An account, a folder that nobody else uses, and a basedir; it outlives the processes that work in it.

    :param account: one of :data:`ACCOUNTS`; ``plain`` is a Dovecot that does not say that it has UIDPLUS, and plain
        EXPUNGE is allowed.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self._later = 0.0
        self._aged = 0
        self._base = Path(tempfile.mkdtemp(prefix="ifap-kills-", dir=in_memory()))
        self._folder = fresh_folder()
        self._password: str | None = None
        self._url = "embedded"
        if account == "maildir":
            self._url = f"maildir://{self._base / 'mail'}"
        elif account != "embedded":
            live = server("dovecot", **(POOR if account == "plain" else {}))
            self._url, self._password = f"imap://{live.user}@{live.host}:{live.port}", live.password

    def age(self, highest: int, seconds: float) -> None:
        """Time goes by: our own server gets a fast clock; elsewhere the messages so far seem to be so much older.

        :param highest: the UID of the last one.
        """
        self._later, self._aged = seconds, highest

    def settle(self) -> None:
        """Wait until a Maildir shows everything.

        A file whose maker died before he noted its number is shown when it is two seconds old, as those of others are.
        """
        numbers = list((self._base / "mail").glob("**/.ifap-uids"))
        if any(json.loads(file.read_text())["pending"] for file in numbers):
            time.sleep(SETTLED)  # noqa: TID251 -- for the file system's clock

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._base)

    @asynccontextmanager
    async def device(self, reactor: Any) -> AsyncIterator[IFilesystem]:
        """The device that has the basedir; it is closed at the end."""
        fast = Fast(reactor, self._later if self._account == "embedded" else 0.0)
        filesystem = await self._connected(fast, self._url, basedir=self._base / "node", password=self._password)
        if self._later and self._account != "embedded":
            self._date_back(filesystem)
        try:
            yield filesystem
        finally:
            await filesystem.close()

    def key(self) -> Key:
        """The newest that the device keeps."""
        with Basedir(self._base / "node") as basedir:
            kept = KeyFile(basedir).entries()[0].key
        assert kept is not None
        return Key.from_text(kept.reveal())

    @asynccontextmanager
    async def cut_off(self, reactor: Any) -> AsyncIterator[IFilesystem]:
        """The device that has the basedir, as ``ifap put --queue`` opens it while nobody answers at its server."""
        account = parse_account(self._url)
        assert account.user is not None
        assert self._password is not None
        service = IFAPService(
            Settings(account=account, folder=self._folder, basedir=self._base / "node", retention_keep=1),
            credentials=Credentials(account.user, Secret(self._password)),
            reactor=reactor,
            key=Secret(KEY.text),
            means=Means(endpoint=UNIXClientEndpoint(reactor, str(self._base / "nobody"))),
            patient=False,
        )
        filesystem = await _ready(service, away=True)
        try:
            yield filesystem
        finally:
            await filesystem.close()

    @asynccontextmanager
    async def fresh(self, reactor: Any, key: Key = KEY) -> AsyncIterator[IFilesystem]:
        """A client that knows nothing but a key. Our own server is looked at in a copy: looking changes nothing."""
        if self._account == "embedded":
            async with self._copied(reactor, key) as filesystem:
                yield filesystem
            return
        filesystem = await self._connected(reactor, self._url, key=key, password=self._password)
        try:
            yield filesystem
        finally:
            await filesystem.close()

    @asynccontextmanager
    async def _copied(self, reactor: Any, key: Key) -> AsyncIterator[IFilesystem]:
        copy = Path(tempfile.mkdtemp(dir=self._base))
        for name in ("embedded.sqlite", "embedded.sqlite-wal"):
            if (self._base / "node" / name).exists():
                shutil.copy(self._base / "node" / name, copy / name)
        with Basedir(self._base / "node") as basedir:
            credentials = PasswordFile(basedir).embedded()
        assert credentials is not None
        serving = EmbeddedServer(copy / "embedded.sqlite", reactor, socket_path=copy / "socket")
        serving.startService()
        try:
            await serving.when_ready()
            filesystem = await self._connected(
                reactor,
                f"imap://{credentials.user}@127.0.0.1",
                key=key,
                password=credentials.password.reveal(),
                endpoint=UNIXClientEndpoint(reactor, str(copy / "socket")),
            )
            try:
                yield filesystem
            finally:
                await filesystem.close()
        finally:
            await serving.stopService()
            shutil.rmtree(copy)

    def _date_back(self, filesystem: Any) -> None:
        store = filesystem._service.store
        dates = store.dates

        @deferred
        async def earlier(uids: Any) -> dict[int, float]:
            found = await dates(uids)
            return {uid: date - (self._later if uid <= self._aged else 0.0) for uid, date in found.items()}

        store.dates = earlier

    async def _connected(self, reactor: Any, url: str, *, key: Key = KEY, **more: Any) -> IFilesystem:
        expunge = "plain" if self._account == "plain" else "uid"
        return await connect(reactor, url, folder=self._folder, key=key.text, retention_keep=1, expunge=expunge, **more)


class Fast:
    """A reactor of which the clock is fast."""

    def __init__(self, reactor: Any, seconds: float) -> None:
        self._reactor = reactor
        self._seconds = seconds

    def seconds(self) -> float:
        """Now, and some more."""
        return float(self._reactor.seconds() + self._seconds)

    def __getattr__(self, name: str) -> Any:
        """All else is as it is."""
        return getattr(self._reactor, name)


async def messages(filesystem: Any) -> dict[int, bytes]:
    """What is in the folder, as the server gives it."""
    store = filesystem._service.store
    return {uid: await store.message(uid) for uid in await store.uids(1)}
