"""Recovery codes: FORMAT 8.4."""

from __future__ import annotations

import traceback

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.recovery_codes import decode, encode
from ifap_twisted.errors import CallerError

SECRET = bytes(range(100, 132))
CODE = encode(SECRET)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class RecoveryCodeTests(SynchronousTestCase):
    """A code as it is printed, and as it is typed."""

    @given(st.binary(min_size=32, max_size=32))
    def test_round_trip(self, secret: bytes) -> None:
        """Every secret comes back from its code."""
        self.assertEqual(secret, decode(encode(secret)))

    def test_looks(self) -> None:
        """Four rows of four groups of four characters, without I, L, O and U."""
        self.assertRegex(CODE, r"\A([0-9A-HJKMNP-TV-Z]{4}( |$|\n)){16}\Z")
        self.assertEqual([19] * 4, [len(row) for row in CODE.split("\n")])

    def test_as_typed(self) -> None:
        """Case, blanks, dashes and line ends do not count; O is 0, I and L are 1."""
        typed = CODE.lower().replace(" ", "-").replace("\n", "  \r\n").replace("0", "o").replace("1", "l")
        self.assertEqual(SECRET, decode(typed))
        self.assertEqual(SECRET, decode(CODE.replace("1", "i").replace(" ", "").replace("\n", " ")))

    def test_every_mistyped_character(self) -> None:
        """Each single wrong character is found, and its row told, but for one in 65,536 by chance (none of these)."""
        found = 0
        for at, character in enumerate(CODE):
            if character.isspace():
                continue
            for other in ALPHABET.replace(character, ""):
                self.row_is_told(CODE[:at] + other + CODE[at + 1 :], CODE[:at].count("\n") + 1)
                found += 1
        self.assertEqual(64 * 31, found)

    def test_every_transposition(self) -> None:
        """Two neighbours in the wrong order are found."""
        for row, line in enumerate(rows := CODE.split("\n")):
            plain = line.replace(" ", "")
            for at in range(15):
                if plain[at] != plain[at + 1]:
                    wrong = plain[:at] + plain[at + 1] + plain[at] + plain[at + 2 :]
                    self.row_is_told("\n".join([*rows[:row], wrong, *rows[row + 1 :]]), row + 1)

    def test_rows_in_the_wrong_order(self) -> None:
        """Rows that changed places are found, the first of them is told."""
        one, two, three, four = CODE.split("\n")
        self.row_is_told(f"{one}\n{three}\n{two}\n{four}", 2)

    def row_is_told(self, text: str, row: int) -> None:
        """The row is told, and nothing of what was typed."""
        try:
            decode(text)
        except CallerError as error:
            self.assertEqual(f"Row {row} of the recovery code is mistyped.", error.detail)
            shown = "".join(traceback.format_exception(error, limit=0)) + repr(vars(error))
            for part in text.split():
                self.assertNotIn(part, shown)
        else:
            self.fail("it was taken")

    def test_characters_that_are_none(self) -> None:
        """A character that no code has is told like any other mistake."""
        for other in "U?é":
            self.row_is_told(CODE[:-1] + other, 4)

    def test_lengths(self) -> None:
        """What is too short or too long says how long it has to be."""
        for text in ("", CODE[:-1], CODE + "7", "A" * 5000):
            with self.assertRaises(CallerError) as caught:
                decode(text)
            self.assertIn("64 letters and digits", caught.exception.detail)

    @given(st.text(max_size=80))
    def test_anything(self, text: str) -> None:
        """Whatever is typed is a code or an error of ours."""
        try:
            self.assertEqual(32, len(decode(text)))
        except CallerError:
            return
