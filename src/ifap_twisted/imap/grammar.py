"""What a response means: RFC 9051 section 7, as far as a store needs it; the rest is named and left alone.

Knows no transport and no command. Any response either becomes one of the replies below or raises ``ProtocolViolation``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn, TypeAlias

from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.replies import Parts

__all__ = [
    "HIGHEST",
    "Continuation",
    "Data",
    "Fetch",
    "Numbered",
    "Reply",
    "Search",
    "Status",
    "Value",
    "number",
    "parse",
]

Value: TypeAlias = "bytes | list[Value] | None"
"""An atom, quoted string or literal as bytes, NIL as None, a parenthesised list as a list."""


class Status(NamedTuple):
    """OK, NO, BAD, BYE or PREAUTH, tagged or not.

    :ivar tag: ``b"*"`` when untagged.
    :ivar code: the response code, upper case, or empty; ``arguments`` what follows it inside the brackets.
    """

    tag: bytes
    status: bytes
    code: bytes
    arguments: bytes
    text: bytes


class Continuation(NamedTuple):
    """The server waits for more of the command."""

    text: bytes


class Numbered(NamedTuple):
    """EXISTS, EXPUNGE or RECENT (mailutils says EXPUNGED) with its number."""

    number: int
    name: bytes


class Fetch(NamedTuple):
    """Items of one message; the names upper case, the fields of a section left out (``BODY[HEADER.FIELDS]``)."""

    sequence: int
    items: dict[bytes, Value]
    uid: int | None = None
    """The UID, when the server gave one."""


class Search(NamedTuple):
    """The numbers that a SEARCH found."""

    numbers: list[int]


class Data(NamedTuple):
    """Any other untagged response; ``values`` is empty for one that a store has no use for."""

    name: bytes
    values: list[Value]


Reply: TypeAlias = Status | Continuation | Numbered | Fetch | Search | Data

HIGHEST: Final = (1 << 32) - 1
"""The highest UID that there can be."""

_STATUS: Final = re.compile(rb"([!-'+-z|}~*]+) (OK|NO|BAD|BYE|PREAUTH)(?: (.*))?\Z", re.IGNORECASE | re.DOTALL)
_CODE: Final = re.compile(rb"\[([A-Za-z0-9!#-'+\-./:;<=>?@^_|~]+)(?: ([^\]]*))?\] ?(.*)\Z", re.DOTALL)
_NUMBERED: Final = re.compile(rb"\* ([0-9]{1,10}) ([A-Za-z]+)(?: |\Z)")
_NAMED: Final = re.compile(rb"\* ([A-Za-z][A-Za-z0-9.\-]*)(?: |\Z)")
_QUOTED: Final = rb'"([^"\\\r\n\x00]*(?:\\["\\][^"\\\r\n\x00]*){0,65535})"'
_SECTION: Final = rb'\[[^\]"]*(?:"[^"]*"[^\]"]*){0,1000}\](?:<[0-9]+>)?'
"""Both go past as much as they can at once: a repetition takes 170 bytes while it lasts, and a line may have a MiB."""
_TOKEN: Final = re.compile(rb" *(?:([()])|" + _QUOTED + rb'|([^\x00-\x20\x7f()"]+)|\Z)')
_ITEM: Final = re.compile(rb" *(?:([A-Za-z][A-Za-z0-9.\-]*)(" + _SECTION + rb")?|(\)))")
_DIGITS: Final = 20
_COMMON: Final = re.compile(
    rb"\* ([0-9]{1,10}) FETCH \((?:UID ([0-9]{1,20}) )(?:RFC822\.SIZE ([0-9]{1,20}) )?"
    rb"(?:(BODY\[\])|BODY\[HEADER\.FIELDS \([A-Z \-]*\)\]) ?\Z"
)
"""A header or a message as most servers send it, before its literal: read in one step instead of twenty."""
_KNOWN: Final = frozenset(
    {b"CAPABILITY", b"ENABLED", b"FLAGS", b"ID", b"LIST", b"LSUB", b"NAMESPACE", b"QUOTA", b"STATUS"}
)
_COUNTS: Final = frozenset({b"EXISTS", b"EXPUNGE", b"EXPUNGED", b"RECENT"})
_DEPTH: Final = 32
_END: Final = object()


def number(value: Value) -> int:
    """A number of at most 64 bits.

    :raises ProtocolViolation: it is none.
    """
    if not isinstance(value, bytes) or not value.isdigit() or len(value) > _DIGITS:
        raise ProtocolViolation("The mail server sent something else where a number belongs.")
    return int(value)


def parse(parts: Parts) -> Reply:
    """The reply that a response is.

    :raises ProtocolViolation: it is none.
    """
    line = parts[0]
    if line[:2] == b"* ":
        return _untagged(parts, line)
    if line[:1] == b"+":
        return Continuation(line[1:].removeprefix(b" "))
    status = _status(line)
    if status is None or status.status not in (b"OK", b"NO", b"BAD"):
        raise ProtocolViolation("The mail server sent a line that is no response.")
    return status


def _common_fetch(parts: Parts) -> Fetch | None:
    match = _COMMON.match(parts[0])
    if match is None:
        return None
    items: dict[bytes, Value] = {b"UID": match[2]}
    if match[3]:
        items[b"RFC822.SIZE"] = match[3]
    items[match[4] or b"BODY[HEADER.FIELDS]"] = parts[1]
    return Fetch(int(match[1]), items, _uid(match[2]))


def _uid(value: Value) -> int | None:
    if value is None:
        return None
    uid = number(value)
    if not 0 < uid <= HIGHEST:
        raise ProtocolViolation("The mail server sent a UID that cannot be one.")
    return uid


def _untagged(parts: Parts, line: bytes) -> Reply:
    if len(parts) == 3 and parts[2] == b")":
        common = _common_fetch(parts)
        if common is not None:
            return common
    match = _NUMBERED.match(line)
    if match is not None:
        name = match[2].upper()
        if name == b"FETCH":
            items = _Scanner(parts, match.end()).items()
            return Fetch(int(match[1]), items, _uid(items.get(b"UID")))
        return Numbered(int(match[1]), name) if name in _COUNTS else Data(name, [])
    status = _status(line)
    if status is not None:
        return status
    match = _NAMED.match(line)
    if match is None:
        raise ProtocolViolation("The mail server sent an untagged line that is no response.")
    name = match[1].upper()
    if name == b"SEARCH":
        return Search(_numbers(line[match.end() :]))
    return Data(name, _Scanner(parts, match.end()).values() if name in _KNOWN else [])


def _status(line: bytes) -> Status | None:
    match = _STATUS.match(line)
    if match is None:
        return None
    code = _CODE.match(match[3] or b"")
    if code is None:
        return Status(match[1], match[2].upper(), b"", b"", match[3] or b"")
    return Status(match[1], match[2].upper(), code[1].upper(), code[2] or b"", code[3])


def _numbers(text: bytes) -> list[int]:
    """The numbers of a SEARCH; what follows in parentheses (MODSEQ) is none of them."""
    words = text.partition(b"(")[0].split()
    if not all(len(word) <= 10 and word.isdigit() for word in words):
        raise ProtocolViolation("The mail server answered a SEARCH with something else than numbers.")
    return [int(word) for word in words]


class _Scanner:
    """Reads values from the lines and literals of a response, without recursion."""

    __slots__ = ("_at", "_index", "_parts")

    def __init__(self, parts: Parts, at: int) -> None:
        self._parts = parts
        self._index = 0
        self._at = at

    def _token(self) -> object:
        """The next parenthesis (as str), value, or ``_END``."""
        match = _TOKEN.match(self._parts[self._index], self._at)
        if match is None:
            raise ProtocolViolation("The mail server sent a response that cannot be read.")
        self._at = match.end()
        kind = match.lastindex
        if kind == 3:
            return None if match[3].upper() == b"NIL" else match[3]
        if kind == 2:
            return re.sub(rb"\\(.)", rb"\1", match[2]) if b"\\" in match[2] else match[2]
        if kind == 1:
            return match[1].decode("ascii")
        if self._index + 1 < len(self._parts):
            literal = self._parts[self._index + 1]
            self._index += 2
            self._at = 0
            return literal
        return _END

    def _value(self, token: object) -> Value:
        """The value that begins with a token."""
        stack: list[list[Value]] = []
        while True:
            if token == "(":  # noqa: S105 -- a parenthesis, not a secret
                if len(stack) >= _DEPTH:
                    raise ProtocolViolation("The mail server sent a response that is nested too deeply.")
                stack.append([])
            else:
                if token == ")":  # noqa: S105
                    value: Value = stack.pop() if stack else _broken()
                elif token is None or isinstance(token, bytes):
                    value = token
                else:
                    _broken()
                if not stack:
                    return value
                stack[-1].append(value)
            token = self._token()

    def values(self) -> list[Value]:
        """All values to the end."""
        found: list[Value] = []
        while (token := self._token()) is not _END:
            found.append(self._value(token))
        return found

    def items(self) -> dict[bytes, Value]:
        """The items of a FETCH, and nothing after them."""
        found: dict[bytes, Value] = {}
        if self._token() != "(":
            _broken()
        while True:
            match = _ITEM.match(self._parts[self._index], self._at)
            if match is None:
                _broken()
            self._at = match.end()
            if match[3]:
                break
            name = match[1].upper()
            if match[2]:
                name += _section(match[2])
            found[name] = self._value(self._token())
        if self._token() is not _END:
            _broken()
        return found


def _section(text: bytes) -> bytes:
    """A section without its list of fields, which servers echo in their own ways."""
    inside, _bracket, origin = text[1:].rpartition(b"]")
    return b"[" + inside.partition(b" ")[0].upper() + b"]" + origin


def _broken() -> NoReturn:
    raise ProtocolViolation("The mail server sent a response that cannot be read.")
