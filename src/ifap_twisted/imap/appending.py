"""The APPENDs of a folder: one command each, or many messages in one where the server can (MULTIAPPEND, RFC 3502).

One alone goes out at once; what comes while it is on its way goes together with all that comes in the same turn of the
reactor, in the order of the calls. Nothing waits for an answer. Many in one command are all stored or none: after a
refusal each is sent alone, so that none suffers for another.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.core.values import Receipt
from ifap_twisted.errors import IFAPError, OutcomeUnknown, QuotaExceeded, Refused, TooLarge
from ifap_twisted.imap.grammar import HIGHEST, Status, number
from ifap_twisted.imap.refusals import APPEND
from ifap_twisted.imap.requests import Overlap, Request

__all__ = ["Appends", "receipts"]

_MESSAGES: Final = 32
_BYTES: Final = 256 * limits.KIB
"""What goes in one command at most; a larger message goes alone."""


class _Message:
    """A message, and who waits for its receipt."""

    __slots__ = ("alone", "done", "text")

    def __init__(self, text: bytes, done: Deferred[Receipt]) -> None:
        self.text = text
        self.done = done
        self.alone = False


class Appends:
    """Sends the messages of one folder.

    :param perform: sends a request.
    :param mailbox: the folder's name as it goes onto the wire.
    :param clock: whose turns they are.
    :param together: the server offers MULTIAPPEND.
    """

    def __init__(
        self,
        perform: Callable[[Request], Deferred[Status]],
        mailbox: bytes,
        *,
        clock: IReactorTime,
        together: bool,
    ) -> None:
        self._perform = perform
        self._mailbox = mailbox
        self._clock = clock
        self._turn: IDelayedCall | None = None
        self._together = together
        self._waiting: deque[_Message] = deque()
        self._commands: list[tuple[list[_Message], Deferred[Status]]] = []
        self._sending = False

    def add(self, text: bytes) -> Deferred[Receipt]:
        """Send a message; cancelled, it leaves the line, or its outcome is unknown.

        :raises OutcomeUnknown: the connection broke after a byte may have left.
        """
        done: Deferred[Receipt] = Deferred(self._give_up)
        self._waiting.append(_Message(text, done))
        if not (self._together and self._commands):
            self._send()
        elif self._turn is None:
            self._turn = self._clock.callLater(0, self._end_of_turn)
        return done

    def _end_of_turn(self) -> None:
        self._turn = None
        self._send()

    def _send(self) -> None:
        """Send what may go now; a command that fails at once comes back here while the loop runs."""
        if self._sending:
            return
        self._sending = True
        try:
            while self._waiting:
                self._begin(self._next())
        finally:
            self._sending = False

    def _next(self) -> list[_Message]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].text)
        while self._together and self._waiting and len(batch) < _MESSAGES and not batch[0].alone:
            size += len(self._waiting[0].text)
            if size > _BYTES or self._waiting[0].alone:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _begin(self, batch: list[_Message]) -> None:
        pieces = [piece for message in batch for piece in (message.text, b"")]
        command = self._perform(
            Request(b"APPEND " + self._mailbox, *pieces, what=APPEND, overlap=Overlap.FREE, stores=True)
        )
        entry = (batch, command)
        self._commands.append(entry)
        command.addCallbacks(  # type: ignore[unused-awaitable]
            self._stored, self._failed, callbackArgs=(entry,), errbackArgs=(entry,)
        )

    def _stored(self, status: Status, entry: tuple[list[_Message], Deferred[Status]]) -> None:
        self._commands.remove(entry)
        batch = entry[0]
        try:
            places = receipts(status, len(batch))
        except IFAPError as violation:
            _fail(batch, violation)
            return
        for message, receipt in zip(batch, places, strict=True):
            if not message.done.called:
                message.done.callback(receipt)

    def _failed(self, failure: Failure, entry: tuple[list[_Message], Deferred[Status]]) -> None:
        self._commands.remove(entry)
        batch, error = entry[0], failure.value
        if len(batch) > 1 and isinstance(error, TooLarge | QuotaExceeded | Refused):
            if isinstance(error, Refused) and error.status == "BAD":
                self._together = False  # it offers what it does not understand
            for message in batch:
                message.alone = True
            self._waiting.extendleft(message for message in reversed(batch) if not message.done.called)
            self._send()
            return
        if len(batch) == 1:
            batch[0].done.errback(failure)
        else:
            _fail(batch, error)

    def _give_up(self, done: Deferred[Receipt]) -> None:
        for message in self._waiting:
            if message.done is done:
                self._waiting.remove(message)
                return
        for batch, command in self._commands:
            if any(message.done is done for message in batch):
                if len(batch) == 1:
                    command.cancel()
                else:  # the others go on
                    done.errback(OutcomeUnknown("The upload was given up while it was on its way."))
                return


def _fail(batch: list[_Message], error: BaseException | None) -> None:
    """The same error for each, but not the same object, so that they do not share a traceback."""
    for message in batch:
        if not message.done.called:
            message.done.errback(copy.copy(error))


def receipts(status: Status, count: int) -> list[Receipt]:
    """The places of so many messages, from the tagged OK of their APPEND (RFC 4315); of none when it does not tell all.

    :raises ProtocolViolation: it tells places that cannot be any.
    """
    words = status.arguments.split()
    if status.code != b"APPENDUID" or len(words) != 2:
        return [Receipt()] * count
    uidvalidity = number(words[0])
    uids: list[int] = []
    for part in words[1].split(b","):
        first, colon, last = part.partition(b":")
        begin, end = number(first), number(last) if colon else number(first)
        if not 0 < begin <= end <= HIGHEST or end - begin >= count:
            return [Receipt()] * count
        uids.extend(range(begin, end + 1))
    if len(uids) != count:
        return [Receipt()] * count
    return [Receipt(uidvalidity=uidvalidity, uid=uid) for uid in uids]
