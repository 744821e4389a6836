"""What a device knows of its folder between two runs: ``key.json`` and the writer's numbers (FORMAT 3.1, 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.basedir.locks import FileLocks
from ifap_twisted.basedir.marks import FileMarks
from ifap_twisted.basedir.wrapping import Wrapping
from ifap_twisted.basedir.writer import FileWriter, MemoryWriter
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE
from ifap_twisted.core.values import JSON
from ifap_twisted.credentials import read_secret_file
from ifap_twisted.errors import PassphraseRequired, WrongKey
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.interfaces import IJournal, ILockMemory, IMarks, IWriterIdentity
from ifap_twisted.secrecy import Secret
from ifap_twisted.service.access import Access
from ifap_twisted.settings import Settings
from ifap_twisted.workers import Worker

MARKED: Final = "marks"
"""The key in ``key.json`` for the dialect of which rollback marks were kept: where there are none, they were lost."""

REVOKED: Final = "revoked"
"""The key in ``key.json`` for the fingerprints of revoked keys: what comes under these is not believed (FORMAT 8.5)."""


class Remembering:
    """The memory of one device for one folder; without a basedir it forgets with the process.

    :param basedir: held by whoever made this, for as long as it is used.
    :param access: what was given; a key goes before those that are remembered.
    :ivar in_force: the passphrase that was found; ``wraps``: the keys are kept under it.
    :ivar kept: how the key is kept here: ``wrapped`` under a passphrase, ``clear``, or ``none``.
    """

    def __init__(
        self,
        settings: Settings,
        basedir: Basedir | None,
        access: Access,
        worker: Worker,
        random: Random,
    ) -> None:
        self._settings = settings
        self._basedir = basedir
        self._file = None if basedir is None else KeyFile(basedir)
        self._given = access.key
        self._worker = worker
        self._random = random
        self.passphrase = access.passphrase
        self._recovery_code = access.recovery_code
        self._joining = access.joining
        self._keyring = access.keyring
        self._from_keyring = False
        self._wrapping: Wrapping | None = None
        self._first: Key | None = None
        self.in_force: Secret | None = None
        self.wraps = False
        self._identity: IWriterIdentity | None = None
        self._locks: FileLocks | None = None
        self._journal: FileJournal | None = None
        self.backlog = Backlog()
        self.kept = "none"

    async def recall(self) -> Membership:
        """What is known of the folder; files are read in the worker.

        :raises PassphraseRequired: the key is kept wrapped, and no passphrase is given; or the keyring fails.
        :raises WrongKey: it is wrapped under another one.
        """
        return await self._worker(self._recall)

    def _recall(self) -> Membership:
        entry = None if self._file is None else self._file.find(self._settings.account, self._settings.folder)
        if entry is not None:
            self._note(entry)
        encrypted = self._settings.encryption == "required"
        given = self._given or _in_file(self._settings.key_file)
        self.in_force = passphrase = self._passphrase(entry, otherwise=given is not None)
        self._wrapping = None if passphrase is None else Wrapping(passphrase, self._random)
        kept = self._kept(entry, otherwise=given is not None) if encrypted and entry is not None else ()
        former = [Key.from_text(secret.reveal()) for secret in kept]
        self._first = None if given is None else Key.from_text(given.reveal())
        new = self._first is not None and self._first not in former  # one of before does not go before the newest
        keys = (self._first, *former) if self._first is not None and new else tuple(former)
        unlock = self._unlock(entry, passphrase, opened=bool(keys)) if encrypted else None
        self.wraps = self._wrapping is not None and (
            (entry is not None and entry.wrapped is not None) or (unlock is not None and unlock.kind == PASSPHRASE)
        )
        return Membership(
            dialect=self._settings.dialect or (None if entry is None else entry.dialect),
            found=None if entry is None else entry.dialect,
            encrypted=encrypted,
            keys=tuple(dict.fromkeys(keys)),
            given=new and bool(former),
            home=None if entry is None else entry.home,
            unlock=unlock,
            generation=(0 if entry is None else entry.generation) or 0,
            marked=None if entry is None else entry.extra.get(MARKED),
            revoked=frozenset(() if entry is None else entry.extra.get(REVOKED, ())),
        )

    def _passphrase(self, entry: KeyEntry | None, *, otherwise: bool) -> Secret | None:
        """The one that was given, else the one in a file; the keyring is asked only for keys that are wrapped here."""
        self._from_keyring = False
        told = self.passphrase or _in_file(self._settings.passphrase_file)
        wrapped = entry is not None and entry.wrapped is not None
        if told is not None or not wrapped or otherwise or self._recovery_code is not None or self._keyring is None:
            return told
        self._from_keyring = True
        return self._keyring.find()

    def _kept(self, entry: KeyEntry, *, otherwise: bool) -> tuple[Secret, ...]:
        """The keys of the basedir, the newest first.

        :param otherwise: there is another way to a key, so that those of the basedir may stay closed.
        """
        if entry.wrapped is None:
            return () if entry.key is None else (entry.key, *reversed(entry.earlier_keys))
        if self._wrapping is None:
            if otherwise or self._recovery_code is not None:
                return ()
            raise PassphraseRequired(
                f"The key of the folder {entry.folder} is kept under a passphrase: set passphrase_file, or run the "
                "verb at a terminal."
            )
        try:
            return self._wrapping.open(entry.wrapped)
        except WrongKey:
            if self._from_keyring:
                raise PassphraseRequired(
                    "The passphrase in the keyring is not the one of this basedir: 'ifap login --keyring' takes it."
                ) from None
            if self._joining:  # it may have been changed on another device
                return ()
            raise

    def _unlock(self, entry: KeyEntry | None, passphrase: Secret | None, *, opened: bool) -> Unlock | None:
        """What the key slots of the folder are opened with, if they have to be."""
        if self._recovery_code is not None:
            return Unlock.by_recovery_code(self._recovery_code)
        wrapped = entry is not None and entry.wrapped is not None
        if passphrase is None or (opened and (wrapped or not self._joining or self.passphrase is None)):
            return None
        return Unlock.by_passphrase(passphrase, self.known)

    @property
    def known(self) -> tuple[str, ...]:
        """What everybody may know of the owner of the folder, which makes a passphrase weak."""
        account = self._settings.account
        return (account.user or "", account.host or "", self._settings.folder)

    def strong(self, passphrase: Secret) -> Deferred[Unlock]:
        """A passphrase that may protect something new.

        :raises WeakPassphrase: with the reason.
        """

        def checked() -> Unlock:
            unlock = Unlock.by_passphrase(passphrase, self.known)
            unlock.check_strength()
            return unlock

        return self._worker(checked)

    def is_in_force(self, unlock: Unlock) -> bool:
        """Whether a passphrase is the one with which the folder was opened here."""
        known = self.in_force
        return known is not None and Unlock.by_passphrase(known).secret == unlock.secret

    def remember(self, membership: Membership) -> Deferred[None]:
        """Keep it durably, before anything is written under a key that nobody else has."""
        return self._worker(lambda: self._remember(membership))

    def _remember(self, membership: Membership, former: Wrapping | None = None) -> None:
        if self._file is None:
            return
        key = membership.keys[0] if membership.keys else None
        entry = KeyEntry(
            account=self._settings.account.key,
            folder=self._settings.folder,
            key=None if key is None else Secret(key.text),
            earlier_keys=tuple(Secret(other.text) for other in reversed(membership.keys[1:])),
            home=membership.home,
            dialect=membership.dialect,
            encryption="required" if membership.encrypted else "off",
            key_id=None if key is None else key.fingerprint,
            fingerprint=None if key is None else key.fingerprint,
            generation=membership.generation or None,
            extra=_extra(membership),
        )
        before = self._file.find(self._settings.account, self._settings.folder)
        if before is not None and before.wrapped is not None and not (self.wraps or self._joining):
            if any(key != self._first for key in membership.keys):
                raise PassphraseRequired(
                    "A newer key of the folder than the one that was given can be kept under the passphrase of the "
                    "basedir only: set passphrase_file, or run the verb at a terminal."
                )
            entry = replace(entry, key=None, earlier_keys=())  # a key that was given does not open what is closed
        self._note(self._file.store(entry, self._wrapping if self.wraps else None, former))

    def keeps_keys(self) -> Deferred[bool]:
        """Whether a key that is remembered now is kept durably here."""
        return self._worker(self._keeps_keys)

    def _keeps_keys(self) -> bool:
        if self._file is None:
            return False
        entry = self._file.find(self._settings.account, self._settings.folder)
        return entry is None or entry.wrapped is None or self.wraps or self._joining

    def _note(self, entry: KeyEntry) -> None:
        self.kept = "wrapped" if entry.wrapped is not None else "clear" if entry.key is not None else "none"

    async def wrap(self, passphrase: Secret, membership: Membership) -> None:
        """Keep the keys under this passphrase from now on, where any are kept."""
        await self._worker(lambda: self._wrap(passphrase, membership))

    def _wrap(self, passphrase: Secret, membership: Membership) -> None:
        former, self._wrapping = self._wrapping, Wrapping(passphrase, self._random)
        self.wraps = True
        self._remember(membership, former)
        self.passphrase = self.in_force = passphrase
        self._from_keyring = False

    async def keep_in_keyring(self) -> None:
        """Give the keyring the passphrase under which the keys are kept, where both are there.

        :raises BadSettings: it did not keep it.
        """
        keyring, passphrase = self._keyring, self.in_force
        if keyring is not None and passphrase is not None and self.wraps and not self._from_keyring:
            await self._worker(lambda: keyring.keep(passphrase))

    def marks(self, random: Random) -> Callable[[Sequence[Key], str, Dialect], IMarks] | None:
        """What keeps which heads this device has seen (FORMAT 9.1); None where nothing is kept."""
        basedir = self._basedir
        if basedir is None:
            return None

        def opened(keys: Sequence[Key], home: str, dialect: Dialect) -> IMarks:
            return FileMarks(basedir, keys, home=home, dialect=dialect.name, random=random, worker=self._worker)

        return opened

    async def identity(self, random: Random) -> IWriterIdentity:
        """This device's name in history, one for the whole process; a new one each time where nothing is kept."""
        if self._basedir is None:
            return MemoryWriter(random)
        if self._identity is None:
            self._identity = await FileWriter.open(self._basedir, random, self._worker)
        return self._identity

    async def locks(self) -> ILockMemory | None:
        """What remembers the locks of this device, one for the whole process; None where nothing is kept."""
        if self._basedir is not None and self._locks is None:
            self._locks = await FileLocks.open(self._basedir, self._worker)
        return self._locks

    def journal(self, random: Random) -> Callable[[Sequence[Key]], IJournal] | None:
        """What opens the journal of the basedir, one for the whole process; None where nothing is kept."""
        basedir = self._basedir
        if basedir is None:
            return None

        def opened(keys: Sequence[Key]) -> IJournal:
            if self._journal is None:
                self._journal = FileJournal(basedir, keys, random=random, worker=self._worker)
            self._journal.use(keys)
            return self._journal

        return opened


def _extra(membership: Membership) -> dict[str, JSON]:
    marked: dict[str, JSON] = {} if membership.marked is None else {MARKED: membership.marked}
    return marked | ({REVOKED: sorted(membership.revoked)} if membership.revoked else {})


def _in_file(path: Path | None) -> Secret | None:
    return None if path is None else read_secret_file(path)[0]
