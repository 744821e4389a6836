"""File against directory at one path: nothing that a person can see is swallowed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import AlreadyExists, IsADirectory
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result


class ClashTests(SynchronousTestCase):
    """A file and a directory of one name, made by two devices at the same time (FORMAT 11.2)."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.one = self.folder.device()

    def clash(self, other_path: str | None) -> None:
        """One device puts the file ``x``, the other a file below ``x``, or its marker (None)."""
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        work: Any = other.make_directory("x") if other_path is None else other.put(other_path, b"below")
        result(self.one.put("x", b"file"))
        turnstile.release()
        result(work)
        result(self.one.refresh())

    def shown(self) -> dict[str, str]:
        """The names and types in the root."""
        return {entry.path: entry.type for entry in result(self.folder.device().list())}

    def test_removing_the_last_file_below_leaves_the_file(self) -> None:
        """No marker is written over it."""
        self.clash("x/y")
        result(self.one.remove("x/y"))
        self.assertEqual(self.shown(), {"x": "file"})
        self.assertEqual(result(self.one.get("x")), b"file")

    def test_removing_the_empty_directory_leaves_the_file(self) -> None:
        """Only the marker is removed."""
        self.clash(None)
        self.assertEqual(self.shown(), {"x": "directory", "x~file": "file"})
        result(self.one.remove_directory("x"))
        self.assertEqual(self.shown(), {"x": "file"})
        self.assertEqual(result(self.one.get("x")), b"file")

    def test_removing_the_tree_leaves_the_file(self) -> None:
        """It is shown beside the tree, not in it."""
        self.clash("x/y")
        result(self.one.remove("x", recursive=True))
        self.assertEqual(self.shown(), {"x": "file"})

    def test_the_directory_keeps_the_name_whoever_was_later(self) -> None:
        """Though the file has the higher rank."""
        store = self.folder.store()
        other = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        putting = other.put("x", b"file")
        result(self.one.make_directory("x"))
        turnstile.release()
        result(putting)
        self.assertEqual(self.shown(), {"x": "directory", "x~file": "file"})
        self.assertEqual(result(self.one.get("x~file")), b"file")
        self.failureResultOf(self.one.get("x"), IsADirectory)

    def test_moving_the_directory_leaves_the_file(self) -> None:
        """What is in it goes, the file beside it stays."""
        self.clash("x/y")
        result(self.one.move("x", "z"))
        self.assertEqual(self.shown(), {"x": "file", "z": "directory"})
        self.assertEqual(result(self.one.get("z/y")), b"below")

    def test_nothing_is_put_under_the_name_by_which_it_is_shown(self) -> None:
        """A file of that very name would hide the one that is shown by it."""
        self.clash("x/y")
        self.failureResultOf(self.one.put("x~file", b"new"), AlreadyExists)
        self.failureResultOf(self.one.move("x/y", "x~file"), AlreadyExists)
        result(self.one.move("x~file", "z"))
        self.assertEqual(result(self.one.get("z")), b"file")
        result(self.one.put("x~file", b"new"))

    def test_nothing_is_undeleted_into_the_place_of_a_directory(self) -> None:
        """It would be hidden beside it."""
        result(self.one.put("x", b"file"))
        result(self.one.remove("x"))
        result(self.one.put("x/y", b"below"))
        self.failureResultOf(self.one.undelete("x"), IsADirectory)
