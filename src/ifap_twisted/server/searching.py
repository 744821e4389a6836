"""SEARCH: keys in, a criterion out that says of each message whether it is meant.

Text is looked for without regard to case, in header fields also in their encoded words (RFC 2047). Bodies are searched
as they were transferred, not decoded: what lies here is encrypted.
"""

from __future__ import annotations

import email.header
import email.utils
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from ifap_twisted.errors import NotSupported
from ifap_twisted.server import limits
from ifap_twisted.server.fetching import fields
from ifap_twisted.server.grammar import BadSyntax, Reader, SequenceSet
from ifap_twisted.server.messages import Message
from ifap_twisted.server.view import View

__all__ = ["BadCharset", "Query", "parse_query"]

Criterion = Callable[[Message], bool]

_CHARSETS = (b"US-ASCII", b"UTF-8")


class BadCharset(NotSupported):
    """Text to search for is in a character set that is not known here."""


@dataclass(slots=True)
class Query:
    """What is searched for: messages of all these sets that meet all these criteria.

    The sets need no look at a message, and bound how many have to be looked at.
    """

    sets: list[tuple[SequenceSet, bool]]
    criteria: list[Criterion]

    def candidates(self, view: View) -> list[tuple[int, int]]:
        """(Sequence number, UID) of the messages in all the sets."""
        if not self.sets:
            return view.all()
        first, *others = (view.resolve(ranges, by_uid=by_uid) for ranges, by_uid in self.sets)
        for other in others:
            kept = set(other)
            first = [pair for pair in first if pair in kept]
        return first

    def __call__(self, message: Message) -> bool:
        """Whether a candidate is meant."""
        return all(criterion(message) for criterion in self.criteria)


def parse_query(reader: Reader, view: View) -> Query:
    """Read all that follows SEARCH.

    :raises BadSyntax: it is no search.
    :raises BadCharset: it is in an unknown character set.
    """
    if reader.accept(b"CHARSET "):
        if reader.astring().upper() not in _CHARSETS:
            raise BadCharset
        reader.space()
    query = Query([], [])
    while True:
        _add_key(query, reader, view, 0)
        if reader.at_end:
            return query
        reader.space()


def _add_key(query: Query, reader: Reader, view: View, depth: int) -> None:
    """One of the keys that must all hold: sets are kept apart."""
    if reader.at_sequence_set():
        query.sets.append((reader.sequence_set(), False))
    elif reader.accept(b"UID "):
        query.sets.append((reader.sequence_set(), True))
    elif reader.accept(b"("):
        _add_key(query, reader, view, _deeper(depth))
        while not reader.accept(b")"):
            reader.space()
            _add_key(query, reader, view, _deeper(depth))
    else:
        criterion = _criterion(reader, view, depth)
        if criterion is not None:
            query.criteria.append(criterion)


def _key(reader: Reader, view: View, depth: int) -> Criterion:
    """One key below NOT or OR, sets included."""
    query = Query([], [])
    _add_key(query, reader, view, _deeper(depth))
    if not query.sets:
        return query
    candidates = {uid for _number, uid in query.candidates(view)}
    return lambda message: message.uid in candidates and query(message)


def _criterion(reader: Reader, view: View, depth: int) -> Criterion | None:
    name = reader.atom()
    if name == b"ALL":
        return None
    if name in _FLAG_KEYS:
        return _flag_criterion(_FLAG_KEYS[name], wanted=not name.startswith(b"UN"))
    if name in _RECENT_KEYS:
        return _RECENT_KEYS[name](view)
    reader.space()
    if name == b"NOT":
        inner = _key(reader, view, depth)
        return lambda message: not inner(message)
    if name == b"OR":
        first = _key(reader, view, depth)
        reader.space()
        second = _key(reader, view, depth)
        return lambda message: first(message) or second(message)
    if name in _ARGUMENT_KEYS:
        return _ARGUMENT_KEYS[name](reader)
    raise BadSyntax("Unknown key of SEARCH")


def _deeper(depth: int) -> int:
    if depth >= limits.SEARCH_DEPTH:
        raise BadSyntax("The search is nested too deeply")
    return depth + 1


def _flag_criterion(flag: str, *, wanted: bool) -> Criterion:
    lowered = flag.lower()
    return lambda message: (lowered in (each.lower() for each in message.flags)) == wanted


def _recent(view: View) -> Criterion:
    return lambda message: view.is_recent(message.uid)


def _old(view: View) -> Criterion:
    return lambda message: not view.is_recent(message.uid)


def _new(view: View) -> Criterion:
    return lambda message: view.is_recent(message.uid) and "\\Seen" not in message.flags


def _keyword(reader: Reader) -> Criterion:
    return _flag_criterion(reader.astring().decode("ascii", "replace"), wanted=True)


def _unkeyword(reader: Reader) -> Criterion:
    return _flag_criterion(reader.astring().decode("ascii", "replace"), wanted=False)


def _larger(reader: Reader) -> Criterion:
    size = reader.number()
    return lambda message: message.size > size


def _smaller(reader: Reader) -> Criterion:
    size = reader.number()
    return lambda message: message.size < size


def _dated(
    of: Callable[[Message], date | None], compare: Callable[[date, date], bool]
) -> Callable[[Reader], Criterion]:
    def parse(reader: Reader) -> Criterion:
        wanted = reader.date()

        def criterion(message: Message) -> bool:
            day = of(message)
            return day is not None and compare(day, wanted)

        return criterion

    return parse


def _arrival(message: Message) -> date:
    """The day of INTERNALDATE in its own zone (RFC 9051 section 6.4.4 disregards both)."""
    zone = timezone(timedelta(minutes=message.zone))
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=message.date)).astimezone(zone).date()


def _sent(message: Message) -> date | None:
    values = _values(message.header, b"Date")
    try:
        return email.utils.parsedate_to_datetime(values[0]).date() if values else None
    except (ValueError, TypeError, OverflowError):
        return None


def _header_text(reader: Reader, name: bytes) -> Criterion:
    needle = reader.astring().decode("utf-8", "replace").casefold()
    return lambda message: any(needle in value.casefold() for value in _values(message.header, name))


def _any_header(reader: Reader) -> Criterion:
    name = reader.astring()
    reader.space()
    return _header_text(reader, name)


def _addressed(name: bytes) -> Callable[[Reader], Criterion]:
    return lambda reader: _header_text(reader, name)


def _body(reader: Reader) -> Criterion:
    pattern = re.compile(re.escape(reader.astring()), re.IGNORECASE)
    return lambda message: pattern.search(message.text) is not None


def _anywhere(reader: Reader) -> Criterion:
    pattern = re.compile(re.escape(reader.astring()), re.IGNORECASE)
    return lambda message: pattern.search(message.header) is not None or pattern.search(message.text) is not None


def _values(header: bytes, name: bytes) -> list[str]:
    """Unfolded values of the fields of that name, encoded words also decoded."""
    found = []
    for text in _split(fields(header, [name])):
        value = text.partition(b":")[2].replace(b"\r\n", b"").replace(b"\n", b"").strip()
        plain = value.decode("utf-8", "replace")
        found.append(plain + "\n" + _decoded(plain) if "=?" in plain else plain)
    return found


def _split(chosen: bytes) -> Sequence[bytes]:
    return [part for part in re.split(rb"\n(?![ \t])", chosen) if part.strip()]


def _decoded(value: str) -> str:
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError):
        return value


_FLAG_KEYS = {
    b"ANSWERED": "\\Answered", b"UNANSWERED": "\\Answered",
    b"DELETED": "\\Deleted", b"UNDELETED": "\\Deleted",
    b"DRAFT": "\\Draft", b"UNDRAFT": "\\Draft",
    b"FLAGGED": "\\Flagged", b"UNFLAGGED": "\\Flagged",
    b"SEEN": "\\Seen", b"UNSEEN": "\\Seen",
}  # fmt: skip
_RECENT_KEYS: dict[bytes, Callable[[View], Criterion]] = {b"RECENT": _recent, b"OLD": _old, b"NEW": _new}
_ARGUMENT_KEYS: dict[bytes, Callable[[Reader], Criterion]] = {
    b"KEYWORD": _keyword,
    b"UNKEYWORD": _unkeyword,
    b"LARGER": _larger,
    b"SMALLER": _smaller,
    b"BEFORE": _dated(_arrival, date.__lt__),
    b"ON": _dated(_arrival, date.__eq__),
    b"SINCE": _dated(_arrival, date.__ge__),
    b"SENTBEFORE": _dated(_sent, date.__lt__),
    b"SENTON": _dated(_sent, date.__eq__),
    b"SENTSINCE": _dated(_sent, date.__ge__),
    b"BCC": _addressed(b"Bcc"),
    b"CC": _addressed(b"Cc"),
    b"FROM": _addressed(b"From"),
    b"SUBJECT": _addressed(b"Subject"),
    b"TO": _addressed(b"To"),
    b"HEADER": _any_header,
    b"BODY": _body,
    b"TEXT": _anywhere,
}
