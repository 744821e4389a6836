"""Tests of users and mailboxes in the database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import AlreadyExists, NotFound, QuotaExceeded
from ifap_twisted.server import limits, messages, storage
from ifap_twisted.server.messages import Appended, Draft
from ifap_twisted.server.rows import write_mailbox
from ifap_twisted.server.schema import open_database


class StorageTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.open()
        storage.add_user(self.connection, "me", "verifier", 100)

    def open(self) -> None:
        self.connection = open_database(self.path)
        self.addCleanup(self.connection.close)

    def append(self, data: bytes = b"x", mailbox: str = "INBOX", flags: tuple[str, ...] = ()) -> Appended:
        draft = Draft(user=1, mailbox=mailbox, flags=flags, date=0, zone=0, data=data)
        (outcome,) = messages.append(self.connection, [draft])
        assert isinstance(outcome, Appended)
        return outcome


class UserTests(StorageTestCase):
    def test_add(self) -> None:
        """A user has an INBOX, a number and a verifier, and is there once."""
        self.assertEqual(storage.users(self.connection), ["me"])
        self.assertEqual(storage.mailboxes(self.connection, storage.user_id(self.connection, "me")), {"INBOX": False})
        self.assertEqual(storage.verifier_of(self.connection, "me"), "verifier")
        with self.assertRaises(AlreadyExists):
            storage.add_user(self.connection, "me", "other", 100)
        self.assertEqual(storage.verifier_of(self.connection, "me"), "verifier")

    def test_change_password(self) -> None:
        """The verifier can be changed."""
        storage.set_verifier(self.connection, "me", "new")
        self.assertEqual(storage.verifier_of(self.connection, "me"), "new")

    def test_unknown(self) -> None:
        """An unknown user has no verifier, no number, and no password to change."""
        self.assertIsNone(storage.verifier_of(self.connection, "you"))
        with self.assertRaises(NotFound):
            storage.user_id(self.connection, "you")
        with self.assertRaises(NotFound):
            storage.set_verifier(self.connection, "you", "x")

    def test_apart(self) -> None:
        """Users do not see each other's mailboxes."""
        storage.add_user(self.connection, "you", "verifier", 100)
        storage.create_mailbox(self.connection, 1, "mine", 100)
        self.assertEqual(storage.mailboxes(self.connection, 2), {"INBOX": False})
        with self.assertRaises(NotFound):
            storage.find_mailbox(self.connection, 2, "mine")


class UidTests(StorageTestCase):
    def test_never_again(self) -> None:
        """UIDs rise for ever: after an expunge of the highest, and after a restart too."""
        for uid in range(1, 4):
            self.assertEqual(self.append(flags=("\\Deleted",)).uid, uid)
        box = storage.find_mailbox(self.connection, 1, "INBOX")
        self.assertEqual(messages.expunge(self.connection, box.id), [1, 2, 3])
        self.connection.close()
        self.open()
        self.assertEqual(self.append().uid, 4)
        self.assertEqual(storage.find_mailbox(self.connection, 1, "INBOX").uidvalidity, box.uidvalidity)

    def test_last(self) -> None:
        """When the last UID is used the mailbox is full, and the message is not stored."""
        box = storage.find_mailbox(self.connection, 1, "INBOX")
        write_mailbox(self.connection, replace(box, uidnext=limits.NUMBER))
        self.assertEqual(self.append().uid, limits.NUMBER)
        draft = Draft(user=1, mailbox="INBOX", flags=(), date=0, zone=0, data=b"x")
        (outcome,) = messages.append(self.connection, [draft])
        self.assertIsInstance(outcome, QuotaExceeded)

    def test_uidvalidity(self) -> None:
        """It has 32 bits, rises with every mailbox made, and its end is an error, not a beginning."""
        storage.create_mailbox(self.connection, 1, "a", 2**40)
        self.assertEqual(storage.find_mailbox(self.connection, 1, "a").uidvalidity, limits.NUMBER)
        with self.assertRaises(QuotaExceeded):
            storage.create_mailbox(self.connection, 1, "b", 100)
        self.assertNotIn("b", storage.mailboxes(self.connection, 1))

    def test_mailbox_made_again(self) -> None:
        """A mailbox of the same name finds no message of the old one."""
        storage.create_mailbox(self.connection, 1, "a", 100)
        before = self.append(mailbox="a")
        storage.delete_mailbox(self.connection, 1, "a")
        storage.create_mailbox(self.connection, 1, "a", 100)
        opened = storage.open_mailbox(self.connection, 1, "a", claim_recent=True)
        self.assertEqual(list(opened.uids), [])
        self.assertGreater(opened.box.uidvalidity, before.uidvalidity)
        self.assertNotEqual(opened.box.id, before.mailbox)


class MessageTests(StorageTestCase):
    def test_header_size(self) -> None:
        """The header ends after the first empty line, of either kind; without one all is header."""
        for data, size in (
            (b"A: b\r\n\r\ntext", 8), (b"A: b\n\ntext\r\n\r\n", 6), (b"\r\ntext", 2), (b"\ntext", 1), (b"A: b", 4),
            (b"", 0), (b"A: b\r\n", 6), (b"A\r\n\n\r\n", 4),
        ):  # fmt: skip
            self.assertEqual(messages.header_size(data), size, data)

    def test_some_missing(self) -> None:
        """Reading and changing messages that are not there skips them."""
        box = self.append().mailbox
        self.assertEqual([each.uid for each in messages.read(self.connection, box, [(1, 1), (2, 2)])], [1])
        after, changed = messages.change_flags(self.connection, box, [1, 2], lambda _flags: ("\\Seen",))
        self.assertEqual((after, changed), ({1: ("\\Seen",)}, {1}))

    def test_not_changed(self) -> None:
        """Flags that are the same already are not called changed."""
        box = self.append(flags=("\\Seen", "a")).mailbox
        _after, changed = messages.change_flags(self.connection, box, [1], lambda _flags: ("a", "\\Seen"))
        self.assertEqual(changed, frozenset())

    def test_batch(self) -> None:
        """In a batch each message has its own outcome, and the others are stored."""
        drafts = [Draft(user=1, mailbox=name, flags=(), date=0, zone=0, data=b"x") for name in ("INBOX", "no", "INBOX")]
        first, second, third = messages.append(self.connection, drafts)
        self.assertIsInstance(second, NotFound)
        self.assertEqual((first.uid, third.uid), (1, 2))
