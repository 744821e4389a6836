"""A connection of the embedded server: commands one after the other, and their answers.

Twisted's own server lets commands overlap, answers before the work is done, respells headers, and sends exception texts
to the peer; it has no LITERAL+, SASL-IR or UIDPLUS. So what a command does stands in ``commands``; nothing inherited
does any.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.cred.credentials import UsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ifap_twisted.server import limits
from ifap_twisted.server.channel import Channel
from ifap_twisted.server.commands import execute, withholds_expunge
from ifap_twisted.server.framing import Command, Continuation
from ifap_twisted.server.grammar import BadSyntax, Reader
from ifap_twisted.server.interfaces import IMailAccount
from ifap_twisted.server.mailbox import Mailbox
from ifap_twisted.server.outflow import Closed
from ifap_twisted.server.responses import refusal

__all__ = ["Connection"]


class Connection(Channel):
    """One client.

    :ivar account: the account after login.
    :ivar mailbox: the mailbox in the selected state.
    :param portal: gives an ``IMailAccount`` for a ``UsernamePassword``.
    :param on_lost: called once with the connection when it is gone.
    """

    account: IMailAccount | None
    mailbox: Mailbox | None = None

    def __init__(
        self, portal: Portal, clock: IReactorTime, message_limit: int, on_lost: Callable[[Connection], None]
    ) -> None:
        super().__init__(clock, message_limit)
        self.message_limit = message_limit
        self._portal = portal
        self._on_lost = on_lost
        self._bad_commands = 0
        self._bad_logins = 0

    def connectionLost(self, reason: Failure = Failure(Closed())) -> None:  # noqa: B008 -- Twisted's own habit
        """Leave the mailbox too."""
        super().connectionLost(reason)
        self.leave_mailbox()
        self._on_lost(self)

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

    async def perform_next(self) -> None:
        """The next command, or all the APPENDs that come next: those share transactions."""
        appends = self.inflow.take_appends() if self.state in ("auth", "select") else []
        if appends and self.account is not None:
            with self.account.together():
                begun = [(command, Deferred.fromCoroutine(self.execute(command))) for command in appends]
            for command, outcome in begun:
                await self._answer(command, outcome)
            return
        item = self.inflow.take()
        if isinstance(item, Continuation):
            self.sendContinuationRequest(b"Go on")
        else:
            await self._answer(item, self.execute(item))

    async def execute(self, command: Command) -> bytes:
        """Do a command; the text of its OK.

        :raises BadSyntax: it is none, or not in this state.
        :raises Exception: it failed; ``refusal`` says how that is told.
        """
        return await execute(self, command)

    def refusal(self, error: Exception) -> bytes | None:
        """The text of the NO for an error, or None when it is a fault of ours."""
        return refusal(error)

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
            no = self.refusal(error)
            if no is None:
                self.log.failure("A command of the embedded server failed")
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

    def room_again(self) -> None:
        """Who idles was not told while it did not read."""
        if self.mailbox is not None and self.mailbox.view.notify is not None:
            self.mailbox.view.notify()

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
        if self.lost:
            raise Closed
        self.account = account
        self.state = "auth"
        self.accept_messages()
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
        if self.lost:
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


def _tag_of(command: Command) -> bytes | None:
    try:
        return Reader(command).tag()
    except BadSyntax:
        return None
