"""Many commands in flight on one connection: tags, order, windows, continuations, silence.

Knows neither Twisted's client nor what a command means. A command goes out when everything before it has gone out and
nothing in flight forbids it; its answers are told apart by the order of tags and by what each request recognises.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime

from ifap_twisted.core import limits
from ifap_twisted.errors import OutcomeUnknown, ProtocolViolation, StoreError, TimedOut, Unavailable
from ifap_twisted.imap.grammar import Continuation, Reply, Status
from ifap_twisted.imap.replies import Parts
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.sending import PIECE, LiteralProducer

__all__ = ["Pipeline"]

_SHORTEST_SECRET: Final = 4
"""A shorter one would take letters out of every sentence; it is taken out of the answer to the login only."""


class Pipeline:
    """The commands of one connection.

    :param transport: where bytes go.
    :param end: called with the reason when the connection must not go on.
    :param quiet: called when nothing is in flight and nothing waits.
    """

    def __init__(
        self, transport: IConsumer, clock: IReactorTime, end: Callable[[StoreError], None], quiet: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._end = end
        self._quiet = quiet
        self._queue: deque[Request] = deque()
        self._flight: dict[bytes, Request] = {}
        self._hearing: list[Request] = []
        self._writing: Request | None = None
        self._producer: LiteralProducer | None = None
        self._tags = 0
        self._bytes = 0
        self._searching = False
        self._moved = clock.seconds()
        self._silence: IDelayedCall | None = None
        self._reason: StoreError | None = None
        self.literal_plus = -1
        """The largest literal that may be sent without waiting for the server (LITERAL+, LITERAL-)."""
        self.secrets: set[bytes] = set()
        """What was sent on this connection, in any form, and must never come back in an error."""

    @property
    def busy(self) -> bool:
        """Whether anything is in flight, waits, or is still being written after it was refused."""
        return bool(self._flight or self._queue or self._writing)

    def submit(self, request: Request) -> Deferred[Status]:
        """Send a command as soon as may be; fires with its tagged OK.

        :raises IFAPError: as the table of refusals says, or why the connection ended. Cancelled, it is drained; one
            that was cut in the middle of a literal ends the connection.
        """
        if self._reason is not None:
            return fail(_again(self._reason))
        self._hide(*request.secrets)
        request.deferred = Deferred(lambda _cancelled: self._abandon(request))
        self._queue.append(request)
        idle = next(iter(self._flight.values()), None)
        if idle is not None and idle.give_way is not None:
            give_way, idle.give_way = idle.give_way, None
            self.moved()
            give_way()
        self.advance()
        return request.deferred

    def advance(self) -> None:
        """Send what may be sent now."""
        while self._queue and self._writing is None and self._reason is None and self._may_start(self._queue[0]):
            self._start(self._queue.popleft())
        if not self.busy and self._reason is None:
            self._quiet()

    def _may_start(self, request: Request) -> bool:
        if not self._flight:
            return True
        if request.overlap is Overlap.NONE or next(iter(self._flight.values())).overlap is Overlap.NONE:
            return False
        if request.overlap is Overlap.SEARCH and self._searching:
            return False
        if len(self._flight) >= limits.APPENDS_IN_FLIGHT:
            return False
        return not self._bytes or self._bytes + request.size <= limits.BYTES_IN_FLIGHT

    def _start(self, request: Request) -> None:
        self._tags += 1
        request.tag = b"A%d" % self._tags
        if not self._flight:
            self._moved = self._clock.seconds()
        self._flight[request.tag] = request
        if request.receive is not None:
            self._hearing.append(request)
        self._bytes += request.size
        self._searching = self._searching or request.overlap is Overlap.SEARCH
        self._writing = request
        self._listen_for_silence()
        self._write_on(request, request.tag + b" ")

    def _write_on(self, request: Request, ahead: bytes = b"") -> None:
        """Write the next text of a request and, where the server need not be asked, the literal after it."""
        while True:
            text = ahead + request.pieces[request.next_piece]
            request.next_piece += 1
            if request.next_piece == len(request.pieces):
                self._writing = None
                self._transport.write(text + b"\r\n")
                return
            literal = request.pieces[request.next_piece]
            if len(literal) > self.literal_plus:
                self._transport.write(text + b" {%d}\r\n" % len(literal))
                return
            ahead = text + b" {%d+}\r\n" % len(literal)
            if len(literal) > PIECE:
                self._transport.write(ahead)
                self._send_literal(request)
                return
            request.begun = True
            request.next_piece += 1
            ahead += literal

    def _send_literal(self, request: Request) -> None:
        """Send the literal that comes next, then go on."""
        literal = request.pieces[request.next_piece]
        request.next_piece += 1
        request.begun = True
        if len(literal) <= PIECE:
            self._write_on(request, literal)
            return
        self._producer = LiteralProducer(self._transport, literal, lambda: self._literal_sent(request), self.moved)
        self._producer.start()

    def _literal_sent(self, request: Request) -> None:
        self._producer = None
        self._write_on(request)
        self.advance()

    def finish(self, request: Request, line: bytes) -> None:
        """End a command that idles with a line (DONE); what waits behind it goes out with that line."""
        request.give_way = None
        request.idling = False
        request.overlap = Overlap.FREE
        self.moved()
        self._transport.write(line + b"\r\n")
        self.advance()

    def moved(self) -> None:
        """Bytes arrived or left: the connection lives."""
        self._moved = self._clock.seconds()

    def receive(self, reply: Reply, parts: Parts) -> None:
        """Take in a reply.

        :raises ProtocolViolation: it answers nothing that was asked.
        """
        if isinstance(reply, Continuation):
            self._continue(reply.text)
        elif isinstance(reply, Status) and reply.tag != b"*":
            self._finish(reply)
        else:
            for request in self._hearing:
                if not request.abandoned and request.receive is not None and request.receive(reply, parts):
                    return

    def _continue(self, text: bytes) -> None:
        """Go on with whoever waits; one that nobody waits for means nothing."""
        request = self._writing
        if request is not None and self._producer is None:
            self._send_literal(request)
            self.advance()
            return
        for waiting in self._flight.values():
            if waiting.answer is not None:
                line = waiting.answer(text)
                if line is not None:
                    self._hide(line)
                    self._transport.write(line + b"\r\n")
                return

    def _finish(self, status: Status) -> None:
        request = self._flight.get(status.tag)
        if request is None:
            raise ProtocolViolation("The mail server answered a command that was not sent.")
        if request is self._writing and status.status == b"OK":
            raise ProtocolViolation("The mail server accepted a command before its end.")
        del self._flight[status.tag]
        if request.receive is not None:
            self._hearing.remove(request)
        self._bytes -= request.size
        if request.overlap is Overlap.SEARCH:
            self._searching = False
        if request is self._writing and self._producer is None:
            self._writing = None
        if not request.abandoned:
            if status.status == b"OK":
                request.deferred.callback(status)
            else:
                request.deferred.errback(request.refused(status, self.secrets))
        self.advance()

    def _abandon(self, request: Request) -> None:
        """The caller does not wait any more."""
        if request in self._queue:
            self._queue.remove(request)
            return
        request.abandoned = True
        if request.stores and request.begun:
            request.deferred.errback(OutcomeUnknown("The upload was given up while it was on its way."))
        if request is self._writing or (request.answer is not None and request.give_way is None):
            self._end(Unavailable("The connection was ended in the middle of a command that was given up."))

    def _hide(self, *secrets: bytes) -> None:
        self.secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def _listen_for_silence(self) -> None:
        if self._silence is None:
            self._silence = self._clock.callLater(limits.COMMAND_SECONDS, self._check_silence)

    def _check_silence(self) -> None:
        self._silence = None
        if not self.busy:
            return
        left = self._moved + limits.COMMAND_SECONDS - self._clock.seconds()
        under_way = [*self._flight.values(), *self._queue, *filter(None, [self._writing])]
        idling = all(request.idling for request in under_way)
        if left <= 0 and not idling:
            self._end(TimedOut(f"The mail server was silent for {limits.COMMAND_SECONDS:g} seconds."))
            return
        self._silence = self._clock.callLater(left if left > 0 else limits.COMMAND_SECONDS, self._check_silence)

    def drop_waiting(self, reason: StoreError) -> None:
        """Fail what has not been sent."""
        waiting, self._queue = self._queue, deque()
        for request in waiting:
            if not request.abandoned:  # whoever hears of it may give up others
                request.deferred.errback(_again(reason))

    def stop_writing(self) -> None:
        """Let go of the transport's producer, so that it can be closed."""
        if self._producer is not None:
            self._producer.abandon()
            self._producer = None

    def lost(self, reason: StoreError) -> None:
        """The connection is gone: fail everything, each as what is known of it."""
        if self._reason is not None:
            return
        self._reason = reason
        self.stop_writing()
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        flight, self._flight, self._hearing = self._flight, {}, []
        for request in flight.values():
            if request.abandoned:
                continue
            if request.stores and request.begun:
                request.deferred.errback(OutcomeUnknown(f"Whether the message was stored is not known. {reason}"))
            else:
                request.deferred.errback(_again(reason))
        self.drop_waiting(reason)


def _again(reason: StoreError) -> StoreError:
    """The same error for another caller, so that they do not share a traceback."""
    return copy.copy(reason)
