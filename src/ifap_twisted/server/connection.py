"""A connection of the embedded server: bytes in, commands in order, responses out.

Twisted's ``IMAP4Server`` gives the connection, its states, greeting, capabilities and time-out. Its reading and doing
of commands is replaced, for the faults that it has: overlapping commands, answers before the work is done, headers
respelled, exception texts sent to the peer, no LITERAL+, no SASL-IR, no UIDPLUS. What a command does stands in
``commands``; nothing inherited does any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.mail.imap4 import IMAP4Server
from twisted.python.failure import Failure

from ifap_twisted.deferreds import detach
from ifap_twisted.server import limits
from ifap_twisted.server.commands import execute, withholds_expunge
from ifap_twisted.server.framing import Assembler, Command, Continuation, Overflow
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.inflow import Inflow
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.outflow import Closed, Outflow
from ifap_twisted.server.responses import refusal

__all__ = ["Connection"]


class Connection(IMAP4Server):
    """One client.

    :ivar account: the account after login.
    :ivar mailbox: the mailbox in the selected state.
    :param portal: gives an ``IMailAccount`` for a ``UsernamePassword``.
    :param on_lost: called once with the connection when it is gone.
    """

    IDENT = b"ifap-twisted ready"
    MAX_LENGTH = limits.TEXT
    timeOut = limits.LOGIN_SECONDS
    POSTAUTH_TIMEOUT = limits.IDLE_SECONDS
    _log = Logger()

    transport: Any
    account: IMailAccount | None
    mailbox: Mailbox | None = None
    outflow: Outflow
    trusted = False

    def __init__(
        self, portal: Portal, clock: IReactorTime, message_limit: int, on_lost: Callable[[Connection], None]
    ) -> None:
        super().__init__()
        self._portal = portal
        self.clock = clock
        self.message_limit = message_limit
        self.inflow = Inflow()
        self._on_lost = on_lost
        self._assembler = Assembler(message_limit)
        self._busy = False
        self._stopping = False
        self._lost = False
        self._pause: Deferred[None] | None = None
        self._bad_commands = 0
        self._bad_logins = 0

    # The connection

    def connectionMade(self) -> None:
        """Greet, unless the server stops just now."""
        self.outflow = Outflow(self.transport, self._tell_again)
        self.trusted = _is_private(self.transport)
        super().connectionMade()

    def connectionLost(self, reason: Failure = Failure(Closed())) -> None:  # noqa: B008 -- Twisted's own habit
        """Leave the mailbox; what was begun is finished, what was not is forgotten."""
        self._lost = True
        self.state = "logout"
        self.inflow.clear()
        self._interrupt()
        self.outflow.end()
        self.leave_mailbox()
        super().connectionLost(reason)
        self._on_lost(self)

    def shut_down(self) -> None:
        """Finish the commands that were received, say goodbye and close."""
        self._stopping = True
        self.pauseProducing()
        self._interrupt()
        if not self._busy:
            self.say_goodbye(b"The server stops")

    def say_goodbye(self, text: bytes) -> None:
        """Send BYE and close after it."""
        self.sendUntaggedResponse(b"BYE " + text)
        self.hang_up()

    def hang_up(self) -> None:
        """Close when everything is sent; at once when the peer does not read."""
        self.state = "logout"
        self.inflow.clear()
        if self.outflow.stalled:
            self.transport.abortConnection()
        else:
            self.outflow.end()
            self.transport.loseConnection()

    def timeoutConnection(self) -> None:
        """Nothing came for too long."""
        self._interrupt()
        self.say_goodbye(b"Nothing was heard for too long")

    def callLater(self, period: float, func: Callable[[], Any]) -> IDelayedCall:
        """The time-out runs on the clock that was handed in."""
        return self.clock.callLater(period, func)

    def capabilities(self) -> dict[bytes, list[bytes] | None]:
        """What the server can do."""
        login: dict[bytes, list[bytes] | None] = {b"AUTH": [b"PLAIN"]} if self.trusted else {b"LOGINDISABLED": None}
        words = (b"LITERAL+", b"SASL-IR", b"ID", b"IDLE", b"NAMESPACE", b"CHILDREN", b"UIDPLUS", b"UNSELECT")
        return {
            **dict.fromkeys(words),
            **login,
            b"STATUS": [b"SIZE"],
            b"APPENDLIMIT": [b"%d" % self.message_limit],
        }

    # Commands in

    def lineReceived(self, line: bytes) -> None:
        """A line, without its CRLF."""
        self.resetTimeout()
        try:
            item = self._assembler.line(line)
        except Overflow:
            self.say_goodbye(b"This command is too large")
            return
        if self._assembler.expects_literal:
            self.setRawMode()
        if item is not None:
            self._received(item)

    def rawDataReceived(self, data: bytes) -> None:
        """Bytes of a literal, and perhaps what comes after it."""
        self.resetTimeout()
        rest = self._assembler.data(data)
        if not self._assembler.expects_literal:
            self.setLineMode(rest)

    def lineLengthExceeded(self, line: bytes) -> None:
        """RFC 9051 leaves the bound to us; silence would not be fair."""
        del line
        self.say_goodbye(b"This line is too long")

    def _received(self, item: Command | Continuation) -> None:
        self.inflow.put(item)
        self._regulate()
        if not self._busy:
            self._busy = True
            detach(Deferred.fromCoroutine(self._work()), self._log, "A connection of the embedded server failed")

    def _regulate(self) -> None:
        """Read on only while there is room; before login, only one command at a time."""
        alone = self.state == "unauth" and (self._busy or len(self.inflow) > 0)
        hold = self._stopping or self.inflow.full or (alone and not self.inflow.awaited)
        if hold != self.paused and self.state != "logout":
            if hold:
                self.pauseProducing()
            else:
                self.resumeProducing()

    # Commands done, one after the other

    async def _work(self) -> None:
        try:
            while self.inflow and self.state != "logout":
                await self._perform_next()
                self._regulate()
        except Closed:
            pass
        finally:
            self._busy = False
        if self._lost:
            return
        if self.state == "logout":
            self.hang_up()
        elif self._stopping:
            self.say_goodbye(b"The server stops")
        else:
            self._regulate()

    async def _perform_next(self) -> None:
        """The next command, or all the APPENDs that come next: those share transactions."""
        await self.outflow.room()
        appends = self.inflow.take_appends() if self.state in ("auth", "select") else []
        if appends and self.account is not None:
            with self.account.together():
                begun = [(command, Deferred.fromCoroutine(execute(self, command))) for command in appends]
            for command, outcome in begun:
                await self._answer(command, outcome)
            return
        item = self.inflow.take()
        if isinstance(item, Continuation):
            self.sendContinuationRequest(b"Go on")
        else:
            await self._answer(item, execute(self, item))

    async def _answer(self, command: Command, outcome: Awaitable[bytes]) -> None:
        """Await what a command does, and send its tagged response."""
        tag = _tag_of(command)
        try:
            text = await outcome
        except Closed:
            raise
        except BadSyntax as error:
            self._count_bad_command()
            self._respond(b"BAD", tag, str(error).encode("ascii"))
        except Exception as error:  # noqa: BLE001 -- logged, and the peer is told that it was our fault
            no = refusal(error)
            if no is None:
                self._log.failure("A command of the embedded server failed")
            self._announce(command)
            self._respond(b"NO", tag, no or b"[SERVERBUG] Internal error, see the log of the server")
        else:
            self._announce(command)
            self._respond(b"OK", tag, text)

    def _announce(self, command: Command) -> None:
        if self.mailbox is not None:
            self.announce(expunge=not withholds_expunge(command))

    def _count_bad_command(self) -> None:
        self._bad_commands += self.state == "unauth"
        if self._bad_commands >= limits.BAD_COMMANDS:
            self.sendUntaggedResponse(b"BYE Too many bad commands")
            self.state = "logout"

    # For the commands

    def announce(self, *, expunge: bool) -> None:
        """Send what is new in the selected mailbox."""
        mailbox = self.mailbox
        if mailbox is None:
            return
        for line in mailbox.view.updates(expunge=expunge):
            self.sendUntaggedResponse(line)
        if mailbox.view.deleted:
            self.leave_mailbox()
            self.sendUntaggedResponse(b"BYE The mailbox was deleted")
            self.state = "logout"

    def logged_in(self, account: IMailAccount) -> bytes:
        """Enter the authenticated state; the text of the OK, with the capabilities."""
        if self._lost:
            raise Closed
        self.account = account
        self.state = "auth"
        self.setTimeout(self.POSTAUTH_TIMEOUT)
        return b"[CAPABILITY " + b" ".join(self.listCapabilities()) + b"] Logged in"

    async def open_account(self, name: bytes, password: bytes) -> IMailAccount:
        """The account of a user.

        :raises UnauthorizedLogin: name or password are wrong.
        """
        _interface, account, _logout = await self._portal.login(UsernamePassword(name, password), None, IMailAccount)
        return IMailAccount(account)

    async def refuse_login(self) -> None:
        """Make guessing slow, and end it.

        :raises Closed: it was ended.
        """
        self._bad_logins += 1
        await self.wait(limits.REFUSAL_SECONDS * self._bad_logins)
        if self._bad_logins >= limits.BAD_LOGINS:
            self.sendUntaggedResponse(b"BYE Too many wrong passwords")
            self.state = "logout"

    def enter_mailbox(self, mailbox: Mailbox) -> None:
        """Enter the selected state."""
        if self._lost:
            mailbox.close()
            raise Closed
        self.mailbox = mailbox
        self.state = "select"

    def leave_mailbox(self) -> None:
        """Leave the selected state."""
        mailbox, self.mailbox = self.mailbox, None
        if mailbox is not None:
            mailbox.close()
            if self.state == "select":
                self.state = "auth"

    async def next_line(self) -> bytes:
        """A line that is no command: the end of IDLE, or a response to a challenge.

        :raises Closed: none will come.
        """
        if self._stopping:
            raise Closed
        waiting = Deferred.fromCoroutine(self.inflow.next())
        self._regulate()
        item = await waiting
        return item.line if isinstance(item, Command) else b""

    async def wait(self, seconds: float) -> None:
        """Let time pass.

        :raises Closed: the connection is lost, or the server stops.
        """
        self._pause = deferLater(self.clock, seconds, lambda: None)
        try:
            await self._pause
        except Exception as error:
            raise Closed from error
        finally:
            self._pause = None

    async def send(self, pieces: Iterable[bytes]) -> None:
        """Send much, no faster than the peer reads."""
        if self._lost:
            raise Closed
        await self.outflow.write(pieces)
        self.resetTimeout()

    def _tell_again(self) -> None:
        """Somebody who idles was not told while he did not read."""
        if self.mailbox is not None and self.mailbox.view.notify is not None:
            self.mailbox.view.notify()

    def _interrupt(self) -> None:
        self.inflow.interrupt(Closed())
        if self._pause is not None:
            self._pause.cancel()


def _tag_of(command: Command) -> bytes | None:
    try:
        return Reader(command).tag()
    except BadSyntax:
        return None


def _is_private(transport: Any) -> bool:
    """Whether a password may come over it: TLS, the loopback interface, or a UNIX socket."""
    if ISSLTransport.providedBy(transport):
        return True
    host = getattr(transport.getPeer(), "host", None)
    return host is None or host == "::1" or host.startswith("127.")
