"""Tests of what is looked at when a database is opened."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import BadSettings, Damaged
from ifap_twisted.server import messages, storage
from ifap_twisted.server.inspection import inspect, mark_closed, mark_open
from ifap_twisted.server.messages import Draft
from ifap_twisted.server.schema import log_of, open_database

PAGE = 4096


class InspectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "embedded.sqlite"
        with closing(open_database(self.path)) as connection:
            storage.add_user(connection, "me", "verifier", 100)

    def append(self, connection: sqlite3.Connection, count: int = 1) -> None:
        draft = Draft(user=1, mailbox="INBOX", flags=(), date=0, zone=0, data=b"A: b\r\n\r\n" + b"text" * 100)
        for _ in range(count):
            messages.append(connection, [draft])

    def killed(self, count: int = 10) -> Path:
        """The files as a killed server leaves them, in another directory: the path of the database."""
        copy = self.directory / "killed"
        with closing(open_database(self.path)) as connection:
            mark_open(connection)
            self.append(connection, count)
            copy.mkdir()
            for each in (self.path, log_of(self.path)):
                shutil.copy(each, copy)
            mark_closed(connection)
        return copy / self.path.name

    def damage(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement, values)

    def refused(self, pattern: str, path: Path | None = None) -> None:
        """Damage is told with what to do, and no byte is changed."""
        path = path or self.path
        before = {each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith("-shm")}
        with self.assertRaisesRegex(Damaged, f"is damaged .*{pattern}.*put a backup in its place"):
            inspect(path)
        after = {each.name: each.read_bytes() for each in path.parent.iterdir() if not each.name.endswith("-shm")}
        after = {name: content for name, content in after.items() if content or name in before}
        self.assertEqual(after, before)

    def test_nothing(self) -> None:
        """What is not there has no damage; what is well has none."""
        self.assertEqual(inspect(self.directory / "other"), [])
        self.assertEqual(inspect(self.path), [])

    def test_foreign(self) -> None:
        """A file of another program is not inspected."""
        self.path.write_bytes(b"no database" * 100)
        with self.assertRaises(BadSettings):
            inspect(self.path)

    def test_killed(self) -> None:
        """After a kill all is well, and everything that was committed is there."""
        path = self.killed()
        self.assertEqual(inspect(path), [])
        with closing(open_database(path)) as connection:
            self.assertEqual(storage.count(connection, 1, "INBOX").messages, 10)

    def test_rows(self) -> None:
        """A row of the small tables that was changed, or is gone, is found each time."""
        for statement in (
            "UPDATE users SET verifier = 'other'", "UPDATE mailboxes SET uidvalidity = 9", "DELETE FROM mailboxes",
            "UPDATE mailboxes SET name = 'INBOY'", "UPDATE ledger SET last = 1", "DELETE FROM ledger",
        ):  # fmt: skip
            kept = self.path.read_bytes()
            self.damage(statement)
            self.refused("")
            self.path.write_bytes(kept)

    def test_index(self) -> None:
        """An index that does not agree with its table would hide a mailbox: it is found."""
        content = self.path.read_bytes()
        place = content.rindex(b"INBOX") if content.count(b"INBOX") == 2 else -1
        for at in (content.index(b"INBOX"), place):
            self.path.write_bytes(content[:at] + b"INBOY" + content[at + 5 :])
            self.refused("")

    def test_structure_after_a_kill(self) -> None:
        """After an unclean stop the structure of everything is looked at."""
        with closing(open_database(self.path)) as connection:
            self.append(connection, 100)
        path = self.killed()
        with path.open("r+b") as file:
            file.seek(-6 * PAGE, os.SEEK_END)
            file.write(bytes(PAGE))
        self.refused("", path)

    def test_cut(self) -> None:
        """A file that lost its end is damaged."""
        with closing(open_database(self.path)) as connection:
            self.append(connection, 100)
        os.truncate(self.path, self.path.stat().st_size - 3 * PAGE)
        self.refused("malformed")

    def test_log_missing(self) -> None:
        """A database that was not closed and has no log is told of; a closed one has none."""
        path = self.killed()
        log_of(path).unlink()
        (notice,) = inspect(path)
        self.assertEqual(notice.code, "mail-log-missing")
        self.assertIn("embedded.sqlite-wal is missing", notice.text)
        self.assertEqual(inspect(self.path), [])

    def test_log_empty(self) -> None:
        """Killed right after it was opened: the log is there and empty, and that is well."""
        path = self.killed(0)
        log_of(path).write_bytes(b"")
        self.assertEqual(inspect(path), [])

    def test_log_damaged(self) -> None:
        """A flipped bit anywhere in the log, but in what is no part of it any more, is told, and a copy is kept."""
        path = self.killed(6)
        content = log_of(path).read_bytes()
        count = self.count(path, content)
        for at in (
            1,
            4,
            10,
            17,
            22,
            25,
            40,
            50,
            60,
            100,
            len(content) // 2,
            len(content) - PAGE - 10,
            len(content) - 7,
        ):
            flipped = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
            found = self.notices(path, flipped)
            told = [notice.code for notice in found] == ["mail-log-damaged"]
            self.assertTrue(told or self.count(path, flipped) == count, at)

    def notices(self, path: Path, log: bytes):
        log_of(path).write_bytes(log)
        found = inspect(path)
        for copy in path.parent.glob("*.damaged"):
            self.assertEqual(copy.read_bytes(), log)
            self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
            self.assertIn(copy.name, found[0].text)
            copy.unlink()
        return found

    def count(self, path: Path, log: bytes) -> int:
        """How many messages are there, with this log."""
        scratch = self.directory / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        shutil.copy(path, scratch)
        log_of(scratch / path.name).write_bytes(log)
        with closing(open_database(scratch / path.name)) as connection:
            return storage.count(connection, 1, "INBOX").messages

    def test_log_half_written(self) -> None:
        """A log that ends within a transaction is what a kill leaves: nothing is told."""
        path = self.killed(6)
        content = log_of(path).read_bytes()
        for missing in (1, 100, PAGE + 23, PAGE + 24, PAGE + 25):
            self.assertEqual(self.notices(path, content[:-missing]), [], missing)

    def test_told_until_moved(self) -> None:
        """The copy of a damaged log is told of until it is taken away; a further one gets another name."""
        path = self.killed(6)
        content = log_of(path).read_bytes()
        flipped = content[:100] + b"\0\1\2\3" + content[104:]
        log_of(path).write_bytes(flipped)
        inspect(path)
        (notice,) = inspect(path)
        self.assertIn("embedded.sqlite-wal.damaged, embedded.sqlite-wal.damaged.1", notice.text)
        for copy in path.parent.glob("*.damaged*"):
            copy.unlink()
        log_of(path).unlink()
        self.assertEqual([each.code for each in inspect(path)], ["mail-log-missing"])

    def test_unended(self) -> None:
        """What another program began to change and did not end is taken back, and all is well."""
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("PRAGMA journal_mode = DELETE")
            other.execute("PRAGMA cache_size = 1")
            other.execute("BEGIN")
            other.execute("UPDATE users SET name = 'you'")
            other.executemany("INSERT INTO contents VALUES (?, ?, '')", ((n, bytes(9000)) for n in range(50)))
            copy = self.directory / "copy"
            copy.mkdir()
            for each in (self.path, self.path.with_name("embedded.sqlite-journal")):
                shutil.copy(each, copy)
        self.assertEqual(inspect(copy / self.path.name), [])
        with closing(open_database(copy / self.path.name)) as connection:
            self.assertEqual(storage.users(connection), ["me"])
