"""The locks that this device took, kept over the end of the process: ``journal/locks.json`` (FORMAT 10).

A verb of the command line is a process of its own: without this the next one would not know that a lock was lost
meanwhile, nor, under another name in the history, that one is its own. A copy of a basedir, restored or cloned, has
none. Of the paths only names made of them under a key of the folder are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.basedir.directory import Directory
from ifap_twisted.basedir.versioned import Upgrades, read_versioned, write_versioned
from ifap_twisted.basedir.writer import place_of
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings
from ifap_twisted.interfaces import ILockMemory
from ifap_twisted.workers import Worker

__all__ = ["FileLocks"]

NAME: Final = "locks.json"
FORMAT: Final = 1
UPGRADES: Final[Upgrades] = {}
MOST: Final = 1000
"""So many are kept, the newest: who gives no lock back is not remembered for ever."""


class _Kept(NamedTuple):
    """A lock by its id, and how long its leases last."""

    lock: str
    seconds: int


@implementer(ILockMemory)
class FileLocks:
    """Those of the device that a basedir belongs to; made by :meth:`open`."""

    _log = Logger()

    def __init__(self, directory: Directory, kept: Mapping[str, _Kept], worker: Worker) -> None:
        self._directory = directory
        self._kept = dict(kept)
        self._worker = worker
        self._guard = threading.Lock()
        self._tickets = self._latest = 0

    @classmethod
    @deferred
    async def open(cls, basedir: Basedir, worker: Worker) -> FileLocks:
        """Read what is kept; of a damaged file nothing, which holds up nobody.

        :raises NewerVersionNeeded: the file is of a newer version.
        """
        basedir.require_hold()
        directory = await worker(lambda: basedir.journal)
        try:
            kept = await worker(partial(_read, directory))
        except BadSettings as error:
            cls._log.warn("{why} What locks this device took is not known any more.", why=error.detail)
            kept = {}
        return cls(directory, kept, worker)

    def find(self, name: str) -> tuple[str, int] | None:
        """The id and the lease of the lock of that name, or None."""
        return self._kept.get(name)

    @deferred
    async def keep(self, name: str, lock: str, seconds: int) -> None:
        """Keep a lock, durably, in the place of another one of that name.

        :raises IFAPError: it cannot be kept (the disk is full, for example).
        """
        if self._kept.get(name) == (lock, seconds):
            return
        self._kept.pop(name, None)
        self._kept[name] = _Kept(lock, seconds)
        for oldest in list(self._kept)[:-MOST]:
            del self._kept[oldest]
        await self._store()

    @deferred
    async def forget(self, name: str) -> None:
        """Forget a lock, durably; harmless when there is none.

        :raises IFAPError: as :meth:`keep`; this process has forgotten it all the same.
        """
        if self._kept.pop(name, None) is not None:
            await self._store()

    async def _store(self) -> None:
        self._tickets += 1
        locks: list[JSON] = [
            {"name": name, "id": kept.lock, "seconds": kept.seconds} for name, kept in self._kept.items()
        ]
        await self._worker(partial(self._write, self._tickets, locks))

    def _write(self, ticket: int, locks: list[JSON]) -> None:
        with self._guard:
            if ticket > self._latest:  # threads may overtake each other
                content = {"locks": locks, "place": place_of(self._directory)}
                write_versioned(self._directory, NAME, content, FORMAT)
                self._latest = ticket


def _read(directory: Directory) -> dict[str, _Kept]:
    content = read_versioned(directory, NAME, FORMAT, UPGRADES)
    if content is None or content.get("place") != place_of(directory):
        return {}
    fault = BadSettings(f"{directory.path / NAME} is damaged.")
    locks = content.get("locks")
    if not isinstance(locks, list):
        raise fault
    found = {}
    for one in locks:
        if not isinstance(one, dict):
            raise fault
        name, lock, seconds = one.get("name"), one.get("id"), one.get("seconds")
        if not (isinstance(name, str) and isinstance(lock, str) and type(seconds) is int):
            raise fault
        found[name] = _Kept(lock, seconds)
    return found
