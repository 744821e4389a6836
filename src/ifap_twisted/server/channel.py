"""The wire side of a connection: bytes in, whole commands queued; responses out, no faster than they are read.

Twisted's ``IMAP4Server`` gives the transport, states, greeting and time-out; how it reads and does commands is
replaced.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.mail.imap4 import IMAP4Server
from twisted.python.failure import Failure

from ifap_twisted.deferreds import detach
from ifap_twisted.server import limits
from ifap_twisted.server.framing import Assembler, Command, Continuation, Overflow
from ifap_twisted.server.inflow import Inflow
from ifap_twisted.server.outflow import Closed, Outflow

__all__ = ["Channel"]


class Channel(IMAP4Server):
    """One client, its bytes.

    :ivar trusted: whether a password may come over the transport: TLS, the loopback interface, or a UNIX socket.
    :ivar lost: whether the connection is gone.
    """

    IDENT = b"ifap-twisted ready"
    MAX_LENGTH = limits.TEXT
    timeOut = limits.LOGIN_SECONDS
    POSTAUTH_TIMEOUT = limits.IDLE_SECONDS
    log = Logger()

    transport: Any
    outflow: Outflow
    trusted = False
    lost = False

    def __init__(self, clock: IReactorTime, message_limit: int) -> None:
        super().__init__()
        self.inflow = Inflow()
        self._clock = clock
        self._message_limit = message_limit
        self._assembler = Assembler(0)
        self._busy = False
        self._stopping = False
        self._pause: Deferred[None] | None = None

    @abstractmethod
    async def perform_next(self) -> None:
        """Take from ``inflow`` and do it.

        :raises Closed: there is nobody left to answer.
        """

    @abstractmethod
    def room_again(self) -> None:
        """The peer reads again after it had not."""

    def connectionMade(self) -> None:
        """Greet."""
        self.outflow = Outflow(self.transport, self.room_again)
        self.trusted = _is_private(self.transport)
        super().connectionMade()

    def connectionLost(self, reason: Failure = Failure(Closed())) -> None:  # noqa: B008 -- Twisted's own habit
        """What was begun is finished, what was not is forgotten."""
        self.lost = True
        self.state = "logout"
        self.inflow.clear()
        self._interrupt()
        self.outflow.end()
        super().connectionLost(reason)

    def shut_down(self) -> None:
        """Finish the commands that were received, say goodbye and close."""
        self._stopping = True
        self.pauseProducing()
        self._interrupt()
        if not self._busy and self.state != "logout":
            self.say_goodbye(b"The server stops")

    def accept_messages(self) -> None:
        """From now on there is somebody who may send messages: nobody else can make us hold one."""
        self._assembler.message_limit = self._message_limit

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
            self.setTimeout(limits.LOGIN_SECONDS)

    def timeoutConnection(self) -> None:
        """Nothing came for too long, or the peer does not read its goodbye."""
        if self.state == "logout":
            self.transport.abortConnection()
            return
        self._interrupt()
        self.say_goodbye(b"Nothing was heard for too long")

    def callLater(self, period: float, func: Callable[[], Any]) -> IDelayedCall:
        """The time-out runs on the clock that was handed in."""
        return self._clock.callLater(period, func)

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
        if self.state == "logout":
            return
        self.inflow.put(item)
        self._regulate()
        if not self._busy:
            self._busy = True
            detach(Deferred.fromCoroutine(self._work()), self.log, "A connection of the embedded server failed")

    def _regulate(self) -> None:
        """Read on only while there is room; before login, only one command at a time."""
        alone = self.state == "unauth" and (self._busy or len(self.inflow) > 0)
        hold = self._stopping or self.inflow.full or (alone and not self.inflow.awaited)
        if hold != self.paused and self.state != "logout":
            if hold:
                self.pauseProducing()
            else:
                self.resumeProducing()

    async def _work(self) -> None:
        try:
            while self.inflow and self.state != "logout":
                await self.outflow.room()
                await self.perform_next()
                self._regulate()
        except Closed:
            pass
        finally:
            self._busy = False
        if self.lost:
            return
        if self.state == "logout":
            self.hang_up()
        elif self._stopping:
            self.say_goodbye(b"The server stops")
        else:
            self._regulate()

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
        self._pause = deferLater(self._clock, seconds, lambda: None)
        try:
            await self._pause
        except Exception as error:
            raise Closed from error
        finally:
            self._pause = None

    async def send(self, pieces: Iterable[bytes]) -> None:
        """Send much, no faster than the peer reads."""
        if self.lost:
            raise Closed
        await self.outflow.write(pieces)
        self.resetTimeout()

    def _interrupt(self) -> None:
        self.inflow.interrupt(Closed())
        if self._pause is not None:
            self._pause.cancel()


def _is_private(transport: Any) -> bool:
    if ISSLTransport.providedBy(transport):
        return True
    host = getattr(transport.getPeer(), "host", None)
    return host is None or host == "::1" or host.startswith("127.")
