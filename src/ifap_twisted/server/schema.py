"""The file ``embedded.sqlite``: how it is made, recognised and opened.

It never opens a file of another program or of a newer format, and never changes one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from ifap_twisted.server import limits

__all__ = ["FORMAT", "TABLES", "open_database", "transaction"]

FORMAT = 1
"""``PRAGMA user_version`` of the files written here."""
APPLICATION = 0x49464150
"""``PRAGMA application_id``: the letters IFAP."""

_MAGIC = b"SQLite format 3\0"

# A mailbox id is never used again (AUTOINCREMENT): it is the upper half of ``place``, whose lower half is the UID.
# So messages lie in UID order in one tree. Content is apart: counting and SELECT read the small table only. The header
# comes first in its row: a FETCH of header fields does not touch the pages of the text. What
# of the text is beyond ``limits.PART`` bytes is in ``parts``.
TABLES = (
    """CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        verifier TEXT NOT NULL)""",
    """CREATE TABLE mailboxes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user INTEGER NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        uidvalidity INTEGER NOT NULL,
        uidnext INTEGER NOT NULL DEFAULT 1,
        recent INTEGER NOT NULL DEFAULT 1,
        subscribed INTEGER NOT NULL DEFAULT 0,
        UNIQUE (user, name))""",
    """CREATE TABLE messages (
        place INTEGER PRIMARY KEY,
        date INTEGER NOT NULL,
        zone INTEGER NOT NULL,
        size INTEGER NOT NULL,
        flags TEXT NOT NULL)""",
    """CREATE TABLE contents (
        place INTEGER PRIMARY KEY,
        header BLOB NOT NULL,
        text BLOB NOT NULL)""",
    """CREATE TABLE parts (
        place INTEGER NOT NULL,
        number INTEGER NOT NULL,
        text BLOB NOT NULL,
        PRIMARY KEY (place, number))""",
    "CREATE TABLE validity (last INTEGER NOT NULL)",
    "INSERT INTO validity VALUES (0)",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, making it (mode 0600) when there is none.

    Blocks: it belongs into a worker thread. Every COMMIT is on the disk when it returns (``synchronous=FULL``).

    :raises NewerVersionNeeded: the file has a newer format; not a byte of it was changed.
    :raises BadSettings: the file belongs to another program, or cannot be opened.
    """
    try:
        fresh = _recognise(path)
        connection = sqlite3.connect(
            path, timeout=limits.LOCK_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
    except (OSError, sqlite3.Error) as error:
        raise BadSettings(f"{path} cannot be opened.") from error
    try:
        _prepare(connection, path, fresh=fresh)
    except sqlite3.Error as error:
        connection.close()
        raise BadSettings(f"{path} cannot be opened as a database.") from error
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what is done inside; durable when left without an exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _recognise(path: Path) -> bool:
    """Look at the first bytes without SQLite, which might touch the file; true when it has to be filled."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        head = os.pread(descriptor, 100, 0)
        if head:
            if head[:16] != _MAGIC:
                raise BadSettings(f"{path} is not a database of the embedded server.")
            # Offsets of user_version and application_id: https://www.sqlite.org/fileformat2.html section 1.3
            _check(path, int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big"))
        os.fchmod(descriptor, 0o600)  # a restored copy may be readable for others
    finally:
        os.close(descriptor)
    return not head


def _check(path: Path, version: int, application: int) -> None:
    if application != APPLICATION:
        raise BadSettings(f"{path} is a database of another program.")
    if version > FORMAT:
        raise NewerVersionNeeded(f"{path} has format {version}; this version of ifap-twisted knows {FORMAT}.")


def _prepare(connection: sqlite3.Connection, path: Path, *, fresh: bool) -> None:
    if not fresh:
        # Again, through SQLite: what a newer version wrote may still lie in the write-ahead log.
        _check(path, _pragma(connection, "user_version"), _pragma(connection, "application_id"))
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {limits.LOG}")
    if fresh:
        _fill(connection, path)
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise BadSettings(f"{path} lies on a file system that cannot hold a write-ahead log.")


def _fill(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables; one transaction, so that a crash leaves an empty file or a whole one."""
    with transaction(connection):
        for statement in TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    # SQLite syncs the directory for its journals, not for the database itself.
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
