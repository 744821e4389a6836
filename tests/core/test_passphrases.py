"""Passphrases: their one form, and why one is refused (FORMAT 8.4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.passphrases import normalised, weakness
from ifap_twisted.errors import CallerError

GOOD = (
    "correct horse battery staple",
    "vier Gurken tanzen am Kanal",
    "kJ8#vLq2!xZp9&",
    "nrtmkvhqzlwpdg",
    "\u6771\u4eac\u306e\u5915\u713c\u3051\u306f\u9752\u304f\u3066\u91cd\u3044",
)


class NormalisedTests(SynchronousTestCase):
    """The bytes that are stretched."""

    def test_one_form(self) -> None:
        """The same characters typed on two systems are the same passphrase; a blank at the end counts."""
        self.assertEqual(normalised("Caf\u00e9 \u2460"), normalised("Cafe\u0301 1"))
        self.assertNotEqual(normalised("coffee"), normalised("coffee "))

    def test_refused(self) -> None:
        """What cannot be typed again everywhere is refused, without being told."""
        for text in ("", "a\nb", "a\x00b", "a\ud800b", "\x7f", "x" * 1025):
            with self.assertRaises(CallerError) as caught:
                normalised(text)
            self.assertTrue(not text or text not in caught.exception.detail)


class WeaknessTests(SynchronousTestCase):
    """Which passphrases are refused, and what is said of them."""

    def test_good_ones(self) -> None:
        """Several words that have nothing in common, and random characters, are taken."""
        for text in GOOD:
            self.assertIsNone(weakness(text), text)

    def refused(self, text: str, cause: str, known: tuple[str, ...] = ()) -> None:
        """It is refused with this cause, and the text is not part of what is said."""
        reason = weakness(text, known)
        self.assertIsNotNone(reason, text)
        self.assertIn(cause, reason or "")
        self.assertNotIn(text, reason or "")

    def test_short(self) -> None:
        """Below 12 characters nothing is strong."""
        self.refused("kJ8#vLq2!xZ", "has 11 characters; at least 12 are needed")
        self.assertIn("has 0 characters", weakness("") or "")

    def test_common_words(self) -> None:
        """Words that everybody tries count as next to nothing, also as 1337 spells them."""
        self.refused("Password Password Dragon", "a common word")
        self.refused("P4ssw0rd-M0nk3y-5unsh1n3", "a common word")

    def test_runs(self) -> None:
        """Alphabet, digits and rows of keyboards, forwards and backwards."""
        for text in ("abcdefghijklmnop", "987654321098", "qwertyuiopasdfghjkl", "qwertzuiopYXCVBNM"):
            self.refused(text, "a run like abcd, 4321 or qwerty")

    def test_repetitions(self) -> None:
        """What is said twice counts once, a repeated character too."""
        self.refused("aaaaaaaaaaaaaaaaaaaa", "a repetition")
        self.refused("kJ8#vkJ8#vkJ8#vkJ8#v", "a repetition")

    def test_what_is_known(self) -> None:
        """The name of the user, of the host and of the folder are no secret."""
        known = ("margarethe@mail.example.org", "IFAP_DATA")
        self.refused("Margarethe.Example.org", "a part of the name of the account or folder", known)
        self.refused("ifap_data ifap_data", "a part of the name", known)

    def test_few_characters(self) -> None:
        """Twelve random digits are too few, and that is said."""
        self.refused("739105826447", "short for the kinds of characters in it")

    @given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
    def test_anything(self, text: str, known: list[str]) -> None:
        """Whatever is typed gets an answer that does not repeat it."""
        reason = weakness(text, known)
        if reason is not None and len(text) > 12:
            self.assertNotIn(text, reason)

    @given(st.sampled_from(GOOD), st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20))
    def test_longer_is_not_weaker(self, text: str, more: str) -> None:
        """A strong passphrase stays strong when something is added to it."""
        self.assertIsNone(weakness(f"{text} {more}"))
