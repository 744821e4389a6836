"""The filesystem as an ``IService``: it starts with nothing reachable and nobody logged in, and never fails its parent.

It composes and waits; what it opens decides everything else.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ifap_twisted.basedir import Basedir
from ifap_twisted.core import limits
from ifap_twisted.core.values import Notice, Status
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import AuthenticationRefused, BadSettings, IFAPError, Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Opened
from ifap_twisted.filesystem.recovery import Place
from ifap_twisted.filesystem.rekeying import Rekeyed
from ifap_twisted.interfaces import IFilesystem, IMessageStore, Progress
from ifap_twisted.keyrings import Backend, keyring_of
from ifap_twisted.secrecy import Credentials, Secret
from ifap_twisted.service import wrapping
from ifap_twisted.service.accepting import Accepting
from ifap_twisted.service.access import Access
from ifap_twisted.service.attempts import Attempts, NobodyError, options_of
from ifap_twisted.service.checking import CheckSchedule
from ifap_twisted.service.collecting import CollectSchedule
from ifap_twisted.service.remembering import Remembering
from ifap_twisted.service.schedule import Schedule
from ifap_twisted.service.shelves import Means, is_reached, refusal_of
from ifap_twisted.service.standby import Life, Standby
from ifap_twisted.settings import Settings

Random = Callable[[int], bytes]


class IFAPService(Service):
    """One account and folder as a filesystem, for another application's ``MultiService``.

    Several in one process need different basedirs. It reads no environment and no file outside its basedir but those
    that the settings name, installs no signal handler and no log observer.

    :param settings: made with keyword arguments; ``settings.basedir`` None keeps nothing on disk.
    :param credentials: what the account is opened with; without them those of the basedir, else a ``login``.
    :param reactor: None takes the one that is installed when the service starts.
    :param key: the folder's key string; without it the one that the basedir remembers.
    :param passphrase: under which the basedir, or else the folder itself, keeps the key; without it that of the setting
        ``passphrase_file``, or else the one in the keyring.
    :param recovery_code: as it was typed; opens the folder without its key.
    :param joining: somebody logs in: what is given counts, whatever the basedir remembers.
    :param means: how to reach the account otherwise than by its URL (endpoint, TLS, authentication).
    :param basedir: one that the caller holds already; it is not closed here.
    :param keyring: a backend of the package keyring, for the setting ``keyring``; None is the one of the system.
    :param make_key: make a key when the folder is empty (FORMAT 8.2); always so for the embedded account.
    :param patient: wait for a ``login`` when no password is known, and for a server that cannot be reached; otherwise
        either is an error, for the caller to tell.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        *,
        credentials: Credentials | None = None,
        reactor: Any = None,
        key: Secret | None = None,
        means: Means | None = None,
        passphrase: Secret | None = None,
        recovery_code: Secret | None = None,
        basedir: Basedir | None = None,
        keyring: Backend | None = None,
        make_key: bool = False,
        joining: bool = False,
        patient: bool = True,
        random: Random = os.urandom,
    ) -> None:
        self.settings = settings
        self._access = Access(
            credentials=credentials,
            key=key,
            passphrase=passphrase,
            recovery_code=recovery_code,
            joining=joining,
            make_key=make_key,
            means=means or Means(),
            keyring=keyring_of(settings, keyring),
        )
        self._basedir = basedir
        self._reactor = reactor
        self._patient = patient
        self._random = random
        self._standby = Standby(self)
        self._options = options_of(settings)
        place = Place(account=settings.account.key, folder=settings.folder)
        self.accepting = Accepting(self._standby.watchers, place, self._options)
        self._attempts: Attempts | None = None
        self._opening: Deferred[None] | None = None
        self._opened: Opened | None = None
        self._schedules: list[Schedule] = []
        self._error: IFAPError | None = None
        self._nobody = False
        self._stopped = False
        self._waiting: list[Deferred[IFilesystem]] = []

    # For everybody

    def when_ready(self) -> Deferred[IFilesystem]:
        """Fires with the filesystem, as soon as the server is reached and somebody has logged in.

        :raises IFAPError: opening it failed for a reason that waiting does not mend, a refused password for example.
        """
        if self._opened is not None:
            return succeed(self._opened.filesystem)
        if self.problem is not None and not self._nobody:
            return fail(self.problem)
        waiter: Deferred[IFilesystem] = Deferred()
        self._waiting.append(waiter)
        return waiter

    @property
    def filesystem(self) -> IFilesystem:
        """The filesystem, usable at any time: its calls wait until the folder is open."""
        return self._standby

    @property
    def clock(self) -> Any:
        """The reactor, as a clock."""
        return self._reactor

    @property
    def problem(self) -> IFAPError | None:
        """Why the folder is not open, if only a person can mend it; None while waiting may."""
        if self._stopped:
            return Unavailable("The service is stopped.")
        return None if self._error is None or self._error.retryable else self._error

    @property
    def made_key(self) -> bool:
        """A key was made when the folder was opened, and nobody has a copy of it yet."""
        return self._opened is not None and self._opened.made_key

    @property
    def trouble(self) -> IFAPError | None:
        """Why the last attempt to open the folder failed, while the next one is waited for; None while one is made."""
        return self._error if self._opened is None and self._error is not None and self._error.retryable else None

    @property
    def opened(self) -> Filesystem | None:
        """The open filesystem itself, or None while there is none."""
        return None if self._opened is None else self._opened.filesystem

    @property
    def store(self) -> IMessageStore | None:
        """The shelf below it, for what is told of the account."""
        return None if self._attempts is None else self._attempts.store

    @property
    def reached(self) -> bool:
        """The mail server answers, so that to open the folder is a matter of time."""
        return self.store is not None and is_reached(self.store)

    @property
    def life(self) -> Life:
        """Whether the attempt to open the folder gets on."""
        return Life(0, 0) if self._attempts is None else Life(self._attempts.made, self._attempts.signs)

    @deferred
    async def status(self) -> Status:
        """The present state, at any time."""
        found = self._status_of_waiting() if self._opened is None else await self._status_of_open(self._opened)
        attempts = self._attempts
        if attempts is None:
            return found
        return replace(found, key=attempts.kept, warnings=(*attempts.notices, *found.warnings))

    async def _status_of_open(self, opened: Opened) -> Status:
        found = await opened.filesystem.status()
        refusal = None if self.store is None else refusal_of(self.store)
        if refusal is None:
            return found
        return replace(found, state="stopped", warnings=(_notice(refusal), *found.warnings))

    def _status_of_waiting(self) -> Status:
        trouble = () if self._error is None else (_notice(self._error),)
        if not self.running or self.problem is not None:
            state = "stopped"  # it is not tried again
        else:
            state = "connecting" if self._error is None else "offline"
        return Status(
            state=state,
            account=str(self.settings.account),
            folder=self.settings.folder,
            dialect=self.settings.dialect,
            pending=self.accepting.pending,
            failing=self.accepting.failing,
            warnings=(*trouble, *self.accepting.notices()),
        )

    @deferred
    async def login(self, credentials: Credentials | None = None, *, passphrase: Secret | None = None) -> None:
        """Use these from now on, what is None as before; ``when_ready`` tells what came of it."""
        await self._let_go()
        if credentials is not None:
            self._access = replace(self._access, credentials=credentials)
        if passphrase is not None:
            self._access = replace(self._access, passphrase=passphrase)
            if self._attempts is not None:
                self._attempts.use_passphrase(passphrase)
        if self.running:
            self._begin()

    @deferred
    async def logout(self) -> None:
        """Forget the credentials and close the account; what was accepted is finished first."""
        await self._let_go()
        self._access = replace(self._access, credentials=None)
        self._error = AuthenticationRefused("Nobody is logged in.")
        self._nobody = True

    @deferred
    async def set_passphrase(self, passphrase: Secret) -> bool:
        """Wrap the keys of the open folder under a passphrase; False when a former one may still open it.

        :raises WeakPassphrase, NotSupported, ReadOnly, StoreError: the former one is as before.
        :raises BadSettings: it is set, and the keyring did not keep it.
        """
        opened, remembering = self._keys()
        removed = await wrapping.set_passphrase(opened, remembering, passphrase)
        await self._use_passphrase(remembering, passphrase)
        return removed

    async def _use_passphrase(self, remembering: Remembering, passphrase: Secret) -> None:
        self._access = replace(self._access, passphrase=passphrase)
        try:
            await remembering.keep_in_keyring()
        except BadSettings as error:
            raise BadSettings(f"The passphrase is set, but it is not in the keyring. {error.detail}") from None

    @deferred
    async def keep_in_keyring(self) -> None:
        """After a login: give the passphrase to the keyring, if the settings want it there.

        :raises BadSettings: the keyring did not keep it.
        """
        await self._keys()[1].keep_in_keyring()

    @deferred
    async def make_recovery_code(self, show: Callable[[str], None]) -> bool:
        """Make a recovery code for the open folder and show it; False when a former one may still open it.

        :raises NotSupported, ReadOnly, StoreError: the former one is as before.
        """
        return await wrapping.make_recovery_code(self._keys()[0], self._random, show)

    @deferred
    async def change_key(self, progress: Progress = None) -> Rekeyed:
        """Give the open folder a new key, and seal everything anew under it; cut short, it is gone on with.

        :raises NotSupported, ReadOnly, StoreError: as ``Rekeying.run``.
        """
        return await self._keys()[0].rekeying.run(progress)

    @deferred
    async def revoke_key(
        self, ask: Callable[[], Awaitable[Secret]], *, wanted: bool = False, progress: Progress = None
    ) -> Rekeyed:
        """Give the open folder a new key which nobody gets by a former one; cut short, it is gone on with.

        :param ask: gives the new passphrase; asked where the folder has one, or where one is ``wanted``.
        :raises CallerError, KeyChanged, NotSupported, ReadOnly, StoreError: as ``Revoking.revoke``.
        """
        opened, remembering = self._keys()
        await opened.filesystem.finish()
        secrets = wrapping.NewSecrets(opened, remembering, ask, wanted=wanted)
        done = await opened.rekeying.revoke(secrets, progress)
        if secrets.given is not None:
            await self._use_passphrase(remembering, secrets.given)
        return done

    def _keys(self) -> tuple[Opened, Remembering]:
        remembering = None if self._attempts is None else self._attempts.remembering
        if self._opened is None or remembering is None:
            raise self.problem or self.trouble or Unavailable("The folder is not open.")
        return self._opened, remembering

    async def be_ready_to_accept(self) -> None:
        """Know what waits in the journal, for the status and for what comes after it."""
        try:
            await self.accepting.offline()
        except IFAPError as error:
            self._log.info("nothing can be accepted while the folder is not open: {reason}", reason=error.detail)

    # IService

    def startService(self) -> None:
        """Begin; nothing that goes wrong later reaches the parent."""
        super().startService()
        self._stopped = False
        if self._reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415, TID251 -- the caller gave none

            self._reactor = reactor
        self._attempts = Attempts(
            self.settings,
            self._options,
            self.accepting,
            basedir=self._basedir,
            reactor=self._reactor,
            random=self._random,
        )
        self._begin()

    @deferred
    async def stopService(self) -> None:
        """Wait until what was accepted is safe, then let go of everything."""
        super().stopService()
        self._stopped = True
        await self._let_go()
        self._fail(Unavailable("The service is stopped."))
        if self._attempts is not None:
            await self._attempts.close()
            self._attempts = None

    # Opening

    def _begin(self) -> None:
        assert self._attempts is not None  # it runs
        self._error = None
        self._nobody = False
        self._opening = Deferred.fromCoroutine(self._open_until_it_is(self._attempts))

    async def _open_until_it_is(self, attempts: Attempts) -> None:
        try:
            while await self._needs_another(attempts):
                await deferLater(self._reactor, limits.RECONNECT_SECONDS, lambda: None)
        except CancelledError:
            return
        except Exception as bug:  # noqa: BLE001 -- the parent goes on; who waits is told
            self._log.failure("opening the folder failed")
            self._error = IFAPError(f"Opening the folder failed for an unexpected reason ({type(bug).__name__}).")
            self._fail(self._error)

    async def _needs_another(self, attempts: Attempts) -> bool:
        """Make an attempt; whether there has to be another one after it."""
        try:
            self._opened = await attempts.open(self._access)
        except NobodyError as nobody:
            self._nobody = self._patient  # who waits, waits for a login
            return await self._tell(nobody.error)
        except IFAPError as error:
            return await self._tell(error)
        self._succeed(self._opened)
        return False

    async def _tell(self, error: IFAPError) -> bool:
        """Tell why an attempt failed; whether the next one may succeed."""
        if self._nobody:
            self._log.info("the folder waits for somebody to log in")
        elif self._patient:
            self._log.warn("the folder cannot be opened: {error}", error=error.detail)
        self._error = error
        if error.retryable or self._patient:
            await self.be_ready_to_accept()
        if error.retryable and self._patient:
            return True
        if not self._nobody:
            self._fail(error)
        return False

    # Letting go

    async def _let_go(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        for schedule in self._schedules:
            schedule.stop()
        self._schedules = []
        opened, self._opened = self._opened, None
        store = None if self._attempts is None else self._attempts.give_up_store()
        await self.accepting.close()
        if opened is not None:
            await opened.filesystem.close()
            self._standby.retire()
        elif store is not None:
            await store.close()

    def _succeed(self, opened: Opened) -> None:
        self._error = None
        if self._patient:  # it stays, as a node does
            filesystem, share = opened.filesystem, self.settings.check_share_per_day
            self._schedules = [
                CollectSchedule(filesystem, self.settings.collect_every, self._reactor),
                CheckSchedule(filesystem, share, self._reactor),
            ]
            for schedule in self._schedules:
                schedule.start()
        self._standby.announce(opened.filesystem)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(opened.filesystem)

    def _fail(self, error: IFAPError) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.errback(error)


def _notice(error: IFAPError) -> Notice:
    return Notice(code=error.code, text=error.detail)
