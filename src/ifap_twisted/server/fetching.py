"""FETCH: what is asked for, and the responses, from the bytes of the message as they came.

Header fields keep their spelling and folding. ENVELOPE, BODYSTRUCTURE and parts of a MIME message are not served.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ifap_twisted.errors import Damaged, NotSupported
from ifap_twisted.server import limits, messages
from ifap_twisted.server.flags import Flags, added, rendered
from ifap_twisted.server.grammar import BadSyntax, Reader, internal_date
from ifap_twisted.server.messages import Message
from ifap_twisted.server.schema import is_damage, is_unreadable, stop_writing
from ifap_twisted.server.storage import SEEN

__all__ = ["Block", "Plan", "fetch_block", "fields", "parse_plan"]

_FIELD = re.compile(rb"[^\n]*(?:\n[ \t][^\n]*)*\n?")
_MACROS = {b"FAST": (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")}
_MIME = frozenset({b"ENVELOPE", b"BODYSTRUCTURE", b"BODY", b"ALL", b"FULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Bytes of a message under the name that the response gives them.

    :ivar pieces: takes the bytes out of the message, in pieces that are not copied together.
    :ivar partial: offset and length, or None for all.
    """

    name: bytes
    pieces: Callable[[Message], Iterable[bytes]]
    partial: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a FETCH asks for, in the order of the response; ``marks_seen`` when it was not asked with PEEK."""

    facts: tuple[bytes, ...] = ()
    sections: tuple[Section, ...] = ()
    marks_seen: bool = False

    def peeking(self) -> Plan:
        r"""The same without setting \\Seen."""
        return replace(self, marks_seen=False)

    def with_uid(self) -> Plan:
        """The same with the UID first, as UID FETCH answers."""
        return replace(self, facts=(b"UID", *(fact for fact in self.facts if fact != b"UID")))


@dataclass(slots=True)
class Block:
    """Responses for some messages.

    :ivar done: for how many of the messages asked for.
    :ivar damaged: the UIDs of those that are not as they were stored; there is no response for them.
    :ivar trouble: what SQLite said of one of those.
    :ivar seen: the flags of those that were marked as seen, by UID.
    """

    pieces: list[bytes] = field(default_factory=list)
    done: int = 0
    damaged: list[int] = field(default_factory=list)
    trouble: sqlite3.Error | None = None
    seen: dict[int, Flags] = field(default_factory=dict)


def parse_plan(reader: Reader) -> Plan:
    """What is asked for after the message set.

    :raises BadSyntax: it is no list of FETCH items.
    :raises NotSupported: it is, but not served here.
    """
    plan = Plan()
    if reader.accept(b"("):
        plan = _with_item(plan, reader)
        while not reader.accept(b")"):
            reader.space()
            plan = _with_item(plan, reader)
        return plan
    return _with_item(plan, reader)


def fetch_block(
    connection: sqlite3.Connection,
    mailbox: int,
    pairs: Sequence[tuple[int, int]],
    plan: Plan,
    is_recent: Callable[[int], bool],
) -> Block:
    """Responses for the first messages, until they are more than ``limits.RESPONSE`` bytes. Runs in the worker."""
    block = Block()
    size = 0
    found: list[tuple[Message, list[bytes]]] = []
    for pair in pairs:
        block.done += 1
        for message, pieces in _rendered(connection, mailbox, pair, plan, block):
            found.append((message, pieces))
            size += sum(map(len, pieces))
        if size > limits.RESPONSE:
            break
    if plan.marks_seen:
        block.seen = _mark_seen(connection, mailbox, [message for message, _pieces in found])
    for message, pieces in found:
        block.pieces += _response(message, plan, pieces, block.seen.get(message.uid), is_recent)
    return block


def _rendered(
    connection: sqlite3.Connection, mailbox: int, pair: tuple[int, int], plan: Plan, block: Block
) -> list[tuple[Message, list[bytes]]]:
    """The message with its sections, if it is there and as it was stored; else the block says what is wrong with it."""
    try:
        return [
            (message, [piece for section in plan.sections for piece in _rendered_section(message, section)])
            for message in messages.read(connection, mailbox, [pair])
        ]
    except Damaged:
        block.damaged.append(pair[1])
    except sqlite3.DatabaseError as error:
        if not is_unreadable(error):
            raise
        if is_damage(error):
            stop_writing(connection)
        block.damaged.append(pair[1])
        block.trouble = error
    return []


def fields(header: bytes, names: Iterable[bytes], *, chosen: bool = True) -> bytes:
    """The fields of those names (or, with ``chosen`` false, the others) as they stand, and an empty line."""
    wanted = {name.lower() for name in names}
    found = []
    for match in _FIELD.finditer(header):
        text = match[0]
        name, colon, _value = text.partition(b":")
        if text.strip() and (bool(colon) and name.strip().lower() in wanted) == chosen:
            found.append(text)
    return b"".join(found) + b"\r\n"


def _with_item(plan: Plan, reader: Reader) -> Plan:
    if reader.accept(b"BODY.PEEK["):
        return _with_section(plan, reader)
    if reader.accept(b"BODY["):
        return replace(_with_section(plan, reader), marks_seen=True)
    name = reader.atom()
    if name in _MIME:
        raise NotSupported("The structure of messages is not served.")
    if name in _WHOLE:
        pieces, marks = _WHOLE[name]
        section = Section(name=name, pieces=pieces)
        return replace(plan, sections=(*plan.sections, section), marks_seen=plan.marks_seen or marks)
    if name not in (b"FLAGS", *_FACTS, *_MACROS):
        raise BadSyntax("Unknown item of FETCH")
    new = (fact for fact in _MACROS.get(name, (name,)) if fact not in plan.facts)
    return replace(plan, facts=(*plan.facts, *new))


def _with_section(plan: Plan, reader: Reader) -> Plan:
    name, pieces = _section_text(reader)
    reader.expect(b"]")
    partial = None
    if reader.accept(b"<"):
        offset = reader.number()
        reader.expect(b".")
        partial = (offset, reader.number())
        reader.expect(b">")
    label = b"BODY[%b]" % name + (b"" if partial is None else b"<%d>" % partial[0])
    return replace(plan, sections=(*plan.sections, Section(name=label, pieces=pieces, partial=partial)))


def _section_text(reader: Reader) -> tuple[bytes, Callable[[Message], Iterable[bytes]]]:
    if reader.looking_at(b"]"):
        return b"", _all
    if reader.at_number():
        raise NotSupported("Parts of MIME messages are not served.")
    word = reader.atom()
    if word in (b"HEADER", b"TEXT"):
        return word, _header if word == b"HEADER" else _text
    if word not in (b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"):
        raise BadSyntax("Unknown section of BODY")
    reader.space()
    names = _field_names(reader)
    chosen = word == b"HEADER.FIELDS"
    label = b"%b (%b)" % (word, b" ".join(map(_as_astring, names)))
    return label, lambda message: (fields(message.header, names, chosen=chosen),)


def _field_names(reader: Reader) -> list[bytes]:
    reader.expect(b"(")
    names = [reader.astring()]
    while not reader.accept(b")"):
        reader.space()
        names.append(reader.astring())
    if any(not 33 <= byte <= 126 or byte == ord(":") for name in names for byte in name):
        raise BadSyntax("There is no such header field")
    return names


def _as_astring(name: bytes) -> bytes:
    """The name as it came, quoted where it has to be."""
    if name and not set(name) & set(b'(){%*"\\'):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _rendered_section(message: Message, section: Section) -> list[bytes]:
    taken = section.pieces(message)
    pieces = list(taken) if section.partial is None else _cut(taken, *section.partial)
    return [b"%b {%d}\r\n" % (section.name, sum(map(len, pieces))), *pieces, b" "]


def _cut(pieces: Iterable[bytes], offset: int, length: int) -> list[bytes]:
    """Some of the bytes; pieces behind them are not read."""
    cut: list[bytes] = []
    for piece in pieces:
        if not length:
            break
        part = piece[offset : offset + length]
        offset = max(0, offset - len(piece))
        length -= len(part)
        cut.append(part)
    return cut


def _response(
    message: Message, plan: Plan, pieces: list[bytes], seen: Flags | None, is_recent: Callable[[int], bool]
) -> list[bytes]:
    facts = plan.facts if seen is None or b"FLAGS" in plan.facts else (*plan.facts, b"FLAGS")
    flags = rendered(seen or message.flags, recent=is_recent(message.uid))
    words = [fact + b" " + (flags if fact == b"FLAGS" else _FACTS[fact](message)) for fact in facts]
    head = b"* %d FETCH (" % message.number + b" ".join(words)
    if not pieces:
        return [head + b")\r\n"]
    return [head + (b" " if words else b""), *pieces[:-1], b")\r\n"]


def _mark_seen(connection: sqlite3.Connection, mailbox: int, found: Sequence[Message]) -> dict[int, Flags]:
    unseen = [message.uid for message in found if SEEN not in message.flags]
    if not unseen:
        return {}
    after, changed = messages.change_flags(connection, mailbox, unseen, added((SEEN,)))
    return {uid: after[uid] for uid in changed}


def _all(message: Message) -> Iterable[bytes]:
    yield message.header
    yield from message.texts()


def _header(message: Message) -> Iterable[bytes]:
    yield message.header


def _text(message: Message) -> Iterable[bytes]:
    return message.texts()


_FACTS: dict[bytes, Callable[[Message], bytes]] = {
    b"UID": lambda message: b"%d" % message.uid,
    b"INTERNALDATE": lambda message: internal_date(message.date, message.zone),
    b"RFC822.SIZE": lambda message: b"%d" % message.size,
}
_WHOLE: dict[bytes, tuple[Callable[[Message], Iterable[bytes]], bool]] = {
    b"RFC822": (_all, True),
    b"RFC822.HEADER": (_header, False),
    b"RFC822.TEXT": (_text, True),
}
