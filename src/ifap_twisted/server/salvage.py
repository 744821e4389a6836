"""``python -m ifap_twisted.server.salvage DAMAGED NEW``: save what can still be read of a damaged ``embedded.sqlite``.

The damaged file is not changed. Every message that is as it was stored goes into a new database under its UID. Content
of which the checksum is lost or wrong is kept as well, with the flag ``salvaged``: what is sealed proves itself when it
is opened. Exit status: 0 when nothing is known to be lost, 7 when something is.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ifap_twisted.errors import AlreadyExists, Damaged, IFAPError
from ifap_twisted.server import limits
from ifap_twisted.server.checksums import row_checksum
from ifap_twisted.server.messages import Draft, Message, insert
from ifap_twisted.server.rows import BOXES, USERS, Box, checked_box, find_row, read_ledger, write_ledger, write_mailbox
from ifap_twisted.server.schema import connect_read_only, open_database, recognise, transaction
from ifap_twisted.server.storage import places

__all__ = ["Report", "salvage"]

FLAG = "salvaged"
_PLAUSIBLE = 10_000_000
"""Each UID up to so high is looked for where nothing is known of a mailbox; what claims a higher one gets another."""
_UNREADABLE = (Damaged, sqlite3.DatabaseError)


@dataclass(slots=True)
class Report:
    """What was saved: messages as they were stored, messages nobody vouches for, and sentences about what is lost."""

    whole: int = 0
    unchecked: int = 0
    lost: list[str] = field(default_factory=list)


def salvage(damaged: Path, target: Path, now: int) -> Report:
    """Save what can be read into a new database.

    :param now: the date, in seconds since 1970, of messages whose own is lost.
    :raises AlreadyExists: there is something at the target.
    :raises Damaged: nothing can be read at all. :raises BadSettings: it is no database of ours.
    """
    if target.exists():
        raise AlreadyExists(f"{target} exists already.")
    recognise(damaged)
    with closing(connect_read_only(damaged)) as old:
        try:
            old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.DatabaseError as error:
            raise Damaged(f"{damaged} cannot be read at all ({error}).") from error
        with closing(open_database(target)) as new, transaction(new):
            return _Salvage(old, new, now).run()


class _Salvage:
    """From one connection to another."""

    def __init__(self, old: sqlite3.Connection, new: sqlite3.Connection, now: int) -> None:
        self._old = old
        self._new = new
        self._now = now
        self._report = Report()

    def run(self) -> Report:
        """All of it."""
        users = self._users()
        boxes = {box.id: box for box in self._boxes()}
        highest = max([self._last_validity(), *(box.uidvalidity for box in boxes.values())])
        for number in self._mailbox_numbers() - boxes.keys():
            highest += 1
            self._report.lost.append(f"The name of mailbox {number} is lost; it is salvaged-{number} now.")
            boxes[number] = Box(number, min(users, default=1), f"salvaged-{number}", highest, 1, 1, 0, 0)
        for user in {box.user for box in boxes.values()} - users:
            self._report.lost.append(f"User {user} is lost; the name is user-{user} now, without a password.")
            self._add_user(user, f"user-{user}", "")
            users.add(user)
        for box in boxes.values():
            self._save_mailbox(box)
        ledger = read_ledger(self._new)
        write_ledger(self._new, replace(ledger, last=highest, users=len(users), mailboxes=len(boxes)))
        return self._report

    # What can be read

    def _rows(self, sql: str, *values: int) -> list[tuple[Any, ...]]:
        """The rows up to the first that cannot be read."""
        found: list[tuple[Any, ...]] = []
        try:
            found.extend(self._old.execute(sql, values))
        except sqlite3.DatabaseError as error:
            self._report.lost.append(f"SQLite says: {error}")
        return found

    def _users(self) -> set[int]:
        """A name and a password that were damaged are taken as they are: they open nothing that they should not."""
        found = set()
        for user, name, verifier, checksum in self._rows(f"{USERS} NOT INDEXED"):
            if isinstance(name, str) and isinstance(verifier, str):
                self._add_user(user, name, verifier)
                found.add(user)
                if row_checksum(user, name, verifier) != checksum:
                    self._report.lost.append(f"Name or password of user {user} are not what was stored.")
        return found

    def _add_user(self, user: int, name: str, verifier: str) -> None:
        values = (user, name, verifier)
        sql = "INSERT INTO users (id, name, verifier, checksum) VALUES (?, ?, ?, ?)"
        self._new.execute(sql, (*values, row_checksum(*values)))

    def _boxes(self) -> Iterator[Box]:
        for row in self._rows(f"{BOXES} NOT INDEXED"):
            try:
                yield checked_box(row)
            except Damaged as error:
                self._report.lost.append(error.detail)

    def _mailbox_numbers(self) -> set[int]:
        found = set()
        for table in ("messages", "contents"):
            rows = self._rows(f"SELECT DISTINCT place >> {limits.UID_BITS} FROM {table}")  # noqa: S608 -- ours
            found |= {number for (number,) in rows}
        return found

    def _last_validity(self) -> int:
        try:
            return read_ledger(self._old).last
        except _UNREADABLE:
            return 0

    # Saving

    def _save_mailbox(self, box: Box) -> None:
        sql = "INSERT INTO mailboxes (id, user, name, uidvalidity, checksum) VALUES (?, ?, ?, ?, 0)"
        self._new.execute(sql, (box.id, box.user, box.name, box.uidvalidity))
        found = self._found(box)
        highest = max([box.uidnext - 1, *(uid for uid in found if uid <= _PLAUSIBLE)])
        total = sum(self._save_message(box, uid, uid) for uid in range(1, highest + 1))
        for uid in [uid for uid in found if not 0 < uid <= highest]:
            highest += 1
            total += self._save_message(box, uid, highest)
        if box.total and total != box.total:
            self._report.lost.append(f"In {box.name} messages are lost, or saved without a checksum.")
        write_mailbox(self._new, replace(box, uidnext=highest + 1, total=total))

    def _found(self, box: Box) -> list[int]:
        """The UIDs in a mailbox, ascending, as far as they can be listed from either end."""
        found = set()
        for table in ("messages", "contents"):
            for order in ("ASC", "DESC"):
                sql = f"SELECT place FROM {table} WHERE place BETWEEN ? AND ? ORDER BY place {order}"  # noqa: S608 -- ours
                found |= {place & limits.NUMBER for (place,) in self._rows(sql, *places(box.id))}
        return sorted(found)

    def _save_message(self, box: Box, uid: int, number: int) -> int:
        """Save a message under a number; what it adds to the total."""
        place, target = places(box.id)[0] + uid, places(box.id)[0] + number
        try:
            row = find_row(self._old, place)
        except _UNREADABLE:
            row = None
        try:
            if row is not None:
                message = Message(self._old, row, 0)
                draft = self._draft(message.header + message.text, message.flags, row.date, row.zone)
                self._report.whole += 1
                return insert(self._new, target, draft)
        except _UNREADABLE:
            pass  # perhaps it is only a little damaged
        raw = self._raw(place)
        if raw is not None:
            flags = (*(() if row is None else row.flags.split()), FLAG)
            self._report.unchecked += 1
            return insert(self._new, target, self._draft(raw, tuple(flags), *((row.date, row.zone) if row else ())))
        if row is not None:
            self._report.lost.append(f"The message with UID {uid} in {box.name} is lost.")
        return 0

    def _draft(self, data: bytes, flags: tuple[str, ...], date: int | None = None, zone: int = 0) -> Draft:
        when = self._now if date is None else date
        return Draft(user=0, mailbox="", flags=flags, date=when, zone=zone, data=data)

    def _raw(self, place: int) -> bytes | None:
        """Content that nobody vouches for, or None when there is none."""
        try:
            found = self._old.execute("SELECT header, text FROM contents WHERE place = ?", (place,)).fetchone()
            if found is None:
                return None
            parts = self._old.execute("SELECT text FROM parts WHERE place = ? ORDER BY number", (place,)).fetchall()
            return b"".join(map(_bytes, (*found, *(part for (part,) in parts))))
        except sqlite3.DatabaseError:
            return None


def _bytes(piece: object) -> bytes:
    """What is left of a piece of which also the type may be damaged."""
    if isinstance(piece, str):
        return piece.encode("utf-8", "surrogateescape")
    return piece if isinstance(piece, bytes) else b""


def main(arguments: list[str]) -> int:
    """Save, and say what came of it."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m ifap_twisted.server.salvage DAMAGED NEW\n")
        return 2
    try:
        report = salvage(Path(arguments[0]), Path(arguments[1]), int(datetime.now(UTC).timestamp()))
    except IFAPError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 7 if isinstance(error, Damaged) else 2
    lines = [f"{report.whole} messages are as they were stored.", *report.lost]
    if report.unchecked:
        lines.insert(1, f"{report.unchecked} messages were saved without a checksum; their flag is {FLAG}.")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 7 if report.lost or report.unchecked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
