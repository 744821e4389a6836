"""SASL: how a client answers a server's challenges, and the ready-made ways to log in.

Credentials are bytes inside, and appear in no repr, log or error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

from ifap_twisted.errors import AuthenticationRefused, BadSettings
from ifap_twisted.imap.names import is_safe

__all__ = ["Authenticate", "Dancer", "OAuthBearer", "Plain", "Responder", "XOAuth2", "checked", "oauth2", "password"]

_FIELD: Final = b"\x01"


class Responder(Protocol):
    """One run of a SASL mechanism."""

    def initial(self) -> bytes | None:
        """What is said first, or None when the server speaks first."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge."""

    def secrets(self) -> tuple[bytes, ...]:
        """What must appear in no error text."""


class Dancer(Protocol):
    """What a session offers to whoever logs in: see :class:`ifap_twisted.imap.session.Session`."""

    @property
    def authenticated(self) -> bool:
        """Whether the server needs no login any more (PREAUTH)."""

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms on offer, upper case."""

    def authenticate_plain(self, user: bytes | str, password: bytes | str) -> Awaitable[None]:
        """AUTHENTICATE PLAIN."""

    def login(self, user: bytes | str, password: bytes | str) -> Awaitable[None]:
        """LOGIN."""

    def authenticate(self, mechanism: bytes | str, responder: Responder) -> Awaitable[None]:
        """AUTHENTICATE with any mechanism."""


Authenticate: TypeAlias = Callable[[Any], Awaitable[None]]
"""Logs a session in: ``async (session) -> None`` (DESIGN 4.4)."""


def checked(text: bytes | str, what: str) -> bytes:
    """A credential as bytes.

    :raises BadSettings: it is empty or holds CR, LF or NUL.
    """
    coded = text.encode("utf-8", "strict") if isinstance(text, str) else bytes(text)
    if not coded or not is_safe(coded):
        raise BadSettings(f"The {what} may not be empty or hold line ends or NUL.")
    return coded


class Plain:
    """PLAIN (RFC 4616)."""

    def __init__(self, user: bytes | str, password: bytes | str) -> None:
        self._user = checked(user, "user name")
        self._password = checked(password, "password")

    def initial(self) -> bytes:
        """All there is to say."""
        return b"\0" + self._user + b"\0" + self._password

    def respond(self, challenge: bytes) -> bytes:
        """The same, to a server that takes no initial response; a second challenge is none of this mechanism."""
        if challenge:
            raise AuthenticationRefused("The mail server asked for more than a password.")
        return self.initial()

    def secrets(self) -> tuple[bytes, ...]:
        """The password."""
        return (self._password,)


class XOAuth2:
    """XOAUTH2, as Google and Microsoft take it."""

    def __init__(self, user: bytes | str, token: bytes | str) -> None:
        self._user = checked(user, "user name")
        self._token = checked(token, "access token")

    def initial(self) -> bytes:
        """User and token."""
        return b"user=" + self._user + _FIELD + b"auth=Bearer " + self._token + _FIELD + _FIELD

    def respond(self, challenge: bytes) -> bytes:
        """Without an initial response the first answer is the token; the report of an error is acknowledged."""
        return b"" if challenge else self.initial()

    def secrets(self) -> tuple[bytes, ...]:
        """The token."""
        return (self._token,)


class OAuthBearer(XOAuth2):
    """OAUTHBEARER (RFC 7628)."""

    def initial(self) -> bytes:
        """User and token."""
        user = self._user.replace(b"=", b"=3D").replace(b",", b"=2C")
        return b"n,a=" + user + b"," + _FIELD + b"auth=Bearer " + self._token + _FIELD + _FIELD

    def respond(self, challenge: bytes) -> bytes:
        """Without an initial response the first answer is the token; the report of an error is acknowledged."""
        return _FIELD if challenge else self.initial()


def password(user: bytes | str, secret: bytes | str) -> Authenticate:
    """Log in with a password: AUTHENTICATE PLAIN where it is on offer, else LOGIN.

    :raises BadSettings: a credential holds what could end a line early.
    """
    plain_user, plain_secret = checked(user, "user name"), checked(secret, "password")

    async def authenticate(session: Dancer) -> None:
        if session.authenticated:
            return
        if b"PLAIN" in session.mechanisms:
            await session.authenticate_plain(plain_user, plain_secret)
        else:
            await session.login(plain_user, plain_secret)

    return authenticate


def oauth2(user: bytes | str, token: bytes | str) -> Authenticate:
    """Log in with an access token: OAUTHBEARER where it is on offer, else XOAUTH2."""
    plain_user, plain_token = checked(user, "user name"), checked(token, "access token")

    async def authenticate(session: Dancer) -> None:
        if session.authenticated:
            return
        if b"OAUTHBEARER" in session.mechanisms:
            await session.authenticate(b"OAUTHBEARER", OAuthBearer(plain_user, plain_token))
        else:
            await session.authenticate(b"XOAUTH2", XOAuth2(plain_user, plain_token))

    return authenticate
