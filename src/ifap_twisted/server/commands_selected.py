"""Commands about the messages of the selected mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.errors import Damaged, ReadOnly, Unavailable
from ifap_twisted.server import limits
from ifap_twisted.server.fetching import parse_plan
from ifap_twisted.server.flags import added, removed, rendered, replaced_by
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.searching import parse_query

if TYPE_CHECKING:
    from ifap_twisted.server.connection import Connection

__all__ = ["COMMANDS"]

_CHANGES = {b"FLAGS": replaced_by, b"+FLAGS": added, b"-FLAGS": removed}


async def check(_connection: Connection, reader: Reader) -> bytes:
    """CHECK (RFC 3501 section 6.4.1): everything is on the disk already."""
    reader.end()
    return b"CHECK completed"


async def close(connection: Connection, reader: Reader) -> bytes:
    """CLOSE (RFC 9051 section 6.4.1): expunge without a word, unless the mailbox is read-only."""
    reader.end()
    mailbox = _mailbox(connection)
    connection.leave_mailbox()
    if mailbox.writable:
        await mailbox.expunge()
    return b"CLOSE completed"


async def unselect(connection: Connection, reader: Reader) -> bytes:
    """UNSELECT (RFC 3691)."""
    reader.end()
    connection.leave_mailbox()
    return b"UNSELECT completed"


async def expunge(connection: Connection, reader: Reader) -> bytes:
    """EXPUNGE (RFC 9051 section 6.4.3)."""
    reader.end()
    await _mailbox(connection).expunge()
    return b"EXPUNGE completed"


async def fetch(connection: Connection, reader: Reader, *, by_uid: bool = False) -> bytes:
    """FETCH (RFC 9051 section 6.4.5); when messages are damaged the others are sent, and then NO."""
    mailbox = _mailbox(connection)
    reader.space()
    pairs = mailbox.view.resolve(reader.sequence_set(), by_uid=by_uid)
    reader.space()
    plan = parse_plan(reader)
    reader.end()
    plan = plan.with_uid() if by_uid else plan
    done, damaged = 0, False
    while done < len(pairs):
        block = await mailbox.fetch(pairs[done : done + limits.BLOCK], plan)
        done += block.done
        damaged = damaged or bool(block.damaged)
        await connection.send(block.pieces)
    if damaged:
        raise Damaged
    return _completed(mailbox, b"FETCH", by_uid=by_uid)


async def search(connection: Connection, reader: Reader, *, by_uid: bool = False) -> bytes:
    """SEARCH (RFC 3501 section 6.4.4)."""
    mailbox = _mailbox(connection)
    reader.space()
    query = parse_query(reader, mailbox.view)
    found = query.candidates(mailbox.view)
    if query.criteria:
        found = await mailbox.search(found, query)
    numbers = [b" %d" % (uid if by_uid else number) for number, uid in found]
    await connection.send([b"* SEARCH", *numbers, b"\r\n"])
    return _completed(mailbox, b"SEARCH", by_uid=by_uid)


async def store(connection: Connection, reader: Reader, *, by_uid: bool = False) -> bytes:
    """STORE (RFC 9051 section 6.4.6)."""
    mailbox = _mailbox(connection)
    reader.space()
    pairs = mailbox.view.resolve(reader.sequence_set(), by_uid=by_uid)
    reader.space()
    name, dot, silent = reader.atom().partition(b".")
    if name not in _CHANGES or (dot and silent != b"SILENT"):
        raise BadSyntax("Unknown item of STORE")
    reader.space()
    change = _CHANGES[name](reader.flags())
    reader.end()
    if not mailbox.writable:
        raise ReadOnly
    after = await mailbox.store(pairs, change)
    if not silent:
        await connection.send(_flag_lines(mailbox, pairs, after, by_uid=by_uid))
    return _completed(mailbox, b"STORE", by_uid=by_uid)


async def by_uid(connection: Connection, reader: Reader) -> bytes:
    """UID FETCH, SEARCH, STORE and EXPUNGE (RFC 9051 section 6.4.9, RFC 4315).

    What others did until now is told first, so that what they appended is found.
    """
    connection.announce(expunge=True)
    reader.space()
    name = reader.atom()
    if name == b"EXPUNGE":
        reader.space()
        mailbox = _mailbox(connection)
        pairs = mailbox.view.resolve(reader.sequence_set(), by_uid=True)
        reader.end()
        await mailbox.expunge([uid for _number, uid in pairs])
        return b"UID EXPUNGE completed"
    if name not in _BY_UID:
        raise BadSyntax("Unknown command after UID")
    return await _BY_UID[name](connection, reader, by_uid=True)


def _flag_lines(
    mailbox: Mailbox, pairs: list[tuple[int, int]], after: dict[int, tuple[str, ...]], *, by_uid: bool
) -> list[bytes]:
    lines = []
    for number, uid in pairs:
        if uid in after:
            flags = rendered(after[uid], recent=mailbox.view.is_recent(uid))
            named = b"UID %d " % uid if by_uid else b""
            lines.append(b"* %d FETCH (%bFLAGS %b)\r\n" % (number, named, flags))
    return lines


def _completed(mailbox: Mailbox, name: bytes, *, by_uid: bool) -> bytes:
    """With a hint when numbers of the set belong to messages that others have expunged (RFC 5530)."""
    if by_uid:
        return b"UID " + name + b" completed"
    return (b"[EXPUNGEISSUED] " if mailbox.view.expunged else b"") + name + b" completed"


def _mailbox(connection: Connection) -> Mailbox:
    mailbox = connection.mailbox
    if mailbox is None:
        raise Unavailable  # it was deleted, as the session was told just now
    return mailbox


_BY_UID = {b"FETCH": fetch, b"SEARCH": search, b"STORE": store}

COMMANDS = {
    b"CHECK": check,
    b"CLOSE": close,
    b"EXPUNGE": expunge,
    b"FETCH": fetch,
    b"SEARCH": search,
    b"STORE": store,
    b"UID": by_uid,
    b"UNSELECT": unselect,
}
