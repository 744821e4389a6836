"""The face over Twisted's ``IMAP4Client``: the only module that imports the client half of ``twisted.mail.imap4``.

What the subclass inherits are the commands (``list``, ``create``, ``status``, ``fetchSpecific`` …), which go through
our pipeline. What it does not let happen: Twisted's line reader, queue, time-out, capability cache and silent STARTTLS
are out of use, and ``CLOSE`` and ``EXPUNGE``, which remove messages of others, are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, ITCPTransport, ITLSTransport
from twisted.internet.protocol import connectionDone
from twisted.mail.imap4 import IMAP4Client
from twisted.python.failure import Failure

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, NotSupported, NotTrusted, ProtocolViolation, StoreError, Unavailable
from ifap_twisted.imap import names
from ifap_twisted.imap.grammar import Reply, Status, parse
from ifap_twisted.imap.pipeline import Pipeline
from ifap_twisted.imap.refusals import APPEND, refusal
from ifap_twisted.imap.replies import Parts, Splitter, joined
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.security import connection_failure

__all__ = ["Wire"]


class Wire(IMAP4Client):
    """One connection: bytes in, replies out; commands through a :class:`Pipeline`.

    :ivar greeting: fires with the server's first line, or fails with why there is none.
    :ivar ended: fires with the reason when the connection is gone; it never fails.
    :ivar heard: called when a block arrives: the server lives.
    :ivar observe: called with every untagged reply, before the command that it may belong to.
    :ivar settled: called when a received block has been taken in completely.
    :ivar quiet: called when nothing is in flight.
    """

    transport: Any

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self.clock = clock
        self.greeting: Deferred[Status] = Deferred()
        self.ended: Deferred[StoreError] = Deferred()
        self.heard: Callable[[], None] = lambda: None
        self.observe: Callable[[Reply], None] = lambda _reply: None
        self.settled: Callable[[], None] = lambda: None
        self.quiet: Callable[[], None] = lambda: None
        self.closing = False
        self.pipeline: Pipeline
        self._splitter = Splitter()
        self._greeted = False
        self._heard = False
        self._reason: StoreError | None = None
        self._switching: Request | None = None

    # What the transport calls

    def connectionMade(self) -> None:
        """Begin; the server speaks first."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self.pipeline = Pipeline(self.transport, self.clock, self.end, lambda: self.quiet())  # noqa: PLW0108 -- set later

    def dataReceived(self, data: bytes) -> None:
        """Take in a block of any size, cut anywhere."""
        if self._reason is not None:
            return
        self._heard = True
        self.heard()
        self.pipeline.moved()
        try:
            for parts in self._splitter.feed(data):
                self._receive(parse(parts), parts)
                if not self.alive:
                    return
        except ProtocolViolation as violation:
            self.end(violation)
            return
        self.settled()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end, for whatever reason."""
        if self._reason is None:
            self._reason = connection_failure(
                reason.value or ConnectionDone(), self.transport, date_by(self.clock), established=self._heard
            )
        self.pipeline.lost(self._reason)
        if not self.greeting.called:
            self.greeting.errback(self._reason)
        self.ended.callback(self._reason)

    # What we call

    @property
    def alive(self) -> bool:
        """Whether commands may be sent."""
        return self._reason is None

    def end(self, reason: StoreError) -> None:
        """End the connection at once; whatever is in flight fails with the reason, or as of unknown outcome."""
        if self._reason is None:
            self._reason = reason
            self.pipeline.lost(reason)
            self.transport.abortConnection()

    def perform(self, request: Request) -> Deferred[Status]:
        """Send one command of ours."""
        return self.pipeline.submit(request)

    async def secure(self, creator: Any) -> None:
        """STARTTLS; anything that came in clear text after its OK is not believed.

        :raises NotTrusted: the server refuses, or there was more in clear text.
        """
        if ITLSTransport(self.transport, None) is None:
            raise NotTrusted("This kind of connection cannot be secured with STARTTLS.")
        self._switching = Request(b"STARTTLS", what="secure the connection")
        try:
            await self.perform(self._switching)
        except StoreError as refused:
            if not self.alive:
                raise
            raise NotTrusted(f"The connection is not secure: {refused}") from None
        self._heard = False
        self.transport.startTLS(creator)
        self.startedTLS = True

    def _receive(self, reply: Reply, parts: Parts) -> None:
        if not self._greeted:
            self._greet(reply)
            return
        if isinstance(reply, Status):
            if reply.tag == b"*":
                self._take_untagged(reply)
            elif self._switching is not None and reply.tag == self._switching.tag:
                self._refuse_early_data(reply)
        self.observe(reply)
        self.pipeline.receive(reply, parts)

    def _greet(self, reply: Reply) -> None:
        self._greeted = True
        if not isinstance(reply, Status) or reply.tag != b"*" or reply.status not in (b"OK", b"PREAUTH", b"BYE"):
            raise ProtocolViolation("This is no IMAP server: it does not greet as one.")
        if reply.status == b"BYE":
            raise_bye = refusal("talk", reply)
            self.end(raise_bye if isinstance(raise_bye, StoreError) else Unavailable(str(raise_bye)))
            return
        self.state = "auth" if reply.status == b"PREAUTH" else "unauth"
        self.greeting.callback(reply)

    def _take_untagged(self, reply: Status) -> None:
        if reply.status == b"BYE" and not self.closing:
            farewell = refusal("go on", reply, self.pipeline.secrets)
            self.end(farewell if isinstance(farewell, StoreError) else Unavailable(str(farewell)))

    def _refuse_early_data(self, reply: Status) -> None:
        """What follows STARTTLS in clear text may be anybody's (RFC 9051 6.2.1, CVE-2011-0411)."""
        self._switching = None
        if reply.status == b"OK" and self._splitter.unread:
            self.end(NotTrusted("The server, or somebody in between, sent clear text after STARTTLS."))

    # What IMAP4Client's own methods use, and what of them is not let through

    def sendCommand(self, cmd: Any) -> Deferred[Any]:
        """Send a command of Twisted's: alone, and with the result that its method expects."""
        name = cmd.command.decode("ascii", "replace")
        try:
            text = cmd.command if cmd.args is None else cmd.command + b" " + cmd.args
            request = Request(text, what=f"carry out {name}", receive=_collector(cmd.lines))
        except BadSettings as refused:
            return fail(refused)
        done = self.perform(request)
        result: Deferred[Any] = Deferred(lambda _cancelled: done.cancel())
        cmd.defer = result
        done.addCallbacks(self._finish_command, result.errback, callbackArgs=(cmd, result))  # type: ignore[unused-awaitable]
        return result

    def _finish_command(self, status: Status, cmd: Any, result: Deferred[Any]) -> None:
        code = b"[%b %b] " % (status.code, status.arguments) if status.code else b""
        try:
            cmd.finish(status.status + b" " + code + status.text, self._extraInfo)
        except Exception as broken:  # noqa: BLE001 -- whatever Twisted's parser makes of it, the server broke the protocol
            violation = ProtocolViolation(f"The mail server's answer cannot be read: {type(broken).__name__}.")
            self.end(violation)
            if not result.called:
                result.errback(violation)

    def getCapabilities(self, useCache: int = 1) -> Deferred[Any]:  # noqa: ARG002 -- never cached: they change at the login
        """The capabilities as they are now."""
        return super().getCapabilities(useCache=0)  # type: ignore[no-any-return]

    def logout(self) -> Deferred[Any]:
        """LOGOUT; the connection ends with the server's answer."""
        self.closing = True
        return super().logout()  # type: ignore[no-any-return]

    def login(self, username: bytes | str, password: bytes | str) -> Deferred[Any]:  # noqa: ARG002
        """Refused: Twisted's would negotiate TLS without verifying it, or send the password in clear text."""
        return fail(NotSupported("Log in through the session, which knows how far the connection is trusted."))

    def authenticate(self, secret: bytes) -> Deferred[Any]:  # noqa: ARG002
        """Refused, as :meth:`login`."""
        return fail(NotSupported("Log in through the session, which knows how far the connection is trusted."))

    def startTLS(self, contextFactory: Any = None) -> Deferred[Any]:
        """STARTTLS with a verifying context, which must be given."""
        if contextFactory is None:
            return fail(NotTrusted("STARTTLS without verification is not done."))
        return Deferred.fromCoroutine(self.secure(contextFactory))

    def append(self, mailbox: str, message: IO[bytes], flags: Any = (), date: str | None = None) -> Deferred[Any]:
        """APPEND through the pipeline; the message is read at once."""
        words = [names.mailbox(mailbox), b"(%b)" % " ".join(flags).encode("ascii")]
        if date:
            words.append(b'"%b"' % date.encode("ascii"))
        request = Request(b"APPEND " + b" ".join(words), message.read(), b"", what=APPEND, stores=True)
        return self.perform(request)

    def close(self) -> Deferred[Any]:
        """Refused: CLOSE removes what others marked (FORMAT 5.4)."""
        return fail(NotSupported("CLOSE would remove messages that others marked; it is never sent."))

    def expunge(self) -> Deferred[Any]:
        """Refused: EXPUNGE removes what others marked (FORMAT 5.4)."""
        return fail(NotSupported("EXPUNGE would remove messages that others marked; UID EXPUNGE is used."))


def _collector(lines: list[bytes]) -> Callable[[Reply, Parts], bool]:
    """Takes every untagged reply, as Twisted's commands want them: bounded."""
    size = 0

    def receive(_reply: Reply, parts: Parts) -> bool:
        nonlocal size
        line = joined(parts)[2:]
        size += len(line)
        if size > limits.RESPONSE_BACKLOG:
            raise ProtocolViolation("The mail server's answer is too large.")
        lines.append(line)
        return True

    return receive
