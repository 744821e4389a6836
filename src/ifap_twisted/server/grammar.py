"""The words of RFC 9051 section 9 and RFC 3501, read from a command. It does no I/O.

It refuses what the grammar refuses, but accepts 8-bit text in quoted strings, as all servers do.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from ifap_twisted.server import limits
from ifap_twisted.server.framing import Command

__all__ = ["BadSyntax", "Reader", "SequenceSet", "internal_date"]

SequenceSet = list[tuple[int | None, int | None]]
"""Ranges of numbers; None is ``*``."""

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')
_LIST_MAILBOX = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_ESCAPE = re.compile(rb"\\(.)")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_NUMBER = re.compile(rb"[0-9]{1,10}(?![0-9])")
_SET = re.compile(
    rb"(?:\*|[0-9]{1,10})(?::(?:\*|[0-9]{1,10}))?(?:,(?:\*|[0-9]{1,10})(?::(?:\*|[0-9]{1,10}))?)*(?= |\)|\Z)"
)
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")
_DATE_TIME = re.compile(
    rb"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})\Z"
)

_MONTHS: Final = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_SYSTEM_FLAGS: Final = {name.lower(): name for name in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")}
_YEARS: Final = (1900, 9998)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadSyntax(Exception):
    """The command is not one; its text is ours and may be sent to the peer."""


class Reader:
    """Reads one command from left to right; every method raises BadSyntax when something else stands there."""

    def __init__(self, command: Command) -> None:
        self._pieces = command.pieces
        self._piece = 0
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._text) and self._piece == len(self._pieces) - 1

    def end(self) -> None:
        """Nothing more may come."""
        if not self.at_end:
            raise BadSyntax("Unexpected argument")

    def space(self) -> None:
        """One blank."""
        self.expect(b" ")

    def expect(self, word: bytes) -> None:
        """Exactly these bytes, in any case."""
        if not self.accept(word):
            raise BadSyntax("Missing argument" if self.at_end else f"Expected {word.decode()!r}")

    def accept(self, word: bytes) -> bool:
        """Take these bytes if they come next, in any case."""
        if self._text[self._at : self._at + len(word)].upper() != word:
            return False
        self._at += len(word)
        return True

    def looking_at(self, word: bytes) -> bool:
        """Whether these bytes come next."""
        return bytes(self._text[self._at : self._at + len(word)]) == word

    def tag(self) -> bytes:
        """A tag."""
        return self._match(_TAG, "Missing tag")

    def atom(self) -> bytes:
        """An atom, in upper case."""
        return self._match(_ATOM, "Expected an atom").upper()

    def astring(self) -> bytes:
        """An atom, quoted string or literal."""
        return self._string(_ASTRING)

    def string(self) -> bytes:
        """A quoted string or literal."""
        return self._string(None)

    def list_mailbox(self) -> bytes:
        """An astring that may hold wildcards."""
        return self._string(_LIST_MAILBOX)

    def literal(self) -> bytearray:
        """A literal, which may be large and is not copied."""
        if self._at != len(self._text) or self._piece == len(self._pieces) - 1:
            raise BadSyntax("Expected a literal")
        literal = self._pieces[self._piece + 1]
        self._piece += 2
        self._at = 0
        assert isinstance(literal, bytearray)
        return literal

    def rest(self) -> bytes:
        """All that is left of the line."""
        at, self._at = self._at, len(self._text)
        return bytes(self._text[at:])

    def number(self) -> int:
        """A number of at most 32 bits."""
        return _bounded(self._match(_NUMBER, "Expected a number"))

    def at_number(self) -> bool:
        """Whether a digit comes next."""
        return self._text[self._at : self._at + 1].isdigit()

    def at_sequence_set(self) -> bool:
        """Whether a sequence set comes next."""
        return _SET.match(self._text, self._at) is not None

    def sequence_set(self) -> SequenceSet:
        """Numbers and ranges of them."""
        ranges: SequenceSet = []
        for part in self._match(_SET, "Expected a set of messages").split(b","):
            first, colon, last = part.partition(b":")
            ranges.append((_star(first), _star(last if colon else first)))
        return ranges

    def flag_list(self) -> tuple[str, ...]:
        """Flags in parentheses, the system's in their usual spelling."""
        self.expect(b"(")
        flags: list[str] = []
        while not self.accept(b")"):
            if flags:
                self.space()
            flags.append(self._flag())
        return _distinct(flags)

    def flags(self) -> tuple[str, ...]:
        """Flags with or without parentheses, as STORE has them."""
        if self.looking_at(b"("):
            return self.flag_list()
        flags = [self._flag()]
        while self.accept(b" "):
            flags.append(self._flag())
        return _distinct(flags)

    def date_time(self) -> tuple[int, int]:
        """An INTERNALDATE: seconds since 1970 and minutes from UTC."""
        found = _DATE_TIME.match(self._string(None))
        if found is None:
            raise BadSyntax("Expected a date and time")
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        zone = (int(zone_hours) * 60 + int(zone_minutes)) * (-1 if sign == b"-" else 1)
        try:
            if not _YEARS[0] <= int(year) <= _YEARS[1]:
                raise BadSyntax("There is no such year")
            when = datetime(
                int(year), _month(month), int(day), int(hour), int(minute), int(second),
                tzinfo=timezone(timedelta(minutes=zone)),
            )  # fmt: skip
            return (when - _EPOCH) // timedelta(seconds=1), zone
        except (ValueError, OverflowError) as error:
            raise BadSyntax("There is no such date and time") from error

    def date(self) -> date:
        """A date of SEARCH, as an atom or quoted."""
        found = _DATE.match(self.astring())
        if found is None:
            raise BadSyntax("Expected a date")
        try:
            return date(int(found[3]), _month(found[2]), int(found[1]))
        except ValueError as error:
            raise BadSyntax("There is no such date") from error

    @property
    def _text(self) -> bytes | bytearray:
        return self._pieces[self._piece]

    def _match(self, pattern: re.Pattern[bytes], otherwise: str) -> bytes:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise BadSyntax("Missing argument" if self.at_end else otherwise)
        self._at = found.end()
        return bytes(found[0])

    def _string(self, bare: re.Pattern[bytes] | None) -> bytes:
        if self.looking_at(b'"'):
            return _ESCAPE.sub(rb"\1", self._match(_QUOTED, "Malformed quoted string")[1:-1])
        if self._at == len(self._text) and self._piece < len(self._pieces) - 1:
            return bytes(self.literal())
        if bare is None:
            raise BadSyntax("Expected a string")
        return self._match(bare, "Expected a string")

    def _flag(self) -> str:
        flag = self._match(_FLAG, "Expected a flag").decode("ascii")
        if not flag.startswith("\\"):
            return flag
        try:
            return _SYSTEM_FLAGS[flag.lower()]
        except KeyError:
            raise BadSyntax("This flag cannot be set") from None


def internal_date(seconds: int, zone: int) -> bytes:
    """An INTERNALDATE as it stands in a FETCH response, with its quotes."""
    when = (_EPOCH + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=zone)))
    month = _MONTHS[when.month - 1].decode().title()
    return f'"{when.day:2d}-{month}-{when.year:04d} {when:%H:%M:%S %z}"'.encode("ascii")


def _star(number: bytes) -> int | None:
    return None if number == b"*" else _bounded(number, least=1)


def _bounded(digits: bytes, least: int = 0) -> int:
    number = int(digits)
    if not least <= number <= limits.NUMBER:
        raise BadSyntax("Number out of range")
    return number


def _month(name: bytes) -> int:
    return _MONTHS.index(name.lower()) + 1


def _distinct(flags: list[str]) -> tuple[str, ...]:
    known: dict[str, str] = {}
    for flag in flags:
        known.setdefault(flag.lower(), flag)
    if sum(map(len, known.values())) + len(known) > limits.FLAGS_BYTES:
        raise BadSyntax("Too many flags")
    return tuple(known.values())
