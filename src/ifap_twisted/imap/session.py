"""One connection from the greeting to the goodbye: security, capabilities, login, folder, and waiting for news.

Nothing secret is sent before the connection is what :class:`Security` demands. Capabilities are asked anew whenever
they may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, Traits
from ifap_twisted.deferreds import deferred, within
from ifap_twisted.errors import NotFound, NotTrusted, Refused, StoreError, TimedOut, Unavailable
from ifap_twisted.imap import names
from ifap_twisted.imap.capabilities import Capabilities
from ifap_twisted.imap.folder import Folder
from ifap_twisted.imap.grammar import Reply
from ifap_twisted.imap.idling import Idling
from ifap_twisted.imap.login import Login
from ifap_twisted.imap.mailboxes import Mailboxes
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.sasl import Plain, Responder
from ifap_twisted.imap.security import Security
from ifap_twisted.imap.selected import FolderObserver
from ifap_twisted.imap.wire import Wire

__all__ = ["Session"]


class Session:
    """One connection."""

    def __init__(self, wire: Wire, clock: IReactorTime, security: Security) -> None:
        self._wire = wire
        self._clock = clock
        self._security = security
        self._capabilities = Capabilities(wire)
        self._login = Login(wire, self._capabilities)
        self._login.allowed = security.kind != "starttls"
        self._mailboxes = Mailboxes(wire, self._capabilities)
        self._folder: Folder | None = None
        self._idling: Idling | None = None
        self._waiting: list[Deferred[StoreError]] = []
        self.reason: StoreError | None = None
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
    def capabilities(self) -> frozenset[bytes]:
        """What the server can do at present, upper case."""
        return self._capabilities.words

    @property
    def mechanisms(self) -> frozenset[bytes]:
        """The SASL mechanisms on offer, upper case."""
        return self._capabilities.mechanisms

    @property
    def authenticated(self) -> bool:
        """Whether the server needs no login any more."""
        return self._login.done

    # From the greeting to the login

    async def begin(self) -> None:
        """Wait for the greeting, secure the connection, and learn what the server can do.

        :raises NotTrusted: the connection is not what the caller demands; nothing secret was sent.
        """
        greeting = await within(self._wire.greeting, limits.CONNECT_SECONDS, self._clock, "The mail server's greeting")
        if not self._login.allowed:
            if greeting.status == b"PREAUTH":
                raise NotTrusted("The mail server logs in before the connection is secure, which prevents STARTTLS.")
            await self._start_tls()
        elif greeting.code == b"CAPABILITY":
            self._capabilities.note(greeting.arguments)
        if not self.capabilities:
            await self._capabilities.ask()
        self._login.done = greeting.status == b"PREAUTH"

    async def _start_tls(self) -> None:
        await self._capabilities.ask()
        if b"STARTTLS" not in self.capabilities:
            raise NotTrusted("The mail server, or somebody in between, does not offer STARTTLS: nothing was sent.")
        await self._wire.secure(self._security.creator)
        self._login.allowed = True
        self._capabilities.forget()

    def _observe(self, reply: Reply) -> None:
        if not self._capabilities.observe(reply) and self._folder is not None:
            self._folder.observe(reply)

    @deferred
    async def authenticate_plain(self, user: bytes | str, password: bytes | str) -> None:
        """AUTHENTICATE PLAIN.

        :raises AuthenticationRefused: the server does not accept these.
        """
        await self._login.authenticate(b"PLAIN", Plain(user, password))

    @deferred
    async def login(self, user: bytes | str, password: bytes | str) -> None:
        """LOGIN, which a server may forbid (LOGINDISABLED).

        :raises AuthenticationRefused: the server does not accept these.
        """
        await self._login.login(user, password)

    @deferred
    async def authenticate(self, mechanism: bytes | str, responder: Responder) -> None:
        """AUTHENTICATE with any mechanism; the first words go along where the server allows it (SASL-IR).

        :raises AuthenticationRefused: the server does not accept this.
        """
        await self._login.authenticate(mechanism, responder)

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
        path = await self._mailboxes.full_name(name)
        self._folder = Folder(
            self._wire,
            path,
            observer,
            uidplus=b"UIDPLUS" in self.capabilities,
            multiappend=b"MULTIAPPEND" in self.capabilities,
        )
        try:
            await self._folder.select()
        except (NotFound, Refused) as refused:
            there = isinstance(refused, Refused) and await self._mailboxes.holds(path)
            if not there and not create:
                raise NotFound(f"The mail server has no folder {names.readable(path.encode())}.") from None
            if not there:
                await self._mailboxes.create(path)
            await self._folder.select()  # also when it is there: somebody may have created it just now
        self._folder.max_message = await self._mailboxes.append_limit(path)
        self._wire.settled = self._folder.settle
        self._folder.settle()
        return self._folder.state

    def watch(self) -> None:
        """From now on wait for news whenever nothing else is to be done: IDLE, or NOOP where there is none."""
        self._idling = Idling(self._wire, self._clock, idle=b"IDLE" in self.capabilities)
        self._wire.quiet = self._idling.quiet
        self._idling.quiet()

    async def quota(self) -> tuple[int, int] | None:
        """Bytes used and allowed in the folder; None where the server tells none (RFC 9208)."""
        return None if self._folder is None else await self._mailboxes.quota(self._folder.mailbox)

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
