"""Commands about mailboxes by name, and APPEND and IDLE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.errors import NotFound
from ifap_twisted.server import limits
from ifap_twisted.server.flags import SYSTEM, rendered
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.names import matches, parents, parse_name, quoted, with_case_of_inbox
from ifap_twisted.server.responses import NoSuchTarget, TooBig
from ifap_twisted.server.storage import Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ifap_twisted.server.connection import Connection

__all__ = ["COMMANDS"]


async def select(connection: Connection, reader: Reader) -> bytes:
    """SELECT (RFC 9051 section 6.3.2)."""
    return await _select(connection, reader, writable=True)


async def examine(connection: Connection, reader: Reader) -> bytes:
    """EXAMINE (RFC 9051 section 6.3.3)."""
    return await _select(connection, reader, writable=False)


async def create(connection: Connection, reader: Reader) -> bytes:
    """CREATE (RFC 9051 section 6.3.4); a final delimiter only says that mailboxes will be made below."""
    reader.space()
    name = reader.astring()
    reader.end()
    await _account(connection).create(parse_name(name.removesuffix(b"/")))
    return b"CREATE completed"


async def delete(connection: Connection, reader: Reader) -> bytes:
    """DELETE (RFC 9051 section 6.3.5)."""
    await _account(connection).delete(_only_name(reader))
    return b"DELETE completed"


async def subscribe(connection: Connection, reader: Reader) -> bytes:
    """SUBSCRIBE (RFC 9051 section 6.3.7)."""
    await _account(connection).subscribe(_only_name(reader), subscribed=True)
    return b"SUBSCRIBE completed"


async def unsubscribe(connection: Connection, reader: Reader) -> bytes:
    """UNSUBSCRIBE (RFC 9051 section 6.3.8)."""
    await _account(connection).subscribe(_only_name(reader), subscribed=False)
    return b"UNSUBSCRIBE completed"


async def list_mailboxes(connection: Connection, reader: Reader) -> bytes:
    """LIST (RFC 3501 section 6.3.8)."""
    pattern = _pattern(reader)
    if not pattern:
        connection.sendUntaggedResponse(b'LIST (\\Noselect) "/" ""')
        return b"LIST completed"
    await _list(connection, b"LIST", pattern, await _account(connection).mailboxes())
    return b"LIST completed"


async def list_subscribed(connection: Connection, reader: Reader) -> bytes:
    """LSUB (RFC 3501 section 6.3.9)."""
    pattern = _pattern(reader)
    present = await _account(connection).mailboxes()
    await _list(connection, b"LSUB", pattern, {name: True for name, subscribed in present.items() if subscribed})
    return b"LSUB completed"


async def namespace(connection: Connection, reader: Reader) -> bytes:
    """NAMESPACE (RFC 2342): all is personal."""
    reader.end()
    connection.sendUntaggedResponse(b'NAMESPACE (("" "/")) NIL NIL')
    return b"NAMESPACE completed"


async def status(connection: Connection, reader: Reader) -> bytes:
    """STATUS (RFC 9051 section 6.3.11, RFC 8438, RFC 7889)."""
    reader.space()
    name = parse_name(reader.astring())
    reader.space()
    reader.expect(b"(")
    items = [reader.atom()]
    while not reader.accept(b")"):
        reader.space()
        items.append(reader.atom())
    reader.end()
    if not set(items) <= _STATUS.keys() | {b"APPENDLIMIT"}:
        raise BadSyntax("Unknown item of STATUS")
    counts = await _account(connection).count(name)
    values = [connection.message_limit if item == b"APPENDLIMIT" else _STATUS[item](counts) for item in items]
    words = b" ".join(b"%b %d" % pair for pair in zip(items, values, strict=True))
    connection.sendUntaggedResponse(b"STATUS %b (%b)" % (quoted(name), words))
    return b"STATUS completed"


async def append(connection: Connection, reader: Reader) -> bytes:
    """APPEND (RFC 9051 section 6.3.12, RFC 4315): the OK says that the message is on the disk."""
    reader.space()
    name = parse_name(reader.astring())
    reader.space()
    flags: tuple[str, ...] = ()
    date = None
    if reader.looking_at(b"("):
        flags = reader.flag_list()
        reader.space()
    if reader.looking_at(b'"'):
        date = reader.date_time()
        reader.space()
    data = reader.literal()
    reader.end()
    if len(data) > connection.message_limit:
        raise TooBig
    try:
        appended = await _account(connection).append(name, flags, date, data)
    except NotFound:
        raise NoSuchTarget from None
    return b"[APPENDUID %d %d] APPEND completed" % (appended.uidvalidity, appended.uid)


async def idle(connection: Connection, reader: Reader) -> bytes:
    """IDLE (RFC 2177): what other sessions do is told at once."""
    reader.end()
    connection.announce(expunge=True)
    connection.sendContinuationRequest(b"Idling")
    mailbox = connection.mailbox
    if mailbox is not None:
        mailbox.view.notify = lambda: _tell(connection)
    try:
        line = await connection.next_line()
    finally:
        if mailbox is not None:
            mailbox.view.notify = None
    if line.upper() != b"DONE":
        raise BadSyntax("Expected DONE")
    return b"IDLE completed"


def _tell(connection: Connection) -> None:
    if connection.outflow.stalled:
        return  # told when there is room again
    connection.announce(expunge=True)
    if connection.state == "logout":
        connection.hang_up()


async def _select(connection: Connection, reader: Reader, *, writable: bool) -> bytes:
    connection.leave_mailbox()
    name = _only_name(reader)
    mailbox = await _account(connection).select(name, writable=writable)
    connection.enter_mailbox(mailbox)
    for line in _described(mailbox):
        connection.sendUntaggedResponse(line)
    return b"[READ-WRITE] SELECT completed" if writable else b"[READ-ONLY] EXAMINE completed"


def _described(mailbox: Mailbox) -> list[bytes]:
    opened, view = mailbox.opened, mailbox.view
    flags = (*SYSTEM, *sorted(opened.flags - set(SYSTEM)))
    lines = [
        b"FLAGS " + rendered(flags),
        b"OK [PERMANENTFLAGS %b] Kept" % rendered((*flags, "\\*") if mailbox.writable else ()),
        b"%d EXISTS" % len(view),
        b"%d RECENT" % view.recent_count,
        b"OK [UIDVALIDITY %d] Valid" % opened.box.uidvalidity,
        b"OK [UIDNEXT %d] Next" % opened.box.uidnext,
    ]
    if opened.unseen is not None:
        lines.insert(4, b"OK [UNSEEN %d] First unseen" % view.number(opened.unseen))
    return lines


async def _list(connection: Connection, word: bytes, pattern: str, present: dict[str, bool]) -> None:
    lines = []
    inner = parents(present)
    for name in present:
        if matches(pattern, name):
            attribute = b"\\HasChildren" if name in inner else b"\\HasNoChildren"
            lines.append(b'* %b (%b) "/" %b\r\n' % (word, attribute, quoted(name)))
    await connection.send(lines)


def _pattern(reader: Reader) -> str:
    reader.space()
    reference = reader.astring()
    reader.space()
    name = reader.list_mailbox()
    reader.end()
    if len(reference) + len(name) > limits.MAILBOX_BYTES:
        raise BadSyntax("This pattern is too long")
    return with_case_of_inbox((reference + name).decode("ascii", "replace")) if name else ""


def _only_name(reader: Reader) -> str:
    reader.space()
    name = reader.astring()
    reader.end()
    return parse_name(name)


def _account(connection: Connection) -> IMailAccount:
    account = connection.account
    assert account is not None
    return account


_STATUS: dict[bytes, Callable[[Counts], int]] = {
    b"MESSAGES": lambda counts: counts.messages,
    b"RECENT": lambda counts: counts.recent,
    b"UIDNEXT": lambda counts: counts.box.uidnext,
    b"UIDVALIDITY": lambda counts: counts.box.uidvalidity,
    b"UNSEEN": lambda counts: counts.unseen,
    b"SIZE": lambda counts: counts.size,
}

COMMANDS = {
    b"APPEND": append,
    b"CREATE": create,
    b"DELETE": delete,
    b"EXAMINE": examine,
    b"IDLE": idle,
    b"LIST": list_mailboxes,
    b"LSUB": list_subscribed,
    b"NAMESPACE": namespace,
    b"SELECT": select,
    b"STATUS": status,
    b"SUBSCRIBE": subscribe,
    b"UNSUBSCRIBE": unsubscribe,
}
