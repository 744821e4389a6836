"""The file ``embedded.sqlite``: how it is made, recognised and opened.

It never opens a file of another program or of a newer format, and never changes one. The file appears under its name
when it is whole: an empty one is damage.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ifap_twisted.errors import BadSettings, Damaged, NewerVersionNeeded, Unavailable
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import row_checksum
from ifap_twisted.server.upgrading import copied, upgrade

__all__ = [
    "FORMAT",
    "connect",
    "connect_read_only",
    "damage_report",
    "is_damage",
    "is_read_only",
    "is_unreadable",
    "log_of",
    "make_tables",
    "open_database",
    "recognise",
    "stop_writing",
    "sync",
    "transaction",
]

FORMAT = 2
"""``PRAGMA user_version`` of the files written here."""
APPLICATION = 0x49464150
"""``PRAGMA application_id``: the letters IFAP."""

_MAGIC = b"SQLite format 3\0"
_FOR_NOW = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)

# A mailbox id is never used again (AUTOINCREMENT): it is the upper half of ``place``, whose lower half is the UID.
# So messages lie in UID order in one tree. Content is apart: counting and SELECT read the small table only. The header
# comes first in its row: a FETCH of header fields does not touch the pages of the text. What
# of the text is beyond ``limits.PART`` bytes is in ``parts``. What the checksums are of is told in ``rows``.
_TABLES = (
    """CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        verifier TEXT NOT NULL,
        checksum INTEGER NOT NULL)""",
    """CREATE TABLE mailboxes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user INTEGER NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        uidvalidity INTEGER NOT NULL,
        uidnext INTEGER NOT NULL DEFAULT 1,
        recent INTEGER NOT NULL DEFAULT 1,
        subscribed INTEGER NOT NULL DEFAULT 0,
        total INTEGER NOT NULL DEFAULT 0,
        checksum INTEGER NOT NULL,
        UNIQUE (user, name))""",
    """CREATE TABLE messages (
        place INTEGER PRIMARY KEY,
        date INTEGER NOT NULL,
        zone INTEGER NOT NULL,
        size INTEGER NOT NULL,
        flags TEXT NOT NULL,
        checksums BLOB NOT NULL,
        checksum INTEGER NOT NULL)""",
    """CREATE TABLE contents (
        place INTEGER PRIMARY KEY,
        header BLOB NOT NULL,
        text BLOB NOT NULL)""",
    """CREATE TABLE parts (
        place INTEGER NOT NULL,
        number INTEGER NOT NULL,
        text BLOB NOT NULL,
        PRIMARY KEY (place, number))""",
    """CREATE TABLE ledger (
        last INTEGER NOT NULL,
        users INTEGER NOT NULL,
        mailboxes INTEGER NOT NULL,
        clean INTEGER NOT NULL,
        checksum INTEGER NOT NULL)""",
)


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, making it (mode 0600) when there is none; one of an older format is upgraded after a copy.

    Blocks: it belongs into a worker thread. Every COMMIT is on the disk when it returns (``synchronous=FULL``).

    :raises NewerVersionNeeded: the file has a newer format; not a byte of it was changed.
    :raises BadSettings: the file belongs to another program, or cannot be opened.
    :raises Unavailable: it cannot be opened now; the disk is full, perhaps.
    :raises Damaged: the file is damaged; not a byte of it was changed.
    """
    try:
        if not path.exists():
            _make(path)
        recognise(path)
        connection = connect(path)
    except sqlite3.Error as error:
        raise Unavailable(f"{path} cannot be opened now ({error}).") from error
    except OSError as error:
        if error.errno in _FOR_NOW:
            raise Unavailable(f"{path} cannot be opened now ({error.strerror}).") from error
        raise BadSettings(f"{path} cannot be opened ({error.strerror}).") from error
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_damage(error):
            raise Damaged(damage_report(path, str(error))) from error
        raise Unavailable(f"{path} cannot be opened now ({error}).") from error
    except BaseException:
        connection.close()
        raise
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that what it read makes no sense."""
    return _kind(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_unreadable(error: sqlite3.Error) -> bool:
    """Whether SQLite says that, or that the disk cannot give what it holds."""
    return is_damage(error) or _kind(error) == sqlite3.SQLITE_IOERR


def is_read_only(error: sqlite3.Error) -> bool:
    """Whether SQLite says that nothing may be written."""
    return _kind(error) == sqlite3.SQLITE_READONLY


def _kind(error: sqlite3.Error) -> int:
    # The lower byte of an extended code is the kind of error.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def damage_report(path: Path, detail: str) -> str:
    """What a person is told of a damaged database, in one sentence."""
    return (
        f"{path} is damaged ({' '.join(detail.split())}); nothing was changed in it. Keep a copy of it and of its -wal "
        "file, then put a backup in its place, or save what is left of it: see 'Damaged mail' in the documentation."
    )


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


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that leaves the file as it is, also when it is closed."""
    return connect(f"{path.absolute().as_uri()}?mode=ro")


def stop_writing(connection: sqlite3.Connection) -> None:
    """Refuse every change from now on: in a damaged file it might spread the damage."""
    connection.execute("PRAGMA query_only = ON")


def connect(path: str | Path) -> sqlite3.Connection:
    """A connection to a file that is there, without the settings that make changes safe."""
    connection = sqlite3.connect(
        path,
        uri=isinstance(path, str),
        timeout=limits.LOCK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    connection.text_factory = _text
    return connection


def _text(value: bytes) -> str:
    """What is damaged must be read before its checksum can tell so."""
    return value.decode("utf-8", "surrogateescape")


def _make(path: Path) -> None:
    """Make an empty database under another name, and give it its own when it is whole and on the disk."""
    if log_of(path).exists():
        raise Damaged(f"{path} is missing, but {log_of(path).name} is there: put the file back that belongs to it.")
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    for suffix in ("-journal", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(connect(unfinished)) as connection:
        make_tables(connection)
        _require_log(connection, path)
    sync(unfinished)
    unfinished.rename(path)
    sync(path.parent)


def log_of(path: Path) -> Path:
    """The write-ahead log of a database: there while it is open, and after an unclean stop."""
    return path.with_name(path.name + "-wal")


def sync(path: Path) -> None:
    """See that a file, or what is in a directory, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recognise(path: Path) -> None:
    """Look at the first bytes without SQLite, which might touch the file; make it its owner's only.

    :raises BadSettings: it belongs to another program. :raises NewerVersionNeeded: it has a newer format.
    :raises Damaged: it is empty.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, 100, 0)
        if not head:
            raise Damaged(damage_report(path, "it is empty"))
        if head[:16] != _MAGIC:
            raise BadSettings(f"{path} is not a database of the embedded server, or its beginning is damaged.")
        # Offsets of user_version and application_id: https://www.sqlite.org/fileformat2.html section 1.3
        _check(path, int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big"))
        os.fchmod(descriptor, 0o600)  # a restored copy may be readable for others
    finally:
        os.close(descriptor)


def _check(path: Path, version: int, application: int) -> None:
    if application != APPLICATION:
        raise BadSettings(f"{path} is a database of another program.")
    if version < 1:
        raise Damaged(damage_report(path, f"it says that its format is {version}"))
    if version > FORMAT:
        raise NewerVersionNeeded(f"{path} has format {version}; this version of ifap-twisted knows {FORMAT}.")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # Again, through SQLite: what a newer version wrote may still lie in the write-ahead log.
    version = _pragma(connection, "user_version")
    _check(path, version, _pragma(connection, "application_id"))
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {limits.LOG}")
    _require_log(connection, path)
    if version < FORMAT:
        _upgrade(connection, path, version)


def _require_log(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise BadSettings(f"{path} lies on a file system that cannot hold a write-ahead log.")


def _upgrade(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A copy first; then all or nothing."""
    sync(copied(connection, path, version))
    sync(path.parent)
    try:
        with transaction(connection):
            upgrade(connection)
            connection.execute(f"PRAGMA user_version = {FORMAT}")
    except Damaged as error:
        raise Damaged(damage_report(path, error.detail)) from None


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, all or none."""
    with transaction(connection):
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("INSERT INTO ledger VALUES (0, 0, 0, 1, ?)", (row_checksum(0, 0, 0, 1),))
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
