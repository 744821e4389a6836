"""The splitter: any bytes, in any pieces, within bounds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.replies import Splitter, joined

TEXT = st.binary(max_size=30).map(lambda text: bytes(byte for byte in text if byte not in b"\r\n{}~"))


@st.composite
def responses(draw):
    """Untagged data with literals: its parts."""
    parts = [b"* 1 FETCH (" + draw(TEXT)]
    for _turn in range(draw(st.integers(0, 3))):
        parts += [draw(st.binary(max_size=40)), b" " + draw(TEXT) + b")"]
    return parts


def cut(data, places):
    """The data in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def split(pieces, **bounds):
    """All responses in some pieces, or the violation."""
    splitter = Splitter(**bounds)
    found = []
    try:
        for piece in pieces:
            found += splitter.feed(piece)
    except ProtocolViolation as violation:
        found.append(str(violation))
    return found


class SplitterTests(SynchronousTestCase):
    """What comes out of :class:`Splitter`."""

    @given(st.lists(responses(), max_size=5), st.lists(st.integers(0, 10**6), max_size=12))
    def test_what_went_in_comes_out(self, wanted, places):
        """Responses come out as they were put together, however they are cut."""
        data = b"".join(joined(parts) + b"\r\n" for parts in wanted)
        self.assertEqual(split(cut(data, places)), wanted)

    @given(st.binary(max_size=300), st.lists(st.integers(0, 10**6), max_size=12))
    @example(b"* a {3}\r\nxyz)\r\n* b\r\n", [9, 10, 11, 12])
    def test_any_bytes(self, data, places):
        """Any bytes give the same responses in one block as cut up or one by one, or the same violation."""
        whole = split([data], line=60, literal=20)
        self.assertEqual(split(cut(data, places), line=60, literal=20), whole)
        self.assertEqual(split([data[at : at + 1] for at in range(len(data))], line=60, literal=20), whole)

    @given(st.integers(0, 64), st.binary(max_size=64))
    def test_literals_keep_their_bytes(self, cut_at, literal):
        """A literal is exactly its bytes, and what follows begins right behind it."""
        data = b"* 1 FETCH (BODY[] {%d}\r\n%b)\r\nA1 OK\r\n" % (len(literal), literal)
        place = min(cut_at, len(data))
        self.assertEqual(split([data[:place], data[place:]]), [[b"* 1 FETCH (BODY[] ", literal, b")"], [b"A1 OK"]])

    def test_a_literal_that_ends_in_a_block_strips_nothing(self):
        """CR and LF at the edges of a literal belong to it."""
        data = b"* 1 FETCH (X {4}\r\n\r\n\r\n Y {2}\r\n\r\n)\r\n"
        self.assertEqual(split([data]), [[b"* 1 FETCH (X ", b"\r\n\r\n", b" Y ", b"\r\n", b")"]])

    def test_text_never_announces_a_literal(self):
        """Free text that ends like an announcement is text: tagged, continuation and status responses have none."""
        lines = [b"A1 OK see {5}", b"+ go {5}", b"* OK see {5}", b"* bye {5}", b"* NO {5}", b"* BAD x{5}"]
        self.assertEqual(split([b"\r\n".join(lines) + b"\r\n"]), [[line] for line in lines])

    def test_long_line(self):
        """A line of a MiB passes, as the answer to a SEARCH in a large folder is."""
        line = b"* SEARCH" + b" 1234567" * 130_000
        self.assertEqual(split([line + b"\r\n"]), [[line]])

    def test_too_long_line(self):
        """A line that never ends is refused at the bound, not collected."""
        splitter = Splitter(line=1000)
        list(splitter.feed(b"* " + b"x" * 900))
        with self.assertRaises(ProtocolViolation):
            list(splitter.feed(b"x" * 200))

    def test_lines_of_one_response_are_bounded_together(self):
        """Many empty literals do not make an endless response."""
        with self.assertRaises(ProtocolViolation):
            list(Splitter(line=1000).feed(b"* X {0}\r\n" + b" {0}\r\n" * 1000))

    def test_too_large_literal(self):
        """A literal is refused when it is announced, before any of it is collected."""
        for size in (b"99999999999", b"9" * 30, b"9" * 5000):
            with self.assertRaises(ProtocolViolation):
                list(Splitter().feed(b"* 1 FETCH (BODY[] {%b}\r\n" % size))

    def test_literals_of_one_response_are_bounded_together(self):
        """Several literals may not be larger together than one may be."""
        with self.assertRaises(ProtocolViolation):
            list(Splitter(literal=10).feed(b"* X {6}\r\n123456 {6}\r\n"))

    def test_unread(self):
        """What was not given out yet is seen: after STARTTLS nothing may be there."""
        splitter = Splitter()
        responses = splitter.feed(b"A1 OK\r\n* 1 EXISTS\r\n")
        self.assertEqual(next(responses), [b"A1 OK"])
        self.assertTrue(splitter.unread)
        self.assertEqual(list(responses), [[b"* 1 EXISTS"]])
        self.assertFalse(splitter.unread)
        for half in (b"* half", b"* X {9}\r\nhalf"):
            splitter = Splitter()
            self.assertEqual(list(splitter.feed(half)), [])
            self.assertTrue(splitter.unread)

    def test_lf_alone(self):
        """A line may end with LF alone (mailutils)."""
        self.assertEqual(split([b"A1 OK done\nA2 OK\r\n"]), [[b"A1 OK done"], [b"A2 OK"]])

    def test_many_single_bytes(self):
        """A large literal in single bytes is put together."""
        literal = bytes(range(256)) * 20
        pieces = [b"* X {%d}\r\n" % len(literal), *[literal[at : at + 1] for at in range(len(literal))], b"\r\n"]
        self.assertEqual(split(pieces), [[b"* X ", literal, b""]])

    def test_a_literal_that_is_a_block_is_not_copied(self):
        """A block that is nothing but a literal is handed on as it is."""
        splitter = Splitter()
        list(splitter.feed(b"* X {5}\r\n"))
        block = bytes(bytearray(b"12345"))
        list(splitter.feed(block))
        (parts,) = splitter.feed(b")\r\n")
        self.assertIs(parts[1], block)
