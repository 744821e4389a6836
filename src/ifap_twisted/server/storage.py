"""Users and mailboxes in the database: functions on a connection, to be run in its worker thread.

They know no protocol and no clock; each is one transaction. Messages are in ``messages``.
"""

from __future__ import annotations

import sqlite3
from array import array
from dataclasses import dataclass, replace

from ifap_twisted.errors import AlreadyExists, Damaged, DirectoryNotEmpty, NotFound, QuotaExceeded
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import row_checksum
from ifap_twisted.server.rows import (
    BOXES,
    USERS,
    Box,
    checked_box,
    checked_user,
    read_ledger,
    write_ledger,
    write_mailbox,
)
from ifap_twisted.server.schema import transaction

INBOX = "INBOX"
SEEN = "\\Seen"
_TOTAL = (
    "SELECT coalesce(sum((place & 0xFFFFFFFF) + (checksum & 0xFFFFFFFF)), 0) FROM messages WHERE place BETWEEN ? AND ?"
)
"""The sum of :func:`~ifap_twisted.server.rows.share`, which no damaged value can make fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What STATUS tells of a mailbox; ``size`` in bytes."""

    box: Box
    messages: int
    recent: int
    unseen: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A mailbox at the moment of its SELECT: its UIDs ascending, every flag in it, the first unseen UID or None."""

    box: Box
    uids: array[int]
    flags: frozenset[str]
    unseen: int | None


def places(mailbox: int) -> tuple[int, int]:
    """The first and last place that a message of the mailbox can have."""
    return mailbox << limits.UID_BITS, (mailbox << limits.UID_BITS) + limits.NUMBER


def add_user(connection: sqlite3.Connection, name: str, verifier: str, now: int) -> None:
    """Add a user with an INBOX.

    :raises AlreadyExists: there is one of that name.
    """
    with transaction(connection):
        try:
            cursor = connection.execute(
                "INSERT INTO users (name, verifier, checksum) VALUES (?, ?, 0)", (name, verifier)
            )
        except sqlite3.IntegrityError as error:
            raise AlreadyExists("There is a user of that name.") from error
        user = cursor.lastrowid or 0
        _seal_user(connection, user, name, verifier)
        ledger = read_ledger(connection)
        write_ledger(connection, replace(ledger, users=ledger.users + 1))
        _add_mailbox(connection, user, INBOX, now)


def set_verifier(connection: sqlite3.Connection, name: str, verifier: str) -> None:
    """Change the password.

    :raises NotFound: there is no such user.
    """
    with transaction(connection):
        _seal_user(connection, user_id(connection, name), name, verifier)


def verifier_of(connection: sqlite3.Connection, name: str) -> str | None:
    """What a password of the user is compared with, or None when there is no such user."""
    row = _find_user(connection, name)
    return None if row is None else row[1]


def user_id(connection: sqlite3.Connection, name: str) -> int:
    """The number of a user.

    :raises NotFound: there is no such user.
    """
    row = _find_user(connection, name)
    if row is None:
        raise NotFound("There is no user of that name.")
    return row[0]


def users(connection: sqlite3.Connection) -> list[str]:
    """The names of all users."""
    return [name for (name,) in connection.execute("SELECT name FROM users ORDER BY name")]


def mailboxes(connection: sqlite3.Connection, user: int) -> dict[str, bool]:
    """The names of a user's mailboxes in order, and whether each is subscribed."""
    rows = connection.execute("SELECT name, subscribed FROM mailboxes WHERE user = ? ORDER BY name", (user,))
    return {name: bool(subscribed) for name, subscribed in rows}


def find_mailbox(connection: sqlite3.Connection, user: int, name: str) -> Box:
    """One mailbox.

    :raises NotFound: there is no such mailbox.
    """
    row = connection.execute(f"{BOXES} WHERE user = ? AND name = ?", (user, name)).fetchone()
    if row is None:
        raise NotFound("There is no mailbox of that name.")
    return checked_box(row)


def add_to_total(connection: sqlite3.Connection, mailbox: int, difference: int) -> None:
    """Note what changed of the messages of a mailbox."""
    row = connection.execute(f"{BOXES} WHERE id = ?", (mailbox,)).fetchone()
    if row is None:
        return  # it was deleted, and its messages with it
    box = checked_box(row)
    write_mailbox(connection, replace(box, total=box.total + difference))


def create_mailbox(connection: sqlite3.Connection, user: int, name: str, now: int) -> None:
    """Make a mailbox and those above it.

    :raises AlreadyExists: there is one of that name.
    :raises QuotaExceeded: the user has ``limits.MAILBOXES``.
    """
    with transaction(connection):
        present = mailboxes(connection, user)
        if name in present:
            raise AlreadyExists("There is a mailbox of that name.")
        segments = name.split("/")
        wanted = ["/".join(segments[: depth + 1]) for depth in range(len(segments))]
        missing = [each for each in wanted if each not in present]
        if len(present) + len(missing) > limits.MAILBOXES:
            raise QuotaExceeded("There are too many mailboxes.")
        for each in missing:
            _add_mailbox(connection, user, each, now)


def delete_mailbox(connection: sqlite3.Connection, user: int, name: str) -> int:
    """Remove a mailbox with its messages; its number.

    :raises NotFound: there is no such mailbox.
    :raises DirectoryNotEmpty: there are mailboxes below it.
    """
    with transaction(connection):
        box = find_mailbox(connection, user, name)
        if any(other.startswith(name + "/") for other in mailboxes(connection, user)):
            raise DirectoryNotEmpty("There are mailboxes below it.")
        for table in ("parts", "contents", "messages"):
            connection.execute(f"DELETE FROM {table} WHERE place BETWEEN ? AND ?", places(box.id))  # noqa: S608
        connection.execute("DELETE FROM mailboxes WHERE id = ?", (box.id,))
        ledger = read_ledger(connection)
        write_ledger(connection, replace(ledger, mailboxes=ledger.mailboxes - 1))
    return box.id


def subscribe(connection: sqlite3.Connection, user: int, name: str, *, subscribed: bool) -> None:
    """Put a mailbox on the list of LSUB or take it off.

    :raises NotFound: there is no such mailbox.
    """
    with transaction(connection):
        box = find_mailbox(connection, user, name)
        write_mailbox(connection, replace(box, subscribed=int(subscribed)))


def count(connection: sqlite3.Connection, user: int, name: str) -> Counts:
    """Count the messages of a mailbox.

    :raises NotFound: there is no such mailbox.
    :raises Damaged: its messages are not those that were stored.
    """
    box = find_mailbox(connection, user, name)
    require_all(connection, box)
    first, last = places(box.id)
    row = connection.execute(
        "SELECT count(*), total(place >= ?), total(instr(flags, ?) = 0), total(size) FROM messages"
        " WHERE place BETWEEN ? AND ?",
        (first + box.recent, SEEN, first, last),
    ).fetchone()
    return Counts(box=box, messages=row[0], recent=int(row[1]), unseen=int(row[2]), size=int(row[3]))


def open_mailbox(connection: sqlite3.Connection, user: int, name: str, *, claim_recent: bool) -> Opened:
    """Take a mailbox as it is now; with ``claim_recent`` its messages are recent to no later session.

    :raises NotFound: there is no such mailbox.
    :raises Damaged: its messages are not those that were stored.
    """
    box = find_mailbox(connection, user, name)
    require_all(connection, box)
    span = places(box.id)
    found = connection.execute("SELECT place FROM messages WHERE place BETWEEN ? AND ? ORDER BY place", span)
    uids = array("I", (place & limits.NUMBER for (place,) in found))
    combinations = connection.execute("SELECT DISTINCT flags FROM messages WHERE place BETWEEN ? AND ?", span)
    flags = frozenset(flag for (text,) in combinations for flag in text.split())
    (unseen,) = connection.execute(
        "SELECT min(place) FROM messages WHERE place BETWEEN ? AND ? AND instr(flags, ?) = 0", (*span, SEEN)
    ).fetchone()
    if claim_recent and box.recent < box.uidnext:
        write_mailbox(connection, replace(box, recent=box.uidnext))
    return Opened(box=box, uids=uids, flags=flags, unseen=None if unseen is None else unseen & limits.NUMBER)


def _add_mailbox(connection: sqlite3.Connection, user: int, name: str, now: int) -> None:
    """UIDVALIDITY rises over all mailboxes that ever were, so a name made again never gets an old one."""
    ledger = read_ledger(connection)
    validity = max(ledger.last + 1, min(now, limits.NUMBER))
    if validity > limits.NUMBER:
        raise QuotaExceeded("There is no UIDVALIDITY left.")
    write_ledger(connection, replace(ledger, last=validity, mailboxes=ledger.mailboxes + 1))
    cursor = connection.execute(
        "INSERT INTO mailboxes (user, name, uidvalidity, checksum) VALUES (?, ?, ?, 0)", (user, name, validity)
    )
    box = Box(cursor.lastrowid or 0, user, name, validity, uidnext=1, recent=1, subscribed=0, total=0)
    write_mailbox(connection, box)


def require_all(connection: sqlite3.Connection, box: Box) -> None:
    """See that every message of a mailbox is there, under its number, and none besides.

    :raises Damaged: it is not so.
    """
    (total,) = connection.execute(_TOTAL, places(box.id)).fetchone()
    if total != box.total:
        raise Damaged(f"The messages of the mailbox number {box.id} are not those that were stored.")


def _find_user(connection: sqlite3.Connection, name: str) -> tuple[int, str] | None:
    """Number and verifier of a user."""
    row = connection.execute(f"{USERS} WHERE name = ?", (name,)).fetchone()
    return None if row is None else checked_user(row)


def _seal_user(connection: sqlite3.Connection, user: int, name: str, verifier: str) -> None:
    connection.execute(
        "UPDATE users SET verifier = ?, checksum = ? WHERE id = ?", (verifier, row_checksum(user, name, verifier), user)
    )
