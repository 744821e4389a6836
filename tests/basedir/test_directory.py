"""A private directory and its files."""

from __future__ import annotations

import errno
import os
import resource
import threading

from hypothesis import given
from hypothesis import strategies as st

from ifap_twisted.basedir.directory import Directory, as_local_error
from ifap_twisted.errors import BadSettings, IFAPError, NoRoom
from tests.basedir.places import CANARY, PlacedTestCase, mode_of, tree_of

UID = os.geteuid()


class DirectoryTestCase(PlacedTestCase):
    """A directory in ``self.directory``."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.open("private")

    def open(self, name: str, uid: int = UID) -> Directory:
        """A directory of the test's place, closed after the test."""
        directory = Directory.open(self.place / name, uid)
        self.addCleanup(directory.close)
        return directory


class OpeningTests(DirectoryTestCase):
    """Whose a directory has to be, and how closed."""

    def test_it_is_made_private(self) -> None:
        """An absent directory is made with mode 0700, whatever the umask lets through."""
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.assertEqual(mode_of(self.open("new").path), 0o700)

    def test_a_parent_is_not_made(self) -> None:
        """Nothing outside the directory is touched: a missing parent is refused."""
        error = self.assertRaises(BadSettings, Directory.open, self.place / "a" / "b", UID)
        self.assertIn(str(self.place / "a" / "b"), error.detail)
        self.assertFalse((self.place / "a").exists())

    def test_it_is_closed_to_others(self) -> None:
        """A directory that group or world can enter is tightened."""
        for mode in (0o755, 0o770, 0o701, 0o750):
            (self.place / "open").mkdir(exist_ok=True)
            (self.place / "open").chmod(mode)
            self.assertEqual(mode_of(self.open("open").path), 0o700)

    def test_another_users_directory(self) -> None:
        """A directory of another user is refused by name and left alone."""
        (self.place / "theirs").mkdir(mode=0o755)
        (self.place / "theirs").chmod(0o755)
        error = self.assertRaises(BadSettings, self.open, "theirs", UID + 1)
        self.assertIn(str(self.place / "theirs"), error.detail)
        self.assertIn("another user", error.detail)
        self.assertEqual(mode_of(self.place / "theirs"), 0o755)

    def test_one_that_cannot_be_closed(self) -> None:
        """Where tightening has no effect the directory is refused by name."""

        class Stubborn(Directory):
            """A file system where modes cannot be changed."""

            def _tighten(self) -> None:
                """Nothing changes."""

        (self.place / "open").mkdir()
        (self.place / "open").chmod(0o755)
        error = self.assertRaises(BadSettings, Stubborn.open, self.place / "open", UID)
        self.assertIn("open to other users", error.detail)
        self.assertIn(str(self.place / "open"), error.detail)

    def test_a_link_of_ones_own(self) -> None:
        """The directory itself may be a symbolic link of its user; its real place is what counts."""
        (self.place / "link").symlink_to(self.directory.path)
        self.assertEqual(self.open("link").path, self.directory.path)

    def test_a_link_of_another_user(self) -> None:
        """A symbolic link that another user made is not followed."""
        (self.place / "link").symlink_to(self.directory.path)
        if UID == 0:
            os.lchown(self.place / "link", 12345, 12345)
            owner = UID
        else:
            owner = UID + 1
        error = self.assertRaises(BadSettings, self.open, "link", owner)
        self.assertRegex(error.detail, "another user")

    def test_a_dangling_link(self) -> None:
        """A symbolic link to nothing makes nothing at its end."""
        (self.place / "link").symlink_to(self.place / "elsewhere")
        self.assertRaises(BadSettings, self.open, "link")
        self.assertFalse((self.place / "elsewhere").exists())

    def test_a_file_is_no_directory(self) -> None:
        """A file of that name is refused and stays."""
        (self.place / "file").write_bytes(b"x")
        self.assertRaises(BadSettings, self.open, "file")
        self.assertEqual((self.place / "file").read_bytes(), b"x")

    def test_refusing_leaks_no_descriptor(self) -> None:
        """What is refused is not held open."""
        (self.place / "theirs").mkdir()
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for _ in range(20):
            self.assertRaises(BadSettings, self.open, "theirs", UID + 1)
        after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        self.assertEqual(after, before)


class SubdirectoryTests(DirectoryTestCase):
    """Directories inside."""

    def test_it_is_made_private(self) -> None:
        """It is made with mode 0700, and found again."""
        inner = self.directory.subdirectory("journal")
        self.addCleanup(inner.close)
        inner.write("x", b"1")
        again = self.directory.subdirectory("journal")
        self.addCleanup(again.close)
        self.assertEqual((again.read("x"), mode_of(inner.path)), (b"1", 0o700))

    def test_a_link_is_refused(self) -> None:
        """A symbolic link in its place is refused, whoever made it, and nothing is written at its end."""
        (self.place / "elsewhere").mkdir()
        (self.directory.path / "journal").symlink_to(self.place / "elsewhere")
        error = self.assertRaises(BadSettings, self.directory.subdirectory, "journal")
        self.assertIn("symbolic link", error.detail)
        self.assertEqual(tree_of(self.place / "elsewhere"), {})


class FileTests(DirectoryTestCase):
    """Reading and replacing files."""

    def test_absent(self) -> None:
        """An absent file is None, and removing it says so."""
        self.assertIsNone(self.directory.read("x"))
        self.assertFalse(self.directory.remove("x"))

    def test_private(self) -> None:
        """A file is written with mode 0600, whatever the umask lets through."""
        self.addCleanup(os.umask, os.umask(0))
        self.directory.write("x", b"1")
        self.assertTrue(self.directory.write_new("y", b"2"))
        self.assertEqual([mode_of(self.directory.path / name) for name in "xy"], [0o600, 0o600])

    def test_a_file_open_to_others_is_closed_when_read(self) -> None:
        """What others could read before is tightened to 0600."""
        path = self.directory.path / "x"
        path.write_bytes(b"1")
        path.chmod(0o644)
        self.assertEqual(self.directory.read("x"), b"1")
        self.assertEqual(mode_of(path), 0o600)

    @given(st.binary(max_size=3000), st.binary(max_size=3000))
    def test_replacing(self, old: bytes, new: bytes) -> None:
        """What was written last is read, and nothing else is left in the directory."""
        self.directory.write("x", old)
        self.directory.write("x", new)
        self.assertEqual(tree_of(self.directory.path), {"x": new})

    def test_a_new_file_replaces_none(self) -> None:
        """write_new leaves a file that is there as it is."""
        self.directory.write("x", b"old")
        self.assertFalse(self.directory.write_new("x", b"new"))
        self.assertEqual(self.directory.read("x"), b"old")

    def test_links_are_not_read(self) -> None:
        """A symbolic link is refused, not followed, and what it points to keeps its mode."""
        secret = self.place / "outside"
        secret.write_bytes(CANARY.encode())
        secret.chmod(0o644)
        (self.directory.path / "x").symlink_to(secret)
        error = self.assertRaises(BadSettings, self.directory.read, "x")
        self.assertIn("symbolic link", error.detail)
        self.assertNotIn(CANARY, error.detail)
        self.assertEqual(mode_of(secret), 0o644)

    def test_links_are_not_written_through(self) -> None:
        """Writing over a symbolic link replaces the link; what it points to stays as it was."""
        outside = self.place / "outside"
        outside.write_bytes(b"untouched")
        (self.directory.path / "x").symlink_to(outside)
        self.directory.write("x", b"mine")
        self.assertEqual((outside.read_bytes(), self.directory.read("x")), (b"untouched", b"mine"))

    def test_links_are_not_removed_through(self) -> None:
        """Removing a symbolic link removes the link alone."""
        outside = self.place / "outside"
        outside.write_bytes(b"untouched")
        (self.directory.path / "x").symlink_to(outside)
        self.assertTrue(self.directory.is_link("x"))
        self.assertTrue(self.directory.remove("x"))
        self.assertEqual((outside.read_bytes(), self.directory.is_link("x")), (b"untouched", False))

    def test_a_fifo_is_refused_at_once(self) -> None:
        """A FIFO does not make a reader wait for ever."""
        os.mkfifo(self.directory.path / "x")
        self.assertRaises(BadSettings, self.directory.read, "x")

    def test_a_directory_is_no_file(self) -> None:
        """A directory of that name is refused."""
        (self.directory.path / "x").mkdir()
        self.assertRaises(BadSettings, self.directory.read, "x")
        self.assertRaises(BadSettings, self.directory.write, "x", b"1")
        self.assertEqual(os.listdir(self.directory.path), ["x"])

    def test_a_file_of_another_user(self) -> None:
        """A file that another user put there is refused by name."""
        self.directory.write("x", b"1")
        self.directory._uid = UID + 1
        error = self.assertRaises(BadSettings, self.directory.read, "x")
        self.assertIn("another user", error.detail)
        self.assertIn(str(self.directory.path / "x"), error.detail)

    def test_the_length_is_bounded(self) -> None:
        """A file longer than the limit is refused, one of exactly that length is read."""
        self.directory.write("x", b"12345")
        self.assertEqual(self.directory.read("x", 5), b"12345")
        self.assertRaises(BadSettings, self.directory.read, "x", 4)

    def test_names_are_names(self) -> None:
        """A name that would lead somewhere else is a bug of the caller."""
        for name in ("", ".", "..", "a/b", "/etc/passwd", "../x", "a\0b"):
            with self.subTest(name=name):
                self.assertRaises(ValueError, self.directory.read, name)
                self.assertRaises(ValueError, self.directory.write, name, b"")
                self.assertRaises(ValueError, self.directory.remove, name)

    def test_it_stays_where_it_was_opened(self) -> None:
        """When the directory is moved away and another put in its place, the opened one is meant."""
        self.directory.path.rename(self.place / "moved")
        self.open("private")
        self.directory.write("x", b"1")
        self.assertEqual(tree_of(self.place), {"moved/x": b"1"})


class CutTests(DirectoryTestCase):
    """What is left when a write does not get to its end."""

    def test_a_failed_write_leaves_the_old_content(self) -> None:
        """When the new content cannot be put in place, the old stays and no scrap is left."""
        (self.directory.path / "x").mkdir()
        (self.directory.path / "x" / "inside").write_bytes(b"1")
        self.assertRaises(BadSettings, self.directory.write, "x", b"new")
        self.assertEqual(tree_of(self.directory.path), {"x/inside": b"1"})

    def test_a_full_disk(self) -> None:
        """When the new content does not fit on the disk, the old stays, no scrap is left, and the reason is told."""
        self.directory.write("x", b"old")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            error = self.assertRaises(IFAPError, self.directory.write, "x", b"n" * 5000)
            self.assertRaises(IFAPError, self.directory.write_new, "y", b"n" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertIn("File too large", error.detail)
        self.assertEqual(tree_of(self.directory.path), {"x": b"old"})

    def test_scraps_are_swept(self) -> None:
        """What a cut write left behind is removed by sweep, and nothing else is."""
        for name in (".key.json.1-0.tmp", ".a.b.77-12.tmp", "key.json", ".hidden", "x.tmp", ".x.tmp"):
            (self.directory.path / name).write_bytes(b"")
        self.directory.sweep()
        self.assertEqual(sorted(tree_of(self.directory.path)), [".hidden", ".x.tmp", "key.json", "x.tmp"])

    def test_scraps_of_a_process_of_the_same_number(self) -> None:
        """Scraps whose names a write would use do not hinder it (process 1 of a container)."""
        self.directory.write("x", b"1")
        scraps = [f".x.{os.getpid()}-{number}.tmp" for number in range(2000)]
        for name in scraps:
            (self.directory.path / name).touch()
        self.directory.write("x", b"2")
        self.assertEqual(self.directory.read("x"), b"2")
        self.assertEqual(sorted(os.listdir(self.directory.path)), sorted(["x", *scraps]))

    def test_writers_in_threads(self) -> None:
        """Writers at the same time leave one of their contents, whole."""
        contents = [bytes([65 + number]) * 5000 for number in range(8)]
        threads = [threading.Thread(target=self.directory.write, args=("x", content)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIn(self.directory.read("x"), contents)
        self.assertEqual(os.listdir(self.directory.path), ["x"])


class SweepingTests(PlacedTestCase):
    """Threads write while another one sweeps."""

    def test_what_is_being_written(self) -> None:
        """It stays; the next sweep finds nothing of it."""
        directory = Directory.open(self.place / "d", os.getuid())
        self.addCleanup(directory.close)
        sync = os.fsync

        def sweeping(descriptor: int) -> None:
            directory.sweep()
            sync(descriptor)

        self.patch(os, "fsync", sweeping)
        directory.write("x", b"1")
        self.assertEqual((directory.read("x"), directory.names()), (b"1", ["x"]))


class ErrorTests(PlacedTestCase):
    """How faults of the machine are told."""

    def told(self, number: int) -> IFAPError:
        """The error that stands for an errno."""
        try:
            with as_local_error("write", self.place):
                raise OSError(number, os.strerror(number))
        except IFAPError as error:
            return error

    def test_refusals_are_settings(self) -> None:
        """What the user has to put right is bad-settings, naming place and reason."""
        for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP):
            self.assertIsInstance(self.told(number), BadSettings)
        self.assertIn(str(self.place), self.told(errno.EACCES).detail)
        self.assertIn("Permission denied", self.told(errno.EACCES).detail)

    def test_a_full_disk_is_no_setting(self) -> None:
        """It is a failure of its own, told with its reason; so is a failing one."""
        for number in (errno.ENOSPC, errno.EDQUOT):
            self.assertIs(type(self.told(number)), NoRoom)
        self.assertIs(type(self.told(errno.EIO)), IFAPError)
        self.assertIn("No space left", self.told(errno.ENOSPC).detail)
