"""``ifap get`` and ``ifap cat``, over the real filesystem."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, succeed

from ifap_twisted.core.values import Entry
from ifap_twisted.errors import Tampered
from ifap_twisted.interfaces import IFilesystem
from tests.cli.bench import CommandLineTestCase


class FileTests(CommandLineTestCase):
    """``ifap get FILE``."""

    def setUp(self) -> None:
        """A file with two versions."""
        super().setUp()
        self.old = self.stored("x/a.txt", b"old")
        self.stored("x/a.txt", b"hello", mode=0o640, modified=1234.5)
        self.out = self.local / "out"

    def test_to_a_name(self) -> None:
        """DEST is the new file's name; permissions and time come along."""
        shown = self.ifap("get", "x/a.txt", self.out)
        self.assertEqual((0, "", ""), (shown.status, shown.out, shown.err))
        self.assertEqual(b"hello", self.out.read_bytes())
        self.assertEqual((0o640, 1234.5), (stat.S_IMODE(self.out.stat().st_mode), self.out.stat().st_mtime))

    def test_into_a_directory(self) -> None:
        """DEST is a directory when it exists as one."""
        self.out.mkdir()
        self.ifap("get", "x/a.txt", self.out)
        self.assertEqual(b"hello", (self.out / "a.txt").read_bytes())

    def test_several(self) -> None:
        """With several SRC DEST is a directory."""
        self.stored("b", b"b")
        self.out.mkdir()
        self.ifap("get", "x/a.txt", "b", self.out)
        self.assertEqual(["a.txt", "b"], sorted(os.listdir(self.out)))

    def test_into_a_directory_that_is_not_there(self) -> None:
        """As with cp it is not made for a file, be DEST mistyped: that is an error which names it, and nothing is."""
        self.stored("b", b"b")
        for sources, destination in ((["x/a.txt"], "no/such/"), (["x/a.txt"], "no/"), (["x/a.txt", "b"], "no")):
            shown = self.ifap("get", *sources, f"{self.local}/{destination}")
            self.assertEqual(3, shown.status)
            self.assertIn(f"{self.local}/no", shown.err)
        self.assertEqual([], os.listdir(self.local))

    def test_two_of_one_name(self) -> None:
        """Two SRC of one name do not overwrite each other, not even with -f."""
        self.stored("y/a.txt", b"other")
        self.out.mkdir()
        shown = self.ifap("get", "-f", "x/a.txt", "y/a.txt", f"{self.out}/")
        self.assertEqual((4, b"hello"), (shown.status, (self.out / "a.txt").read_bytes()))

    def test_exists(self) -> None:
        """What exists is not overwritten (4) unless -f is given."""
        self.out.write_bytes(b"mine")
        shown = self.ifap("get", "x/a.txt", self.out)
        self.assertEqual((4, b"mine"), (shown.status, self.out.read_bytes()))
        self.assertIn("-f", shown.err)
        self.assertEqual(0, self.ifap("get", "-f", "x/a.txt", self.out).status)
        self.assertEqual(b"hello", self.out.read_bytes())

    def test_not_there(self) -> None:
        """What is not in the folder is 3, a local directory that is not there too, and nothing is made."""
        self.assertEqual(3, self.ifap("get", "nope", self.out).status)
        self.assertEqual(3, self.ifap("get", "x/a.txt", self.local / "no/where").status)
        self.assertEqual([], os.listdir(self.local))

    def test_directory(self) -> None:
        """A directory without -r is 2, a file with a final slash 4."""
        self.assertEqual(2, self.ifap("get", "x", self.out).status)
        self.assertEqual(4, self.ifap("get", "x/a.txt/", self.out).status)

    def test_version(self) -> None:
        """--version gives an older version, by its id or the beginning of it; an unknown one is 3."""
        self.ifap("get", "--version", self.old[:8], "x/a.txt", self.out)
        self.assertEqual(b"old", self.out.read_bytes())
        self.assertEqual(3, self.ifap("get", "--version", "zzzz", "x/a.txt", self.local / "other").status)
        self.assertEqual(2, self.ifap("get", "-r", "--version", self.old, "x/a.txt", self.out).status)
        self.assertEqual(2, self.ifap("get", "--version", self.old, "x/a.txt", "b", self.out).status)

    def test_stdout(self) -> None:
        """DEST - is stdout, for several files one after the other."""
        self.stored("b", b"\x00\xff\n")
        self.assertEqual(b"hello\x00\xff\n", self.ifap("get", "x/a.txt", "b", "-").raw)
        self.assertEqual(2, self.ifap("get", "-r", "x", "-").status)

    def test_json(self) -> None:
        """With --json the Entry is printed."""
        self.assertEqual("/x/a.txt", json.loads(self.ifap("--json", "get", "x/a.txt", self.out).out)["path"])


class TreeTests(CommandLineTestCase):
    """``ifap get -r``."""

    def setUp(self) -> None:
        """A tree in the folder."""
        super().setUp()
        self.stored("x/d/a", b"a")
        self.stored("x/d/.h/b", b"bb")
        self.successResultOf(self.filesystem.make_directory("x/d/empty"))
        self.out = self.local / "out"

    def found(self) -> list[str]:
        return sorted(str(path.relative_to(self.out)) for path in self.out.rglob("*"))

    def test_tree(self) -> None:
        """`get -r x/d out/` makes out/d/..., with hidden files and empty directories; the end says how many files."""
        shown = self.ifap("get", "-r", "x/d", f"{self.out}/")
        self.assertEqual((0, "2 new, 0 unchanged, 0 failed\n"), (shown.status, shown.out))
        self.assertEqual(["d", "d/.h", "d/.h/b", "d/a", "d/empty"], self.found())

    def test_copy(self) -> None:
        """When DEST is not there, and without a final slash, it becomes a copy of the directory."""
        self.ifap("get", "-r", "x/d", self.out)
        self.assertEqual([".h", ".h/b", "a", "empty"], self.found())

    def test_contents(self) -> None:
        """With a final slash on SRC what is in it goes to DEST; the root always has one."""
        self.ifap("get", "-r", "x/d/", f"{self.out}/")
        self.assertEqual([".h", ".h/b", "a", "empty"], self.found())
        self.ifap("get", "-r", "/", f"{self.local}/all/")
        self.assertTrue((self.local / "all/x/d/a").exists())

    def test_again(self) -> None:
        """Again without -f everything is refused; with -f only what differs is got, and times are mended."""
        self.ifap("get", "-r", "x/d", self.out)
        (self.out / "a").write_bytes(b"mine")
        os.utime(self.out / ".h/b", (0, 0))
        shown = self.ifap("get", "-r", "x/d/", self.out)
        self.assertEqual((4, "0 new, 0 unchanged, 2 failed\n"), (shown.status, shown.out))
        self.assertEqual(b"mine", (self.out / "a").read_bytes())
        self.assertEqual("1 new, 1 unchanged, 0 failed\n", self.ifap("get", "-rf", "x/d/", self.out).out)
        self.assertEqual(b"a", (self.out / "a").read_bytes())
        expected = self.successResultOf(self.filesystem.stat("x/d/.h/b")).modified
        self.assertAlmostEqual(expected, (self.out / ".h/b").stat().st_mtime, places=3)

    def test_one_fails(self) -> None:
        """One file that cannot be read fails with its name, and the others are got."""
        filesystem = Replaced(self.filesystem)
        filesystem.broken = "x/d/a"
        self.filesystem = filesystem  # type: ignore[assignment]
        shown = self.ifap("get", "-r", "x/d", self.out)
        self.assertEqual((7, "1 new, 0 unchanged, 1 failed\n"), (shown.status, shown.out))
        self.assertIn("/x/d/a", shown.err)
        self.assertEqual([".h", ".h/b", "empty"], self.found())

    def test_json(self) -> None:
        """With --json an Entry for each, and the counts last."""
        lines = [json.loads(line) for line in self.ifap("--json", "get", "-r", "x/d", self.out).out.splitlines()]
        self.assertEqual({"new": 2, "unchanged": 0, "failed": 0}, lines[-1])
        self.assertEqual({"/x/d/a", "/x/d/.h/b"}, {line["path"] for line in lines[:-1]})


class Replaced:
    """A filesystem whose listing says what a hostile folder would like it to say."""

    def __init__(self, real: IFilesystem, entries: Sequence[Entry] | None = None) -> None:
        self.real = real
        self.entries = entries
        self.broken = ""

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def list(self, path: str = "/", **more: object) -> Deferred[Sequence[Entry]]:
        return self.real.list(path, **more) if self.entries is None else succeed(self.entries)  # type: ignore[arg-type]

    def read(self, path: str, **more: object) -> Deferred[object]:
        if path == self.broken:
            raise Tampered("The content was changed.", path=path)
        return self.real.read("good", **more) if self.entries else self.real.read(path, **more)  # type: ignore[return-value, arg-type]


class HostileTests(CommandLineTestCase):
    """Names in the folder that want to be somewhere else."""

    def setUp(self) -> None:
        """A target inside a directory that nothing else may appear in."""
        super().setUp()
        self.stored("good", b"good")
        self.out = self.local / "inner" / "out"
        self.out.mkdir(parents=True)
        self.write("inner/victim", b"untouched")

    def get(self, *paths: str, kind: str = "file") -> tuple[int, str]:
        entries = [Entry(path=path, type=kind) for path in paths]
        self.filesystem = Replaced(self.filesystem, entries)  # type: ignore[assignment]
        shown = self.ifap("get", "-rf", "/", self.out)
        return shown.status, shown.err

    def everything(self) -> list[str]:
        return sorted(str(path.relative_to(self.local)) for path in self.local.rglob("*"))

    def test_names(self) -> None:
        """Names with `..`, absolute ones, empty segments and control characters are refused; the others are got."""
        bad = ["../victim", "a/../../victim", "/etc/x", "..", ".", "a//b", "a/./b", "nul\0", "line\nfeed", "x" * 300]
        status, err = self.get(*bad, "good")
        self.assertEqual((2, len(bad)), (status, err.count("\n")))
        self.assertEqual(["inner", "inner/out", "inner/out/good", "inner/victim"], self.everything())
        self.assertEqual(b"untouched", (self.local / "inner/victim").read_bytes())

    def test_directories(self) -> None:
        """Directories with such names are not made either."""
        self.assertEqual(2, self.get("../evil", "a/../../evil", "fine", kind="directory")[0])
        self.assertEqual(["inner", "inner/out", "inner/out/fine", "inner/victim"], self.everything())

    def test_through_a_link(self) -> None:
        """A symbolic link below the target, to a file or a directory, is not followed."""
        (self.out / "link").symlink_to("..")
        (self.out / "file").symlink_to("../victim")
        status, err = self.get("link/victim", "file")
        self.assertEqual(2, status)
        self.assertIn("symbolic link", err)
        self.assertEqual(b"untouched", (self.local / "inner/victim").read_bytes())
        self.assertFalse((self.out / "file").is_symlink())

    def test_dot_files(self) -> None:
        """A name is shown escaped when it fails."""
        _status, err = self.get("\x1b[2J/..")
        self.assertNotIn("\x1b", err)


class CatTests(CommandLineTestCase):
    """``ifap cat``."""

    def test_bytes(self) -> None:
        """Bytes are written as they are, also with --json, and large ones whole."""
        data = os.urandom(300_000)
        self.stored("a", data)
        self.assertEqual(data, self.ifap("cat", "a").raw)
        self.assertEqual(data, self.ifap("--json", "cat", "/a").raw)

    def test_one_missing(self) -> None:
        """What is missing is told and the others are written; the status is that of the first failure."""
        self.stored("a", b"A")
        self.stored("d/b", b"B")
        shown = self.ifap("cat", "a", "nope", "d", "d/b")
        self.assertEqual((3, b"AB", 2), (shown.status, shown.raw, shown.err.count("\n")))

    def test_version(self) -> None:
        """--version writes an older version, of one file."""
        old = self.stored("a", b"old")
        self.stored("a", b"new")
        self.assertEqual(b"old", self.ifap("cat", "--version", old[:4], "a").raw)
        self.assertEqual(2, self.ifap("cat", "--version", old, "a", "a").status)

    def test_local_path_is_not_remote(self) -> None:
        """A Path of this machine is not looked at."""
        self.assertEqual(3, self.ifap("cat", Path(__file__).name).status)
