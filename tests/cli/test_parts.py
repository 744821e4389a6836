"""What is left of a download that was cut: its name, and whose it is."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat

from hypothesis import given
from hypothesis import strategies as st

from ifap_twisted.cli.parts import SYNCED, is_part_name, open_part, other_parts, part_name, reliable
from ifap_twisted.cli.targets import Target
from tests.cli.bench import CommandLineTestCase

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=255)
VERSIONS = st.from_regex(re.compile(r"[A-Za-z0-9_-]{22}"), fullmatch=True)


class NameTests(CommandLineTestCase):
    """Names of parts."""

    @given(NAMES, VERSIONS | st.text(max_size=80))
    def test_safe(self, name: str, version: str) -> None:
        """Whatever a file and its version are called, it is one name that a disk takes, and known as a part's."""
        found = part_name(name, version)
        self.assertLessEqual(len(os.fsencode(found)), 255)
        self.assertNotIn("/", found)
        self.assertNotIn("\0", found)
        self.assertTrue(is_part_name(found))

    @given(NAMES, NAMES, VERSIONS, VERSIONS)
    def test_distinct(self, name: str, other: str, version: str, another: str) -> None:
        """Two names, or two versions of one, never share a part; not even where names are long and begin alike."""
        self.assertEqual(name == other, part_name(name, version) == part_name(other, version))
        self.assertEqual(version == another, part_name(name, version) == part_name(name, another))
        long, longer = name + "x" * 255, name + "x" * 256
        self.assertNotEqual(part_name(long, version), part_name(longer, version))

    def test_others(self) -> None:
        """The parts of other versions of the same name are found, and no others."""
        mine, other = "a" * 22, "b" * 22
        names = [part_name("n", mine), part_name("n", other), part_name("n.c", other), part_name("m", other), ".n.txt"]
        for name in [*names, f".n.{mine}.{other}.ifap-part"]:
            self.write(name)
        parent = os.open(self.local, os.O_RDONLY)
        self.addCleanup(os.close, parent)
        self.assertEqual([part_name("n", other)], other_parts(parent, "n", mine))


class OpenTests(CommandLineTestCase):
    """``open_part``."""

    def setUp(self) -> None:
        """A directory, and something outside it."""
        super().setUp()
        self.victim = self.write("victim", b"precious")
        (self.local / "d").mkdir()
        self.parent = os.open(self.local / "d", os.O_RDONLY)
        self.addCleanup(os.close, self.parent)
        self.part = self.local / "d" / "part"

    def open(self) -> int:
        descriptor = open_part(self.parent, "part")
        self.addCleanup(os.close, descriptor)
        return descriptor

    def test_new(self) -> None:
        """A new one can be read and written by this user only."""
        self.open()
        self.assertEqual(0o600, stat.S_IMODE(self.part.stat().st_mode))

    def test_what_is_no_part(self) -> None:
        """A symbolic link, a hard link, a directory, a FIFO, or what others may write to is refused, and left alone."""
        makers = (
            lambda: self.part.symlink_to(self.victim),
            lambda: self.part.symlink_to(self.local / "nowhere"),
            lambda: os.link(self.victim, self.part),
            lambda: os.mkfifo(self.part, 0o600),
            lambda: self.write("d/part", b"x", mode=0o620),
            lambda: self.write("d/part", b"x", mode=0o602),
            self.part.mkdir,
        )
        for make in makers:
            make()
            self.assertRaises(OSError, open_part, self.parent, "part")
            self.part.rmdir() if self.part.is_dir() else self.part.unlink()
        self.assertEqual(b"precious", self.victim.read_bytes())
        self.assertEqual({"d", "victim"}, set(os.listdir(self.local)))

    def test_two(self) -> None:
        """Two processes never write to one part; the second one is told to come later."""
        descriptor = self.open()
        self.assertEqual(errno.EBUSY, self.assertRaises(OSError, open_part, self.parent, "part").errno)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.open()

    def test_no_descriptor_is_left(self) -> None:
        """A refusal leaves nothing open."""
        self.part.symlink_to(self.victim)
        before = len(os.listdir("/proc/self/fd"))
        self.assertRaises(OSError, open_part, self.parent, "part")
        self.part.unlink()
        self.write("d/part", mode=0o666)
        self.assertRaises(OSError, open_part, self.parent, "part")
        self.assertEqual(before, len(os.listdir("/proc/self/fd")))

    def test_reliable(self) -> None:
        """The last 16 MiB are not relied on, and nothing of what is longer than the file."""
        descriptor = self.open()
        for length, size, expected in (
            (0, 100, 0),
            (SYNCED, 10 * SYNCED, 0),
            (SYNCED + 5, 10 * SYNCED, 5),
            (3 * SYNCED, 3 * SYNCED, 2 * SYNCED),
            (3 * SYNCED + 1, 3 * SYNCED, 0),
        ):
            os.ftruncate(descriptor, length)
            self.assertEqual(expected, reliable(descriptor, size))


class TakingUpTests(CommandLineTestCase):
    """``Target.take_up``."""

    def setUp(self) -> None:
        """A target."""
        super().setUp()
        self.target = Target(str(self.local))
        self.addCleanup(self.target.close)
        self.part = self.local / part_name("f", "v" * 22)

    def test_cut_off(self) -> None:
        """What is not relied on is cut off at once: the next cut must not leave it behind what came anew."""
        self.part.write_bytes(bytes(SYNCED + 9))
        self.part.chmod(0o600)
        arriving = self.target.take_up(("f",), "v" * 22, 2 * SYNCED, replace=False)
        arriving.write(b"new")
        self.assertTrue(arriving.close())
        self.assertEqual(bytes(9) + b"new", self.part.read_bytes())

    def test_whole(self) -> None:
        """When it is whole it gets its name, and no part is left."""
        arriving = self.target.take_up(("d", "f"), "v" * 22, 3, replace=False)
        arriving.write(b"new")
        arriving.finish(0o4755, 5.0)
        self.assertFalse(arriving.close())
        found = (self.local / "d/f").stat()
        self.assertEqual((0o755, 5.0, 3), (stat.S_IMODE(found.st_mode), found.st_mtime, found.st_size))
        self.assertEqual(["f"], os.listdir(self.local / "d"))

    def test_name_is_taken(self) -> None:
        """Where something got the name meanwhile it stays, and what came is kept."""
        arriving = self.target.take_up(("f",), "v" * 22, 3, replace=False)
        arriving.write(b"new")
        self.write("f", b"mine")
        self.assertRaises(FileExistsError, arriving.finish, 0o644, 5.0)
        self.assertTrue(arriving.close())
        self.assertEqual((b"mine", b"new"), ((self.local / "f").read_bytes(), self.part.read_bytes()))

    def test_nothing_came(self) -> None:
        """A part of which nothing came is not kept."""
        arriving = self.target.take_up(("f",), "v" * 22, 3, replace=False)
        self.assertFalse(arriving.close())
        self.assertFalse(arriving.close())
        self.assertEqual([], os.listdir(self.local))
        self.assertRaises(OSError, arriving.write, b"x")

    def test_holes(self) -> None:
        """What is skipped is NULs, also at the end."""
        arriving = self.target.begin(("f",), replace=False)
        arriving.skip(3)
        arriving.write(b"x")
        arriving.skip(2)
        arriving.finish(0o644, 5.0)
        arriving.close()
        self.assertEqual(b"\0\0\0x\0\0", (self.local / "f").read_bytes())
