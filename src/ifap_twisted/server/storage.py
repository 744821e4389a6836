"""Users and mailboxes in the database: functions on a connection, to be run in its worker thread.

They know no protocol and no clock; each is one transaction. Messages are in ``messages``.
"""

from __future__ import annotations

import sqlite3
from array import array
from dataclasses import dataclass

from ifap_twisted.errors import AlreadyExists, DirectoryNotEmpty, NotFound, QuotaExceeded
from ifap_twisted.server import limits
from ifap_twisted.server.schema import transaction

UID_BITS = 32
INBOX = "INBOX"
SEEN = "\\Seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A mailbox. UIDs below ``recent`` were shown to a session already."""

    id: int
    uidvalidity: int
    uidnext: int
    recent: int


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
    return mailbox << UID_BITS, (mailbox << UID_BITS) + limits.NUMBER


def add_user(connection: sqlite3.Connection, name: str, verifier: str, now: int) -> None:
    """Add a user with an INBOX.

    :raises AlreadyExists: there is one of that name.
    """
    with transaction(connection):
        try:
            cursor = connection.execute("INSERT INTO users (name, verifier) VALUES (?, ?)", (name, verifier))
        except sqlite3.IntegrityError as error:
            raise AlreadyExists("There is a user of that name.") from error
        _add_mailbox(connection, cursor.lastrowid or 0, INBOX, now)


def set_verifier(connection: sqlite3.Connection, name: str, verifier: str) -> None:
    """Change the password.

    :raises NotFound: there is no such user.
    """
    with transaction(connection):
        if not connection.execute("UPDATE users SET verifier = ? WHERE name = ?", (verifier, name)).rowcount:
            raise NotFound("There is no user of that name.")


def verifier_of(connection: sqlite3.Connection, name: str) -> str | None:
    """What a password of the user is compared with, or None when there is no such user."""
    row = connection.execute("SELECT verifier FROM users WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def user_id(connection: sqlite3.Connection, name: str) -> int:
    """The number of a user.

    :raises NotFound: there is no such user.
    """
    row = connection.execute("SELECT id FROM users WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound("There is no user of that name.")
    return int(row[0])


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
    row = connection.execute(
        "SELECT id, uidvalidity, uidnext, recent FROM mailboxes WHERE user = ? AND name = ?", (user, name)
    ).fetchone()
    if row is None:
        raise NotFound("There is no mailbox of that name.")
    return Box(id=row[0], uidvalidity=row[1], uidnext=row[2], recent=row[3])


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
    return box.id


def subscribe(connection: sqlite3.Connection, user: int, name: str, *, subscribed: bool) -> None:
    """Put a mailbox on the list of LSUB or take it off.

    :raises NotFound: there is no such mailbox.
    """
    with transaction(connection):
        box = find_mailbox(connection, user, name)
        connection.execute("UPDATE mailboxes SET subscribed = ? WHERE id = ?", (int(subscribed), box.id))


def count(connection: sqlite3.Connection, user: int, name: str) -> Counts:
    """Count the messages of a mailbox.

    :raises NotFound: there is no such mailbox.
    """
    box = find_mailbox(connection, user, name)
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
    """
    box = find_mailbox(connection, user, name)
    span = places(box.id)
    found = connection.execute("SELECT place FROM messages WHERE place BETWEEN ? AND ? ORDER BY place", span)
    uids = array("I", (place & limits.NUMBER for (place,) in found))
    combinations = connection.execute("SELECT DISTINCT flags FROM messages WHERE place BETWEEN ? AND ?", span)
    flags = frozenset(flag for (text,) in combinations for flag in text.split())
    (unseen,) = connection.execute(
        "SELECT min(place) FROM messages WHERE place BETWEEN ? AND ? AND instr(flags, ?) = 0", (*span, SEEN)
    ).fetchone()
    if claim_recent and box.recent < box.uidnext:
        connection.execute("UPDATE mailboxes SET recent = uidnext WHERE id = ?", (box.id,))
    return Opened(box=box, uids=uids, flags=flags, unseen=None if unseen is None else unseen & limits.NUMBER)


def _add_mailbox(connection: sqlite3.Connection, user: int, name: str, now: int) -> None:
    """UIDVALIDITY rises over all mailboxes that ever were, so a name made again never gets an old one."""
    (last,) = connection.execute("SELECT last FROM validity").fetchone()
    validity = max(last + 1, min(now, limits.NUMBER))
    if validity > limits.NUMBER:
        raise QuotaExceeded("There is no UIDVALIDITY left.")
    connection.execute("UPDATE validity SET last = ?", (validity,))
    connection.execute("INSERT INTO mailboxes (user, name, uidvalidity) VALUES (?, ?, ?)", (user, name, validity))
