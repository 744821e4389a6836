"""Attempts to open a folder, and what is kept from one to the next: worker, basedir, embedded server, shelf, memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ifap_twisted.basedir import Basedir
from ifap_twisted.clocks import elapsed_seconds
from ifap_twisted.core import limits
from ifap_twisted.core.values import Notice
from ifap_twisted.credentials import credentials_for
from ifap_twisted.errors import AuthenticationRefused, IFAPError, PassphraseRequired
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.filesystem.opening import Membership, Opened, Surroundings, open_folder
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.platforms import user_and_host
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service import wrapping
from ifap_twisted.service.accepting import Accepting
from ifap_twisted.service.access import Access
from ifap_twisted.service.collecting import policy_of
from ifap_twisted.service.remembering import Remembering
from ifap_twisted.service.shelves import heard_from, shelf_for
from ifap_twisted.settings import Settings
from ifap_twisted.workers import ThreadWorker

if TYPE_CHECKING:
    from ifap_twisted.server.service import EmbeddedServer


def options_of(settings: Settings) -> Options:
    """What the settings say of how a folder is used."""
    return Options(
        max_file_size=settings.max_file_size,
        chunk_threshold=settings.chunk_threshold,
        keep=settings.retention_keep,
        retention=policy_of(settings),
        grace=settings.retention_grace,
        expunges_plainly=settings.expunge == "plain",
        compat=settings.compat,
        require_bound=settings.require_bound,
        holder=user_and_host(),
        checkpoint_every=limits.CHECKPOINT_SECONDS,
    )


class NobodyError(Exception):
    """Somebody has to log in first: nothing was given, and what is remembered is not enough.

    :ivar error: what is missing, for a caller who does not wait for that.
    """

    def __init__(self, error: IFAPError) -> None:
        super().__init__(str(error))
        self.error = error


class Attempts:
    """Opens one folder, as often as it takes.

    :param accepting: told what the folder is about to be opened with.
    :param basedir: one that the caller holds, and closes; without one that of the settings is held.
    :ivar made: how many attempts were begun.
    :ivar store: the shelf, once there is one; ``remembering``: what this device knows of the folder, likewise.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        options: Options,
        accepting: Accepting,
        *,
        basedir: Basedir | None,
        reactor: Any,
        random: Random,
    ) -> None:
        self._settings = settings
        self._options = options
        self._accepting = accepting
        self._basedir = basedir
        self._owns_basedir = basedir is None
        self._reactor = reactor
        self._random = random
        self._worker = ThreadWorker(reactor)
        self._server: EmbeddedServer | None = None
        self.made = 0
        self.store: IMessageStore | None = None
        self.remembering: Remembering | None = None

    @property
    def notices(self) -> Collection[Notice]:
        """What the embedded server has to say."""
        return () if self._server is None else self._server.notices

    @property
    def kept(self) -> str:
        """How the key is kept here, as :attr:`Remembering.kept`."""
        return "none" if self.remembering is None else self.remembering.kept

    @property
    def signs(self) -> int:
        """Grows while an attempt gets on: with what comes from the server, and with work that was done in threads."""
        return self._worker.done + (0 if self.store is None else heard_from(self.store))

    def use_passphrase(self, passphrase: Secret) -> None:
        """Somebody gave another one; the next attempt tries it."""
        if self.remembering is not None:
            self.remembering.passphrase = passphrase

    async def open(self, access: Access) -> Opened:
        """Make one attempt.

        :raises NobodyError: there is no password, or no passphrase, for the account.
        :raises IFAPError: the folder cannot be opened now, or at all.
        """
        self.made += 1
        basedir = await self._held_basedir()
        await self._serve_embedded(basedir)
        if self.remembering is None:
            self.remembering = Remembering(self._settings, basedir, access, self._worker, self._random)
        remembering = self.remembering
        membership = await _recalled(remembering)
        if self.store is None:
            self.store = await self._shelf(access, basedir)
        surroundings = await self._surroundings(remembering)
        self._accepting.prepare(self.store, membership, surroundings)
        opened = await self._opened(self.store, membership, surroundings, access, remembering)
        if remembering.wraps and (opened.made_key or access.joining):
            await self._set_where_none_is(opened, remembering)
        if opened.made_key and not remembering.wraps:
            self._log.warn(
                "A new key was made for this folder and is kept in the basedir. Without it nothing can be read: "
                "keep a copy of what 'ifap info --show-key' prints."
            )
        return opened

    async def _opened(
        self,
        store: IMessageStore,
        membership: Membership,
        surroundings: Surroundings,
        access: Access,
        remembering: Remembering,
    ) -> Opened:
        account = self._settings.account
        return await open_folder(
            store,
            membership,
            surroundings,
            options=self._options,
            make_key=access.make_key or account.kind in {"embedded", "memory"},
            remember=remembering.remember,
            account=str(account),
            account_key=account.key,
            name=self._settings.folder,
        )

    async def _set_where_none_is(self, opened: Opened, remembering: Remembering) -> None:
        try:
            await wrapping.set_where_none_is(opened, remembering)
        except BaseException:
            self.store = None  # it is closed with the filesystem
            await opened.filesystem.close()
            raise

    async def _surroundings(self, remembering: Remembering) -> Surroundings:
        return Surroundings(
            clock=self._reactor,
            worker=self._worker,
            random=self._random,
            identity=await remembering.identity(self._random),
            journal=remembering.journal(self._random),
            elapsed=elapsed_seconds,
            locks=await remembering.locks(),
            marks=remembering.marks(self._random),
            backlog=remembering.backlog,
        )

    async def _held_basedir(self) -> Basedir | None:
        if self._basedir is None and self._settings.basedir is not None:
            basedir = Basedir(self._settings.basedir)
            try:
                await basedir.hold(0, self._reactor)
            except BaseException:
                basedir.close()
                raise
            self._basedir = basedir
        return self._basedir

    async def _serve_embedded(self, basedir: Basedir | None) -> None:
        if self._settings.account.kind != "embedded" or self._server is not None:
            return
        from ifap_twisted.service.embedded import start_embedded  # noqa: PLC0415 -- only this account needs it

        self._server = await start_embedded(self._settings, basedir, self._reactor, self._random, self._worker)

    async def _shelf(self, access: Access, basedir: Basedir | None) -> IMessageStore:
        credentials, means = access.credentials, access.means
        if credentials is None and means.authenticate is None:
            credentials = await self._known_credentials(basedir)
        return shelf_for(self._settings, basedir, credentials, means, self._reactor, self._worker, self._random)

    async def _known_credentials(self, basedir: Basedir | None) -> Credentials | None:
        try:
            obtained = await credentials_for(
                self._settings,
                basedir,
                processes=self._reactor,
                clock=self._reactor,
                worker=self._worker,
                random=self._random,
            )
        except AuthenticationRefused as error:
            raise NobodyError(error) from error
        return obtained.credentials

    def give_up_store(self) -> IMessageStore | None:
        """The shelf, if there is one, for the caller to close; the next attempt makes another."""
        store, self.store = self.store, None
        return store

    async def close(self) -> None:
        """Let go of everything but the shelf; no attempt may be under way, nor come after."""
        if self._server is not None:
            await self._server.stopService()
            self._server = None
        self._worker.stop()
        self.remembering = None
        if self._owns_basedir and self._basedir is not None:
            self._basedir.close()
            self._basedir = None


async def _recalled(remembering: Remembering) -> Membership:
    try:
        return await remembering.recall()
    except PassphraseRequired as error:
        raise NobodyError(error) from error
