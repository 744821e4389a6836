"""Messages in the database: functions on a connection, to be run in its worker thread.

A message is kept as it came, byte for byte: header, with the empty line after it, and text. Nothing here parses more
than that.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ifap_twisted.errors import IFAPError, NotFound, QuotaExceeded
from ifap_twisted.server import limits
from ifap_twisted.server.schema import transaction
from ifap_twisted.server.storage import UID_BITS, Box, find_mailbox, places

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
    """A message in the database; header and text are read when they are first asked for."""

    def __init__(self, connection: sqlite3.Connection, row: tuple[int, int, int, int, str], number: int) -> None:
        self._connection = connection
        self._place, self.date, self.zone, self.size, flags = row
        self.flags = tuple(flags.split())
        self.number = number

    @property
    def uid(self) -> int:
        """Its number for ever."""
        return self._place & limits.NUMBER

    @cached_property
    def header(self) -> bytes:
        """The header, with the empty line that ends it."""
        sql = "SELECT header FROM contents WHERE place = ?"
        return bytes(self._connection.execute(sql, (self._place,)).fetchone()[0])

    def texts(self) -> Iterator[bytes]:
        """All after the header, in parts that are read one by one."""
        sql = "SELECT text, length(header) FROM contents WHERE place = ?"
        text, header_length = self._connection.execute(sql, (self._place,)).fetchone()
        yield text
        if header_length + len(text) < self.size:
            sql = "SELECT text FROM parts WHERE place = ? ORDER BY number"
            yield from (part for (part,) in self._connection.execute(sql, (self._place,)))

    @cached_property
    def text(self) -> bytes:
        """All after the header."""
        return b"".join(self.texts())


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
    """The messages of (sequence number, UID) pairs that are still there, in that order."""
    first, _last = places(mailbox)
    for number, uid in numbered:
        row = connection.execute(
            "SELECT place, date, zone, size, flags FROM messages WHERE place = ?", (first + uid,)
        ).fetchone()
        if row is not None:
            yield Message(connection, row, number)


def change_flags(
    connection: sqlite3.Connection,
    mailbox: int,
    uids: Iterable[int],
    change: Callable[[tuple[str, ...]], Sequence[str]],
) -> tuple[dict[int, tuple[str, ...]], frozenset[int]]:
    """Change flags in one transaction; the flags of all that are still there, and which were changed."""
    first, _last = places(mailbox)
    after: dict[int, tuple[str, ...]] = {}
    changed: set[int] = set()
    with transaction(connection):
        for uid in uids:
            row = connection.execute("SELECT flags FROM messages WHERE place = ?", (first + uid,)).fetchone()
            if row is None:
                continue
            before = tuple(row[0].split())
            after[uid] = flags = tuple(change(before))
            if set(flags) != set(before):
                changed.add(uid)
                connection.execute("UPDATE messages SET flags = ? WHERE place = ?", (" ".join(flags), first + uid))
    return after, frozenset(changed)


def expunge(connection: sqlite3.Connection, mailbox: int, uids: Iterable[int] | None = None) -> list[int]:
    r"""Remove messages with \\Deleted for ever, all or those of some UIDs; the UIDs removed, ascending."""
    with transaction(connection):
        gone = _deleted(connection, mailbox, uids)
        for table in ("parts", "contents", "messages"):
            connection.executemany(f"DELETE FROM {table} WHERE place = ?", ((place,) for place in gone))  # noqa: S608
    return [place & limits.NUMBER for place in gone]


def _deleted(connection: sqlite3.Connection, mailbox: int, uids: Iterable[int] | None) -> list[int]:
    first, last = places(mailbox)
    sql = "SELECT place FROM messages WHERE place BETWEEN ? AND ? AND instr(flags, ?) ORDER BY place"
    spans = [(first, last)] if uids is None else [(first + uid, first + uid) for uid in sorted(set(uids))]
    return [place for span in spans for (place,) in connection.execute(sql, (*span, DELETED))]


def _append(connection: sqlite3.Connection, draft: Draft) -> Appended | IFAPError:
    try:
        box = find_mailbox(connection, draft.user, draft.mailbox)
    except NotFound as error:
        return error
    if box.uidnext > limits.NUMBER:
        return QuotaExceeded("The mailbox has no UID left.")
    _insert(connection, box, draft)
    return Appended(box.id, box.uidvalidity, box.uidnext)


def _insert(connection: sqlite3.Connection, box: Box, draft: Draft) -> None:
    place = (box.id << UID_BITS) + box.uidnext
    view = memoryview(draft.data)
    end = header_size(draft.data)
    connection.execute(
        "INSERT INTO messages (place, date, zone, size, flags) VALUES (?, ?, ?, ?, ?)",
        (place, draft.date, draft.zone, len(view), " ".join(draft.flags)),
    )
    starts = range(end, len(view), limits.PART)
    texts = [view[start : start + limits.PART] for start in starts] or [view[:0]]
    connection.execute("INSERT INTO contents (place, header, text) VALUES (?, ?, ?)", (place, view[:end], texts[0]))
    connection.executemany(
        "INSERT INTO parts (place, number, text) VALUES (?, ?, ?)",
        ((place, number, text) for number, text in enumerate(texts[1:], 1)),
    )
    connection.execute("UPDATE mailboxes SET uidnext = uidnext + 1 WHERE id = ?", (box.id,))
