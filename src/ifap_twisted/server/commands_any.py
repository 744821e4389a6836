"""Commands of every state, and those before login."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING

from twisted.cred.error import UnauthorizedLogin

from ifap_twisted._version import __version__
from ifap_twisted.errors import AuthenticationRefused, NotSupported, NotTrusted
from ifap_twisted.server.grammar import BadSyntax, Reader

if TYPE_CHECKING:
    from ifap_twisted.server.connection import Connection

__all__ = ["ANY", "BEFORE_LOGIN"]


async def capability(connection: Connection, reader: Reader) -> bytes:
    """CAPABILITY (RFC 9051 section 6.1.1)."""
    reader.end()
    connection.sendUntaggedResponse(b"CAPABILITY " + b" ".join(connection.listCapabilities()))
    return b"CAPABILITY completed"


async def noop(_connection: Connection, reader: Reader) -> bytes:
    """NOOP: what is new comes with every response (RFC 9051 section 6.1.2)."""
    reader.end()
    return b"NOOP completed"


async def logout(connection: Connection, reader: Reader) -> bytes:
    """LOGOUT (RFC 9051 section 6.1.3)."""
    reader.end()
    connection.leave_mailbox()
    connection.sendUntaggedResponse(b"BYE Goodbye")
    connection.state = "logout"
    return b"LOGOUT completed"


async def identify(connection: Connection, reader: Reader) -> bytes:
    """ID (RFC 2971); what the client says of itself is not kept."""
    reader.space()
    if reader.accept(b"("):
        _skip_parameters(reader)
    else:
        reader.expect(b"NIL")
    reader.end()
    connection.sendUntaggedResponse(b'ID ("name" "ifap-twisted" "version" "%b")' % __version__.encode("ascii"))
    return b"ID completed"


async def login(connection: Connection, reader: Reader) -> bytes:
    """LOGIN (RFC 9051 section 6.2.3)."""
    reader.space()
    name = reader.astring()
    reader.space()
    password = reader.astring()
    reader.end()
    return await _log_in(connection, name, password)


async def authenticate(connection: Connection, reader: Reader) -> bytes:
    """AUTHENTICATE PLAIN (RFC 4616), with an initial response or without one (RFC 4959)."""
    reader.space()
    if reader.atom() != b"PLAIN":
        raise NotSupported
    if reader.at_end:
        connection.sendLine(b"+ ")
        response = await connection.next_line()
    else:
        reader.space()
        response = reader.rest()
    if response == b"*":
        raise BadSyntax("Cancelled")
    try:
        authzid, name, password = b64decode(b"" if response == b"=" else response, validate=True).split(b"\0")
    except (binascii.Error, ValueError):
        raise BadSyntax("Malformed response") from None
    if authzid not in (b"", name):
        raise AuthenticationRefused
    return await _log_in(connection, name, password)


async def _log_in(connection: Connection, name: bytes, password: bytes) -> bytes:
    if not connection.trusted:
        raise NotTrusted
    try:
        account = await connection.open_account(name, password)
    except UnauthorizedLogin:
        await connection.refuse_login()
        raise AuthenticationRefused from None
    return connection.logged_in(account)


def _skip_parameters(reader: Reader) -> None:
    first = True
    while not reader.accept(b")"):
        if not first:
            reader.space()
        first = False
        reader.string()
        reader.space()
        if not reader.accept(b"NIL"):
            reader.string()


ANY = {b"CAPABILITY": capability, b"NOOP": noop, b"LOGOUT": logout, b"ID": identify}
BEFORE_LOGIN = {b"LOGIN": login, b"AUTHENTICATE": authenticate}
