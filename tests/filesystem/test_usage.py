"""How much room the files of a folder take."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.usage import Usage
from ifap_twisted.errors import NotFound
from tests.filesystem.folders import Folder, result
from tests.filesystem.large import LargeFiles


class UsageTests(SynchronousTestCase):
    """``usage``: what is in files, what is stored for them, and what they share."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.fs = self.folder.device()
        self.large = LargeFiles(self.folder, self.fs)

    def usage(self, path: str = "/") -> list[Usage]:
        """All that is told."""
        found: list[Usage] = list(result(self.fs.usage(path)))
        return found

    def manifest(self, path: str) -> int:
        """Bytes of the newest list of chunks of a file."""
        return self.fs.desk.view.index.history(path).versions[-1].version.length

    def test_an_empty_folder(self) -> None:
        """The whole of nothing."""
        self.assertEqual([Usage(path="", type="directory")], self.usage())

    def test_small_files(self) -> None:
        """Each takes what is in all of its versions; the whole is the last line."""
        for content in (b"12345", b"123"):
            result(self.fs.put("a", content))
        result(self.fs.put("d/b", b"1234"))
        self.assertEqual(
            [
                Usage(path="a", files=1, versions=2, size=3, stored=8),
                Usage(path="d", type="directory", files=1, versions=1, size=4, stored=4),
                Usage(path="", type="directory", files=2, versions=3, size=7, stored=12),
            ],
            self.usage(),
        )

    def test_one_file(self) -> None:
        """Only that is told of."""
        result(self.fs.put("d/b", b"1234"))
        result(self.fs.put("d/bb", b"1"))
        self.assertEqual([Usage(path="d/b", files=1, versions=1, size=4, stored=4)], self.usage("d/b"))

    def test_a_directory(self) -> None:
        """What is directly in it, and what is below that together."""
        for path in ("d/b", "d/e/f", "d/e/g", "dd"):
            result(self.fs.put(path, b"12"))
        found = self.usage("/d/")
        self.assertEqual([("d/b", 2), ("d/e", 4), ("d", 6)], [(one.path, one.stored) for one in found])

    def test_a_removed_file(self) -> None:
        """It has no size, and takes room as long as its versions are there."""
        result(self.fs.put("a", b"12345"))
        result(self.fs.remove("a"))
        self.assertEqual([Usage(path="a", files=0, versions=2, size=0, stored=5)], self.usage("a"))

    def test_what_is_not_there(self) -> None:
        """Nothing, and no version of it."""
        self.assertRaises(NotFound, self.usage, "a")

    def test_a_large_file(self) -> None:
        """Its list of chunks and its chunks are stored, padding included."""
        self.large.put("a", b"x" * 1000, b"y" * 100)
        (found,) = self.usage("a")
        self.assertEqual((1100, self.manifest("a") + 1008 + 100, 0), (found.size, found.stored, found.shared))

    def test_the_same_content_in_two_files(self) -> None:
        """It is stored once: the lines of both have it, and the whole has it once."""
        pieces = self.large.chunks([b"x" * 100, b"y" * 100])
        self.large.file("a", pieces)
        self.large.file("b", [pieces[0], self.large.chunk(b"z" * 100)])
        lists = [self.manifest("a"), self.manifest("b")]
        self.assertEqual(
            [("a", lists[0] + 200, 100), ("b", lists[1] + 200, 100), ("", sum(lists) + 300, 100)],
            [(one.path, one.stored, one.shared) for one in self.usage()],
        )
        self.assertEqual([100], [one.shared for one in self.usage("a")])

    def test_versions_of_a_file(self) -> None:
        """What two of them need is shared, too; what one version needs twice is not."""
        one, other = self.large.chunks([b"x" * 100, b"y" * 100])
        self.large.file("a", [one, one])
        self.assertEqual([0], [found.shared for found in self.usage("a")])
        self.large.file("a", [one, other])
        self.assertEqual([100], [found.shared for found in self.usage("a")])

    def test_lists_of_lists(self) -> None:
        """Those count as the chunks that they are."""
        pieces = self.large.chunks([b"x" * 100, b"y" * 100])
        lower = [self.large.below([piece]) for piece in pieces]
        self.large.file("a", lower, depth=1)
        lengths = [
            self.fs.desk.view.index.history(f"IFAP/chunks/{one.name}").versions[0].version.length for one in lower
        ]
        self.assertEqual([self.manifest("a") + 200 + sum(lengths)], [found.stored for found in self.usage("a")])

    def test_two_places_of_a_chunk(self) -> None:
        """Each takes room."""
        self.large.put("a", b"x" * 100)
        self.large.chunk(b"x" * 100)
        self.assertEqual([self.manifest("a") + 200], [found.stored for found in self.usage("a")])

    def test_a_list_that_cannot_be_read(self) -> None:
        """What it names is not counted, and that is said; of other files all is told."""
        lower = self.large.below(self.large.chunks([b"x"]))
        self.large.file("a", [lower], depth=1)
        self.large.put("b", b"y")
        self.folder.shelf.remove(self.large.places(lower))
        found = self.usage()
        self.assertEqual([("a", False), ("b", True), ("", False)], [(one.path, one.complete) for one in found])
