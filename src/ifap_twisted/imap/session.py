"""One connection from the greeting to the goodbye: security, capabilities, login, folder, and waiting for news.

Nothing secret is sent before the connection is what :class:`Security` demands. Capabilities are asked anew whenever
they may have changed.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, Traits
from ifap_twisted.deferreds import deferred, within
from ifap_twisted.errors import (
    AuthenticationRefused,
    NotFound,
    NotTrusted,
    ProtocolViolation,
    Refused,
    StoreError,
    TimedOut,
    Unavailable,
)
from ifap_twisted.imap import names
from ifap_twisted.imap.folder import Folder
from ifap_twisted.imap.grammar import Data, Reply, Status, Value, number
from ifap_twisted.imap.idling import Idling
from ifap_twisted.imap.refusals import LOGIN, SELECT
from ifap_twisted.imap.replies import Parts
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.sasl import Plain, Responder, checked
from ifap_twisted.imap.security import Security
from ifap_twisted.imap.selected import FolderObserver
from ifap_twisted.imap.wire import Wire

__all__ = ["Session"]

_SMALL: Final = 4096
"""LITERAL- allows non-synchronising literals up to this (RFC 7888)."""

_CHALLENGES: Final = 32
"""No mechanism has half as many."""


class Session:
    """One connection.

    :ivar capabilities: what the server can do at present, upper case.
    :ivar authenticated: whether it needs no login any more.
    :ivar ended: fires with the reason when the connection is gone; never fails.
    """

    def __init__(self, wire: Wire, clock: IReactorTime, security: Security) -> None:
        self._wire = wire
        self._clock = clock
        self._security = security
        self._secured = security.kind != "starttls"
        self._folder: Folder | None = None
        self._idling: Idling | None = None
        self._waiting: list[Deferred[StoreError]] = []
        self.reason: StoreError | None = None
        self.capabilities: frozenset[bytes] = frozenset()
        self.authenticated = False
        wire.observe = self._observe
        wire.ended.addCallback(self._note_end)  # type: ignore[unused-awaitable]  # it never fails

    def _note_end(self, reason: StoreError) -> None:
        self.reason = reason
        if self._idling is not None:
            self._idling.stop()
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(reason)

    def ended(self) -> Deferred[StoreError]:
        """Fires with the reason when the connection is gone; never fails."""
        done: Deferred[StoreError] = Deferred(self._forget)
        if self.reason is not None:
            done.callback(self.reason)
        else:
            self._waiting.append(done)
        return done

    def _forget(self, done: Deferred[StoreError]) -> None:
        self._waiting.remove(done)

    @property
    def alive(self) -> bool:
        """Whether commands may be sent."""
        return self._wire.alive

    @property
    def wire(self) -> Wire:
        """Twisted's ``IMAP4Client`` for this connection, for commands that a session does not have."""
        return self._wire

    @property
    def folder(self) -> Folder:
        """The selected folder."""
        if self._folder is None:
            raise Unavailable("No folder is open on this connection.")
        return self._folder

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms on offer, upper case."""
        return frozenset(word[5:] for word in self.capabilities if word.startswith(b"AUTH="))

    # From the greeting to the login

    async def begin(self) -> None:
        """Wait for the greeting, secure the connection, and learn what the server can do.

        :raises NotTrusted: the connection is not what the caller demands; nothing secret was sent.
        """
        greeting = await within(self._wire.greeting, limits.CONNECT_SECONDS, self._clock, "The mail server's greeting")
        if not self._secured:
            if greeting.status == b"PREAUTH":
                raise NotTrusted("The mail server logs in before the connection is secure, which prevents STARTTLS.")
            await self._start_tls()
        elif greeting.code == b"CAPABILITY":
            self._note(greeting.arguments)
        if not self.capabilities:
            await self.ask_capabilities()
        self.authenticated = greeting.status == b"PREAUTH"

    async def _start_tls(self) -> None:
        await self.ask_capabilities()
        if b"STARTTLS" not in self.capabilities:
            raise NotTrusted("The mail server, or somebody in between, does not offer STARTTLS: nothing was sent.")
        await self._wire.secure(self._security.creator)
        self._secured = True
        self.capabilities = frozenset()

    async def ask_capabilities(self) -> None:
        """CAPABILITY."""
        await self._wire.perform(Request(b"CAPABILITY", what="tell what it can do"))
        if not self.capabilities:
            raise ProtocolViolation("The mail server does not tell what it can do.")

    def _note(self, words: bytes) -> None:
        self.capabilities = frozenset(words.upper().split())
        if b"LITERAL+" in self.capabilities:
            self._wire.pipeline.literal_plus = limits.LITERAL
        else:
            self._wire.pipeline.literal_plus = _SMALL if b"LITERAL-" in self.capabilities else -1

    def _observe(self, reply: Reply) -> None:
        if isinstance(reply, Data) and reply.name == b"CAPABILITY":
            self._note(b" ".join(word for word in reply.values if isinstance(word, bytes)))
        elif isinstance(reply, Status) and reply.code == b"CAPABILITY" and reply.status == b"OK":
            self._note(reply.arguments)
        elif self._folder is not None:
            self._folder.observe(reply)

    @deferred
    async def authenticate_plain(self, user: bytes | str, password: bytes | str) -> None:
        """AUTHENTICATE PLAIN.

        :raises AuthenticationRefused: the server does not accept these.
        """
        await self.authenticate(b"PLAIN", Plain(user, password))

    @deferred
    async def login(self, user: bytes | str, password: bytes | str) -> None:
        """LOGIN, which a server may forbid (LOGINDISABLED).

        :raises AuthenticationRefused: the server does not accept these.
        """
        self._refuse_unsecured()
        if b"LOGINDISABLED" in self.capabilities:
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

    @deferred
    async def authenticate(self, mechanism: bytes | str, responder: Responder) -> None:
        """AUTHENTICATE with any mechanism; the first words go along where the server allows it (SASL-IR).

        :raises AuthenticationRefused: the server does not accept this.
        """
        self._refuse_unsecured()
        name = checked(mechanism, "mechanism").upper()
        if name not in self.mechanisms:
            raise AuthenticationRefused(f"The mail server does not offer {name.decode('ascii', 'replace')}.")
        initial = responder.initial() if b"SASL-IR" in self.capabilities else None
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
        if not self._secured:
            raise NotTrusted("The connection is not secure yet; nothing was sent.")

    async def _log_in(self, request: Request) -> None:
        before = self.capabilities
        self.capabilities = frozenset()
        try:
            await self._wire.perform(request)
        except BaseException:
            self.capabilities = before
            raise
        self.authenticated = True
        self._wire.state = "auth"
        if not self.capabilities:
            await self.ask_capabilities()

    async def identify(self, fields: Mapping[str, str]) -> None:
        """ID (RFC 2971), where the server wants to know: some refuse strangers."""
        if b"ID" not in self.capabilities or not fields:
            return
        words = [names.quoted(word.encode("utf-8")) or b'""' for pair in fields.items() for word in pair]
        await self._wire.perform(Request(b"ID (" + b" ".join(words) + b")", what="hear who this is"))

    # The folder

    async def open_folder(self, name: str, observer: FolderObserver, *, create: bool) -> FolderState:
        """Select a folder in the personal namespace, creating it when it is absent and that is wanted.

        :raises NotFound: it is absent.
        """
        path = await self._full_name(name)
        self._folder = Folder(
            self._wire,
            path,
            observer,
            uidplus=b"UIDPLUS" in self.capabilities,
            multiappend=b"MULTIAPPEND" in self.capabilities,
            max_message=self._announced_limit(),
        )
        try:
            await self._folder.select()
        except (NotFound, Refused) as refused:
            there = isinstance(refused, Refused) and await self._is_there(path)
            if not there and not create:
                raise NotFound(f"The mail server has no folder {names.readable(path.encode())}.") from None
            if not there:
                await self._create(path)
            await self._folder.select()  # also when it is there: somebody may have created it just now
        await self._ask_limit(path)
        self._wire.settled = self._folder.settle
        self._folder.settle()
        return self._folder.state

    def watch(self) -> None:
        """From now on wait for news whenever nothing else is to be done: IDLE, or NOOP where there is none."""
        self._idling = Idling(self._wire, self._clock, idle=b"IDLE" in self.capabilities)
        self._wire.quiet = self._idling.quiet
        self._idling.quiet()

    async def _full_name(self, name: str) -> str:
        if b"NAMESPACE" not in self.capabilities:
            return name
        answer: list[Value] = []

        def receive(reply: Reply, _parts: Parts) -> bool:
            if isinstance(reply, Data) and reply.name == b"NAMESPACE":
                answer[:] = reply.values[:1]
            return True

        await self._wire.perform(Request(b"NAMESPACE", what="tell where folders lie", receive=receive))
        prefix, separator = _personal(answer)
        return names.folder_path(name, prefix, separator)

    async def quota(self) -> tuple[int, int] | None:
        """Bytes used and allowed in the folder's mailbox; None where the server tells none (RFC 9208)."""
        if self._folder is None or not any(word.partition(b"=")[0] == b"QUOTA" for word in self.capabilities):
            return None
        told: list[tuple[int, int]] = []

        def receive(reply: Reply, _parts: Parts) -> bool:
            if isinstance(reply, Data) and reply.name == b"QUOTA" and len(reply.values) == 2:
                told.extend(_storage(reply.values[1]))
            return True

        text = b"GETQUOTAROOT " + self._folder.mailbox
        await self._wire.perform(Request(text, what="tell the quota", receive=receive))
        return min(told, key=lambda one: one[1] - one[0], default=None)

    async def _is_there(self, path: str) -> bool:
        found: list[Reply] = []

        def receive(reply: Reply, _parts: Parts) -> bool:
            if isinstance(reply, Data) and reply.name == b"LIST":
                flags = reply.values[0] if reply.values else None
                gone = isinstance(flags, list) and any(
                    isinstance(flag, bytes) and flag.lower() == b"\\nonexistent" for flag in flags
                )
                found.extend([] if gone else [reply])
            return True

        text = b'LIST "" ' + names.mailbox(path.replace("*", "%"))
        await self._wire.perform(Request(text, what="list folders", receive=receive))
        return bool(found)

    async def _create(self, path: str) -> None:
        """CREATE; another device may have been faster."""
        try:
            await self._wire.perform(Request(b"CREATE " + names.mailbox(path), what="create the folder"))
        except Refused as refused:
            if refused.response_code != "ALREADYEXISTS" and not await self._is_there(path):
                raise

    def _announced_limit(self) -> int | None:
        for word in self.capabilities:
            if word.startswith(b"APPENDLIMIT=") and word[12:].isdigit():
                return number(word[12:])
        return None

    async def _ask_limit(self, path: str) -> None:
        """The limit of this folder, where the server says that it depends on the folder (RFC 7889)."""
        if b"APPENDLIMIT" not in self.capabilities or self._folder is None:
            return
        limit: list[int] = []

        def receive(reply: Reply, _parts: Parts) -> bool:
            items = reply.values[1] if isinstance(reply, Data) and len(reply.values) == 2 else None
            if isinstance(items, list) and len(items) == 2 and items[1] is not None:
                limit.append(number(items[1]))
            return True

        await self._wire.perform(
            Request(b"STATUS " + names.mailbox(path) + b" (APPENDLIMIT)", what=SELECT, receive=receive)
        )
        self._folder.max_message = limit[0] if limit else None

    @property
    def traits(self) -> Traits:
        """What a shelf on this connection can do."""
        uidplus = b"UIDPLUS" in self.capabilities
        return Traits(
            reports_uid=uidplus,
            expunges_by_uid=uidplus,
            pushes=b"IDLE" in self.capabilities,
            max_message=self.folder.max_message,
        )

    # The end

    async def end(self) -> None:
        """Log out; what has not been sent fails, and after ``limits.LOGOUT_SECONDS`` the connection is cut."""
        if not self.alive:
            return
        leaving = Unavailable("The connection to the mail server is being closed.")
        self._wire.quiet = lambda: None
        if self._idling is not None:
            self._idling.stop()
        self._wire.pipeline.drop_waiting(leaving)
        self._wire.closing = True
        logout = self._wire.perform(Request(b"LOGOUT", what="say goodbye"))
        try:
            await within(logout, limits.LOGOUT_SECONDS, self._clock, "The goodbye")
        except (StoreError, TimedOut):
            pass
        finally:
            self._wire.end(leaving)


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


def _storage(resources: Value) -> list[tuple[int, int]]:
    """The STORAGE resource of a quota in bytes: names, used and limit in turn, in units of 1,024 bytes."""
    if not isinstance(resources, list):
        return []
    triples = zip(resources[::3], resources[1::3], resources[2::3], strict=False)
    return [
        (number(used) * limits.KIB, number(limit) * limits.KIB)
        for name, used, limit in triples
        if isinstance(name, bytes) and name.upper() == b"STORAGE"
    ]


def _personal(answer: list[Value]) -> tuple[str, str]:
    """Prefix and separator of the first personal namespace."""
    spaces = answer[0] if answer else None
    first = spaces[0] if isinstance(spaces, list) and spaces else None
    if not isinstance(first, list) or len(first) < 2:
        return "", ""
    prefix, separator = first[0], first[1]
    return (
        names.readable(prefix) if isinstance(prefix, bytes) else "",
        names.readable(separator) if isinstance(separator, bytes) else "",
    )
