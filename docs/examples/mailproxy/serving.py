"""Twisted's ``IMAP4Server``, where it does not wait for Deferreds, or does not send what was stored.

Commands are done one after the other, and are answered when they are done: OK when the change is durable upstream, NO
when the server upstream cannot be reached or refuses. BAD is for mistakes of the client.
"""

# ruff: noqa: A002, ARG002 -- the names of arguments are Twisted's

import re

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.mail.imap4 import (
    IllegalClientResponse,
    IllegalOperation,
    IMAP4Server,
    MailboxException,
    PLAINCredentials,
    collapseNestedLists,
    getBodyStructure,
)

from mailproxy.mailboxes import SYSTEM_FLAGS, load

LARGEST = 10 * 1024 * 1024
"""Twisted would put a larger message into a temporary file, in the clear."""
HELD = 1000
"""Lines that a client may send ahead."""
MISTAKES = (b"Illegal", b"Invalid", b"Missing", b"Null", b"Unsupported")
OUTSIDE = frozenset({"uid", "flags", "internaldate", "rfc822size"})
"""What can be fetched without the content."""
QUOTED = re.compile(rb'\s*"((?:[^"\\]|\\["\\])*)"(?: |\Z)')


class MailServer(IMAP4Server):
    """One session."""

    log = Logger()
    IDENT = b"mail proxy ready"
    _busy = False
    _idling = None

    def __init__(self, portal, lost):
        super().__init__({b"PLAIN": PLAINCredentials})
        self.portal = portal
        self._lost = lost
        self._held = []

    def connectionLost(self, reason):
        super().connectionLost(reason)
        if self.mbox is not None:
            self.mbox.removeListener(self)
            self.mbox = None
        self._lost(self)

    # One command after the other

    def lineReceived(self, line):
        if self._busy and self.parseState == "command":
            self._held.append(line)
            if len(self._held) > HELD:
                self.transport.abortConnection()
        else:
            super().lineReceived(line)

    def parse_command(self, line):
        self._busy = True
        self.setTimeout(None)  # the server upstream may take its time
        super().parse_command(line)

    def _respond(self, state, tag, message):
        super()._respond(state, tag, message)
        if (tag and state in (b"OK", b"NO")) or state.startswith(b"BAD"):
            self.callLater(0, self._go_on)  # Twisted changes its state after the answer

    def _go_on(self):
        self._busy = False
        if self.connected:
            self.setTimeout(self.timeOut if self.state == "unauth" else self.POSTAUTH_TIMEOUT)
        while self._held and not self._busy and self.connected:
            super().lineReceived(self._held.pop(0))

    def sendBadResponse(self, tag=None, message=b""):
        """Twisted says BAD of the server's own troubles, too."""
        if message.startswith(MISTAKES):
            super().sendBadResponse(tag, message)
        else:
            self.sendNegativeResponse(tag, message.removeprefix(b"Server error: "))

    def _perform(self, tag, work, done):
        """Answer a command when its work has ended."""

        def succeeded(_result):
            self.sendPositiveResponse(tag, done)

        def failed(failure):
            if failure.check(IllegalClientResponse):
                self.sendBadResponse(tag, b"Illegal: " + str(failure.value).encode("ascii", "replace"))
            elif failure.check(MailboxException, IllegalOperation):
                self.sendNegativeResponse(tag, str(failure.value).encode("ascii", "replace"))
            else:
                self.log.failure("a command failed", failure)
                self.sendNegativeResponse(tag, b"[SERVERBUG] see the log of the mail proxy")

        work.addCallbacks(succeeded, failed)
        work.addErrback(lambda failure: self.log.failure("a command could not be answered", failure))

    # Arguments

    def arg_login(self, line, final=False):
        """Twisted's parser does not know quoted quotation marks, which passwords may have."""
        quoted = QUOTED.match(line)
        if quoted:
            return re.sub(rb"\\(.)", rb"\1", quoted[1]), line[quoted.end() :]
        return self.arg_astring(line, final)

    def arg_final_login(self, line):
        return self.arg_login(line, final=True)

    unauth_LOGIN = (IMAP4Server.do_LOGIN, arg_login, arg_final_login)

    def _fileLiteral(self, size):
        if size > LARGEST:
            raise IllegalOperation(f"[TOOBIG] a message can have {LARGEST} bytes")
        return super()._fileLiteral(size)

    # Mailboxes

    def _cbSelectWork(self, mbox, cmdName, tag):
        if mbox is not None:
            flags = " ".join([*SYSTEM_FLAGS, "\\*"]) if mbox.isWriteable() else ""
            self.sendPositiveResponse(None, b"[PERMANENTFLAGS (%b)] kept" % flags.encode())
            self.sendPositiveResponse(None, b"[UIDNEXT %d] next" % mbox.getUIDNext())
            self.account.opened(mbox)
            mbox.notify = self._news_came
        super()._cbSelectWork(mbox, cmdName, tag)

    def _ebSelectWork(self, failure, cmdName, tag):
        self._perform(tag, maybeDeferred(lambda: failure), b"")

    def _on_account(name, done):  # noqa: N805 -- makes methods
        """A command that changes mailboxes: Twisted's answers before the change is made."""

        def command(self, tag, *names):
            names = [name.decode("imap4-utf-7") for name in names]
            self._perform(tag, maybeDeferred(getattr(self.account, name), *names), done)

        return command

    _one, _two = (IMAP4Server.arg_finalastring,), (IMAP4Server.arg_astring, IMAP4Server.arg_finalastring)
    auth_CREATE = select_CREATE = (_on_account("create", b"Created"), *_one)
    auth_DELETE = select_DELETE = (_on_account("delete", b"Deleted"), *_one)
    auth_RENAME = select_RENAME = (_on_account("rename", b"Renamed"), *_two)
    auth_SUBSCRIBE = select_SUBSCRIBE = (_on_account("subscribe", b"Subscribed"), *_one)
    auth_UNSUBSCRIBE = select_UNSUBSCRIBE = (_on_account("unsubscribe", b"Unsubscribed"), *_one)

    # News

    def do_NOOP(self, tag):
        self._perform(tag, Deferred.fromCoroutine(self._tell_news()), b"Done")

    select_NOOP = select_CHECK = (do_NOOP,)

    def do_EXPUNGE(self, tag):
        self._perform(tag, Deferred.fromCoroutine(self._expunge()), b"Expunged")

    select_EXPUNGE = (do_EXPUNGE,)

    async def _expunge(self):
        if not self.mbox.isWriteable():
            raise MailboxException("[CANNOT] The mailbox was opened with EXAMINE")
        await self.mbox.expunge()
        await self._tell_news()

    async def _tell_news(self):
        if self.mbox is not None:
            self._send_news(self.mbox.news(await self.mbox.look()))

    def _send_news(self, news):
        gone, count, flags = news
        for number in gone:
            self.sendUntaggedResponse(b"%d EXPUNGE" % number)
        self.newMessages(count, None)
        self.flagsChanged(flags)

    def do_IDLE(self, tag):
        super().do_IDLE(tag)
        self._idling = tag
        self._news_came()

    auth_IDLE = select_IDLE = (do_IDLE,)

    def parse_idle(self, *args):
        self._idling = None
        super().parse_idle(*args)

    def _news_came(self):
        """Who idles is told at once, who does not with the next NOOP."""
        if self._idling is not None and self.mbox is not None:
            looking = Deferred.fromCoroutine(self._tell_idling(self._idling))
            looking.addErrback(lambda failure: self.log.info("no news: {why}", why=failure.getErrorMessage()))

    async def _tell_idling(self, tag):
        found = await self.mbox.look()
        if self._idling == tag:  # else the next command tells it
            self._send_news(self.mbox.news(found))

    # Messages

    def do_APPEND(self, tag, mailbox, flags, date, message):
        self._perform(tag, Deferred.fromCoroutine(self._append(mailbox, flags, date, message)), b"Stored")

    auth_APPEND = select_APPEND = (do_APPEND, *IMAP4Server.auth_APPEND[1:])

    async def _append(self, mailbox, flags, date, message):
        mbox = await self._existing(mailbox)
        await mbox.addMessage(message, [flag.decode("ascii") for flag in flags or ()], date)
        await self._tell_news()

    async def _existing(self, name):
        mbox = await self.account.select(name.decode("imap4-utf-7"))
        if mbox is None:
            raise MailboxException("[TRYCREATE] There is no such mailbox")
        return mbox

    def do_COPY(self, tag, messages, mailbox, uid=0):
        self._perform(tag, Deferred.fromCoroutine(self._copy(messages, mailbox, uid)), b"Copied")

    select_COPY = (do_COPY, *IMAP4Server.select_COPY[1:])

    async def _copy(self, messages, mailbox, uid):
        """All or none (RFC 9051 section 6.4.7)."""
        mbox = await self._existing(mailbox)
        copied = []
        try:
            for _number, message in await self.mbox.fetch(messages, uid):
                await load([message])
                copied.append(await mbox.addMessage(message.open(), message.getFlags(), message.getInternalDate()))
                message.content = None
        except MailboxException:
            await mbox.withdraw(copied)
            raise
        await self._tell_news()

    def do_SEARCH(self, tag, charset, query, uid=0):
        self._perform(tag, Deferred.fromCoroutine(self._search(query, uid)), b"Searched")

    select_SEARCH = (do_SEARCH, *IMAP4Server.select_SEARCH[1:])

    async def _search(self, query, uid):
        found = await self.mbox.search(query, uid)
        numbers = [self.mbox.getUID(number) if uid else number for number in found]
        self.sendUntaggedResponse(b" ".join([b"SEARCH", *(b"%d" % number for number in numbers)]))

    def do_FETCH(self, tag, messages, query, uid=0):
        self._perform(tag, Deferred.fromCoroutine(self._fetch(messages, query, uid)), b"Fetched")

    select_FETCH = (do_FETCH, *IMAP4Server.select_FETCH[1:])

    async def _fetch(self, messages, query, uid):
        found = await self.mbox.fetch(messages, uid)
        for number, message in found:
            if not {part.type for part in query} <= OUTSIDE:
                await load([message])
            await self.spewMessage(number, message, query, uid)
            message.content = None
        if any(reads(part) for part in query):
            self.flagsChanged(await self.mbox.mark_seen(found))

    def spew_body(self, part, id, msg, _w=None, _f=None):
        """Sections byte for byte, and parts of them (RFC 9051 section 6.4.5)."""
        if not (part.header or part.text or part.mime or part.empty):
            _w(b"BODY ")
            _w(structure(msg, extended=False))
            return
        data, label = msg.section(part), bytes(part)
        if part.partialBegin is not None:
            data = data[part.partialBegin :][: part.partialLength]
            label = label.rpartition(b"<")[0] + b"<%d>" % part.partialBegin
        _w(label + b" " + literal(data))

    def spew_envelope(self, id, msg, _w=None, _f=None):
        _w(b"ENVELOPE " + collapseNestedLists([msg.content.envelope()]))

    def spew_rfc822(self, id, msg, _w=None, _f=None):
        _w(b"RFC822 " + literal(msg.content.raw))

    def spew_rfc822header(self, id, msg, _w=None, _f=None):
        _w(b"RFC822.HEADER " + literal(msg.content.header))

    def spew_rfc822text(self, id, msg, _w=None, _f=None):
        _w(b"RFC822.TEXT " + literal(msg.content.text))

    def spew_bodystructure(self, id, msg, _w=None, _f=None):
        _w(b"BODYSTRUCTURE ")
        _w(structure(msg, extended=True))


def structure(message, *, extended):
    return collapseNestedLists([getBodyStructure(message.content, extended)])


def literal(data):
    return b"{%d}\r\n" % len(data) + data


def reads(part):
    r"""Whether fetching this sets \\Seen."""
    if part.type == "body":
        return not part.peek and bool(part.header or part.text or part.mime or part.empty)
    return part.type in {"rfc822", "rfc822text"}


class MailFactory(Factory):
    """Makes sessions, and ends them when the proxy stops."""

    noisy = True

    def __init__(self, portal):
        self._portal = portal
        self._sessions = set()

    def buildProtocol(self, addr):
        session = MailServer(self._portal, self._sessions.discard)
        self._sessions.add(session)
        return session

    def stopFactory(self):
        """Say goodbye; what a client is not told any more it must take for not done."""
        for session in list(self._sessions):
            session.sendUntaggedResponse(b"BYE The mail proxy stops")
            session.transport.loseConnection()
