"""The database in its worker thread: calls go in, Deferreds come out, one after the other."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import Unavailable
from ifap_twisted.server import limits, messages
from ifap_twisted.server.messages import Appended, Draft
from ifap_twisted.server.schema import open_database
from ifap_twisted.server.watching import Watchers
from ifap_twisted.workers import Worker

__all__ = ["Appender", "Database"]

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """One connection to the file, used by one thread.

    :param worker: runs one call at a time, in the order given.
    """

    def __init__(self, path: Path, worker: Worker) -> None:
        self._path = path
        self._worker = worker
        self._connection: sqlite3.Connection | None = None

    @deferred
    async def open(self) -> None:
        """Open the file, making it when there is none.

        :raises NewerVersionNeeded: it has a newer format; it was not changed.
        :raises BadSettings: it cannot be opened.
        """
        self._connection = await self._worker(lambda: open_database(self._path))

    @deferred
    async def close(self) -> None:
        """Close the file after all calls before."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._worker(connection.close)

    def run(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Call a function with the connection in the worker's thread."""
        connection = self._connection
        if connection is None:
            raise Unavailable("The database of the embedded server is not open.")
        return self._worker(lambda: work(connection, *args, **kwargs))


class Appender:
    """Stores messages; those that wait while the disk is busy share the next transaction and its fsync."""

    _log = Logger()

    def __init__(self, database: Database, watchers: Watchers) -> None:
        self._database = database
        self._watchers = watchers
        self._waiting: deque[tuple[Draft, Deferred[Appended]]] = deque()
        self._busy = False
        self._held = 0

    def append(self, draft: Draft) -> Deferred[Appended]:
        """Store a message; it is on the disk when the Deferred fires, and every session knows of it.

        :raises NotFound: there is no such mailbox.
        """
        result: Deferred[Appended] = Deferred()
        self._waiting.append((draft, result))
        self._start()
        return result

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is appended inside, without waiting, goes into one transaction as far as ``limits.BATCH`` allows."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._start()

    def _start(self) -> None:
        if self._waiting and not self._busy and not self._held:
            self._busy = True
            detach(Deferred.fromCoroutine(self._work()), self._log, "Storing messages failed")

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                outcomes = await self._store([draft for draft, _result in batch])
                for (_draft, result), outcome in zip(batch, outcomes, strict=True):
                    if isinstance(outcome, Appended):
                        result.callback(outcome)
                    else:
                        result.errback(outcome)
        finally:
            self._busy = False

    def _next_batch(self) -> list[tuple[Draft, Deferred[Appended]]]:
        batch = [self._waiting.popleft()]
        size = len(batch[0][0].data)
        while self._waiting and len(batch) < limits.BATCH_COMMANDS:
            size += len(self._waiting[0][0].data)
            if size > limits.BATCH:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _store(self, drafts: list[Draft]) -> list[Appended | Exception]:
        """One transaction for all; when that fails, one for each: the disk may have room for some."""
        try:
            outcomes: list[Appended | Exception] = [*await self._database.run(messages.append, drafts)]
        except Exception as error:  # noqa: BLE001 -- handed to those who wait
            if len(drafts) == 1:
                return [error]
        else:
            self._tell(outcomes)
            return outcomes
        return [outcome for draft in drafts for outcome in await self._store([draft])]

    def _tell(self, outcomes: list[Appended | Exception]) -> None:
        """Before anything else can happen: sessions must learn of changes in the order of the database."""
        uids: dict[int, list[int]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Appended):
                uids.setdefault(outcome.mailbox, []).append(outcome.uid)
        for mailbox, new in uids.items():
            self._watchers.arrived(mailbox, new)
