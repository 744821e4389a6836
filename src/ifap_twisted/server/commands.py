"""Which command is which function, and in which state it may be given (RFC 9051 section 3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from ifap_twisted.server import commands_any, commands_authenticated, commands_selected
from ifap_twisted.server.framing import Command
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.responses import TooBig

if TYPE_CHECKING:
    from ifap_twisted.server.connection import Connection

__all__ = ["execute", "withholds_expunge"]

Function = Callable[["Connection", Reader], Awaitable[bytes]]

_BY_STATE: Mapping[str, Mapping[bytes, Function]] = {
    "unauth": {**commands_any.ANY, **commands_any.BEFORE_LOGIN},
    "auth": {**commands_any.ANY, **commands_authenticated.COMMANDS},
    "select": {**commands_any.ANY, **commands_authenticated.COMMANDS, **commands_selected.COMMANDS},
}
_KNOWN = frozenset(name for commands in _BY_STATE.values() for name in commands)
_WITHHOLDING = frozenset({b"FETCH", b"STORE", b"SEARCH"})


async def execute(connection: Connection, command: Command) -> bytes:
    """Do a command; the text of its OK.

    :raises BadSyntax: it is none, or not in this state.
    :raises Exception: it failed.
    """
    reader = Reader(command)
    reader.tag()
    reader.space()
    name = reader.atom()
    function = _BY_STATE.get(connection.state, {}).get(name)
    if function is None:
        raise BadSyntax("Not in this state" if name in _KNOWN else "Unknown command")
    if command.too_big:
        raise TooBig
    return await function(connection, reader)


def withholds_expunge(command: Command) -> bool:
    """Whether the numbers of messages must not change while it is answered (RFC 9051 section 7.5.1)."""
    words = command.line.split(b" ", 2)
    return len(words) > 1 and words[1].upper() in _WITHHOLDING
