"""Cuts what a server sends into responses: lines, and the literals between them.

Knows no transport, no clock and no command, keeps bytes as bytes, and does no work per byte: a literal is collected in
the pieces in which it came and joined once. The same bytes give the same responses however they were cut up on the way.
A line ends with CRLF, or with LF alone (mailutils, after AUTHENTICATE). It refuses what is too large; what a response
means is :mod:`ifap_twisted.imap.grammar`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from ifap_twisted.core import limits
from ifap_twisted.errors import ProtocolViolation

__all__ = ["Parts", "Splitter", "joined"]

Parts: TypeAlias = list[bytes]
"""A response: a line without CRLF, or lines and literals in turn; the ``{n}`` before a literal is left out."""

_ANNOUNCEMENT: Final = re.compile(rb"~?\{([0-9]+)\}\Z")
_TEXT: Final = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)(?: |\Z)", re.IGNORECASE)
_PIECES: Final = 1024
"""So many pieces are joined into one, so that a sender of single bytes does not make us hold a list of millions."""


def joined(parts: Parts) -> bytes:
    """The response as one string again, each literal with its ``{n}`` before it."""
    whole = bytearray(parts[0])
    for literal, line in zip(parts[1::2], parts[2::2], strict=True):
        whole += b"{%d}\r\n" % len(literal)
        whole += literal
        whole += line
    return bytes(whole)


class _Pieces:
    """Bytes that arrive in pieces; joined in two steps, so that any number of pieces costs little."""

    __slots__ = ("_done", "_fresh", "size")

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._fresh: list[bytes] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Add a piece at the end."""
        self._fresh.append(piece)
        self.size += len(piece)
        if len(self._fresh) >= _PIECES:
            self._done.append(b"".join(self._fresh))
            self._fresh.clear()

    def take(self) -> bytes:
        """All of it; empty afterwards."""
        whole = b"".join(self._done + self._fresh)
        self._done, self._fresh, self.size = [], [], 0
        return whole


class Splitter:
    """Blocks in, responses out.

    :param line: the most bytes that all lines of one response may have together.
    :param literal: the most bytes that all literals of one response may have together.
    """

    def __init__(self, *, line: int = limits.LINE, literal: int = limits.LITERAL) -> None:
        self._most = line
        self._largest = literal
        self._block = b""
        self._at = 0
        self._pieces = _Pieces()
        self._wanted: int | None = None
        self._parts: Parts = []
        self._lines = 0
        self._literals = 0

    @property
    def unread(self) -> bool:
        """Whether bytes were fed that are in no response given so far."""
        return self._at < len(self._block) or bool(self._parts) or self._pieces.size > 0

    def feed(self, block: bytes) -> Iterator[Parts]:
        """Give each response that a block completes; what is left waits for the next block.

        The iterator must be exhausted before the next block is fed, or the splitter be left alone.

        :raises ProtocolViolation: a line or literal is too long.
        """
        self._block, self._at = block, 0
        while self._at < len(self._block):
            complete = self._read_line() if self._wanted is None else self._read_literal(self._wanted)
            if complete:
                parts, self._parts = self._parts, []
                self._lines = self._literals = 0
                yield parts
        self._block, self._at = b"", 0

    def _read_line(self) -> bool:
        """Read to the end of the line or of the block; True when that completes a response."""
        end = self._block.find(b"\n", self._at)
        stop = len(self._block) if end < 0 else end
        if self._lines + self._pieces.size + stop - self._at > self._most:
            raise ProtocolViolation("The mail server sent a line that is too long.")
        line = self._block[self._at : stop]
        if end < 0:
            self._pieces.add(line)
            self._at = stop
            return False
        self._at = end + 1
        if self._pieces.size:
            self._pieces.add(line)
            line = self._pieces.take()
        return self._end_line(line.removesuffix(b"\r"))

    def _end_line(self, line: bytes) -> bool:
        self._lines += len(line)
        if line[-1:] == b"}" and (self._parts or (line[:2] == b"* " and not _TEXT.match(line))):
            announced = _ANNOUNCEMENT.search(line, max(0, line.rfind(b"{") - 1))
            if announced is not None:
                self._parts.append(line[: announced.start()])
                self._begin_literal(announced[1])
                return False
        self._parts.append(line)
        return True

    def _begin_literal(self, digits: bytes) -> None:
        size = int(digits) if len(digits) <= 20 else self._largest + 1
        self._literals += size
        if self._literals > self._largest:
            raise ProtocolViolation("The mail server announced a literal that is too large.")
        if size:
            self._wanted = size
        else:
            self._parts.append(b"")

    def _read_literal(self, wanted: int) -> bool:
        """Read to the end of the literal or of the block; never completes a response, for a line follows."""
        missing = wanted - self._pieces.size
        stop = min(self._at + missing, len(self._block))
        piece = self._block if stop - self._at == len(self._block) else self._block[self._at : stop]
        self._at = stop
        if len(piece) == wanted:
            self._parts.append(piece)
            self._wanted = None
            return False
        self._pieces.add(piece)
        if self._pieces.size == wanted:
            self._parts.append(self._pieces.take())
            self._wanted = None
        return False
