"""The rollback marks of a device, kept over the end of the process: ``seen.sqlite`` (FORMAT 9.1).

A row per path and one for the folder, each sealed by itself under a name that tells nobody the path. A file that is no
database any more is moved aside and the device begins anew; a single row that is damaged is left out and told. Unlike
the locks it is bound to no place: what a copy of a basedir has seen was there.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from ifap_twisted.basedir.basedir import Basedir, Random
from ifap_twisted.core.keys import Key
from ifap_twisted.core.marks import Facts, Kept, Mark, MarkSeal, decode, decode_facts, encode, encode_facts
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError, Malformed, NewerVersionNeeded, NoRoom
from ifap_twisted.interfaces import IMarks
from ifap_twisted.workers import Worker

__all__ = ["FileMarks"]

NAME: Final = "seen.sqlite"
DAMAGED: Final = f"{NAME}.damaged"
FORMAT: Final = 1
_FOLDER: Final = b""
"""The name of the row that says something of the folder."""
_TABLE: Final = (
    "CREATE TABLE marks (place BLOB NOT NULL, name BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (place, name)) "
    "WITHOUT ROWID"
)


class _NotOursError(Exception):
    """The file is no database of marks: damaged, or something else."""


@implementer(IMarks)
class FileMarks:
    """Those of one folder in a basedir.

    :param keys: those of the folder, the one that is written with first; none where encryption is off.
    :param home: of the folder object. :param dialect: of the folder.
    """

    _log = Logger()

    def __init__(
        self, basedir: Basedir, keys: Sequence[Key], *, home: str, dialect: str, random: Random, worker: Worker
    ) -> None:
        self._basedir = basedir
        self._seals = [MarkSeal(key, home=home, dialect=dialect) for key in keys or (None,)]
        self._random = random
        self._worker = worker
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._spoilt: set[tuple[bytes, bytes]] = set()

    def load(self) -> Deferred[Kept | None]:
        """What is kept of this folder; None where nothing is.

        :raises NewerVersionNeeded: the file is of a newer version.
        :raises IFAPError: it cannot be read (another user's, a disk that fails): it stays as it is.
        """
        return self._worker(self._load)

    def keep(self, changes: Mapping[str, Sequence[Mark]], facts: Facts) -> Deferred[None]:
        """Keep the marks of some paths in the place of former ones, durably, all or none; no marks: forget the path.

        :raises IFAPError: they cannot be kept (the disk is full, for example).
        """
        return self._worker(partial(self._keep, changes, facts))

    @deferred
    async def close(self) -> None:
        """Let go of the file."""
        await self._worker(self._close)

    # In the worker

    def _load(self) -> Kept | None:
        with self._guard, self._as_errors("read"):
            try:
                if not self._connect(make=False):
                    return None
                return self._read()
            except (_NotOursError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside(str(error))
        return None

    def _read(self) -> Kept | None:
        facts: Facts | None = None
        marks: dict[str, Sequence[Mark]] = {}
        damaged = 0
        for seal, name, sealed in self._rows():
            try:
                content = seal.open(name, sealed)
                if name == _FOLDER:
                    facts = facts or decode_facts(content)
                else:
                    path, found = decode(content)
                    marks.setdefault(path, found)  # the key that is written with comes first
            except Malformed:
                damaged += 1
                self._spoilt.add((seal.place, name))
        if facts is None and not (marks or damaged):
            return None
        return Kept(facts=facts or Facts(0.0), marks=marks, damaged=damaged)

    def _rows(self) -> Iterator[tuple[MarkSeal, bytes, bytes]]:
        for seal in self._seals:
            found = self._database.execute("SELECT name, sealed FROM marks WHERE place = ?", (seal.place,))
            for name, sealed in found:
                if not (isinstance(name, bytes) and isinstance(sealed, bytes)):
                    raise _NotOursError("a row has the wrong shape")
                yield seal, name, sealed

    def _keep(self, changes: Mapping[str, Sequence[Mark]], facts: Facts) -> None:
        with self._guard, self._as_errors("write"):
            self._basedir.require_hold()
            self._connect(make=True)
            seal, database = self._seals[0], self._database
            rows = [(seal.name(path), encode(path, marks)) for path, marks in changes.items() if marks]
            rows.append((_FOLDER, encode_facts(facts)))
            database.execute("BEGIN IMMEDIATE")
            with database:  # commits, or rolls back
                database.executemany("DELETE FROM marks WHERE place = ? AND name = ?", self._former(changes))
                database.executemany(
                    "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)",
                    ((seal.place, name, seal.seal(name, content, self._random)) for name, content in rows),
                )
            self._spoilt.clear()

    def _former(self, changes: Mapping[str, Sequence[Mark]]) -> Iterator[tuple[bytes, bytes]]:
        """The rows that these changes replace, under whatever key."""
        yield from self._spoilt
        for seal in self._seals:
            yield from ((seal.place, seal.name(path)) for path in changes)

    def _close(self) -> None:
        with self._guard:
            self._disconnect()

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the marks were closed")
        return self._connection

    # The file

    def _connect(self, *, make: bool) -> bool:
        """Open the file; False when there is none, or an empty one, and none is made."""
        if self._connection is not None:
            return True
        files = self._basedir.files
        descriptor = files.open_file(NAME, os.O_RDWR | (os.O_CREAT if make else 0))
        if descriptor is None:
            return False
        os.close(descriptor)  # it is this user's and no link; SQLite opens it by its name
        connection = sqlite3.connect(files.path / NAME, isolation_level=None, check_same_thread=False)
        try:
            made = self._is_made(connection)
            connection.execute("PRAGMA synchronous = FULL")
            if make and not made:
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    connection.execute(_TABLE)
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            connection.close()
            raise
        if not (make or made):
            connection.close()
            return False
        self._connection = connection
        return True

    def _is_made(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there; an empty database is one that is to be made."""
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = frozenset(name for (name,) in names)
        if found > FORMAT:
            raise NewerVersionNeeded(
                f"{self._basedir.path / NAME} has format {found}; this version of ifap-twisted knows {FORMAT}."
            )
        if (found, tables) not in {(0, frozenset()), (FORMAT, frozenset({"marks"}))}:
            raise _NotOursError("it is a database of something else")
        return bool(tables)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _set_aside(self, why: str) -> None:
        """Begin anew; what was there can be looked at."""
        self._disconnect()
        files, name, number = self._basedir.files, DAMAGED, 0
        while files.identity(name) is not None:
            number += 1
            name = f"{DAMAGED}.{number}"
        files.rename(NAME, name)
        files.remove(f"{NAME}-journal")  # of what is not there any more
        self._log.warn(
            "{name} is damaged ({why}) and was renamed to {new}: what this device has seen is not known any more.",
            name=NAME,
            why=why,
            new=name,
        )

    @contextmanager
    def _as_errors(self, doing: str) -> Iterator[None]:
        """Tell what SQLite meets as an error of ours; what was half done is gone with the connection."""
        try:
            yield
        except (_NotOursError, sqlite3.Error) as error:
            self._disconnect()
            kind = NoRoom if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" else IFAPError
            raise kind(f"Cannot {doing} {self._basedir.path / NAME}: {error}.") from error
