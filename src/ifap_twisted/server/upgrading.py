"""From format 1 of the database, which had no checksums, to format 2."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ifap_twisted.errors import Damaged
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import piece_checksums, row_checksum
from ifap_twisted.server.rows import Box, Row, share, write_mailbox

__all__ = ["copied", "upgrade"]

_CHANGES = (
    "ALTER TABLE users ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE mailboxes ADD COLUMN total INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE mailboxes ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE messages ADD COLUMN checksums BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE messages ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE ledger (last INTEGER NOT NULL, users INTEGER NOT NULL, mailboxes INTEGER NOT NULL,
        clean INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """INSERT INTO ledger SELECT last, (SELECT count(*) FROM users), (SELECT count(*) FROM mailboxes), 1, 0
        FROM validity""",
    "DROP TABLE validity",
)


def copied(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the database to ``NAME.format-N`` beside it; no copy made before is overwritten. Nothing is synced."""
    copy, number = path.with_name(f"{path.name}.format-{version}"), 0
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.format-{version}.{number}")
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)
    return copy


def upgrade(connection: sqlite3.Connection) -> None:
    """Add the checksums of everything, inside the transaction of the caller.

    :raises Damaged: a message is not whole.
    """
    for (finding,) in connection.execute("PRAGMA integrity_check(1)").fetchall():
        if finding != "ok":
            raise Damaged(str(finding))
    for change in _CHANGES:
        connection.execute(change)
    _seal(connection, "users", "SELECT rowid, id, name, verifier FROM users")
    _seal(connection, "ledger", "SELECT rowid, last, users, mailboxes, clean FROM ledger")
    totals: dict[int, int] = {}
    for (place,) in connection.execute("SELECT place FROM messages").fetchall():
        mailbox = place >> limits.UID_BITS
        totals[mailbox] = totals.get(mailbox, 0) + _seal_message(connection, place)
    found = "SELECT id, user, name, uidvalidity, uidnext, recent, subscribed FROM mailboxes"
    for values in connection.execute(found).fetchall():
        write_mailbox(connection, Box(*(*values, totals.get(values[0], 0))))


def _seal(connection: sqlite3.Connection, table: str, found: str) -> None:
    for number, *values in connection.execute(found).fetchall():
        sql = f"UPDATE {table} SET checksum = ? WHERE rowid = ?"  # noqa: S608 -- ours
        connection.execute(sql, (row_checksum(*values), number))


def _seal_message(connection: sqlite3.Connection, place: int) -> int:
    """Add the checksums of a message; what it adds to the total of its mailbox."""
    values = connection.execute("SELECT date, zone, size, flags FROM messages WHERE place = ?", (place,)).fetchone()
    pieces = list(connection.execute("SELECT header, text FROM contents WHERE place = ?", (place,)).fetchone() or ())
    pieces += [
        text for (text,) in connection.execute("SELECT text FROM parts WHERE place = ? ORDER BY number", (place,))
    ]
    if sum(map(len, pieces)) != values[2]:
        raise Damaged(f"the message with UID {place & limits.NUMBER} is not whole")
    row = Row(*(place, *values, piece_checksums(pieces, place)))
    sql = "UPDATE messages SET checksums = ?, checksum = ? WHERE place = ?"
    connection.execute(sql, (row.checksums, row.checksum, place))
    return share(place, row.checksum)
