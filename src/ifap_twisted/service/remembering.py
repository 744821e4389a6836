"""What a device knows of its folder between two runs: ``key.json`` and the writer's numbers (FORMAT 3.1, 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.basedir.locks import FileLocks
from ifap_twisted.basedir.writer import FileWriter, MemoryWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.credentials import read_secret_file
from ifap_twisted.filesystem.backlog import Backlog
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.interfaces import IJournal, ILockMemory, IWriterIdentity
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings
from ifap_twisted.workers import Worker


class Remembering:
    """The memory of one device for one folder; without a basedir it forgets with the process.

    :param key: a key that the caller gave; it counts more than one that is remembered.
    :ivar backlog: what waits in the journal, also while the folder is not open.
    """

    def __init__(self, settings: Settings, basedir: Basedir | None, key: Secret | None, worker: Worker) -> None:
        self._settings = settings
        self._file = None if basedir is None else KeyFile(basedir)
        self._basedir = basedir
        self._given = key
        self._worker = worker
        self._identity: IWriterIdentity | None = None
        self._locks: FileLocks | None = None
        self._journal: FileJournal | None = None
        self.backlog = Backlog()

    async def recall(self) -> Membership:
        """What is known of the folder; files are read in the worker."""
        return await self._worker(self._recall)

    def _recall(self) -> Membership:
        entry = None if self._file is None else self._file.find(self._settings.account, self._settings.folder)
        secrets = [self._given or self._from_key_file()]
        if entry is not None:
            secrets += [entry.key, *reversed(entry.earlier_keys)]
        keys = [Key.from_text(secret.reveal()) for secret in secrets if secret is not None]
        return Membership(
            dialect=self._settings.dialect or (None if entry is None else entry.dialect),
            found=None if entry is None else entry.dialect,
            encrypted=self._settings.encryption == "required",
            keys=tuple(dict.fromkeys(keys)),
            home=None if entry is None else entry.home,
        )

    def _from_key_file(self) -> Secret | None:
        if self._settings.key_file is None:
            return None
        return read_secret_file(self._settings.key_file)[0]

    def remember(self, membership: Membership) -> Deferred[None]:
        """Keep it durably, before anything is written under a key that nobody else has."""
        return self._worker(lambda: self._remember(membership))

    def _remember(self, membership: Membership) -> None:
        if self._file is None:
            return
        key = membership.keys[0] if membership.keys else None
        self._file.store(
            KeyEntry(
                account=self._settings.account.key,
                folder=self._settings.folder,
                key=None if key is None else Secret(key.text),
                earlier_keys=tuple(Secret(other.text) for other in membership.keys[1:]),
                home=membership.home,
                dialect=membership.dialect,
                encryption="required" if membership.encrypted else "off",
                key_id=None if key is None else key.fingerprint,
                fingerprint=None if key is None else key.fingerprint,
            )
        )

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
