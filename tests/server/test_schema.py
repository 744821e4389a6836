"""Tests of the database file: made, recognised, refused, opened."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import BadSettings, Damaged, NewerVersionNeeded
from ifap_twisted.server.schema import APPLICATION, FORMAT, open_database, transaction


class OpenTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "embedded.sqlite"

    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.path.parent.iterdir()}

    def test_made(self) -> None:
        """A new file is for its owner only, with our marks, and safe settings."""
        connection = open_database(self.path)
        self.addCleanup(connection.close)
        for name, value in (
            ("user_version", FORMAT), ("application_id", APPLICATION), ("journal_mode", "wal"), ("synchronous", 2),
            ("foreign_keys", 1), ("trusted_schema", 0), ("cell_size_check", 1),
        ):  # fmt: skip
            self.assertEqual(connection.execute(f"PRAGMA {name}").fetchone()[0], value, name)
        for each in self.path.parent.iterdir():
            self.assertEqual(stat.S_IMODE(each.stat().st_mode), 0o600, each.name)

    def test_opened_again(self) -> None:
        """It is opened again as it was."""
        open_database(self.path).close()
        before = self.files()
        open_database(self.path).close()
        self.assertEqual(self.files(), before)

    def test_made_again(self) -> None:
        """What a crash left while it was made is replaced: the file has its name only when it is whole."""
        unfinished = self.path.with_name(".embedded.sqlite.new")
        unfinished.write_bytes(b"half")
        unfinished.with_name(unfinished.name + "-journal").write_bytes(b"half")
        open_database(self.path).close()
        self.assertEqual(list(self.files()), ["embedded.sqlite"])

    def test_empty(self) -> None:
        """An empty file was something once: it is not filled, and stays."""
        self.path.touch()
        with self.assertRaisesRegex(Damaged, "it is empty"):
            open_database(self.path)
        self.assertEqual(self.files(), {"embedded.sqlite": b""})

    def test_missing_with_log(self) -> None:
        """Beside the log of another database no new one is made."""
        log = self.path.with_name("embedded.sqlite-wal")
        log.write_bytes(b"precious")
        with self.assertRaisesRegex(Damaged, "is missing"):
            open_database(self.path)
        self.assertEqual(self.files(), {log.name: b"precious"})

    def test_mode(self) -> None:
        """A copy that others may read, from a backup perhaps, is for its owner only again."""
        open_database(self.path).close()
        self.path.chmod(0o644)
        open_database(self.path).close()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_newer(self) -> None:
        """A newer format is refused, and not a byte is changed."""
        open_database(self.path).close()
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        connection.close()
        before = self.files()
        with self.assertRaises(NewerVersionNeeded):
            open_database(self.path)
        self.assertEqual(self.files(), before)

    def test_newer_in_the_log(self) -> None:
        """Also when the newer format's number lies in the write-ahead log only."""
        open_database(self.path).close()
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
        before = self.path.read_bytes()
        self.assertEqual(before[63], FORMAT)
        with self.assertRaises(NewerVersionNeeded):
            open_database(self.path)
        self.assertEqual(self.path.read_bytes(), before)
        connection.close()

    def test_foreign(self) -> None:
        """What is no database, or another program's, is refused, and not a byte is changed."""
        other = sqlite3.connect(self.path)
        other.execute("CREATE TABLE precious (x)")
        other.close()
        for content in (self.path.read_bytes(), b"This is a text of mine, longer than a hundred bytes" * 3, b"x"):
            self.path.write_bytes(content)
            before = self.files()
            with self.assertRaises(BadSettings):
                open_database(self.path)
            self.assertEqual(self.files(), before)

    def test_damaged(self) -> None:
        """A damaged file is refused with an error of ours."""
        open_database(self.path).close()
        self.path.write_bytes(self.path.read_bytes()[:100] + b"\xff" * 4000)
        with self.assertRaises(Damaged):
            open_database(self.path)

    def test_no_directory(self) -> None:
        """Where there is no directory, no file is made."""
        with self.assertRaises(BadSettings):
            open_database(self.path.parent / "missing" / "embedded.sqlite")


class TransactionTests(SynchronousTestCase):
    def test_all_or_nothing(self) -> None:
        """An exception undoes what was done."""
        connection = open_database(Path(self.mktemp()))
        self.addCleanup(connection.close)
        with self.assertRaises(ZeroDivisionError), transaction(connection):
            connection.execute("UPDATE ledger SET last = 5")
            raise ZeroDivisionError
        self.assertEqual(connection.execute("SELECT last FROM ledger").fetchone(), (0,))
        with transaction(connection):
            connection.execute("UPDATE ledger SET last = 6")
        self.assertEqual(connection.execute("SELECT last FROM ledger").fetchone(), (6,))
