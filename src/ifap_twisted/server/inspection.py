"""What is looked at when a database is opened, before anything is written to it.

Each time: the small tables, row by row and as a whole. After an unclean stop: the whole structure, and whether the
write-ahead log ends where the last transaction does. Content is held against its checksums when it is read.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ifap_twisted.core.values import Notice
from ifap_twisted.errors import Damaged, Unavailable
from ifap_twisted.server.rows import (
    BOXES,
    USERS,
    checked_box,
    checked_user,
    read_ledger,
    write_ledger,
)
from ifap_twisted.server.schema import (
    FORMAT,
    connect,
    connect_read_only,
    damage_report,
    is_damage,
    log_of,
    recognise,
    sync,
    transaction,
)

__all__ = ["inspect", "mark_closed", "mark_open"]

_LOG_HEADER = 32
_FRAME_HEADER = 24
_SALTS = slice(16, 24)
"""Of the log: https://www.sqlite.org/fileformat2.html section 4.1; those of a frame are in the bytes 8 to 16."""
_LAST_FRAME = 16
"""Where the index of the log says how many of its frames count: https://www.sqlite.org/walformat.html section 2.1."""
_ASIDE = ".damaged"


def inspect(path: Path) -> list[Notice]:
    """Look at a database, if there is one, before it is opened; what a person should know of it.

    :raises Damaged: and what :func:`~ifap_twisted.server.schema.recognise` raises; nothing was changed.
    """
    if not path.exists():
        return []
    recognise(path)
    log = log_of(path)
    present = log.exists()
    filled = present and log.stat().st_size > 0
    try:
        with closing(_connected(path)) as connection:
            clean = _inspect(connection, log_filled=filled)
            torn = filled and _ends_torn(connection, path)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise Unavailable(f"{path} cannot be read now ({error}).") from error
        raise Damaged(damage_report(path, str(error))) from error
    except Damaged as error:
        raise Damaged(damage_report(path, error.detail.rstrip("."))) from None
    if torn:
        _set_aside(log)
    return [*_told_of_missing(path, missing=not clean and not present), *_told_of_torn(path)]


def _connected(path: Path) -> sqlite3.Connection:
    """To leave the file as it is; but what another program began and did not end has to be taken back first."""
    unended = path.with_name(path.name + "-journal").exists()
    return connect(path) if unended else connect_read_only(path)


def _inspect(connection: sqlite3.Connection, *, log_filled: bool) -> bool:
    """Whether the database was closed."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        return True  # before an upgrade everything is looked at
    ledger = read_ledger(connection)
    if log_filled or not ledger.clean:
        _require_ok(connection, "PRAGMA quick_check(1)")
    for table in ("users", "mailboxes", "ledger"):
        _require_ok(connection, f"PRAGMA integrity_check({table})")
    users = [checked_user(row) for row in connection.execute(USERS).fetchall()]
    boxes = [checked_box(row) for row in connection.execute(BOXES).fetchall()]
    if (len(users), len(boxes)) != (ledger.users, ledger.mailboxes):
        raise Damaged("Users or mailboxes are missing.")
    return bool(ledger.clean)


def mark_open(connection: sqlite3.Connection) -> None:
    """Say in the file itself, not in its log alone, that the log belongs to it from now on."""
    _mark(connection, clean=0)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def mark_closed(connection: sqlite3.Connection) -> None:
    """Say that everything was closed; closing the last connection then writes the log into the file."""
    _mark(connection, clean=1)


def _mark(connection: sqlite3.Connection, *, clean: int) -> None:
    with transaction(connection):
        write_ledger(connection, replace(read_ledger(connection), clean=clean))


def _require_ok(connection: sqlite3.Connection, check: str) -> None:
    findings = [str(finding) for (finding,) in connection.execute(check).fetchall()]
    if findings != ["ok"]:
        raise Damaged(findings[0] if findings else "it cannot be checked")


def _ends_torn(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the log goes on behind the last transaction that SQLite found whole in it, with the end of another.

    A killed process leaves the beginning of a transaction there; its end without its middle comes from the disk (or,
    once in a long while, from a kill between the two writes of the last frame).
    """
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.with_name(path.name + "-shm").open("rb") as index:
        index.seek(_LAST_FRAME)
        whole = int.from_bytes(index.read(4), sys.byteorder)
    with log_of(path).open("rb") as file:
        salts = file.read(_LOG_HEADER)[_SALTS]
        file.seek(_LOG_HEADER + whole * (_FRAME_HEADER + page_size))
        while len(frame := file.read(_FRAME_HEADER + page_size)) == _FRAME_HEADER + page_size:
            ends_transaction, same = any(frame[4:8]), (frame[8:12] == salts[:4], frame[12:16] == salts[4:])
            if any(same) and (ends_transaction or not all(same)):
                return True
    return False


def _set_aside(log: Path) -> None:
    """Copy a damaged log before SQLite writes over it; no copy made before is overwritten."""
    copy, number = log.with_name(log.name + _ASIDE), 0
    while copy.exists():
        number += 1
        copy = log.with_name(f"{log.name}{_ASIDE}.{number}")
    copy.touch(0o600, exist_ok=False)
    shutil.copyfile(log, copy)
    sync(copy)
    sync(copy.parent)


def _told_of_torn(path: Path) -> list[Notice]:
    """As long as the copies are there."""
    copies = sorted(each.name for each in path.parent.glob(f"{log_of(path).name}{_ASIDE}*"))
    text = (
        f"When the machine stopped, the end of the mail's write-ahead log was not on the disk as it was written; a "
        f"copy is in {', '.join(copies)}. Look at what was stored last; what had been confirmed is missing only if "
        "the disk lost it. Move the copy away to end this warning."
    )
    return [Notice(code="mail-log-damaged", text=text)] if copies else []


def _told_of_missing(path: Path, *, missing: bool) -> list[Notice]:
    text = (
        f"{path.name} was not closed, and its write-ahead log {log_of(path).name} is missing: what was stored last may "
        "be missing, too. For a copy that was made while the node ran that is to be expected."
    )
    return [Notice(code="mail-log-missing", text=text)] if missing else []
