"""Where a command ends: lines and literals in, whole commands out. It does no I/O and understands no argument.

Boundaries first, meaning second: whatever is wrong in a command, the next one starts where it should. Literals that
are too long are dropped as they come (RFC 7888 section 4: a server cannot stop a non-synchronising one).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ifap_twisted.server import limits

__all__ = ["Assembler", "Command", "Continuation", "Overflow"]

_LITERAL = re.compile(rb"\{([0-9]{1,20})(\+?)\}\Z")
_APPEND = re.compile(rb"\A[^ ]+ +APPEND ", re.IGNORECASE)


class Overflow(Exception):
    """So much is wrong that the connection must end."""


@dataclass(slots=True)
class Command:
    """A whole command.

    :ivar pieces: text, literal, text, literal, …, text.
    :ivar too_big: a literal was over the limit and is not in ``pieces``.
    """

    pieces: list[bytes | bytearray]
    too_big: bool = False

    @property
    def size(self) -> int:
        """How many bytes it holds in memory."""
        return sum(map(len, self.pieces))

    @property
    def line(self) -> bytes:
        """Its first line, without a literal at its end."""
        return bytes(self.pieces[0])

    @property
    def appends(self) -> bool:
        """Whether it is an APPEND."""
        return _APPEND.match(self.pieces[0]) is not None


@dataclass(frozen=True, slots=True)
class Continuation:
    """The peer waits for leave to send a literal."""


class Assembler:
    """Puts a command together.

    :param message_limit: the longest literal of an APPEND.
    :ivar message_limit: the same; it may be changed between commands.
    """

    def __init__(self, message_limit: int) -> None:
        self.message_limit = message_limit
        self._command = Command([])
        self._missing = 0

    @property
    def expects_literal(self) -> bool:
        """Whether the next bytes belong to a literal."""
        return self._missing > 0

    def line(self, line: bytes) -> Command | Continuation | None:
        """Take a line without its CRLF; None when a literal follows unasked, or its rest.

        :raises Overflow: it cannot be gone on with.
        """
        claim = _LITERAL.search(line)
        if claim is None:
            self._command.pieces.append(line)
            return self._finish()
        self._command.pieces.append(line[: claim.start()])
        return self._claim(int(claim[1]), synchronising=not claim[2])

    def data(self, data: bytes) -> bytes:
        """Take bytes of a literal; those that do not belong to it any more."""
        mine = data[: self._missing]
        self._missing -= len(mine)
        if not self._command.too_big:
            literal = self._command.pieces[-1]
            assert isinstance(literal, bytearray)
            literal += mine
        return data[len(mine) :]

    def _claim(self, size: int, *, synchronising: bool) -> Command | Continuation | None:
        if size > limits.NUMBER or len(self._command.pieces) > 2 * limits.LITERALS:
            raise Overflow
        if size > self._room():
            self._command.too_big = True
        self._command.pieces.append(bytearray())
        if not synchronising:
            self._missing = size
            return None
        if self._command.too_big:
            return self._finish()  # refused instead of asked for: the literal does not come
        self._missing = size
        return Continuation()

    def _room(self) -> int:
        limit = limits.ARGUMENT + (self.message_limit if self._command.appends else 0)
        held = sum(len(piece) for piece in self._command.pieces[1::2])
        return min(limit - held, max(self.message_limit, limits.ARGUMENT))

    def _finish(self) -> Command:
        command, self._command = self._command, Command([])
        return command
