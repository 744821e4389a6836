"""Messages in the database: functions on a connection, to be run in its worker thread.

A message is kept as it came, byte for byte: header, with the empty line after it, and text. Nothing here parses more
than that.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ifap_twisted.errors import Damaged, IFAPError, NotFound, QuotaExceeded
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import PIECE, is_intact, piece_checksums
from ifap_twisted.server.rows import Row, find_row, insert_row, share, write_mailbox
from ifap_twisted.server.schema import transaction
from ifap_twisted.server.storage import add_to_total, find_mailbox, places

DELETED = "\\Deleted"
_HEADER_END = re.compile(rb"\A\r?\n|\n\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message on its way into a mailbox.

    :ivar date: INTERNALDATE in seconds since 1970; ``zone`` is its offset from UTC in minutes.
    """

    user: int
    mailbox: str
    flags: tuple[str, ...]
    date: int
    zone: int
    data: bytearray | bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a message was put."""

    mailbox: int
    uidvalidity: int
    uid: int


class Message:
    """A message in the database; header and text are read, and held against their checksums, when they are asked for.

    Reading raises ``Damaged`` when they are not what was stored.
    """

    def __init__(self, connection: sqlite3.Connection, row: Row, number: int) -> None:
        self._connection = connection
        self._place, self._checksums = row.place, row.checksums
        self.date, self.zone, self.size = row.date, row.zone, row.size
        self.flags = tuple(row.flags.split())
        self.number = number

    @property
    def uid(self) -> int:
        """Its number for ever."""
        return self._place & limits.NUMBER

    @cached_property
    def header(self) -> bytes:
        """The header, with the empty line that ends it."""
        return self._piece(0, "SELECT header FROM contents WHERE place = ?")

    def texts(self) -> Iterator[bytes]:
        """All after the header, in parts that are read one by one."""
        yield self._piece(1, "SELECT text FROM contents WHERE place = ?")
        for number in range(2, len(self._checksums) // PIECE):
            yield self._piece(number, "SELECT text FROM parts WHERE place = ? AND number = ?", number - 1)

    @cached_property
    def text(self) -> bytes:
        """All after the header."""
        return b"".join(self.texts())

    def _piece(self, number: int, sql: str, *which: int) -> bytes:
        row = self._connection.execute(sql, (self._place, *which)).fetchone()
        piece = None if row is None else row[0]
        if not isinstance(piece, bytes) or not is_intact(piece, self._place, number, self._checksums):
            raise Damaged(f"The content of the message with UID {self.uid} is not what was stored.")
        return piece


def header_size(data: bytearray | bytes) -> int:
    """How many bytes belong to the header: all when there is no empty line."""
    end = _HEADER_END.search(data)
    return len(data) if end is None else end.end()


def append(connection: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Appended | IFAPError]:
    """Put messages into their mailboxes in one transaction; durable when it returns.

    For each its place, or the reason why that one alone could not be stored.
    """
    with transaction(connection):
        return [_append(connection, draft) for draft in drafts]


def read(connection: sqlite3.Connection, mailbox: int, numbered: Iterable[tuple[int, int]]) -> Iterator[Message]:
    """The messages of (sequence number, UID) pairs that are still there, in that order.

    :raises Damaged: what is known of one is not what was stored.
    """
    first, _last = places(mailbox)
    for number, uid in numbered:
        row = find_row(connection, first + uid)
        if row is not None:
            yield Message(connection, row, number)


def change_flags(
    connection: sqlite3.Connection,
    mailbox: int,
    uids: Iterable[int],
    change: Callable[[tuple[str, ...]], Sequence[str]],
) -> tuple[dict[int, tuple[str, ...]], frozenset[int]]:
    """Change flags in one transaction; the flags of all that are still there, and which were changed.

    :raises Damaged: what is known of one is not what was stored; none was changed.
    """
    first, _last = places(mailbox)
    after: dict[int, tuple[str, ...]] = {}
    changed: set[int] = set()
    difference = 0
    with transaction(connection):
        for uid in uids:
            row = find_row(connection, first + uid)
            if row is None:
                continue
            before = tuple(row.flags.split())
            after[uid] = flags = tuple(change(before))
            if set(flags) != set(before):
                changed.add(uid)
                difference += _set_flags(connection, row, flags)
        if changed:
            add_to_total(connection, mailbox, difference)
    return after, frozenset(changed)


def expunge(connection: sqlite3.Connection, mailbox: int, uids: Iterable[int] | None = None) -> list[int]:
    r"""Remove messages with \\Deleted for ever, all or those of some UIDs; the UIDs removed, ascending.

    :raises Damaged: what is known of one is not what was stored; none was removed.
    """
    with transaction(connection):
        rows = _deleted(connection, mailbox, uids)
        gone = [row.place for row in rows]
        if rows:
            add_to_total(connection, mailbox, -sum(share(row.place, row.checksum) for row in rows))
        for table in ("parts", "contents", "messages"):
            connection.executemany(f"DELETE FROM {table} WHERE place = ?", ((place,) for place in gone))  # noqa: S608
    return [place & limits.NUMBER for place in gone]


def _set_flags(connection: sqlite3.Connection, row: Row, flags: Sequence[str]) -> int:
    """Store flags; by how much the total of the mailbox grows."""
    after = replace(row, flags=" ".join(flags))
    connection.execute(
        "UPDATE messages SET flags = ?, checksum = ? WHERE place = ?", (after.flags, after.checksum, row.place)
    )
    return after.checksum - row.checksum


def _deleted(connection: sqlite3.Connection, mailbox: int, uids: Iterable[int] | None) -> list[Row]:
    first, last = places(mailbox)
    sql = "SELECT place FROM messages WHERE place BETWEEN ? AND ? AND instr(flags, ?) ORDER BY place"
    spans = [(first, last)] if uids is None else [(first + uid, first + uid) for uid in sorted(set(uids))]
    found = [place for span in spans for (place,) in connection.execute(sql, (*span, DELETED))]
    return [row for place in found if (row := find_row(connection, place)) is not None]


def _append(connection: sqlite3.Connection, draft: Draft) -> Appended | IFAPError:
    try:
        box = find_mailbox(connection, draft.user, draft.mailbox)
    except NotFound as error:
        return error
    if box.uidnext > limits.NUMBER:
        return QuotaExceeded("The mailbox has no UID left.")
    added = insert(connection, (box.id << limits.UID_BITS) + box.uidnext, draft)
    write_mailbox(connection, replace(box, uidnext=box.uidnext + 1, total=box.total + added))
    return Appended(box.id, box.uidvalidity, box.uidnext)


def insert(connection: sqlite3.Connection, place: int, draft: Draft) -> int:
    """Store a message at a place; what it adds to the total of its mailbox, which is the caller's."""
    view = memoryview(draft.data)
    end = header_size(draft.data)
    starts = range(end, len(view), limits.PART)
    header, text, *parts = [view[:end], *([view[start : start + limits.PART] for start in starts] or [view[:0]])]
    checksums = piece_checksums([header, text, *parts], place)
    row = Row(place, draft.date, draft.zone, len(view), " ".join(draft.flags), checksums)
    insert_row(connection, row)
    connection.execute("INSERT INTO contents (place, header, text) VALUES (?, ?, ?)", (place, header, text))
    connection.executemany(
        "INSERT INTO parts (place, number, text) VALUES (?, ?, ?)",
        ((place, number, part) for number, part in enumerate(parts, 1)),
    )
    return share(place, row.checksum)
