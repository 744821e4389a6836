"""Local files, read for an upload."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from base64 import urlsafe_b64encode
from pathlib import Path

from ifap_twisted.cli import localfiles
from ifap_twisted.cli.localfiles import LocalFile, Reading, exclusion, scan
from tests.cli.bench import CommandLineTestCase


def nothing(_relative: str) -> bool:
    return False


class ScanTests(CommandLineTestCase):
    """What is found below a directory."""

    def test_files_and_empty_directories(self) -> None:
        """Files, hidden ones too, and directories in which nothing is."""
        for name in ("a", ".hidden", "d/b", "d/.e/c"):
            self.write(name)
        (self.local / "d/empty").mkdir()
        tree = scan(str(self.local), nothing)
        self.assertEqual([".hidden", "a", "d/.e/c", "d/b"], sorted(file.relative for file in tree.files))
        self.assertEqual(["d/empty"], tree.empty)

    def test_empty_root(self) -> None:
        """An empty directory is empty itself."""
        self.assertEqual([""], scan(str(self.local), nothing).empty)

    def test_skipped(self) -> None:
        """Symbolic links, sockets and FIFOs are skipped, each with a sentence; a directory of them alone is empty."""
        odd = self.local / "odd"
        odd.mkdir()
        (odd / "link").symlink_to("/etc")
        os.mkfifo(odd / "fifo")
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(str(odd / "socket"))
        tree = scan(str(self.local), nothing)
        self.assertEqual(([], ["odd"]), (tree.files, tree.empty))
        self.assertEqual(3, len(tree.skipped))
        for name, kind in (("link", "symbolic link"), ("fifo", "FIFO"), ("socket", "socket")):
            self.assertTrue(any(f"odd/{name}: a {kind}" in sentence for sentence in tree.skipped))

    def test_bad_name(self) -> None:
        """A name that is not UTF-8 is a failure, the others are found."""
        self.write("good")
        Path(os.fsdecode(os.fsencode(self.local) + b"/b\xff")).write_bytes(b"")
        tree = scan(str(self.local), nothing)
        self.assertEqual(["good"], [file.relative for file in tree.files])
        self.assertEqual([errno.EILSEQ], [failure.errno for failure in tree.failures])

    def test_vanished_directory(self) -> None:
        """What cannot be listed is a failure, not the end."""
        tree = scan(str(self.local / "gone"), nothing)
        self.assertEqual([errno.ENOENT], [failure.errno for failure in tree.failures])

    def test_deep(self) -> None:
        """However deep a tree is, it is scanned."""
        self.write("stays")
        deep = os.open(self.local, os.O_RDONLY)
        for _level in range(1200):
            os.mkdir("d", dir_fd=deep)
            below = os.open("d", os.O_RDONLY, dir_fd=deep)
            os.close(deep)
            deep = below
        os.close(deep)
        path = "/".join("d" * 1200)
        self.addCleanup(os.removedirs, self.local / path)  # what removes temporary directories gives up so deep
        tree = scan(str(self.local), nothing)
        self.assertEqual([path], tree.empty)

    def test_excluded(self) -> None:
        """What is excluded is not even looked into."""
        self.write("keep/a")
        self.write("leave/b")
        tree = scan(str(self.local), exclusion(("leave",)))
        self.assertEqual(["keep/a"], [file.relative for file in tree.files])


class ExclusionTests(CommandLineTestCase):
    """``--exclude GLOB``."""

    def test_last_name(self) -> None:
        """A glob without a slash is about the last name, at any depth."""
        excluded = exclusion(("*.o", ".git", "cache/"))
        for path in ("a.o", "x/y/b.o", ".git", "x/.git", "x/cache"):
            self.assertTrue(excluded(path), path)
        for path in ("a.of", "git", "cached"):
            self.assertFalse(excluded(path), path)

    def test_whole_path(self) -> None:
        """A glob with a slash is about the whole path below SRC."""
        excluded = exclusion(("/build", "doc/*.pdf"))
        for path in ("build", "doc/a.pdf"):
            self.assertTrue(excluded(path), path)
        for path in ("x/build", "x/doc/a.pdf", "a.pdf"):
            self.assertFalse(excluded(path), path)


class ReadingTests(CommandLineTestCase):
    """Files that must hold still."""

    def found(self, path: Path, *, follow: bool = False) -> LocalFile:
        return localfiles.described(str(path), path.name, path.stat(), follow=follow)

    def test_content(self) -> None:
        """The content, whole and in blocks, and its digest as entries have it."""
        data = os.urandom(2 * localfiles.BLOCK + 5)
        file = self.found(self.write("a", data))
        self.assertEqual(data, localfiles.content(file)[0])
        expected = urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        self.assertEqual(expected, localfiles.digest(file))
        self.assertEqual(43, len(expected))

    def test_grown(self) -> None:
        """A file that grows, is cut or is overwritten while it is read fails, with its name."""
        for change in (b"longer than before", b"cut", b"same!"):
            path = self.write("a", b"first")
            opened = Reading(self.found(path))
            os.utime(path, ns=(1, 1))
            path.write_bytes(change)
            error = self.assertRaises(OSError, lambda reading=opened: list(iter(reading.block, b"")))
            opened.close()
            self.assertEqual((errno.ESTALE, str(path)), (error.errno, error.filename))

    def test_replaced(self) -> None:
        """A file that is removed, or replaced by another one, while it is read fails."""
        path = self.write("a", b"first")
        opened = Reading(self.found(path))
        self.write("b", b"other").rename(path)
        self.assertEqual(b"first", opened.block())
        self.assertEqual(errno.ESTALE, self.assertRaises(OSError, opened.block).errno)
        opened.close()

    def test_swapped_for_a_link(self) -> None:
        """A file of a tree that became a symbolic link after the scan is not followed; one named as SRC is."""
        self.write("secret", b"secret")
        path = self.write("a", b"first")
        file = self.found(path)
        path.unlink()
        path.symlink_to("secret")
        self.assertEqual(errno.ELOOP, self.assertRaises(OSError, Reading, file).errno)
        self.assertEqual(b"secret", localfiles.content(self.found(path, follow=True))[0])

    def test_swapped_for_a_fifo(self) -> None:
        """A file that became a FIFO after the scan fails at once instead of waiting for a writer."""
        path = self.write("a", b"first")
        file = self.found(path)
        path.unlink()
        os.mkfifo(path)
        self.assertEqual(errno.ESTALE, self.assertRaises(OSError, Reading, file).errno)
