"""What responses mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.grammar import Continuation, Data, Fetch, Numbered, Search, Status, number, parse
from ifap_twisted.imap.replies import Splitter

FRAGMENTS = st.sampled_from(
    b'* |1 |FETCH |(|)|UID |BODY[]|[|]|NIL|"|\\| |{3}\r\nabc|OK |NO |[X|A1 |+ |SEARCH |LIST |<0>|99999999999'.split(
        b"|"
    )
)


def read(data):
    """The replies in some bytes."""
    return [parse(parts) for parts in Splitter().feed(data)]


def one(text):
    """The one reply in a line."""
    (reply,) = read(text + b"\r\n")
    return reply


class GrammarTests(SynchronousTestCase):
    """Replies from responses."""

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data):
        """Any line is a reply or a violation, and nothing else happens."""
        try:
            read(data.replace(b"\n", b"\r\n") + b"\r\n")
        except ProtocolViolation as violation:
            self.assertTrue(str(violation))

    @given(st.lists(FRAGMENTS, max_size=25).map(b"".join))
    def test_any_words(self, data):
        """Any heap of IMAP's own words is a reply or a violation."""
        try:
            read(b"* 1 FETCH (" + data + b"\r\n")
            read(data + b"\r\n")
        except ProtocolViolation as violation:
            self.assertTrue(str(violation))

    def test_status(self):
        """A tagged status has its word, code, arguments and text."""
        self.assertEqual(
            one(b"A7 ok [APPENDUID 38505 3955] done"), Status(b"A7", b"OK", b"APPENDUID", b"38505 3955", b"done")
        )
        self.assertEqual(one(b"A7 NO [alert] no"), Status(b"A7", b"NO", b"ALERT", b"", b"no"))
        self.assertEqual(one(b"A7 BAD [what"), Status(b"A7", b"BAD", b"", b"", b"[what"))
        self.assertEqual(one(b"A7 OK"), Status(b"A7", b"OK", b"", b"", b""))

    def test_untagged_status(self):
        """An untagged status is one with the tag ``*``."""
        self.assertEqual(one(b"* BYE [UNAVAILABLE] x").tag, b"*")
        self.assertEqual(one(b"* OK [PERMANENTFLAGS (\\Seen \\*)] limited").arguments, b"(\\Seen \\*)")

    def test_a_greeting_has_no_other_tag(self):
        """PREAUTH and BYE with a tag are no responses."""
        for line in (b"A1 PREAUTH x", b"A1 BYE x", b"A1", b"", b"A1 FETCH x", b" "):
            with self.assertRaises(ProtocolViolation):
                one(line)

    def test_continuation(self):
        """A plus, with or without text."""
        self.assertEqual([one(b"+ idling"), one(b"+"), one(b"+ ")], [Continuation(b"idling")] + [Continuation(b"")] * 2)

    def test_counts(self):
        """EXISTS, EXPUNGE, RECENT, and mailutils' EXPUNGED."""
        for name in (b"EXISTS", b"EXPUNGE", b"RECENT", b"EXPUNGED"):
            self.assertEqual(one(b"* 12 " + name.lower()), Numbered(12, name))

    def test_search(self):
        """Numbers, also none, with a blank at the end (Yahoo) or a MODSEQ behind."""
        self.assertEqual(one(b"* SEARCH 2 3 4294967295 "), Search([2, 3, 4294967295]))
        self.assertEqual(one(b"* SEARCH"), Search([]))
        self.assertEqual(one(b"* SEARCH 2 (MODSEQ 917162500)"), Search([2]))

    def test_search_of_nonsense(self):
        """What Python takes for a number and IMAP does not is a violation."""
        for word in (b"1_0", b"+1", b"-1", b"x", b"99999999999", "²".encode()):
            with self.assertRaises(ProtocolViolation):
                one(b"* SEARCH " + word)

    def test_fetch(self):
        """Items of a FETCH in any order; the section without its echoed list of fields."""
        lists = [b"(X-IFAP X-Mailfile)", b'("X-IFAP" "X-Mailfile")', b"(X-IFAP X-MAILFILE)"]
        for fields in lists:
            reply = one(b"* 3 FETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS %b] {3}\r\na\xffb UID 9)" % fields)
            items = {b"FLAGS": [b"\\Seen"], b"BODY[HEADER.FIELDS]": b"a\xffb", b"UID": b"9"}
            self.assertEqual(reply, Fetch(3, items, 9))
            self.assertEqual(reply.uid, 9)

    def test_fetch_of_what_is_empty(self):
        """An empty literal, an empty quoted string and NIL."""
        self.assertEqual(one(b"* 1 FETCH (BODY[] {0}\r\n)").items, {b"BODY[]": b""})
        self.assertEqual(one(b'* 1 FETCH (BODY[] "")').items, {b"BODY[]": b""})
        self.assertEqual(one(b"* 1 FETCH (BODY[] NIL)").items, {b"BODY[]": None})
        self.assertEqual(one(b"* 1 FETCH ()").items, {})

    def test_a_part_is_not_the_whole(self):
        """A partial section is another item than the whole."""
        self.assertEqual(list(one(b'* 1 FETCH (BODY[]<0> "x")').items), [b"BODY[]<0>"])

    def test_hostile_literals(self):
        """Whatever a literal holds, it is one value."""
        for text in (b")\r\nA1 OK", b'"', b"(", b"{5}", b"\0", b"NIL", b"* BYE\r\n"):
            reply = one(b"* 1 FETCH (BODY[] {%d}\r\n%b UID 2)" % (len(text), text))
            self.assertEqual(reply.items, {b"BODY[]": text, b"UID": b"2"})

    def test_literals_of_eight_bits(self):
        """``~{n}`` announces a literal, too."""
        self.assertEqual(one(b"* 1 FETCH (BINARY[1] ~{2}\r\n\0\0)").items, {b"BINARY[1]": b"\0\0"})

    def test_broken_fetches(self):
        """A FETCH that ends early, late or in the middle of something is a violation."""
        for items in (
            b"",
            b"(",
            b"(UID",
            b"(UID )",
            b"(UID 1",
            b"UID 1",
            b"(UID 1) x",
            b"(UID (1)",
            b'(UID "1)',
            b"(1 1)",
        ):
            with self.assertRaises(ProtocolViolation):
                one(b"* 1 FETCH " + items)

    def test_uids_that_cannot_be(self):
        """A UID of 0, above 32 bits, or that is no number is a violation."""
        for uid in (b"0", b"4294967296", b"99999999999999999999999", b"x", b"(1)", b"1_0"):
            with self.assertRaises(ProtocolViolation):
                _uid = one(b"* 1 FETCH (UID %b)" % uid).uid

    def test_numbers(self):
        """Numbers have at most 20 digits."""
        self.assertEqual(number(b"18446744073709551615"), 2**64 - 1)
        for value in (b"", b"1" * 21, None, [], b" 1", b"1\n"):
            with self.assertRaises(ProtocolViolation):
                number(value)

    def test_lists(self):
        """LIST with quoted strings, escapes, NIL and literals."""
        self.assertEqual(
            one(b'* LIST (\\HasNoChildren) "/" "a \\"b\\" \\\\"'),
            Data(b"LIST", [[b"\\HasNoChildren"], b"/", b'a "b" \\']),
        )
        self.assertEqual(one(b"* LIST () NIL {3}\r\na\r\n").values, [[], None, b"a\r\n"])

    def test_namespace(self):
        """Lists of lists, and NIL."""
        self.assertEqual(
            one(b'* NAMESPACE (("INBOX." ".")) NIL NIL'), Data(b"NAMESPACE", [[[b"INBOX.", b"."]], None, None])
        )

    def test_depth(self):
        """Nesting is bounded."""
        self.assertEqual(one(b"* LIST " + b"(" * 32 + b")" * 32).name, b"LIST")
        with self.assertRaises(ProtocolViolation):
            one(b"* LIST " + b"(" * 100_000)

    def test_unknown_responses_are_left_alone(self):
        """An untagged response that nobody needs is named, whatever follows."""
        self.assertEqual(one(b'* XLIST ((( "'), Data(b"XLIST", []))
        self.assertEqual(one(b"* 5 XYZ ((("), Data(b"XYZ", []))
        with self.assertRaises(ProtocolViolation):
            one(b"* (((")

    def test_long_runs_of_blanks_are_quick(self):
        """A line of nothing but blanks is refused without trying all ways to divide it."""
        with self.assertRaises(ProtocolViolation):
            one(b"* LIST " + b" " * 900_000 + b"\x01")
        with self.assertRaises(ProtocolViolation):
            one(b"* 1 FETCH (" + b" " * 900_000 + b"\x01")
        with self.assertRaises(ProtocolViolation):
            one(b'* LIST "' + b"\\\\" * 400_000)


class CommonFetchTests(SynchronousTestCase):
    """The quick way of reading the usual FETCH gives what the long way gives."""

    @given(
        st.integers(1, 2**32 - 1),
        st.one_of(st.none(), st.integers(0, 2**40)),
        st.sampled_from([b"BODY[]", b"BODY[HEADER.FIELDS (X-IFAP X-MAILFILE)]"]),
        st.binary(max_size=40),
    )
    def test_the_same_either_way(self, uid: int, size: int | None, section: bytes, literal: bytes) -> None:
        """A second blank, which IMAP allows no server but we read, takes the long way."""
        sized = b"" if size is None else b"RFC822.SIZE %d " % size
        quick = [b"* 7 FETCH (UID %d %s%s " % (uid, sized, section), literal, b")"]
        slow = [b"* 7 FETCH (UID  %d %s%s " % (uid, sized, section), literal, b")"]
        self.assertEqual(parse(quick), parse(slow))
