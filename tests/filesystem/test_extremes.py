"""Folders at the edge of what is possible: deep trees, long histories, many files."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.filesystem.folders import Folder, result


class DeepTreeTests(SynchronousTestCase):
    """A path may have two thousand segments (FORMAT 11.1)."""

    def setUp(self) -> None:
        self.device = Folder().device()
        self.deep = "/".join("d" * 2000)

    def test_a_deep_file_hides_no_other(self) -> None:
        """A recursive listing goes to the bottom."""
        result(self.device.put(self.deep, b"deep"))
        result(self.device.put("e", b"flat"))
        names = [entry.path for entry in result(self.device.list(recursive=True))]
        self.assertEqual((names[-2:], len(names)), ([self.deep, "e"], 2001))

    def test_a_deep_file_can_be_moved_and_removed(self) -> None:
        """As any other."""
        result(self.device.put(self.deep, b"deep"))
        result(self.device.move("d", "m"))
        self.assertEqual(result(self.device.get("m" + self.deep[1:])), b"deep")
        result(self.device.remove("m", recursive=True))
        self.assertEqual(result(self.device.list()), [])

    def test_a_deep_directory_can_be_made(self) -> None:
        """With all that is missing above."""
        deep = "/".join("d" * 1000)
        result(self.device.make_directory(deep, parents=True))
        self.assertEqual(len(result(self.device.list(recursive=True))), 1000)
