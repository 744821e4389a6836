"""The database in its worker thread: calls go in, Deferreds come out, one after the other."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import deferred, detach
from ifap_twisted.errors import Damaged, Unavailable
from ifap_twisted.server import limits, messages
from ifap_twisted.server.inspection import inspect, mark_closed, mark_open
from ifap_twisted.server.messages import Appended, Draft
from ifap_twisted.server.schema import (
    connect_read_only,
    damage_report,
    is_damage,
    is_read_only,
    open_database,
    stop_writing,
)
from ifap_twisted.server.watching import Watchers
from ifap_twisted.workers import Worker

__all__ = ["Appender", "Database"]

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """One connection to the file, used by one thread.

    :param worker: runs one call at a time, in the order given.
    """

    _log = Logger()

    def __init__(self, path: Path, worker: Worker) -> None:
        self._path = path
        self._worker = worker
        self._connection: sqlite3.Connection | None = None
        self._notices: list[Notice] = []
        self._damaged: set[tuple[int, int]] = set()
        self._broken = False

    @deferred
    async def open(self) -> None:
        """Open the file, making it when there is none.

        :raises NewerVersionNeeded: it has a newer format; it was not changed.
        :raises BadSettings: it cannot be opened; :raises Unavailable: nor can it now, for want of room perhaps.
        :raises Damaged: it is damaged; it was not changed.
        """
        self._connection, self._notices = await self._worker(self._opened)
        for notice in self._notices:
            self._log.warn("{text}", text=notice.text)

    @deferred
    async def close(self) -> None:
        """Close the file after all calls before."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._worker(lambda: self._closed(connection))

    @property
    def notices(self) -> list[Notice]:
        """What a person should know of it."""
        told = [*self._notices]
        if self._broken:
            text = "The mail kept here is damaged and nothing is written to it any more; the log says more."
            told.append(Notice(code="mail-damaged", text=text))
        if self._damaged:
            text = f"{len(self._damaged)} of the messages kept here are damaged on the disk; the log names them."
            told.append(Notice(code="messages-damaged", text=text))
        return told

    def run(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Call a function with the connection in the worker's thread.

        What SQLite cannot make sense of is ``Damaged``; from then on nothing is written.
        """
        connection = self._connection
        if connection is None:
            raise Unavailable("The database of the embedded server is not open.")
        return self._worker(lambda: _guarded(connection, lambda: work(connection, *args, **kwargs))).addErrback(
            self._judge
        )

    def note_damaged(self, mailbox: int, uids: Iterable[int], trouble: sqlite3.Error | None) -> None:
        """Messages were found that are not as they were stored.

        :param trouble: what SQLite said of one of them.
        """
        if trouble is not None:
            self._judged(trouble)
        for uid in uids:
            if (mailbox, uid) not in self._damaged:
                self._damaged.add((mailbox, uid))
                self._log.error("The message with UID {uid} of mailbox {mailbox} is damaged", uid=uid, mailbox=mailbox)

    def _judge(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, Damaged):
            self._log.error("Damage in {path}: {error}", path=str(self._path), error=error.detail)
        if isinstance(error, sqlite3.Error) and self._judged(error):
            return Failure(Damaged(damage_report(self._path, str(error))))
        return failure

    def _judged(self, error: sqlite3.Error) -> bool:
        """Note what SQLite says; whether it is damage, which ends all writing."""
        self._log.error("SQLite says of {path}: {error}", path=str(self._path), error=str(error))
        self._broken = self._broken or is_damage(error)
        return is_damage(error) or (self._broken and is_read_only(error))

    # In the worker

    def _opened(self) -> tuple[sqlite3.Connection, list[Notice]]:
        notices = inspect(self._path)
        connection = open_database(self._path)
        try:
            mark_open(connection)
        except sqlite3.Error as error:
            connection.close()
            raise Unavailable(f"{self._path} cannot be written to now ({error}).") from error
        return connection, notices

    def _closed(self, connection: sqlite3.Connection) -> None:
        if self._broken:
            # While another is open, to close this one does not write the log into the damaged file.
            with contextlib.closing(connect_read_only(self._path)) as other:
                other.execute("PRAGMA schema_version").fetchone()
                connection.close()
            return
        try:
            mark_closed(connection)
        except (sqlite3.Error, Damaged) as error:
            self._log.warn("{path} could not be closed cleanly: {error}", path=str(self._path), error=str(error))
        finally:
            connection.close()


def _guarded(connection: sqlite3.Connection, work: Callable[[], T]) -> T:
    try:
        return work()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            stop_writing(connection)
        raise


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
