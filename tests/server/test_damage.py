"""Tests of the server on a database that is damaged while it runs: told, never wrong, never silently less."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from twisted.python.failure import Failure

from ifap_twisted.errors import Damaged
from ifap_twisted.server import limits
from ifap_twisted.server.inspection import inspect
from tests.server.conversation import ConversationTestCase

CORRUPTION = b"NO [CORRUPTION] This is damaged on the disk of the server, its log says more"
PLACE = 2 << 32
MESSAGES = [b"Subject: %d\r\n\r\ntext %d" % (number, number) for number in range(1, 4)]


class DamageTests(ConversationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.me = self.client()
        for message in MESSAGES:
            self.me.append(b"box", message)
        self.me.say(b"s SELECT box")

    def tearDown(self) -> None:
        self.flushLoggedErrors(Damaged)
        super().tearDown()

    def damage(self, statement: str, *values: object) -> None:
        """As a bit that flipped on the disk would: nothing but the value is changed."""
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=5)) as other:
            self.assertEqual(other.execute(statement, values).rowcount, 1)

    def codes(self) -> list[str]:
        return [notice.code for notice in self.database.notices]

    def test_text(self) -> None:
        """Of a message whose text was changed the header is given; its text is NO; the others are given."""
        self.damage("UPDATE contents SET text = ? WHERE place = ?", b"texT 2", PLACE + 2)
        self.assertEqual(self.me.say(b"a FETCH 1:3 (UID BODY.PEEK[HEADER])")[-1], b"a OK FETCH completed")
        lines = self.me.say(b"b FETCH 1:3 (UID BODY.PEEK[])")
        given = [line for line in lines if line.startswith(b"* ")]
        self.assertEqual(given, [b"* %d FETCH (UID %d BODY[] {20}" % (number, number) for number in (1, 3)])
        self.assertEqual(lines[-1], b"b " + CORRUPTION)
        self.assertEqual(self.codes(), ["messages-damaged"])

    def test_header(self) -> None:
        """The same of a header; a search that would need it is NO, one that does not is answered."""
        self.damage("UPDATE contents SET header = ? WHERE place = ?", b"Subject: 9\r\n\r\n", PLACE + 2)
        self.assertEqual(self.me.say(b"a UID FETCH 2 BODY.PEEK[HEADER.FIELDS (Subject)]"), [b"a " + CORRUPTION])
        self.assertEqual(self.me.say(b"b SEARCH SUBJECT 3"), [b"b " + CORRUPTION])
        self.assertEqual(self.me.say(b"c SEARCH LARGER 1"), [b"* SEARCH 1 2 3", b"c OK SEARCH completed"])
        self.assertEqual(self.me.say(b"d UID FETCH 2 (FLAGS)")[-1], b"d OK UID FETCH completed")

    def test_content_gone(self) -> None:
        """A message whose content is gone, or moved to another one, is damaged."""
        self.damage("UPDATE contents SET place = ? WHERE place = ?", PLACE + 9, PLACE + 2)
        self.assertEqual(self.me.say(b"a FETCH 2 BODY.PEEK[]"), [b"a " + CORRUPTION])
        self.damage("UPDATE contents SET place = ? WHERE place = ?", PLACE + 2, PLACE + 1)
        self.assertEqual(self.me.say(b"b FETCH 2 BODY.PEEK[]"), [b"b " + CORRUPTION])

    def test_part(self) -> None:
        """A large message of which a part is gone or doubled is damaged; what lies before is given."""
        uid = self.me.append(b"box", b"A: b\r\n\r\n" + bytes(2 * limits.PART + 5))
        self.damage("DELETE FROM parts WHERE place = ? AND number = 2", PLACE + uid)
        self.assertEqual(self.me.say(b"a UID FETCH %d BODY.PEEK[]" % uid)[-1], b"a " + CORRUPTION)
        self.assertTrue(self.me.say(b"b UID FETCH %d BODY.PEEK[]<0.8>" % uid)[-1].startswith(b"b OK"))

    def test_row(self) -> None:
        r"""Flags, date and number of a damaged row decide nothing: it is not fetched, changed or expunged."""
        self.damage("UPDATE messages SET flags = '\\Deleted' WHERE place = ?", PLACE + 2)
        self.assertEqual(self.me.say(b"a FETCH 2 FLAGS"), [b"a " + CORRUPTION])
        self.assertEqual(self.me.say(b"b STORE 1:3 +FLAGS (\\Flagged)"), [b"b " + CORRUPTION])
        self.assertEqual(self.me.say(b"c EXPUNGE"), [b"c " + CORRUPTION])
        self.assertEqual(self.me.say(b"d FETCH 1 FLAGS")[0], b"* 1 FETCH (FLAGS (\\Recent))")

    def test_row_gone(self) -> None:
        """A mailbox that lacks a message, or has one too many, is not shown as if that were all."""
        for statement in (
            "DELETE FROM messages WHERE place = ?",
            "UPDATE messages SET place = place + 5 WHERE place = ?",
        ):
            with self.subTest(statement):
                self.damage(statement, PLACE + (2 if "DELETE" in statement else 3))
                self.assertEqual(self.me.say(b"a SELECT box"), [b"a " + CORRUPTION])
                self.assertEqual(self.me.say(b"b STATUS box (MESSAGES)"), [b"b " + CORRUPTION])
        self.assertEqual(self.me.say(b"c SELECT INBOX")[-1], b"c OK [READ-WRITE] SELECT completed")

    def test_mailbox(self) -> None:
        """A mailbox whose numbers were changed takes nothing and shows nothing."""
        self.damage("UPDATE mailboxes SET uidnext = 2 WHERE name = 'box'")
        self.me.send(b"a APPEND box {1+}\r\nx\r\n")
        self.assertEqual(self.me.lines()[-1], b"a " + CORRUPTION)
        self.assertEqual(self.me.say(b"b SELECT box"), [b"b " + CORRUPTION])

    def test_goes_on(self) -> None:
        """One damaged message does not keep others from being stored."""
        self.damage("UPDATE contents SET text = x'00' WHERE place = ?", PLACE + 2)
        self.me.say(b"a FETCH 2 BODY.PEEK[]")
        self.assertEqual(self.me.append(b"box", b"x"), 4)

    def test_structure(self) -> None:
        """When SQLite itself finds damage nothing is written any more, what can be read is read, and a person told."""
        for number in range(40):
            self.me.append(b"INBOX", b"A: %d\r\n\r\n" % number + bytes(3000))
        self.successResultOf(self.database.close())
        self.zero_a_page()
        self.start_again()
        self.assertEqual(self.me.say(b"a FETCH 1 BODY.PEEK[TEXT]")[0], b"* 1 FETCH (BODY[TEXT] {6}")
        self.me.say(b"b SELECT INBOX")
        self.assertEqual(self.me.say(b"c FETCH 1:* (BODY.PEEK[])")[-1], b"c " + CORRUPTION)
        self.me.send(b"d APPEND box {1+}\r\nx\r\n")
        self.assertEqual(self.me.lines()[-1], b"d " + CORRUPTION)
        self.assertEqual(self.codes(), ["mail-damaged", "messages-damaged"])
        before = self.path.read_bytes()
        self.successResultOf(self.database.close())
        self.assertEqual(self.path.read_bytes(), before)
        with self.assertRaises(Damaged):
            inspect(self.path)

    def zero_a_page(self) -> None:
        content = self.path.read_bytes()
        self.path.write_bytes(content[: -5 * 4096] + bytes(4096) + content[-4 * 4096 :])

    def start_again(self) -> None:
        from ifap_twisted.workers import InlineWorker

        self.start(InlineWorker())
        self.me = self.client()
        self.me.say(b"s SELECT box")

    def test_damaged_at_start(self) -> None:
        """A damaged database is not opened."""
        self.successResultOf(self.database.close())
        self.path.write_bytes(self.path.read_bytes()[: 2 * 4096])
        failure = self.failureResultOf(self.database.open(), Damaged)
        assert isinstance(failure, Failure)
        self.assertIn("put a backup in its place", str(failure.value))
