"""Writing below a local directory and nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ifap_twisted.cli.targets import Run, Target
from tests.cli.bench import CommandLineTestCase


class TargetTests(CommandLineTestCase):
    """``Target``."""

    def setUp(self) -> None:
        """A target, and a place outside it."""
        super().setUp()
        self.outside = self.local / "outside"
        self.outside.mkdir()
        self.target = Target(str(self.local / "target"), create=True)
        self.addCleanup(self.target.close)
        self.inside = self.local / "target"

    def put(
        self, *parts: str, data: bytes = b"x", mode: int = 0o644, modified: float = 5.0, replace: bool = False
    ) -> None:
        self.target.write(parts, data, mode=mode, modified=modified, replace=replace)

    def test_write(self) -> None:
        """A file with its content, permissions and time; directories above it are made; nothing else is left."""
        self.put("d", "e", "f", data=b"hello", mode=0o640, modified=1234.5)
        path = self.inside / "d/e/f"
        self.assertEqual(b"hello", path.read_bytes())
        self.assertEqual((0o640, 1234.5), (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime))
        self.assertEqual(["f"], os.listdir(path.parent))

    def test_never_setuid(self) -> None:
        """setuid, setgid and sticky bits from the folder are never set."""
        self.put("f", mode=0o7755)
        self.assertEqual(0o755, stat.S_IMODE((self.inside / "f").stat().st_mode))

    def test_absurd_times(self) -> None:
        """An absurd time does not stop a file from being written."""
        for number, modified in enumerate((float("inf"), float("nan"), -1e300, 1e300, -5.5)):
            self.put(f"f{number}", modified=modified)
            self.assertTrue((self.inside / f"f{number}").exists())

    def test_exists(self) -> None:
        """What exists is not overwritten, not even a dangling link; ``replace`` never replaces what a link leads to."""
        self.put("f", data=b"old")
        self.assertRaises(FileExistsError, self.put, "f")
        self.put("f", data=b"new", replace=True)
        self.assertEqual(b"new", (self.inside / "f").read_bytes())
        (self.inside / "link").symlink_to(self.outside / "victim")
        self.assertRaises(FileExistsError, self.put, "link")
        self.put("link", replace=True)
        self.assertEqual([], os.listdir(self.outside))
        self.assertFalse((self.inside / "link").is_symlink())

    def test_linked_parent(self) -> None:
        """A symbolic link to a directory is not followed, at any depth, to write, to make or to look."""
        (self.inside / "d").mkdir()
        (self.inside / "d/link").symlink_to(self.outside)
        for attempt in (
            lambda: self.put("d", "link", "f"),
            lambda: self.put("d", "link", "f", replace=True),
            lambda: self.target.make_directory(("d", "link")),
            lambda: self.target.make_directory(("d", "link", "e")),
            lambda: self.target.find(("d", "link", "f")),
        ):
            error = self.assertRaises(OSError, attempt)
            self.assertEqual((errno.ELOOP, str(self.inside / "d/link")), (error.errno, error.filename))
        self.assertEqual([], os.listdir(self.outside))

    def test_dots(self) -> None:
        """Even a name that should never come here does not lead out: ``..`` as the last part cannot be written."""
        self.assertRaises(OSError, self.put, "..")
        self.assertEqual({"outside", "target"}, set(os.listdir(self.local)))

    def twin(self, name: str, other: str) -> None:
        """Make another name lead to a file, as a disk does that folds names."""
        os.link(self.inside / name, self.inside / other)

    def test_twins_on_a_disk_that_folds_names(self) -> None:
        """What a run has written is not replaced by it under another spelling; what was there before is."""
        self.put("readme", data=b"from before")
        self.twin("readme", "README")
        self.target = Target(str(self.inside))
        self.addCleanup(self.target.close)
        self.put("README", data=b"one", replace=True)
        (self.inside / "readme").unlink()
        self.twin("README", "readme")
        error = self.assertRaises(FileExistsError, self.put, "readme", data=b"other", replace=True)
        self.assertEqual(str(self.inside / "readme"), error.filename)
        self.assertEqual(
            (b"one", ["README", "readme"]), ((self.inside / "readme").read_bytes(), sorted(os.listdir(self.inside)))
        )

    def test_twin_of_what_was_right(self) -> None:
        """The same for a file that was found to be right, through another target of the run."""
        self.put("README", data=b"right")
        self.twin("README", "readme")
        run = Run()
        one, other = (Target(str(self.inside), run=run) for _ in range(2))
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        one.touch(("README",), 5.0)
        self.target = other
        self.assertRaises(FileExistsError, self.put, "readme", data=b"other", replace=True)
        self.assertEqual(b"right", (self.inside / "README").read_bytes())

    def test_moved_away(self) -> None:
        """The directory that was opened is written to, also when its name leads elsewhere meanwhile."""
        self.inside.rename(self.local / "moved")
        self.inside.symlink_to(self.outside)
        self.put("f")
        self.assertEqual((["f"], []), (os.listdir(self.local / "moved"), os.listdir(self.outside)))

    def test_directory_in_place(self) -> None:
        """A directory is never replaced by a file, and nothing is left beside it."""
        (self.inside / "f").mkdir()
        self.assertRaises(OSError, self.put, "f", replace=True)
        self.assertEqual(["f"], os.listdir(self.inside))

    def test_file_in_place_of_directory(self) -> None:
        """A file is never replaced by a directory."""
        self.put("f")
        self.assertEqual(errno.ENOTDIR, self.assertRaises(OSError, self.put, "f", "g").errno)

    def test_without_hard_links(self) -> None:
        """Where the file system has no hard links files are written all the same, and not over others."""

        def link(*_arguments: object, **_more: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        self.target = Target(str(self.inside), link=link)
        self.addCleanup(self.target.close)
        self.put("f", data=b"old")
        self.assertRaises(FileExistsError, self.put, "f")
        self.assertEqual((b"old", ["f"]), ((self.inside / "f").read_bytes(), os.listdir(self.inside)))

    def test_find(self) -> None:
        """What is there is found, a link as itself; what is not is None, also below what is not."""
        self.put("f", data=b"123")
        (self.inside / "link").symlink_to("f")
        self.assertEqual(3, getattr(self.target.find(("f",)), "st_size", None))
        found = self.target.find(("link",))
        self.assertTrue(found is not None and stat.S_ISLNK(found.st_mode))
        self.assertIsNone(self.target.find(("g",)))
        self.assertIsNone(self.target.find(("g", "h")))

    def test_same_directory(self) -> None:
        """Two names of one directory are known as one."""
        (self.local / "alias").symlink_to(self.inside)
        alias = Target(str(self.local / "alias"))
        self.addCleanup(alias.close)
        self.assertEqual(self.target.identity, alias.identity)

    def test_no_descriptor_is_left(self) -> None:
        """Nothing stays open, whether a write succeeds or fails."""
        before = len(os.listdir("/proc/self/fd"))
        self.put("d", "f")
        for _attempt in range(3):
            self.assertRaises(FileExistsError, self.put, "d", "f")
        self.assertEqual(before, len(os.listdir("/proc/self/fd")))

    def test_current_directory(self) -> None:
        """No name is the current directory."""
        here = Path.cwd()
        os.chdir(self.outside)
        self.addCleanup(os.chdir, here)
        target = Target("")
        self.addCleanup(target.close)
        target.write(("f",), b"x", mode=0o644, modified=0, replace=False)
        self.assertEqual(["f"], os.listdir(self.outside))
