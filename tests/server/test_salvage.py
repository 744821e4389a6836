"""Tests of what is saved from a damaged database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import AlreadyExists, BadSettings, Damaged
from ifap_twisted.server import limits, messages, storage
from ifap_twisted.server.inspection import inspect
from ifap_twisted.server.messages import Draft
from ifap_twisted.server.salvage import salvage
from ifap_twisted.server.schema import open_database

NOW = 1_800_000_000
PAGE = 4096
BOX = 2 << 32


class SalvageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path, self.target = self.directory / "embedded.sqlite", self.directory / "new.sqlite"
        self.stored: dict[int, bytes] = {}
        with closing(open_database(self.path)) as connection:
            storage.add_user(connection, "me", "verifier", 100)
            storage.create_mailbox(connection, 1, "box", 100)
            for number in range(1, 41):
                data = b"A: %d\r\n\r\n" % number + bytes([number]) * (limits.PART + 9 if number == 7 else 3000)
                flags = ("\\Seen",) if number != 20 else ("\\Deleted",)
                draft = Draft(user=1, mailbox="box", flags=flags, date=1000 + number, zone=60, data=data)
                messages.append(connection, [draft])
                self.stored[number] = data
            messages.expunge(connection, 2)
            del self.stored[20]
            self.box = storage.find_mailbox(connection, 1, "box")

    def damage(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement)

    def saved(self) -> tuple[dict[int, bytes], set[int]]:
        """What is in the new database, and the UIDs flagged; it is in order."""
        self.assertEqual(inspect(self.target), [])
        with closing(open_database(self.target)) as connection:
            box = storage.open_mailbox(connection, 1, "box", claim_recent=False)
            self.assertGreaterEqual(box.box.uidnext, 41)
            found = list(messages.read(connection, box.box.id, [(0, uid) for uid in box.uids]))
            flagged = {each.uid for each in found if "salvaged" in each.flags}
            return {each.uid: each.header + each.text for each in found}, flagged

    def test_whole(self) -> None:
        """Of a database that is well everything is saved as it was."""
        report = salvage(self.path, self.target, NOW)
        self.assertEqual((report.whole, report.unchecked, report.lost), (39, 0, []))
        self.assertEqual(self.saved(), (self.stored, set()))
        with closing(open_database(self.target)) as connection:
            self.assertEqual(storage.find_mailbox(connection, 1, "box"), self.box)
            self.assertEqual(storage.verifier_of(connection, "me"), "verifier")
            (message,) = messages.read(connection, 2, [(0, 3)])
            self.assertEqual((message.date, message.zone, message.flags), (1003, 60, ("\\Seen",)))
            storage.create_mailbox(connection, 1, "more", 0)

    def test_damaged(self) -> None:
        """What has no right checksum is saved under a flag; what is gone is named; removed messages stay so."""
        self.damage(f"UPDATE contents SET text = x'00' WHERE place = {BOX + 3}")
        self.damage(f"DELETE FROM contents WHERE place = {BOX + 4}")
        self.damage(f"DELETE FROM messages WHERE place = {BOX + 5}")
        self.damage(f"UPDATE messages SET date = 7 WHERE place = {BOX + 6}")
        report = salvage(self.path, self.target, NOW)
        self.assertEqual((report.whole, report.unchecked), (35, 3))
        self.assertIn("The message with UID 4 in box is lost.", report.lost)
        found, flagged = self.saved()
        del self.stored[4]
        self.stored[3] = b"A: 3\r\n\r\n\0"
        self.assertEqual((found, flagged), (self.stored, {3, 5, 6}))

    def test_types(self) -> None:
        """Damage that makes a number or a text of content stops nothing: what else is there of the message is kept."""
        for value, text in (("1 << 60", b""), ("-1", b""), ("1.5", b""), ("'still there'", b"still there")):
            self.damage(f"UPDATE contents SET text = {value} WHERE place = {BOX + 3}")
            self.target.unlink(missing_ok=True)
            report = salvage(self.path, self.target, NOW)
            self.assertEqual((report.whole, report.unchecked), (38, 1))
            found, flagged = self.saved()
            self.assertEqual((found[3], flagged), (b"A: 3\r\n\r\n" + text, {3}))

    def test_numbers(self) -> None:
        """A message whose number was damaged gets one behind the others, and is not looked for among milliards."""
        for number in (BOX, BOX + 4_000_000_000, -5):
            with self.subTest(number=number):
                for table in ("messages", "contents"):
                    self.damage(f"UPDATE {table} SET place = {number} WHERE place = {BOX + 3}")
                self.target.unlink(missing_ok=True)
                report = salvage(self.path, self.target, NOW)
                self.assertEqual((report.whole, report.unchecked), (38, 1))
                self.assertTrue(report.lost)
                self.assertEqual(inspect(self.target), [])
                with closing(open_database(self.target)) as connection:
                    name = "box" if number > 0 else "salvaged--1"
                    box = storage.open_mailbox(connection, 1, name, claim_recent=False)
                    (message,) = messages.read(connection, box.box.id, [(0, box.uids[-1])])
                    self.assertEqual(message.header + message.text, self.stored[3])
                    self.assertEqual(box.box.uidnext, 42 if number > 0 else 2)
                for table in ("messages", "contents"):
                    self.damage(f"UPDATE {table} SET place = {BOX + 3} WHERE place = {number}")

    def test_pages(self) -> None:
        """With any single page zeroed, what does not lie on it is saved; the damaged file stays as it is."""
        content = self.path.read_bytes()
        for page in range(1, len(content) // PAGE, 11):
            damaged = content[: page * PAGE] + bytes(PAGE) + content[(page + 1) * PAGE :]
            self.path.write_bytes(damaged)
            self.target.unlink(missing_ok=True)
            try:
                report = salvage(self.path, self.target, NOW)
            except Damaged:
                continue
            self.assertEqual(self.path.read_bytes(), damaged)
            if report.whole + report.unchecked:
                found, flagged = self.saved()
                self.assertEqual({uid for uid in found if found[uid] != self.stored.get(uid)} - flagged, set())
                self.assertTrue(report.lost or len(found) == 39)

    def test_mailbox_and_user_lost(self) -> None:
        """Messages of a mailbox without a name get one, and a user without a row as well."""
        self.damage("DELETE FROM users")
        self.damage("UPDATE mailboxes SET name = 'other' WHERE id = 2")
        report = salvage(self.path, self.target, NOW)
        self.assertEqual(len(report.lost), 3)
        self.assertEqual(inspect(self.target), [])
        with closing(open_database(self.target)) as connection:
            self.assertEqual(storage.users(connection), ["user-1"])
            self.assertEqual(storage.count(connection, 1, "salvaged-2").messages, 39)
            box = storage.find_mailbox(connection, 1, "salvaged-2")
            self.assertGreater(box.uidvalidity, self.box.uidvalidity)

    def test_user_damaged(self) -> None:
        """Taken as it is, and told."""
        self.damage("UPDATE users SET name = 'm'")
        self.assertEqual(
            salvage(self.path, self.target, NOW).lost, ["Name or password of user 1 are not what was stored."]
        )

    def test_refused(self) -> None:
        """Nothing is overwritten, and nothing made of what is no database."""
        self.target.write_bytes(b"precious")
        with self.assertRaises(AlreadyExists):
            salvage(self.path, self.target, NOW)
        self.path.write_bytes(b"text" * 1000)
        with self.assertRaises(BadSettings):
            salvage(self.path, self.directory / "third", NOW)
        self.assertFalse((self.directory / "third").exists())

    def test_command(self) -> None:
        """The command says what came of it, and its exit status too."""
        for damage, status in (("SELECT 1", 0), (f"DELETE FROM contents WHERE place = {BOX + 4}", 7)):
            self.damage(damage)
            self.target.unlink(missing_ok=True)
            command = [sys.executable, "-m", "ifap_twisted.server.salvage", str(self.path), str(self.target)]
            path = os.pathsep.join(path for path in sys.path if path)
            found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
            self.assertEqual(found.returncode, status, found.stderr)
            self.assertIn("messages are as they were stored.", found.stdout)
