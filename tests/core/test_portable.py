"""Names that other systems do not take, or take for one (bar R12)."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.portable import LINUX, MACOS, SYSTEMS, WINDOWS, folded, portable, twins
from tests.core.strategies import paths

CAFE = "caf\xe9"


class NameTests(SynchronousTestCase):
    """What cannot have its name."""

    def test_devices(self) -> None:
        """With any ending, in any case, with blanks before the dot."""
        for name in (
            "CON",
            "con",
            "nul.txt",
            "Aux.tar.gz",
            "COM1",
            "lpt9.log",
            "com\xb9",
            "PRN ",
            "a/NUL/b",
            "conin$",
        ):
            self.assertIsNotNone(portable(name, WINDOWS), name)
        for name in ("console", "com", "com10", "xcon", "con1", "lpt", "a.con", "nulx.txt"):
            self.assertIsNone(portable(name, WINDOWS), name)

    def test_characters(self) -> None:
        """Those that Windows keeps for itself, and a backslash, which would be a directory."""
        for character in '<>:"|?*\\\x01':
            why = portable(f"a{character}b", WINDOWS)
            assert why is not None
            self.assertIn("it holds", why)
            self.assertEqual(why, why.encode("ascii").decode("ascii"))
        self.assertIsNone(portable("a b+c,d;e=f[g]h'i&j^k%l$m#n@o!p~q`r(s){t}", WINDOWS))

    def test_ends(self) -> None:
        """A dot or blank at the end of a part is left out there, so that the name is another one."""
        for name in ("a.", "a ", "d./x", "a. .", "..."):
            self.assertIsNotNone(portable(name, WINDOWS), name)
        for name in (".a", " a", "a.b", "d.e/x"):
            self.assertIsNone(portable(name, WINDOWS), name)

    def test_lengths(self) -> None:
        """Counted in UTF-16: what is short enough for us may only be too long with characters beyond the plane."""
        self.assertIsNone(portable("x" * 255, WINDOWS))
        self.assertIsNotNone(portable("x" * 256, WINDOWS))
        self.assertIsNotNone(portable("\U0001f600" * 128, WINDOWS))

    @given(paths)
    def test_elsewhere(self, name: str) -> None:
        """Every name that we write is a name on Linux and macOS."""
        self.assertIsNone(portable(name, LINUX))
        self.assertIsNone(portable(name, MACOS))

    @given(paths)
    def test_what_windows_takes(self, name: str) -> None:
        """Is left as it is there: no part of it loses anything."""
        if portable(name, WINDOWS) is None:
            for part in name.split("/"):
                self.assertEqual(part, part.rstrip(". "))
                self.assertFalse(set(part) & set('<>:"|?*\\'))


class TwinTests(SynchronousTestCase):
    """What is one file."""

    def test_case(self) -> None:
        """On Windows and macOS, in directories too."""
        found = [("Readme", "README"), ("D/x", "d/X")]
        for system in (WINDOWS, MACOS):
            self.assertEqual(list(twins(["Readme", "D/x", "README", "d/X", "other"], system)), found)
        self.assertEqual(list(twins(["Readme", "README"], LINUX)), [])

    def test_forms(self) -> None:
        """On macOS, whose disks ignore how a character is composed."""
        names = [CAFE, unicodedata.normalize("NFD", CAFE), "CAF\xc9"]
        self.assertEqual(len(list(twins(names, MACOS))), 2)
        self.assertEqual(list(twins(names, WINDOWS)), [(CAFE, "CAF\xc9")])

    def test_ends(self) -> None:
        """What Windows leaves out makes twins."""
        self.assertEqual(list(twins(["a", "a.", "a. "], WINDOWS)), [("a", "a."), ("a", "a. ")])
        self.assertEqual(list(twins(["a", "a."], MACOS)), [])

    def test_the_same_name_twice(self) -> None:
        """Is no twin."""
        self.assertEqual(list(twins(["a", "a"], MACOS)), [])

    @given(st.sampled_from(SYSTEMS), paths)
    def test_folding_is_settled(self, system: str, name: str) -> None:
        """What was folded stays as it is, and so does the number of parts."""
        once = folded(name, system)
        self.assertEqual(folded(once, system), once)
        self.assertEqual(once.count("/"), name.count("/"))
