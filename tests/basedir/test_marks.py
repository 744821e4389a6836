"""The rollback marks in a basedir: ``seen.sqlite`` (FORMAT 9.1)."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.marks import DAMAGED, NAME, FileMarks
from ifap_twisted.core.keys import Key
from ifap_twisted.core.marks import Kept
from ifap_twisted.errors import BadSettings, IFAPError, NewerVersionNeeded
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, PlacedTestCase, mode_of, tree_of
from tests.contract.marks import FACTS, MarksContract, mark

KEY, OTHER = Key.from_text("correct horse"), Key.from_text("battery staple")


class Files(PlacedTestCase):
    """A basedir that is held."""

    keys: tuple[Key, ...] = (KEY,)

    def setUp(self) -> None:
        super().setUp()
        self.base: Basedir = self.held_basedir()
        self.file: Path = self.base.path / NAME

    def marks(self, *, home: str = "AAAAAAAA", dialect: str = "ifap", keys: Any = None) -> FileMarks:
        """As a process opens them."""
        keys = self.keys if keys is None else keys
        return FileMarks(self.base, keys, home=home, dialect=dialect, random=Drawing(), worker=InlineWorker())


class FileMarksTests(MarksContract, Files):
    """With a key."""


class ClearMarksTests(MarksContract, Files):
    """Where encryption is off."""

    keys = ()


class SeenFileTests(Files):
    """The file."""

    def keep(self, *paths: str, keys: Any = None) -> None:
        """A process keeps marks."""
        marks = self.marks(keys=keys)
        self.successResultOf(marks.keep({path: [mark(path)] for path in paths}, FACTS))
        self.successResultOf(marks.close())

    def load(self, keys: Any = None) -> Kept | None:
        """What the next process finds."""
        marks = self.marks(keys=keys)
        found: Kept | None = self.successResultOf(marks.load())
        self.successResultOf(marks.close())
        return found

    def alter(self, statement: str, *values: object) -> None:
        """Change the file behind its back."""
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute(statement, values)

    def test_it_is_its_owners_and_alone(self) -> None:
        """0600 under any umask, and nothing is left beside it."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.keep("a")
        self.assertEqual(mode_of(self.file), 0o600)
        self.assertEqual([name for name in tree_of(self.base.path) if name.startswith(NAME)], [NAME])

    def test_nothing_is_written_by_looking(self) -> None:
        """A full disk keeps nobody from reading the folder."""
        self.load()
        self.assertFalse(self.file.exists())

    def test_it_tells_nobody_what_was_seen(self) -> None:
        """Neither path nor id."""
        self.keep("a path of mine")
        content = self.file.read_bytes()
        self.assertNotIn(b"a path of mine", content)
        self.assertNotIn(b"AAAAAAAA", content)

    def test_under_an_earlier_key(self) -> None:
        """What was kept is found, and kept under the newer key from then on."""
        self.keep("a", "b")
        self.assertEqual(sorted(self._of(self.load(keys=(OTHER, KEY)))), ["a", "b"])
        self.keep("a", keys=(OTHER, KEY))
        self.assertEqual(self._of(self.load(keys=(OTHER,))), ["a"])
        self.assertEqual(self._of(self.load(keys=(KEY,))), ["b"])

    def _of(self, kept: Kept | None) -> list[str]:
        return [] if kept is None else list(kept.marks)

    def test_a_damaged_row_is_left_out_and_counted_once(self) -> None:
        """The others count; with the next write it is gone."""
        self.keep("a", "b")
        self.alter("UPDATE marks SET sealed = substr(sealed, 2) WHERE name = (SELECT max(name) FROM marks)")
        marks = self.marks()
        found = self.successResultOf(marks.load())
        self.assertEqual((len(found.marks), found.damaged), (1, 1))
        self.successResultOf(marks.keep({}, FACTS))
        self.successResultOf(marks.close())
        again = self.load()
        assert again is not None
        self.assertEqual((len(again.marks), again.damaged), (1, 0))

    def test_what_is_no_database_is_set_aside(self) -> None:
        """The device begins anew, each time with another copy to look at."""
        for name in (DAMAGED, f"{DAMAGED}.1"):
            self.file.write_bytes(b"no database" * 500)
            self.assertIsNone(self.load())
            self.assertEqual((self.base.path / name).read_bytes(), b"no database" * 500)
            self.assertFalse(self.file.exists())
        self.keep("a")
        self.assertEqual(self._of(self.load()), ["a"])

    def test_a_file_that_was_cut(self) -> None:
        """Whatever is left of it, the device can begin anew."""
        self.keep(*(f"path {number}" for number in range(200)))
        whole = self.file.read_bytes()
        for length in range(0, len(whole), len(whole) // 7):
            self.file.write_bytes(whole[:length])
            self.load()
            self.keep("a")
            self.assertIn("a", self._of(self.load()))

    def test_a_database_of_something_else(self) -> None:
        """It is set aside, too."""
        self.alter("CREATE TABLE other (x)")
        self.alter("PRAGMA user_version = 1")
        self.failureResultOf(self.marks().keep({"a": [mark("a")]}, FACTS), IFAPError)
        self.assertIsNone(self.load())
        self.assertTrue((self.base.path / DAMAGED).exists())

    def test_a_newer_file_stays_as_it_is(self) -> None:
        """The newer version goes on with it."""
        self.keep("a")
        self.alter("PRAGMA user_version = 2")
        before = self.file.read_bytes()
        self.failureResultOf(self.marks().load(), NewerVersionNeeded)
        self.failureResultOf(self.marks().keep({}, FACTS), NewerVersionNeeded)
        self.assertEqual(self.file.read_bytes(), before)

    def test_a_link_is_not_followed(self) -> None:
        """Nothing outside the basedir is read or changed."""
        target = self.place / "target"
        target.write_bytes(b"")
        self.file.symlink_to(target)
        self.failureResultOf(self.marks().load(), BadSettings)
        self.failureResultOf(self.marks().keep({"a": [mark("a")]}, FACTS), BadSettings)
        self.assertEqual(target.read_bytes(), b"")

    def test_all_or_nothing(self) -> None:
        """A write that fails in the middle leaves what was there."""
        self.keep("a", "b")
        marks = self.marks()
        self.alter("CREATE TRIGGER full BEFORE INSERT ON marks BEGIN SELECT raise(ABORT, 'no'); END")
        self.failureResultOf(marks.keep({"a": [], "b": [mark("b", "w")]}, FACTS), IFAPError)
        self.successResultOf(marks.close())
        found = self.load()
        assert found is not None
        self.assertEqual(dict(found.marks), {"a": (mark("a"),), "b": (mark("b"),)})
