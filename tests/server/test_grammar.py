"""Tests of the words that commands are made of."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server.framing import Command
from ifap_twisted.server.grammar import BadSyntax, Reader, internal_date

quotable = st.binary(max_size=60).map(lambda text: bytes(set_ for set_ in text if set_ not in b"\r\n\0"))
atoms = st.from_regex(rb"[A-Za-z0-9!#$&'+,\-./:;<=>?@\[^_`|~]+", fullmatch=True)


def reader(*pieces: bytes) -> Reader:
    """A reader of text, literal, text, …"""
    return Reader(Command([bytearray(piece) if index % 2 else piece for index, piece in enumerate(pieces)]))


def quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class StringTests(SynchronousTestCase):
    @given(quotable)
    def test_quoted(self, text) -> None:
        """A quoted string is what was quoted, backslashes and 8-bit bytes included."""
        read = reader(quoted(text) + b" x")
        self.assertEqual(read.astring(), text)
        read.space()
        self.assertEqual(read.atom(), b"X")
        read.end()

    @given(st.binary(max_size=100))
    def test_literal(self, text) -> None:
        """A literal is its bytes, whatever they are."""
        read = reader(b"a ", text, b" b")
        read.tag()
        read.space()
        self.assertEqual(read.astring(), text)
        read.space()
        self.assertEqual(read.atom(), b"B")
        read.end()

    @given(atoms)
    def test_atom(self, text) -> None:
        """An atom needs no quotes."""
        read = reader(text + b"]")
        self.assertEqual(read.atom(), text.upper())
        read.expect(b"]")

    @given(st.lists(st.binary(max_size=40), min_size=1, max_size=5).filter(lambda pieces: len(pieces) % 2 == 1))
    def test_anything(self, pieces) -> None:
        """Anything is read as something or is BadSyntax, by every method."""
        for name in ("tag", "atom", "astring", "string", "list_mailbox", "literal", "number", "sequence_set",
                     "flag_list", "flags", "date_time", "date", "space", "end", "rest"):  # fmt: skip
            try:
                getattr(reader(*pieces), name)()
            except BadSyntax as error:
                str(error).encode("ascii")

    def test_unfinished(self) -> None:
        """An unfinished quoted string, a wrong escape, and a control character are refused."""
        for text in (b'"abc', b'"a\\bc"', b'"a\0"', b"", b"(", b"\xff"):
            with self.assertRaises(BadSyntax):
                reader(text).astring()


class NumberTests(SynchronousTestCase):
    def test_sets(self) -> None:
        """Sequence sets: numbers, ranges in any order, stars."""
        self.assertEqual(reader(b"1,3:2,*:4,*").sequence_set(), [(1, 1), (3, 2), (None, 4), (None, None)])

    def test_no_sets(self) -> None:
        """Zero, gaps, and numbers of more than 32 bits are refused."""
        for text in (b"0", b"1,,2", b"1:", b":1", b"4294967296", b"99999999999", b"1a", b"", b"1,"):
            with self.assertRaises(BadSyntax):
                reader(text).sequence_set()

    def test_number(self) -> None:
        """Numbers have 32 bits."""
        self.assertEqual(reader(b"4294967295").number(), 2**32 - 1)
        for text in (b"4294967296", b"10000000000", b"-1", b"x"):
            with self.assertRaises(BadSyntax):
                reader(text).number()


class FlagTests(SynchronousTestCase):
    def test_spelling(self) -> None:
        """System flags have one spelling; keywords keep theirs; each counts once."""
        self.assertEqual(reader(b"(\\SEEN $a $A \\seen)").flag_list(), ("\\Seen", "$a"))

    def test_refused(self) -> None:
        """Unknown system flags are refused."""
        for text in (b"(\\Recent)", b"(\\X)", b"(a", b"(a  b)", b"a"):
            with self.assertRaises(BadSyntax):
                reader(text).flag_list()


class DateTests(SynchronousTestCase):
    @given(
        st.datetimes(min_value=datetime(1901, 1, 1), max_value=datetime(9998, 1, 1)).map(
            lambda when: when.replace(microsecond=0)
        ),
        st.integers(-23 * 60, 23 * 60),
    )
    def test_round_trip(self, when, zone) -> None:
        """A date and time come back as they were given, zone included."""
        aware = when.replace(tzinfo=timezone(timedelta(minutes=zone)))
        text = internal_date(int(aware.timestamp()), zone)
        self.assertEqual(reader(text).date_time(), (int(aware.timestamp()), zone))

    def test_known(self) -> None:
        """The example of RFC 9051 section 2.3.3 is read and written."""
        text = b'"17-Jul-1996 02:44:25 -0700"'
        self.assertEqual(internal_date(*reader(text).date_time()), text)
        self.assertEqual(reader(text).date_time(), (837596665, -420))
