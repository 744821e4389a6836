"""JSON files that carry the number of their format (DESIGN 4.1)."""

from __future__ import annotations

import contextlib
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from ifap_twisted.basedir.directory import Directory
from ifap_twisted.basedir.versioned import read_versioned, write_versioned
from ifap_twisted.errors import BadSettings, NewerVersionNeeded
from tests.basedir.places import CANARY, PlacedTestCase, mode_of, tree_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def to_one(content):
    """The first upgrade: names become a list."""
    return {"names": content["name"].split(), "kept": content.get("kept")}


def to_two(content):
    """The second: they are counted."""
    return {**content, "count": len(content["names"])}


class VersionedTestCase(PlacedTestCase):
    """One file, ``x.json``."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = Directory.open(self.place / "node", os.geteuid())
        self.addCleanup(self.directory.close)

    def put(self, content: bytes | object) -> bytes:
        """Make the file as it is."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.directory.write("x.json", raw)
        return raw

    def files(self) -> dict[str, bytes]:
        """Everything in the directory."""
        return tree_of(self.directory.path)


class ReadingTests(VersionedTestCase):
    """The present format."""

    def test_absent(self) -> None:
        """No file is None."""
        self.assertIsNone(read_versioned(self.directory, "x.json", 1, {}))

    @given(st.dictionaries(TEXT, VALUES, max_size=5))
    def test_round_trip(self, content: dict) -> None:
        """What was written is read, with the number of the format."""
        write_versioned(self.directory, "x.json", content, 1)
        self.assertEqual(read_versioned(self.directory, "x.json", 1, {}), {**content, "format": 1})

    def test_private_and_readable(self) -> None:
        """The file is 0600, and JSON that a person can read."""
        write_versioned(self.directory, "x.json", {"name": "grün"}, 1)
        self.assertEqual(mode_of(self.directory.path / "x.json"), 0o600)
        self.assertIn("grün", (self.directory.path / "x.json").read_text())

    def test_reading_changes_nothing(self) -> None:
        """A file of the present format is not written by reading it."""
        raw = self.put({"format": 1, "name": "a"})
        read_versioned(self.directory, "x.json", 1, {})
        self.assertEqual(self.files(), {"x.json": raw})


class UpgradeTests(VersionedTestCase):
    """Older formats."""

    def test_upgrade(self) -> None:
        """An older file is upgraded, and the copy beside it is what it was."""
        raw = self.put({"format": 0, "name": "a b", "kept": 7})
        content = read_versioned(self.directory, "x.json", 1, {0: to_one})
        self.assertEqual(content, {"format": 1, "names": ["a", "b"], "kept": 7})
        self.assertEqual(self.files()["x.json.format-0"], raw)
        self.assertEqual(mode_of(self.directory.path / "x.json.format-0"), 0o600)
        self.assertEqual(json.loads(self.files()["x.json"]), content)

    def test_it_is_done_once(self) -> None:
        """The upgraded file is of the present format: reading it again changes nothing."""
        self.put({"format": 0, "name": "a"})
        first = read_versioned(self.directory, "x.json", 1, {0: to_one})
        before = self.files()
        self.assertEqual(read_versioned(self.directory, "x.json", 1, {}), first)
        self.assertEqual(self.files(), before)

    def test_over_two_formats(self) -> None:
        """Upgrades are taken one after the other."""
        self.put({"format": 0, "name": "a b"})
        content = read_versioned(self.directory, "x.json", 2, {0: to_one, 1: to_two})
        self.assertEqual((content["count"], content["format"]), (2, 2))

    def test_by_who_may_not_write(self) -> None:
        """A process that does not hold the basedir understands an older file and leaves it as it is."""
        raw = self.put({"format": 0, "name": "a b"})
        content = read_versioned(self.directory, "x.json", 1, {0: to_one}, store=False)
        self.assertEqual((content["names"], content["format"]), (["a", "b"], 1))
        self.assertEqual(self.files(), {"x.json": raw})

    def test_no_copy_is_overwritten(self) -> None:
        """A copy made before, of other content, stays; the new one gets another name."""
        self.directory.write("x.json.format-0", b"older copy")
        raw = self.put({"format": 0, "name": "a"})
        read_versioned(self.directory, "x.json", 1, {0: to_one})
        self.assertEqual(self.files()["x.json.format-0"], b"older copy")
        self.assertEqual(self.files()["x.json.format-0.1"], raw)

    def test_a_cut_upgrade_is_done_again(self) -> None:
        """When the copy was made and the upgrade not written, the next start does it with that copy."""
        raw = self.put({"format": 0, "name": "a"})
        self.directory.write("x.json.format-0", raw)
        read_versioned(self.directory, "x.json", 1, {0: to_one})
        self.assertEqual(sorted(self.files()), ["x.json", "x.json.format-0"])

    def test_an_upgrade_that_fails_changes_nothing(self) -> None:
        """When an upgrade raises, the file is as it was."""
        raw = self.put({"format": 0})
        self.assertRaises(KeyError, read_versioned, self.directory, "x.json", 1, {0: to_one})
        self.assertEqual(self.files(), {"x.json": raw})

    def test_too_old(self) -> None:
        """A format that cannot be upgraded is refused by name and left alone."""
        raw = self.put({"format": 0, "name": "a"})
        error = self.assertRaises(BadSettings, read_versioned, self.directory, "x.json", 2, {1: to_two})
        self.assertIn(str(self.directory.path / "x.json"), error.detail)
        self.assertEqual(self.files(), {"x.json": raw})


class RefusalTests(VersionedTestCase):
    """Newer and damaged files."""

    def test_newer(self) -> None:
        """A newer file is refused untouched, by an error that names it and says what to do."""
        raw = self.put({"format": 2, "name": "a"})
        error = self.assertRaises(NewerVersionNeeded, read_versioned, self.directory, "x.json", 1, {0: to_one})
        self.assertIn(str(self.directory.path / "x.json"), error.detail)
        self.assertIn("newer version", error.detail)
        self.assertEqual(self.files(), {"x.json": raw})

    def test_damaged(self) -> None:
        """What is not our JSON is refused untouched, by an error that shows nothing of it."""
        damaged = [
            b"",
            b"\xff" + CANARY.encode(),
            b'{"format": 1, "password": "' + CANARY.encode(),
            b'["' + CANARY.encode() + b'"]',
            b'{"format": 1, "a": "' + CANARY.encode() + b'", "a": 1}',
            b'{"format": 1, "a": NaN, "b": "' + CANARY.encode() + b'"}',
            b'{"format": 1, "a": "\\ud800"}',
            b'{"format": 1, "\\udfff": 0}',
            b'{"format": 1, "a": ' + b"[" * 17 + b"]" * 17 + b"}",
            b'{"format": 1, "a": ' + b"[" * 100000 + b"]" * 100000 + b"}",
            {"a": CANARY},
            {"format": "1"},
            {"format": True},
            {"format": 1.0},
            {"format": None},
            {"format": -1},
        ]
        for content in damaged:
            with self.subTest(content=str(content)[:40]):
                raw = self.put(content)
                error = self.assertRaises(BadSettings, read_versioned, self.directory, "x.json", 1, {0: to_one})
                self.assertIn(str(self.directory.path / "x.json"), error.detail)
                self.assertNotIn(CANARY, error.detail)
                self.assertIsNone(error.__context__)
                self.assertEqual(self.files(), {"x.json": raw})

    @given(st.binary(max_size=200))
    def test_any_bytes(self, raw: bytes) -> None:
        """Any bytes are read or refused as bad-settings, and never changed."""
        self.put(raw)
        with contextlib.suppress(BadSettings):
            read_versioned(self.directory, "x.json", 1, {})
        self.assertEqual(self.files(), {"x.json": raw})
