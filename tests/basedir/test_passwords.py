"""account.json."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ifap_twisted.accounts import EMBEDDED, parse_account
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from ifap_twisted.secrecy import Secret
from tests.basedir.places import CANARY, Drawing, PlacedTestCase, mode_of, tree_of

ACCOUNT = parse_account("imaps://me@imap.example.org")
OTHER = parse_account("imaps://you@imap.example.org")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


class PasswordFileTests(PlacedTestCase):
    """The file of one basedir."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.held_basedir()
        self.passwords = PasswordFile(self.node)
        self.path = self.node.path / "account.json"

    def test_empty(self) -> None:
        """Without a file no password is known, and looking makes none."""
        self.assertIsNone(self.passwords.password(ACCOUNT))
        self.assertIsNone(self.passwords.embedded())
        self.assertFalse(self.passwords.forget_password(ACCOUNT))
        self.assertFalse(self.path.exists())

    @given(TEXT)
    def test_round_trip(self, text: str) -> None:
        """A stored password is found again, by another process too."""
        self.passwords.store_password(ACCOUNT, Secret(text))
        self.assertEqual(PasswordFile(self.basedir()).password(ACCOUNT), Secret(text))

    def test_private(self) -> None:
        """The file has mode 0600 and the number of its format."""
        self.passwords.store_password(ACCOUNT, Secret(CANARY))
        self.assertEqual((mode_of(self.path), json.loads(self.path.read_text())["format"]), (0o600, 1))

    def test_per_account(self) -> None:
        """Each user of a server has a password of its own, and forgetting one leaves the other."""
        self.passwords.store_password(ACCOUNT, Secret("one"))
        self.passwords.store_password(OTHER, Secret("two"))
        self.assertEqual(self.passwords.password(ACCOUNT), Secret("one"))
        self.assertTrue(self.passwords.forget_password(ACCOUNT))
        self.assertIsNone(self.passwords.password(ACCOUNT))
        self.assertEqual(self.passwords.password(OTHER), Secret("two"))
        self.assertNotIn("one", self.path.read_text())

    def test_a_new_password_replaces_the_old(self) -> None:
        """Only the last password is kept."""
        self.passwords.store_password(ACCOUNT, Secret("first"))
        self.passwords.store_password(ACCOUNT, Secret("second"))
        self.assertEqual(self.passwords.password(ACCOUNT), Secret("second"))
        self.assertNotIn("first", self.path.read_text())

    def test_embedded(self) -> None:
        """The embedded account's password (256 bits) is made once and then found."""
        random = Drawing()
        made = self.passwords.make_embedded(random)
        self.assertEqual(made.user, "ifap")
        self.assertRegex(made.password.reveal(), r"\A[A-Za-z0-9_-]{43}\Z")
        self.assertEqual(self.passwords.make_embedded(random), made)
        self.assertEqual((PasswordFile(self.basedir()).embedded(), random.drawn), (made, 1))

    def test_embedded_and_others(self) -> None:
        """The embedded password and others do not disturb each other."""
        self.passwords.store_password(ACCOUNT, Secret("one"))
        made = self.passwords.make_embedded(Drawing())
        self.passwords.forget_password(ACCOUNT)
        self.assertEqual(self.passwords.embedded(), made)
        self.assertIsNone(self.passwords.password(EMBEDDED))

    def test_unknown_fields_survive(self) -> None:
        """What another version of this program wrote stays."""
        content = {"format": 1, "later": 1, "accounts": {ACCOUNT.key: {"password": "a", "oauth": {"x": 1}}}}
        self.path.write_text(json.dumps(content))
        self.passwords.store_password(ACCOUNT, Secret("b"))
        self.passwords.make_embedded(Drawing())
        content = json.loads(self.path.read_text())
        self.assertEqual(content["later"], 1)
        self.assertEqual(content["accounts"][ACCOUNT.key], {"password": "b", "oauth": {"x": 1}})

    def test_only_the_holder_changes_it(self) -> None:
        """Who does not hold the basedir changes nothing."""
        self.passwords.store_password(ACCOUNT, Secret("one"))
        before = tree_of(self.node.path)
        other = PasswordFile(self.basedir())
        self.assertRaises(RuntimeError, other.store_password, ACCOUNT, Secret("two"))
        self.assertRaises(RuntimeError, other.forget_password, ACCOUNT)
        self.assertRaises(RuntimeError, other.make_embedded, Drawing())
        self.assertEqual(tree_of(self.node.path), before)

    def test_refused_files(self) -> None:
        """Newer and damaged files are refused untouched, and no password in them is shown."""
        refused = [
            {"format": 2, "accounts": {ACCOUNT.key: {"password": CANARY}}},
            {"format": 1, "accounts": [CANARY]},
            {"format": 1, "accounts": {ACCOUNT.key: CANARY}},
            {"format": 1, "accounts": {ACCOUNT.key: {"password": [CANARY]}}},
            {"format": 1, "accounts": {ACCOUNT.key: {"password": ""}}},
            {"format": 1, "accounts": {ACCOUNT.key: {}}},
        ]
        for content in refused:
            with self.subTest(content=content):
                raw = json.dumps(content).encode()
                self.path.write_bytes(raw)
                kind = NewerVersionNeeded if content["format"] == 2 else BadSettings
                error = self.assertRaises(kind, self.passwords.password, ACCOUNT)
                self.assertIn(str(self.path), error.detail)
                self.assertNotIn(CANARY, error.detail)
                self.assertEqual(self.path.read_bytes(), raw)

    def test_a_damaged_embedded_entry(self) -> None:
        """An embedded entry that is none is refused, not made anew."""
        for entry in (CANARY, {}, {"user": "ifap"}, {"user": "ifap", "password": 1}):
            self.path.write_text(json.dumps({"format": 1, "embedded": entry}))
            error = self.assertRaises(BadSettings, self.passwords.make_embedded, Drawing())
            self.assertNotIn(CANARY, error.detail)
