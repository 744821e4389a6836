"""Names: FORMAT 6.1 and 11.1."""

from __future__ import annotations

import os.path
from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import paths as names
from ifap_twisted.errors import InvalidPath
from tests.core.strategies import hostile_paths, paths, segments


class CleanTests(SynchronousTestCase):
    """The canonical form of what users give."""

    def test_slashes_at_the_ends(self) -> None:
        """Slashes at the beginning and the end are dropped, and the root is the empty path."""
        self.assertEqual(names.clean("/a/b/"), "a/b")
        self.assertEqual(names.clean("///a"), "a")
        self.assertEqual(names.clean("/"), "")
        self.assertEqual(names.clean(""), "")

    def test_path_objects(self) -> None:
        """A Path of either kind is taken by its segments."""
        self.assertEqual(names.clean(PurePosixPath("/a/b")), "a/b")
        self.assertEqual(names.clean(PureWindowsPath("a\\b")), "a/b")

    def test_refused(self) -> None:
        """Empty segments, dots, control characters, lone surrogates and what is too long are refused."""
        faulty = ["a//b", ".", "a/./b", "..", "a/../b", "a\0b", "a\rb", "a\nb", "\x1b[2J", "\x7f", "\x85", "a\ud800"]
        for path in [*faulty, "é" * 128, "/".join(["x" * 250] * 17)]:
            self.assertRaises(InvalidPath, names.clean, path)

    def test_bounds(self) -> None:
        """A segment of 255 bytes and a path of 4,096 bytes are allowed."""
        segment = "é" * 127 + "x"
        self.assertEqual(names.clean(segment), segment)
        longest = "/".join(["x" * 255] * 16)
        self.assertEqual(names.clean(longest), longest)
        self.assertEqual(len(longest), 4095)
        self.assertEqual(names.clean(longest[:-2] + "/y"), longest[:-2] + "/y")
        self.assertRaises(InvalidPath, names.clean, longest[:-1] + "/yz")

    def test_error_names_the_path(self) -> None:
        """The error carries the path and shows it without control characters."""
        error = self.assertRaises(InvalidPath, names.clean, "a\x1b/b")
        self.assertEqual(error.path, "a\x1b/b")
        self.assertTrue(error.detail.isprintable())

    @given(paths)
    def test_canonical_is_unchanged(self, path: str) -> None:
        """A canonical path is its own canonical form, code point by code point."""
        self.assertEqual(names.clean(path), path)
        self.assertEqual(names.clean(f"/{path}//"), path)
        self.assertTrue(names.is_writable(path))

    @given(hostile_paths)
    def test_any_text(self, path: str) -> None:
        """Any text is refused, or cleaned to something that stays as it is."""
        try:
            canonical = names.clean(path)
        except InvalidPath:
            self.assertFalse(names.is_writable(path))
        else:
            self.assertEqual(names.clean(canonical), canonical)
            self.assertEqual(names.is_writable(path), path == canonical != "")


class ReservedTests(SynchronousTestCase):
    """Names that belong to the format."""

    def test_reserved(self) -> None:
        """``IFAP``, all below it, and the snapshot of mailfile are reserved in both dialects."""
        for path in ("IFAP", "IFAP/metadata", "IFAP/keys/x", "Mailfile/metadata"):
            self.assertTrue(names.is_reserved(path))
            self.assertRaises(InvalidPath, names.clean_file, "/" + path)
            self.assertTrue(names.is_writable(path))

    def test_not_reserved(self) -> None:
        """Names that only look like it are not."""
        for path in ("ifap/metadata", "IFAPX", "Mailfile", "Mailfile/metadata/x", "a/IFAP/b"):
            self.assertFalse(names.is_reserved(path))
            self.assertEqual(names.clean_file(path), path)

    def test_root_is_no_file(self) -> None:
        """The root is not a file."""
        self.assertRaises(InvalidPath, names.clean_file, "/")


class PartTests(SynchronousTestCase):
    """Taking paths apart."""

    def test_examples(self) -> None:
        """Parent, ancestors, name and joining."""
        self.assertEqual(names.parent("a/b/c"), "a/b")
        self.assertEqual(names.parent("a"), "")
        self.assertEqual(names.ancestors("a/b/c"), ["a", "a/b"])
        self.assertEqual(names.ancestors("a"), [])
        self.assertEqual(names.ancestors(""), [])
        self.assertEqual(names.basename("a/b"), "b")
        self.assertEqual(names.join("", "a"), "a")
        self.assertEqual(names.join("a", ""), "a")

    @given(paths, segments)
    def test_join_and_apart(self, directory: str, name: str) -> None:
        """What was joined comes apart again."""
        path = names.join(directory, name)
        self.assertEqual((names.parent(path), names.basename(path)), (directory, name))
        self.assertEqual(names.ancestors(path)[-1], directory)


class LocalTests(SynchronousTestCase):
    """Names from messages at a local disk and on a terminal."""

    def test_hostile(self) -> None:
        """What would leave the directory is refused."""
        for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "a\0b", "\udc2e./x"):
            self.assertRaises(InvalidPath, names.local_parts, path)

    def test_backslash(self) -> None:
        """A backslash is an ordinary character of a name."""
        self.assertEqual(names.local_parts("a\\..\\b/c"), ("a\\..\\b", "c"))

    def test_root(self) -> None:
        """The root adds nothing to the local directory."""
        self.assertEqual(names.local_parts(""), ())

    @given(hostile_paths | paths)
    def test_stays_below(self, path: str) -> None:
        """Whatever is not refused stays below the directory it is joined to."""
        try:
            parts = names.local_parts(path)
        except InvalidPath:
            return
        local = os.path.normpath(os.path.join("/target", *parts))
        self.assertTrue(local == "/target" or local.startswith("/target/"))
        self.assertEqual("/".join(parts), path.rstrip("/"))

    def test_escaped(self) -> None:
        """Escape sequences, bidirectional controls, line separators and surrogates are shown as numbers."""
        self.assertEqual(names.escaped("a\x1b[2J\u202eb\ud800\u2028"), "a\\x1b[2J\\u202eb\\ud800\\u2028")
        self.assertEqual(names.escaped("Skjöl 日本 📁"), "Skjöl 日本 📁")

    @given(st.text(st.characters()))
    def test_escaped_is_safe(self, text: str) -> None:
        """No control character is left, and the result can be encoded."""
        shown = names.escaped(text)
        shown.encode()
        self.assertFalse(any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown))


class MediaTypeTests(SynchronousTestCase):
    """Media types by name."""

    def test_examples(self) -> None:
        """The last extension decides, in any case; a name without one suggests nothing."""
        self.assertEqual(names.suggested_mime("a/b.TXT"), "text/plain")
        self.assertEqual(names.suggested_mime("x.tar.gz"), "application/gzip")
        for path in ("a", "a.txt/b", ".txt", "a.", "a.unknown", ""):
            self.assertIsNone(names.suggested_mime(path))
