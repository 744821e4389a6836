"""``ifap ls``, over the real filesystem."""

from __future__ import annotations

import json

from twisted.internet.defer import succeed

from ifap_twisted.core.values import Entry
from tests.cli.bench import CommandLineTestCase
from tests.cli.test_get import Replaced
from tests.filesystem.folders import START


class ListTests(CommandLineTestCase):
    """``ls``."""

    def setUp(self) -> None:
        """Some files."""
        super().setUp()
        self.stored("b.txt", b"hello", mode=0o754, modified=START)
        self.stored("d/a", b"x")
        self.version = self.stored("b.txt", b"hello!", modified=START)

    def test_root(self) -> None:
        """Without PATH the root: whole paths, directories with a final slash."""
        self.assertEqual("/b.txt\n/d/\n", self.ifap("ls").out)

    def test_directory_and_file(self) -> None:
        """A directory's content, a file itself; several PATH one after the other."""
        self.assertEqual("/d/a\n/b.txt\n", self.ifap("ls", "d/", "/b.txt").out)

    def test_recursive(self) -> None:
        """-R goes down."""
        self.assertEqual("/b.txt\n/d/\n/d/a\n", self.ifap("ls", "-R").out)

    def test_long(self) -> None:
        """-l: permissions, size, time, version, versions kept, path."""
        line = self.ifap("ls", "-l", "b.txt").out
        self.assertRegex(line, rf"\A +-rwxr-xr--  6  2027-01-1\d \d\d:\d\d:\d\d  {self.version}  2/5  /b\.txt\n\Z")

    def test_json(self) -> None:
        """With --json an Entry on each line, with or without -l."""
        for options in ([], ["-l"]):
            lines = [json.loads(line) for line in self.ifap("--json", "ls", *options).out.splitlines()]
            self.assertEqual([("/b.txt", "file"), ("/d", "directory")], [(one["path"], one["type"]) for one in lines])

    def test_nul(self) -> None:
        """-0 prints names that other verbs take, each with a NUL and nothing else."""
        self.assertEqual(b"/b.txt\0/d\0/d/a\0", self.ifap("ls", "-R", "-0").raw)

    def test_missing(self) -> None:
        """What is missing is 3, and the others are listed."""
        shown = self.ifap("ls", "nope", "d")
        self.assertEqual((3, "/d/a\n"), (shown.status, shown.out))

    def test_all(self) -> None:
        """-a shows removed files, marked with -l, and reserved ones."""
        self.successResultOf(self.filesystem.remove("b.txt"))
        self.assertEqual("/d/\n", self.ifap("ls").out)
        self.assertIn("/b.txt\n", self.ifap("ls", "-a").out)
        self.assertRegex(self.ifap("ls", "-la").out, r"(?m)^x .* /b\.txt$")
        self.assertRegex(self.ifap("ls", "-aR").out, r"(?m)^/IFAP/keys/folder-")

    def test_at(self) -> None:
        """--at shows what was there then; a time that is none is 2."""
        self.clock.advance(7200)
        self.stored("later", b"")
        self.assertIn("later", self.ifap("ls").out)
        self.assertNotIn("later", self.ifap("ls", "--at", "2027-01-15T09:00:00Z").out)
        self.assertEqual(2, self.ifap("ls", "--at", "teatime").status)

    def test_hostile_names(self) -> None:
        """A hostile name is one escaped line, on a terminal and in a pipe; raw with -0; exact with --json."""
        name = "a\n\x1b[2J\x9b31m\u202eb"
        self.filesystem = Replaced(self.filesystem, [Entry(path=name)])  # type: ignore[assignment]
        for terminal in (False, True):
            self.assertEqual("/a\\x0a\\x1b[2J\\x9b31m\\u202eb\n", self.ifap("ls", "-a", terminal=terminal).out)
        self.assertEqual(f"/{name}\0".encode(), self.ifap("ls", "-a0").raw)
        self.assertEqual("/" + name, json.loads(self.ifap("--json", "ls", "-a").out)["path"])

    def test_conflict_mark(self) -> None:
        """-l marks a path in conflict with !."""
        self.filesystem = Replaced(self.filesystem, [Entry(path="a", conflict=True)])  # type: ignore[assignment]
        self.assertEqual("!", self.ifap("ls", "-l").out[0])

    def test_at_is_passed_on(self) -> None:
        """How long ago counts back from now."""
        times: list[float] = []
        replaced = Replaced(self.filesystem, [])

        def listing(_path: str, **more: float) -> object:
            times.append(more["at"])
            return succeed([])

        replaced.list = listing  # type: ignore[assignment, method-assign]
        self.filesystem = replaced  # type: ignore[assignment]
        self.ifap("ls", "--at", "1h")
        self.ifap("ls", "--at", "0s")
        self.assertApproximates(3600, times[1] - times[0], 60)
