"""key.json (FORMAT 8.3)."""

from __future__ import annotations

import json
import threading

from hypothesis import given
from hypothesis import strategies as st

from ifap_twisted.accounts import EMBEDDED, parse_account
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.basedir.wrapping import Wrapping
from ifap_twisted.errors import BadSettings, Malformed, NewerVersionNeeded, WrongKey
from ifap_twisted.secrecy import Secret
from tests.basedir.places import CANARY, PlacedTestCase, mode_of, tree_of
from tests.core.strategies import fixed_random

ACCOUNT = parse_account("imaps://me@imap.example.org")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ENTRIES = st.builds(
    KeyEntry,
    account=TEXT,
    folder=TEXT,
    key=st.none() | TEXT.map(Secret),
    earlier_keys=st.lists(TEXT.map(Secret), max_size=3).map(tuple),
    home=st.none() | TEXT,
    dialect=st.none() | st.sampled_from(["ifap", "mailfile"]),
    encryption=st.sampled_from(["required", "off"]),
    key_id=st.none() | TEXT,
    fingerprint=st.none() | TEXT,
    extra=st.dictionaries(st.from_regex(r"x_[a-z]{1,5}", fullmatch=True), st.integers() | TEXT, max_size=2),
)


def entry(folder: str = "IFAP_DATA", key: str | None = "key-one", **more) -> KeyEntry:
    """An entry of the account."""
    return KeyEntry(account=ACCOUNT.key, folder=folder, key=None if key is None else Secret(key), **more)


class KeyFileTests(PlacedTestCase):
    """The file of one basedir."""

    def setUp(self) -> None:
        super().setUp()
        self.basedir_held = self.held_basedir()
        self.keys = KeyFile(self.basedir_held)
        self.path = self.basedir_held.path / "key.json"

    def test_empty(self) -> None:
        """Without a file nothing is known, and looking makes none."""
        self.assertIsNone(self.keys.find(ACCOUNT, "IFAP_DATA"))
        self.assertEqual(self.keys.entries(), ())
        self.assertFalse(self.path.exists())

    def test_store_and_find(self) -> None:
        """A stored entry is found by account and folder, also by another process, in a file of mode 0600."""
        stored = self.keys.store(entry(home="h", dialect="ifap", key_id="i", fingerprint="f"))
        self.assertEqual(KeyFile(self.basedir()).find(ACCOUNT, "IFAP_DATA"), stored)
        self.assertEqual((stored.key.reveal(), stored.home, stored.dialect), ("key-one", "h", "ifap"))
        self.assertEqual(mode_of(self.path), 0o600)
        self.assertEqual(json.loads(self.path.read_text())["format"], 1)

    def test_entries_are_per_account_and_folder(self) -> None:
        """Another folder, and another account, have entries of their own."""
        self.keys.store(entry())
        self.assertIsNone(self.keys.find(ACCOUNT, "OTHER"))
        self.assertIsNone(self.keys.find(EMBEDDED, "IFAP_DATA"))
        self.keys.store(entry("OTHER", "key-two"))
        self.assertEqual(self.keys.find(ACCOUNT, "IFAP_DATA").key.reveal(), "key-one")
        self.assertEqual(self.keys.find(ACCOUNT, "OTHER").key.reveal(), "key-two")

    def test_a_replaced_key_is_kept(self) -> None:
        """A new key for a folder moves the old one to the earlier keys: nothing is ever dropped."""
        self.keys.store(entry(key="one", key_id="1", fingerprint="f1"))
        self.keys.store(entry(key="two", key_id="2"))
        found = self.keys.store(entry(key="three"))
        self.assertEqual([key.reveal() for key in found.earlier_keys], ["one", "two"])
        self.assertEqual((found.key.reveal(), found.key_id, found.fingerprint), ("three", None, None))

    def test_a_key_that_comes_back(self) -> None:
        """A key that is current again is not among the earlier ones, and none is there twice."""
        for key in ("one", "two", "one", "one", "two"):
            found = self.keys.store(entry(key=key))
        self.assertEqual((found.key.reveal(), [one.reveal() for one in found.earlier_keys]), ("two", ["one"]))

    def test_what_is_left_open_stays(self) -> None:
        """An update that leaves things open keeps them."""
        self.keys.store(entry(home="h", dialect="ifap", key_id="i", fingerprint="f", extra={"x": 1}))
        found = self.keys.store(entry(key=None))
        self.assertEqual(found, entry(home="h", dialect="ifap", key_id="i", fingerprint="f", extra={"x": 1}))

    def test_what_is_there_is_not_written_again(self) -> None:
        """A folder that is opened once more needs no room on the disk, which its own journal may have filled."""
        stored = self.keys.store(entry(home="h"))
        before = self.path.stat().st_ino
        self.assertEqual(self.keys.store(entry(home="h")), stored)
        self.assertEqual(self.path.stat().st_ino, before)
        self.keys.store(entry(home="i"))
        self.assertNotEqual(self.path.stat().st_ino, before)

    def test_unknown_fields_survive(self) -> None:
        """What another version of this program wrote, beside and inside the entries, stays."""
        self.keys.store(entry())
        content = json.loads(self.path.read_text())
        content["later"] = {"a": [1]}
        content["entries"][0]["generation"] = 7
        self.path.write_text(json.dumps(content))
        self.keys.store(entry("OTHER"))
        self.keys.store(entry(home="h"))
        content = json.loads(self.path.read_text())
        self.assertEqual((content["later"], content["entries"][0]["generation"]), ({"a": [1]}, 7))

    def test_forget(self) -> None:
        """Forgetting drops the one entry with its earlier keys, and says whether there was one."""
        self.keys.store(entry(key="one"))
        self.keys.store(entry(key="two"))
        self.keys.store(entry("OTHER"))
        self.assertTrue(self.keys.forget(ACCOUNT, "IFAP_DATA"))
        self.assertFalse(self.keys.forget(ACCOUNT, "IFAP_DATA"))
        self.assertEqual([one.folder for one in self.keys.entries()], ["OTHER"])
        self.assertNotIn('"one"', self.path.read_text())

    def test_only_the_holder_changes_it(self) -> None:
        """Who does not hold the basedir reads it and changes nothing."""
        self.keys.store(entry())
        before = tree_of(self.basedir_held.path)
        other = KeyFile(self.basedir())
        self.assertRaises(RuntimeError, other.store, entry("OTHER"))
        self.assertRaises(RuntimeError, other.forget, ACCOUNT, "IFAP_DATA")
        self.assertEqual(tree_of(self.basedir_held.path), before)

    def test_threads(self) -> None:
        """Entries stored by several threads at the same time are all there."""
        threads = [threading.Thread(target=self.keys.store, args=(entry(f"F{number}"),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(one.folder for one in self.keys.entries()), [f"F{number}" for number in range(8)])

    def test_a_newer_file(self) -> None:
        """A file of a newer version is refused untouched, by name."""
        raw = json.dumps({"format": 3, "entries": [CANARY]}).encode()
        self.path.write_bytes(raw)
        for attempt in (lambda: self.keys.store(entry()), lambda: self.keys.find(ACCOUNT, "F"), self.keys.entries):
            error = self.assertRaises(NewerVersionNeeded, attempt)
            self.assertIn(str(self.path), error.detail)
            self.assertNotIn(CANARY, error.detail)
        self.assertEqual(self.path.read_bytes(), raw)

    def test_damaged_files(self) -> None:
        """A file that is not what we write is refused untouched, and no key in it is shown."""
        good = {"account": "a", "folder": "f", "key": CANARY}
        damaged = [
            {"entries": {}},
            {"entries": [CANARY]},
            {"entries": [{**good, "account": 1}]},
            {"entries": [{"folder": "f", "key": CANARY}]},
            {"entries": [{**good, "key": [CANARY]}]},
            {"entries": [{**good, "key": ""}]},
            {"entries": [{**good, "earlier_keys": CANARY}]},
            {"entries": [{**good, "earlier_keys": [1]}]},
            {"entries": [{**good, "encryption": CANARY}]},
            {"entries": [{**good, "encryption": [CANARY]}]},
        ]
        for content in damaged:
            with self.subTest(content=content):
                raw = json.dumps({"format": 1, **content}).encode()
                self.path.write_bytes(raw)
                error = self.assertRaises(BadSettings, self.keys.store, entry())
                self.assertNotIn(CANARY, f"{error} {error.__cause__!r}")
                self.assertEqual(self.path.read_bytes(), raw)

    def test_an_entry_that_could_not_be_read_again(self) -> None:
        """An entry that the file could not hold is not written."""
        self.assertRaises(ValueError, self.keys.store, entry(encryption="perhaps"))
        self.assertFalse(self.path.exists())

    def test_a_link(self) -> None:
        """A key.json that is a symbolic link is refused, and what it points to is not changed."""
        outside = self.place / "outside"
        outside.write_bytes(b'{"format": 1}')
        self.path.symlink_to(outside)
        self.assertRaises(BadSettings, self.keys.store, entry())
        self.assertEqual(outside.read_bytes(), b'{"format": 1}')

    def test_no_key_is_shown(self) -> None:
        """The repr of an entry hides its keys."""
        found = self.keys.store(entry(key=CANARY))
        found = self.keys.store(entry(key=CANARY + "2"))
        self.assertNotIn(CANARY, repr(found) + str(found))

    @given(ENTRIES)
    def test_round_trip(self, value: KeyEntry) -> None:
        """Every entry is read as it was written."""
        self.assertEqual(KeyEntry.from_json(json.loads(json.dumps(value.to_json()))), value)

    @given(st.lists(ENTRIES, max_size=6))
    def test_no_key_is_lost(self, entries: list[KeyEntry]) -> None:
        """Whatever is stored in whatever order, every key is still there."""
        self.path.unlink(missing_ok=True)
        stored = set()
        for one in entries:
            self.keys.store(one)
            stored |= {one.key, *one.earlier_keys} - {None}
        kept = {key for one in self.keys.entries() for key in (one.key, *one.earlier_keys)} - {None}
        self.assertEqual(kept, stored)


class WrappedTests(PlacedTestCase):
    """Keys under a passphrase (FORMAT 8.3, 8.4)."""

    def setUp(self) -> None:
        super().setUp()
        self.basedir_held = self.held_basedir()
        self.keys = KeyFile(self.basedir_held)
        self.path = self.basedir_held.path / "key.json"
        self.wrapping = self.under("vier Gurken tanzen am Kanal")

    def under(self, passphrase: str) -> Wrapping:
        """What wraps under a passphrase, of a process of its own."""
        return Wrapping(Secret(passphrase), fixed_random)

    def opened(self, wrapping: Wrapping | None = None) -> list[str]:
        """The keys in the file, the newest first."""
        found = self.keys.find(ACCOUNT, "IFAP_DATA")
        self.assertEqual((None, ()), (found.key, found.earlier_keys))
        fresh = wrapping or self.under("vier Gurken tanzen am Kanal")
        return [key.reveal() for key in fresh.open(found.wrapped)]

    def test_no_clear_key_stays(self) -> None:
        """What was in the clear is wrapped, earlier keys too, and no copy of it is anywhere in the basedir."""
        self.keys.store(entry(key="key-zero"))
        self.keys.store(entry(key=CANARY))
        self.assertIn(CANARY, self.path.read_text())
        self.keys.store(entry(key=CANARY, home="h"), self.wrapping)
        self.assertEqual([CANARY, "key-zero"], self.opened())
        self.assertEqual("h", self.keys.find(ACCOUNT, "IFAP_DATA").home)
        for path in self.basedir_held.path.rglob("*"):
            if path.is_file():
                self.assertNotIn(CANARY.encode(), path.read_bytes(), path)
                self.assertNotIn(b"key-zero", path.read_bytes(), path)
        self.assertEqual((2, 0o600), (json.loads(self.path.read_text())["format"], mode_of(self.path)))

    def test_other_passphrase(self) -> None:
        """Another one does not open it."""
        self.keys.store(entry(), self.wrapping)
        self.assertRaises(WrongKey, self.opened, self.under("seven grey herons play chess"))

    def test_updates_leave_it_alone(self) -> None:
        """What changes nothing of the keys does not wrap them anew, with or without the passphrase at hand."""
        self.keys.store(entry(), self.wrapping)
        wrapped = self.keys.find(ACCOUNT, "IFAP_DATA").wrapped
        self.keys.store(entry(home="h"), self.under("vier Gurken tanzen am Kanal"))
        self.keys.store(entry(key=None, dialect="ifap"))
        found = self.keys.find(ACCOUNT, "IFAP_DATA")
        self.assertEqual((wrapped, "h", "ifap"), (found.wrapped, found.home, found.dialect))

    def test_another_key(self) -> None:
        """A new key goes in front of those that were wrapped."""
        self.keys.store(entry(key="one"), self.wrapping)
        self.keys.store(entry(key="two"), self.under("vier Gurken tanzen am Kanal"))
        self.assertEqual(["two", "one"], self.opened())

    def test_changed(self) -> None:
        """A new passphrase wraps the same keys, and the former one opens nothing any more."""
        self.keys.store(entry(key="one"), self.wrapping)
        self.keys.store(entry(key="two"), self.wrapping)
        other = self.under("seven grey herons play chess")
        self.keys.store(entry(key="two"), other, self.wrapping)
        self.assertEqual(["two", "one"], self.opened(self.under("seven grey herons play chess")))
        self.assertRaises(WrongKey, self.opened)
        self.assertEqual((), self.keys.find(ACCOUNT, "IFAP_DATA").earlier_wrapped)

    def test_what_nobody_opens_stays(self) -> None:
        """A key that comes another way takes the place of what is wrapped; that is kept beside it, not thrown away."""
        self.keys.store(entry(key="one"), self.wrapping)
        wrapped = self.keys.find(ACCOUNT, "IFAP_DATA").wrapped
        self.keys.store(entry(key="one"))
        found = self.keys.find(ACCOUNT, "IFAP_DATA")
        self.assertEqual(("one", None, (wrapped,)), (found.key.reveal(), found.wrapped, found.earlier_wrapped))
        self.keys.store(entry(key="one"), self.under("seven grey herons play chess"))
        found = self.keys.find(ACCOUNT, "IFAP_DATA")
        self.assertEqual((None, (wrapped,)), (found.key, found.earlier_wrapped))
        self.assertEqual(["one"], [key.reveal() for key in self.wrapping.open(found.earlier_wrapped[0])])

    def test_what_opens_again_is_not_kept_twice(self) -> None:
        """Once the passphrase is known, what was kept beside is wrapped with the others; its former wrap is gone."""
        self.keys.store(entry(key="one"), self.wrapping)
        self.keys.store(entry(key="two"))
        self.keys.store(entry(key="two"), self.wrapping)
        self.assertEqual((), self.keys.find(ACCOUNT, "IFAP_DATA").earlier_wrapped)
        self.assertEqual(["two", "one"], self.opened())

    def test_damaged(self) -> None:
        """Something else in the place of a wrapped key is a damaged file, or no key; nothing of it is shown."""
        good = {"account": ACCOUNT.key, "folder": "IFAP_DATA"}
        for bad in ({"wrapped": CANARY}, {"wrapped": [1]}, {"earlier_wrapped": CANARY}, {"generation": CANARY}):
            self.path.write_text(json.dumps({"format": 2, "entries": [{**good, **bad}]}))
            error = self.assertRaises(BadSettings, self.keys.entries)
            self.assertNotIn(CANARY, f"{error} {error.__cause__!r}")
        self.path.write_text(json.dumps({"format": 2, "entries": [{**good, "wrapped": {"v": 1}}]}))
        self.assertRaises(Malformed, self.opened)

    def test_shows_nothing(self) -> None:
        """Neither passphrase nor key nor what is wrapped is in a repr."""
        self.keys.store(entry(key=CANARY), self.wrapping)
        found = self.keys.find(ACCOUNT, "IFAP_DATA")
        shown = repr((found, self.wrapping, vars(self.wrapping)))
        for secret in (CANARY, "Gurken", found.wrapped["sealed"]):
            self.assertNotIn(secret, repr(found) if secret == found.wrapped["sealed"] else shown)
