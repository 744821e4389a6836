"""Waiting for news while nothing else is to be done: IDLE (RFC 2177), renewed; or NOOP from time to time.

Gives way at once: the DONE goes out together with the command that waits.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.errors import Refused
from ifap_twisted.imap.grammar import Status
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.wire import Wire

__all__ = ["Idling"]

_PAUSE: Final = 0.5
"""Seconds of quiet before IDLE, so that a series of commands does not go in and out of it."""


class Idling:
    """The idle time of one connection.

    :param idle: whether the server has IDLE; otherwise, and once it has refused it, there is NOOP.
    """

    _log = Logger()

    def __init__(self, wire: Wire, clock: IReactorTime, *, idle: bool) -> None:
        self._wire = wire
        self._clock = clock
        self._idle = idle
        self._timer: IDelayedCall | None = None
        self._request: Request | None = None
        self._ready = False
        self._leaving = False
        self._stopped = False

    def quiet(self) -> None:
        """Nothing is in flight: wait a little, then idle."""
        if self._stopped or self._request is not None:
            return
        self._wait(_PAUSE if self._idle else limits.POLL_SECONDS)

    def stop(self) -> None:
        """Never again; an IDLE that goes on gives way to the next command."""
        self._stopped = True
        self._cancel_timer()

    def _wait(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._clock.callLater(seconds, self._due)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        """The quiet lasted, or an IDLE has lasted long enough."""
        self._timer = None
        if self._request is not None:
            self._give_way()
        elif self._wire.alive and not self._wire.pipeline.busy:
            self._begin()

    def _begin(self) -> None:
        if self._idle:
            request = Request(b"IDLE", what="wait for news", answer=self._answer, give_way=self._give_way)
            self._request, self._ready, self._leaving = request, False, False
            self._wait(limits.IDLE_SECONDS)
        else:
            request = Request(b"NOOP", what="say what is new", overlap=Overlap.FREE)
        done = self._wire.perform(request)
        done.addCallbacks(self._ended, self._failed)  # type: ignore[unused-awaitable]  # both are ends

    def _answer(self, _text: bytes) -> None:
        """The server is waiting; it may say so only once."""
        if self._ready or self._request is None:
            return
        self._ready = self._request.idling = True
        if self._leaving:
            self._finish()

    def _give_way(self) -> None:
        """Leave, as soon as the server has said that it waits."""
        if self._ready and not self._leaving:
            self._leaving = True
            self._finish()
        self._leaving = True

    def _finish(self) -> None:
        if self._request is not None:
            self._wire.pipeline.finish(self._request, b"DONE")

    def _ended(self, _status: Status | None) -> None:
        self._request = None
        self._cancel_timer()
        if not self._wire.pipeline.busy and self._wire.alive:
            self.quiet()

    def _failed(self, failure: Failure) -> None:
        """Refused: from now on NOOP. Any other end is the connection's, and known there."""
        self._request = None
        self._cancel_timer()
        if isinstance(failure.value, Refused):
            self._idle = False
        if self._wire.alive:
            self._log.info("The mail server did not wait for news: {reason}", reason=str(failure.value))
            self._ended(None)
