"""Logging in: LOGIN, or AUTHENTICATE with any SASL mechanism, and only over a connection that is secure enough."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Final

from ifap_twisted.errors import AuthenticationRefused, NotTrusted, ProtocolViolation, StoreError
from ifap_twisted.imap import names
from ifap_twisted.imap.capabilities import Capabilities
from ifap_twisted.imap.refusals import LOGIN
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.sasl import Responder, checked
from ifap_twisted.imap.wire import Wire

__all__ = ["Login"]

_CHALLENGES: Final = 32
"""No mechanism has half as many."""


class Login:
    """The login of one connection.

    :ivar allowed: the connection is secure enough for secrets.
    :ivar done: the server needs no login any more.
    """

    def __init__(self, wire: Wire, capabilities: Capabilities) -> None:
        self._wire = wire
        self._capabilities = capabilities
        self.allowed = False
        self.done = False

    async def login(self, user: bytes | str, password: bytes | str) -> None:
        """LOGIN, which a server may forbid (LOGINDISABLED).

        :raises AuthenticationRefused: the server does not accept these.
        """
        self._refuse_unsecured()
        if b"LOGINDISABLED" in self._capabilities:
            raise NotTrusted("The mail server does not allow to log in with a password over this connection.")
        words = [checked(user, "user name"), checked(password, "password")]
        pieces = [b"LOGIN"]
        for word in words:
            text = names.quoted(word)
            if text is None:
                pieces += [word, b""]
            else:
                pieces[-1] += b" " + text
        secrets = (words[1], (names.quoted(words[1]) or b"")[1:-1])
        await self._log_in(Request(*pieces, what=LOGIN, secrets=secrets))

    async def authenticate(self, mechanism: bytes | str, responder: Responder) -> None:
        """AUTHENTICATE with any mechanism; the first words go along where the server allows it (SASL-IR).

        :raises AuthenticationRefused: the server does not accept this.
        """
        self._refuse_unsecured()
        name = checked(mechanism, "mechanism").upper()
        if name not in self._capabilities.mechanisms:
            raise AuthenticationRefused(f"The mail server does not offer {name.decode('ascii', 'replace')}.")
        initial = responder.initial() if b"SASL-IR" in self._capabilities else None
        text = b"AUTHENTICATE " + name
        if initial is not None:
            text += b" " + (b64encode(initial) or b"=")
        secrets = responder.secrets()
        secrets += (b64encode(initial),) if initial else ()
        dance = _Dance(responder)
        try:
            await self._log_in(Request(text, what=LOGIN, answer=dance.answer, secrets=secrets))
        except StoreError:
            if dance.failure is not None:
                raise dance.failure from None
            raise

    def _refuse_unsecured(self) -> None:
        if not self.allowed:
            raise NotTrusted("The connection is not secure yet; nothing was sent.")

    async def _log_in(self, request: Request) -> None:
        before = self._capabilities.words
        self._capabilities.forget()
        try:
            await self._wire.perform(request)
        except BaseException:
            self._capabilities.words = before
            raise
        self.done = True
        self._wire.state = "auth"
        if not self._capabilities.words:
            await self._capabilities.ask()


class _Dance:
    """The answers of one AUTHENTICATE."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._asked = 0
        self.failure: StoreError | None = None

    def answer(self, challenge: bytes) -> bytes:
        """A line for a challenge; ``*`` when the challenge makes no sense, which ends the dance.

        :raises ProtocolViolation: the server asks without end.
        """
        self._asked += 1
        if self._asked > _CHALLENGES:
            raise ProtocolViolation("The mail server does not come to an end of asking for the login.")
        try:
            return b64encode(self._responder.respond(b64decode(challenge, validate=True)))
        except binascii.Error:
            self.failure = ProtocolViolation("The mail server's challenge is not in base64.")
        except StoreError as refused:
            self.failure = refused
        return b"*"
