"""Finding the part with the content: RFC 2046, WIRE-FORMAT 2.3."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.mime import data_part, head_end

TYPE = "application/x-ifap"


def found(message: bytes) -> bytes | None:
    part = data_part(message, TYPE)
    return None if part is None else message[part[0] : part[1]]


def multipart(*parts: bytes, boundary: bytes = b"b", close: bool = True, subtype: bytes = b"mixed") -> bytes:
    lines = b"".join(b"\r\n--" + boundary + b"\r\n" + part for part in parts)
    end = b"\r\n--" + boundary + b"--\r\nepilogue" if close else b""
    return b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"\r\n\r\npreamble' + lines + end


def data(body: bytes, kind: bytes = b"application/x-ifap") -> bytes:
    return b"Content-Type: " + kind + b"\r\n\r\n" + body


TEXT = b"Content-Type: text/plain\r\n\r\nhello"


class HeadTests(SynchronousTestCase):
    """Where a header block ends."""

    def test_examples(self) -> None:
        """At the first empty line, of CRLF or LF; without one it is all header."""
        self.assertEqual(head_end(b"A: b\r\n\r\nbody"), (6, 8))
        self.assertEqual(head_end(b"A: b\n\nbody"), (5, 6))
        self.assertEqual(head_end(b"\r\nbody"), (0, 2))
        self.assertEqual(head_end(b"A: b\r\n"), (6, 6))
        self.assertEqual(head_end(b""), (0, 0))
        self.assertEqual(head_end(b"xA: b\n\nbodyx", 1, 11), (6, 7))


class DataPartTests(SynchronousTestCase):
    """The first part of the type."""

    def test_single(self) -> None:
        """A message that is nothing but the part."""
        self.assertEqual(found(b"To: a\r\n" + data(b"!x")), b"!x")
        self.assertEqual(found(b"To: a\nContent-Type: application/x-ifap\n\n!x\n"), b"!x\n")

    def test_type(self) -> None:
        """The type may be in any case, folded, and have parameters; others do not count."""
        for kind in (
            b"APPLICATION/X-Ifap",
            b"application/x-ifap; a=b",
            b"\r\n application/x-ifap ;a=b",
            b"application/x-ifap;",
        ):
            self.assertEqual(found(data(b"!x", kind)), b"!x")
        for kind in (b"application/x-ifapp", b"text/plain; application/x-ifap", b"", b"application/octet-stream"):
            self.assertIsNone(found(data(b"!x", kind)))

    def test_multipart(self) -> None:
        """Ornamental parts before and after, and nested ones, are allowed; the first part counts."""
        self.assertEqual(found(multipart(TEXT, data(b"!x"))), b"!x")
        self.assertEqual(found(multipart(data(b"!x"), data(b"!y"))), b"!x")
        self.assertEqual(found(multipart(TEXT, multipart(TEXT, data(b"!x"), boundary=b"i"), data(b"!y"))), b"!x")
        self.assertEqual(found(multipart(multipart(TEXT, boundary=b"i"), data(b"!y"))), b"!y")

    def test_forwarded(self) -> None:
        """A part in a forwarded message counts."""
        forwarded = b"Content-Type: message/rfc822\r\n\r\nTo: a\r\n" + data(b"!x")
        self.assertEqual(found(multipart(TEXT, forwarded)), b"!x")

    def test_delimiters(self) -> None:
        """Only a whole line is a delimiter; blanks may follow; the outer one ends what is inside."""
        self.assertEqual(found(multipart(data(b"!x\r\n--bb\r\nx --b"))), b"!x\r\n--bb\r\nx --b")
        self.assertEqual(found(multipart(data(b"!x")).replace(b"--b\r\n", b"--b \t\r\n")), b"!x")
        inner = multipart(data(b"!x"), boundary=b"i", close=False)
        self.assertEqual(found(multipart(inner, TEXT)), b"!x")

    def test_line_ends(self) -> None:
        """LF line ends are accepted."""
        message = multipart(TEXT, data(b"!x\r\n!y"))
        self.assertEqual(found(message.replace(b"\r\n", b"\n")), b"!x\n!y")

    def test_unclosed(self) -> None:
        """Without the last delimiter the part goes to the end; after it nothing counts."""
        self.assertEqual(found(multipart(TEXT, data(b"!x"), close=False)), b"!x")
        self.assertIsNone(found(multipart(TEXT) + b"\r\n--b\r\n" + data(b"!x")))

    def test_boundary_forms(self) -> None:
        """The boundary may be a token or a quoted string with escapes, and hold characters special elsewhere."""
        for parameter, boundary in ((b"a.*b", b"a.*b"), (b'"a\\"b c"', b'a"b c'), (b"x;c=d", b"x")):
            head = b"Content-Type: multipart/mixed; charset=x;\r\n\tboundary=" + parameter + b"\r\n\r\n"
            self.assertEqual(found(head + b"--" + boundary + b"\r\n" + data(b"!x")), b"!x")

    def test_no_boundary(self) -> None:
        """A multipart without a boundary has no parts."""
        for parameter in (b"", b'; boundary=""', b"; boundary"):
            self.assertIsNone(found(b"Content-Type: multipart/mixed" + parameter + b"\r\n\r\n--\r\n" + data(b"!x")))

    def test_nothing(self) -> None:
        """A message without a body, or of nothing, has no such part, or an empty one."""
        self.assertIsNone(found(b""))
        self.assertIsNone(found(b"To: a\r\n\r\n"))
        self.assertEqual(found(b"Content-Type: application/x-ifap"), b"")

    def test_bombs(self) -> None:
        """Thousands of parts, or of levels, are not followed to the end."""
        self.assertIsNone(found(multipart(*[TEXT] * 10_000, data(b"!x"))))
        deep = data(b"!x")
        for level in range(40):
            deep = multipart(deep, boundary=b"b%d" % level)
        self.assertIsNone(found(deep))
        self.assertIsNone(found(b"Content-Type: message/rfc822\r\n\r\n" * 100_000))

    @given(
        st.lists(
            st.sampled_from(
                [b"\r\n", b"\n", b"--b", b"--", b"Content-Type: multipart/mixed; boundary=b", b"b", b" ", b"\r", b"x"]
            )
            | st.just(data(b"!x"))
            | st.binary(max_size=3),
            max_size=20,
        )
    )
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """Any bytes have no such part, or one inside of the message."""
        message = b"".join(pieces)
        part = data_part(message, TYPE)
        if part is not None:
            self.assertTrue(0 <= part[0] <= part[1] <= len(message))
