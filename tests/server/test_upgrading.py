"""Tests of the upgrade from format 1, which had no checksums."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import Damaged
from ifap_twisted.server import limits, messages, storage
from ifap_twisted.server.inspection import inspect
from ifap_twisted.server.messages import Draft
from ifap_twisted.server.schema import APPLICATION, FORMAT, open_database

TABLES = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, verifier TEXT NOT NULL)",
    """CREATE TABLE mailboxes (id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users (id),
        name TEXT NOT NULL, uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL DEFAULT 1,
        recent INTEGER NOT NULL DEFAULT 1, subscribed INTEGER NOT NULL DEFAULT 0, UNIQUE (user, name))""",
    """CREATE TABLE messages (place INTEGER PRIMARY KEY, date INTEGER NOT NULL, zone INTEGER NOT NULL,
        size INTEGER NOT NULL, flags TEXT NOT NULL)""",
    "CREATE TABLE contents (place INTEGER PRIMARY KEY, header BLOB NOT NULL, text BLOB NOT NULL)",
    """CREATE TABLE parts (place INTEGER NOT NULL, number INTEGER NOT NULL, text BLOB NOT NULL,
        PRIMARY KEY (place, number))""",
    "CREATE TABLE validity (last INTEGER NOT NULL)",
    "INSERT INTO validity VALUES (77)",
    "INSERT INTO users VALUES (1, 'me', 'verifier')",
    "INSERT INTO mailboxes VALUES (1, 1, 'INBOX', 70, 1, 1, 0)",
    "INSERT INTO mailboxes VALUES (2, 1, 'box', 77, 4, 2, 1)",
    f"PRAGMA application_id = {APPLICATION}",
    "PRAGMA user_version = 1",
    "PRAGMA journal_mode = WAL",
)
SMALL, LARGE = (b"A: b\r\n\r\n", b"text"), (b"C: d\r\n\r\n", b"x" * limits.PART + b"y" * 10)


class UpgradeTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "embedded.sqlite"
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in TABLES:
                connection.execute(statement)
            for uid, (header, text) in ((1, SMALL), (3, LARGE)):
                place = (2 << 32) + uid
                values = (place, 5, 60, len(header) + len(text), "\\Seen a")
                connection.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", values)
                connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (place, header, text[: limits.PART]))
                if len(text) > limits.PART:
                    connection.execute("INSERT INTO parts VALUES (?, 1, ?)", (place, text[limits.PART :]))

    def test_upgraded(self) -> None:
        """Every message is there as it was, checked from now on; the numbers go on where they were."""
        self.assertEqual(inspect(self.path), [])
        with closing(open_database(self.path)) as connection:
            box = storage.find_mailbox(connection, 1, "box")
            self.assertEqual((box.uidvalidity, box.uidnext, box.recent, box.subscribed), (77, 4, 2, 1))
            found = list(messages.read(connection, box.id, [(1, 1), (2, 3)]))
            self.assertEqual([(each.header, each.text) for each in found], [SMALL, LARGE])
            self.assertEqual([(each.date, each.zone, each.flags) for each in found], [(5, 60, ("\\Seen", "a"))] * 2)
            self.assertEqual(storage.count(connection, 1, "box").messages, 2)
            self.assertEqual(storage.verifier_of(connection, "me"), "verifier")
            (appended,) = messages.append(
                connection, [Draft(user=1, mailbox="box", flags=(), date=0, zone=0, data=b"")]
            )
            self.assertEqual((appended.uidvalidity, appended.uid), (77, 4))
            storage.create_mailbox(connection, 1, "new", 5)
            self.assertEqual(storage.find_mailbox(connection, 1, "new").uidvalidity, 78)
        self.assertEqual(inspect(self.path), [])

    def test_copy(self) -> None:
        """A copy of the old format is kept; copies that are there already stay."""
        other = self.path.with_name("embedded.sqlite.format-1")
        other.write_bytes(b"mine")
        open_database(self.path).close()
        self.assertEqual(other.read_bytes(), b"mine")
        copy = self.path.with_name("embedded.sqlite.format-1.1")
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        with closing(sqlite3.connect(copy)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (1,))
            self.assertEqual(connection.execute("SELECT count(*) FROM messages").fetchone(), (2,))
        open_database(self.path).close()
        self.assertEqual(len(list(self.path.parent.glob("*.format-*"))), 2)

    def test_not_whole(self) -> None:
        """A database in which a message is not whole stays as it is: it would be sealed as it is."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM parts")
        with self.assertRaisesRegex(Damaged, "UID 3 is not whole"):
            open_database(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (1,))
            self.assertEqual(connection.execute("SELECT last FROM validity").fetchone(), (77,))

    def test_current(self) -> None:
        """A fresh database and an upgraded one have the same tables and columns."""
        fresh = open_database(self.path.with_name("fresh.sqlite"))
        self.addCleanup(fresh.close)
        upgraded = open_database(self.path)
        self.addCleanup(upgraded.close)
        self.assertEqual(upgraded.execute("PRAGMA user_version").fetchone(), (FORMAT,))
        for table in ("users", "mailboxes", "messages", "contents", "parts", "ledger", "validity"):
            columns = [
                [(name, kind, null) for _n, name, kind, null, *_rest in each.execute(f"PRAGMA table_info({table})")]
                for each in (fresh, upgraded)
            ]
            self.assertEqual(columns[0], columns[1])
