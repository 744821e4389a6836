"""Rows of the database with their checksums: each is held against its checksum when it is read."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from ifap_twisted.errors import Damaged
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import row_checksum

BOXES = "SELECT id, user, name, uidvalidity, uidnext, recent, subscribed, total, checksum FROM mailboxes"
USERS = "SELECT id, name, verifier, checksum FROM users"
MESSAGES = "SELECT place, date, zone, size, flags, checksums, checksum FROM messages"
LEDGER = "SELECT last, users, mailboxes, clean, checksum FROM ledger"


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of the whole: no user and no mailbox can go or come unnoticed.

    :ivar last: the highest UIDVALIDITY given so far.
    :ivar clean: 1 when the database was closed; 0 while it is open.
    """

    last: int
    users: int
    mailboxes: int
    clean: int


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox. UIDs below ``recent`` were shown to a session already.

    :ivar total: the sum of what each of its messages adds (:func:`share`): no message can go or come unnoticed.
    """

    id: int
    user: int
    name: str
    uidvalidity: int
    uidnext: int
    recent: int
    subscribed: int
    total: int

    @property
    def checksum(self) -> int:
        """Of all this."""
        return row_checksum(
            self.id, self.user, self.name, self.uidvalidity, self.uidnext, self.recent, self.subscribed, self.total
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A message but for its content.

    :ivar checksums: of its pieces.
    """

    place: int
    date: int
    zone: int
    size: int
    flags: str
    checksums: bytes

    @property
    def checksum(self) -> int:
        """Of all this."""
        return row_checksum(self.place, self.date, self.zone, self.size, self.flags, self.checksums)


def read_ledger(connection: sqlite3.Connection) -> Ledger:
    """What is known of the whole.

    :raises Damaged: it is not what was stored.
    """
    rows = connection.execute(LEDGER).fetchall()
    if len(rows) != 1 or row_checksum(*rows[0][:-1]) != rows[0][-1]:
        raise Damaged("What is known of the whole database is not what was stored.")
    return Ledger(*rows[0][:-1])


def write_ledger(connection: sqlite3.Connection, ledger: Ledger) -> None:
    """Store it."""
    values = (ledger.last, ledger.users, ledger.mailboxes, ledger.clean)
    connection.execute(
        "UPDATE ledger SET last = ?, users = ?, mailboxes = ?, clean = ?, checksum = ?",
        (*values, row_checksum(*values)),
    )


def checked_user(found: tuple[Any, ...]) -> tuple[int, str]:
    """A row of :data:`USERS` as number and verifier.

    :raises Damaged: it is not what was stored.
    """
    user, name, verifier, checksum = found
    if row_checksum(user, name, verifier) != checksum:
        raise Damaged(f"What is known of the user number {user} is not what was stored.")
    return user, verifier


def checked_box(found: tuple[Any, ...]) -> Box:
    """A row of :data:`BOXES` as a mailbox.

    :raises Damaged: it is not what was stored.
    """
    box = Box(*found[:-1])
    if box.checksum != found[-1]:
        raise Damaged(f"What is known of the mailbox number {box.id} is not what was stored.")
    return box


def write_mailbox(connection: sqlite3.Connection, box: Box) -> None:
    """Store what changes of a mailbox."""
    connection.execute(
        "UPDATE mailboxes SET uidnext = ?, recent = ?, subscribed = ?, total = ?, checksum = ? WHERE id = ?",
        (box.uidnext, box.recent, box.subscribed, box.total, box.checksum, box.id),
    )


def share(place: int, checksum: int) -> int:
    """What a message adds to the total of its mailbox."""
    return (place & limits.NUMBER) + checksum


def find_row(connection: sqlite3.Connection, place: int) -> Row | None:
    """What is known of a message, or None when there is none at that place."""
    found = connection.execute(f"{MESSAGES} WHERE place = ?", (place,)).fetchone()
    return None if found is None else checked_row(found)


def checked_row(found: tuple[Any, ...]) -> Row:
    """A row of :data:`MESSAGES` as what is known of a message.

    :raises Damaged:
    """
    row = Row(*found[:-1])
    if row.checksum != found[-1]:
        raise Damaged(f"What is known of the message with UID {row.place & limits.NUMBER} is not what was stored.")
    return row


def insert_row(connection: sqlite3.Connection, row: Row) -> None:
    """Store what is known of a message; its content and the total of the mailbox are the caller's."""
    connection.execute(
        "INSERT INTO messages (place, date, zone, size, flags, checksums, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (row.place, row.date, row.zone, row.size, row.flags, row.checksums, row.checksum),
    )
