"""Tests of where commands end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server import limits
from ifap_twisted.server.framing import Assembler, Command, Continuation, Overflow

texts = st.binary(max_size=40).map(lambda text: text.replace(b"\r", b" ").replace(b"\n", b" ").replace(b"}", b")"))
literals = st.binary(max_size=200)


def feed(assembler: Assembler, data: bytes, sizes: list[int]) -> list[Command | Continuation]:
    """What a connection does: lines and raw bytes, in packets of any size."""
    items, buffer = [], b""
    position, turn = 0, 0
    while position < len(data) or buffer:
        size = sizes[turn % len(sizes)]
        turn += 1
        buffer += data[position : position + size]
        position += size
        while buffer:
            if assembler.expects_literal:
                buffer = assembler.data(buffer)
                continue
            line, found, rest = buffer.partition(b"\r\n")
            if not found:
                break
            buffer = rest
            item = assembler.line(line)
            if item is not None:
                items.append(item)
        if position >= len(data) and not assembler.expects_literal and b"\r\n" not in buffer:
            break
    return items


class AssemblerTests(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(st.lists(st.tuples(texts, literals, st.booleans()), max_size=4), texts), min_size=1, max_size=4
        ),
        st.lists(st.integers(1, 50), min_size=1, max_size=5),
    )
    def test_boundaries(self, commands, sizes) -> None:
        """Commands come out as they were, whatever the literals hold and however the bytes arrive."""
        wire, expected, asked = b"", [], 0
        for parts, last in commands:
            pieces = []
            for text, literal, synchronising in parts:
                wire += text + b"{%d%b}\r\n" % (len(literal), b"" if synchronising else b"+") + literal
                pieces += [text, literal]
                asked += synchronising
            wire += last + b"\r\n"
            expected.append([*pieces, last])
        items = feed(Assembler(1000), wire, sizes)
        self.assertEqual(
            [[bytes(piece) for piece in item.pieces] for item in items if isinstance(item, Command)], expected
        )
        self.assertEqual(len([item for item in items if isinstance(item, Continuation)]), asked)

    @given(
        st.lists(st.one_of(texts, st.from_regex(rb"[a-z {}0-9+]{0,20}\{[0-9]{1,4}\+?\}", fullmatch=True)), max_size=30)
    )
    def test_anything(self, lines) -> None:
        """Any lines give commands or Overflow, and memory stays bounded."""
        assembler = Assembler(1000)
        try:
            for line in lines:
                if assembler.expects_literal:
                    assembler.data(b"x" * 10_000)
                else:
                    assembler.line(line)
                self.assertLess(assembler._command.size, limits.ARGUMENT + 1000 + 40 * 30)
        except Overflow:
            pass

    def test_too_big(self) -> None:
        """A literal over the limit is dropped, and the command says so."""
        assembler = Assembler(100_000)
        self.assertIsNone(assembler.line(b"a APPEND box {200000+}"))
        self.assertEqual(assembler.data(b"x" * 200_000 + b"rest"), b"rest")
        command = assembler.line(b"")
        assert isinstance(command, Command)
        self.assertTrue(command.too_big)
        self.assertEqual(command.size, len(b"a APPEND box "))

    def test_too_big_for_an_argument(self) -> None:
        """The limit of messages is for APPEND alone."""
        command = Assembler(10 * limits.ARGUMENT).line(b"a LOGIN {%d}" % (limits.ARGUMENT + 1))
        assert isinstance(command, Command)
        self.assertTrue(command.too_big)

    def test_arguments_together(self) -> None:
        """Many small literals cannot be larger together than one may be."""
        assembler = Assembler(1000)
        assembler.line(b"a SEARCH TEXT {%d+}" % (limits.ARGUMENT - 10))
        assembler.data(b"x" * (limits.ARGUMENT - 10))
        command = assembler.line(b" TEXT {11}")
        assert isinstance(command, Command)
        self.assertTrue(command.too_big)

    def test_number_that_is_none(self) -> None:
        """More than 32 bits is no number (RFC 9051 section 9)."""
        with self.assertRaises(Overflow):
            Assembler(1000).line(b"a APPEND box {4294967296+}")

    def test_endless_literals(self) -> None:
        """A command of nothing but literals ends."""
        assembler = Assembler(1000)
        with self.assertRaises(Overflow):
            for _ in range(1000):
                assembler.line(b"{0+}")

    def test_appends(self) -> None:
        """APPEND is recognised in any case, and nothing else is taken for it."""
        for line, appends in ((b"a append box", True), (b"a  APPEND x", True), (b"a NOOP APPEND x", False)):
            self.assertEqual(Command([line]).appends, appends)
