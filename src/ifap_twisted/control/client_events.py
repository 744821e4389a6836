"""What happens at a node, followed over server-sent events and taken up again after every break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse

from ifap_twisted.control.client_link import Question
from ifap_twisted.control.client_requests import Requests
from ifap_twisted.control.client_stream import Download, delivered
from ifap_twisted.control.client_values import event_from, parse_json
from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError, ProtocolViolation, Unavailable
from ifap_twisted.interfaces import Listener

LONGEST_LINE: Final = 1 * limits.MIB
SILENCE_SECONDS: Final = 4 * limits.HEARTBEAT_SECONDS
PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each attempt to come back; the last one is repeated."""


class EventParser:
    """Server-sent events out of bytes (HTML Living Standard 9.2.6).

    :ivar last_id: the id to come back with, or None.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self.last_id: str | None = None
        self._tell = tell
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take bytes.

        :raises ProtocolViolation: a line without end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise ProtocolViolation("An event of the node is too long.")
        for line in lines:
            self._line(line.removesuffix(b"\r").decode("utf-8", "replace"))

    def _line(self, line: str) -> None:
        if not line:
            if self._data:
                self._tell(self._kind or "message", "\n".join(self._data))
            self._kind, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.last_id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)


class Following:
    """One stream of events, for as long as somebody listens.

    After a break it goes on where it was; when the node does not know that place any more (it was started anew), the
    listener is told ``renewed``.
    """

    _log = Logger()

    def __init__(self, requests: Requests, tell: Listener, *, reactor: IReactorTime) -> None:
        self._requests = requests
        self._tell = tell
        self._reactor = reactor
        self._last_id: str | None = None
        self._ready: list[Deferred[None]] = []
        self._settled = False
        self._work = self._follow()
        self._work.addErrback(self._ended)  # type: ignore[unused-awaitable]

    def ready(self) -> Deferred[None]:
        """Fires when events are told, or the first attempt to that end has failed."""
        if self._settled:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._ready.remove)
        self._ready.append(waiter)
        return waiter

    def stop(self) -> None:
        """Listen no more."""
        self._settle()
        self._work.cancel()

    def _ended(self, failure: Failure) -> None:
        self._settle()
        if not isinstance(failure.value, CancelledError):
            self._log.failure("events are not followed any more", failure)

    @deferred
    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                await self._listen()
                failures = 0
            except IFAPError as error:
                self._log.debug("no events: {error}", error=error.code)
                failures += 1
            self._settle()
            await deferLater(self._reactor, PAUSES[min(failures, len(PAUSES) - 1)])

    async def _listen(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        response = await self._requests.begin(Question(method="GET", path="/v1/events", headers=headers))
        self._settle()
        await self._read(response)

    async def _read(self, response: IResponse) -> None:
        parser = EventParser(self._told)
        parser.last_id = self._last_id

        def take(data: bytes) -> None:
            if silence.active():
                silence.reset(SILENCE_SECONDS)
            try:
                parser.feed(data)
            finally:
                self._last_id = parser.last_id  # what was not understood is not asked for again

        download = Download(take)
        silence = self._reactor.callLater(SILENCE_SECONDS, download.done.cancel)
        try:
            await delivered(response, download)
        except CancelledError:
            if silence.active():
                raise
            raise Unavailable("The node has been silent for too long.") from None
        finally:
            if silence.active():
                silence.cancel()

    def _told(self, kind: str, text: str) -> None:
        self._tell(event_from(kind, parse_json(text)))

    def _settle(self) -> None:
        self._settled = True
        waiters, self._ready = self._ready, []
        for waiter in waiters:
            waiter.callback(None)
