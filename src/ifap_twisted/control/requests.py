"""A Request that hands the body on as it comes, to resources that take it so.

twisted.web collects a body before it renders anything, and spools one of 100,000 bytes or more into a plain temporary
file; plaintext must never touch the disk (DESIGN 4.3, P9). This Request finds the resource when the headers have come;
a resource that provides :class:`ITakesBodies` is rendered at once. For every other resource it is the Request of
twisted.web, unchanged. It works in any Site: ``Site(root, requestFactory=Request)``.
"""

# mypy: allow-untyped-calls
# (twisted.web is hardly annotated; what is ours here is.)

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import HTTPChannel
from twisted.web.iweb import IRequest
from zope.interface import Interface

from ifap_twisted.control.body import AnyBody, Body, WholeBody
from ifap_twisted.control.timers import stop_calls
from ifap_twisted.core import limits
from ifap_twisted.errors import TooLarge

_KEEP_AWAKE_SECONDS = 10.0


class ITakesBodies(Interface):
    """A resource that wants to be rendered when the headers have come, and reads ``body_of(request)`` itself."""


class Request(server.Request):
    """One request; :attr:`body` is its body while it arrives, or None when it was collected as twisted.web does."""

    body: Body | None = None
    _wants_continue = False
    _paused = False
    _awake: IDelayedCall | None = None
    _lingering: IDelayedCall | None = None

    def gotLength(self, length: int | None) -> None:
        """The headers have come: render now, if the resource wants that and there is a body."""
        if length == 0 or not self._finds_taker():
            super().gotLength(length)
            return
        self.body = Body(length, self)
        self._hold_continue()
        self.process()

    def _finds_taker(self) -> bool:
        # The channel knows the request line already, but tells it only after the body.
        channel: Any = self.channel
        early = isinstance(channel, HTTPChannel)  # an HTTP/2 stream tells its headers only with the body
        if not early:
            return False
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version  # noqa: SLF001
        self.path, _, _ = self.uri.partition(b"?")
        self.args: dict[bytes, list[bytes]] = {}
        if self.path == b"*":
            return True  # process() answers it without a resource
        self.prepath: list[bytes] = []
        self.postpath: list[bytes] = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            return bool(ITakesBodies.providedBy(channel.site.getResourceFor(self)))
        except Exception:  # noqa: BLE001 -- process() meets it again when the body is there, and reports it
            return False

    def _hold_continue(self) -> None:
        # The channel would answer 100 before anybody looked at the headers: it must not see the question.
        expected = self.requestHeaders.getRawHeaders(b"Expect", [])
        if any(value.lower() == b"100-continue" for value in expected):
            self._wants_continue = self.clientproto == b"HTTP/1.1"
            self.requestHeaders.removeHeader(b"Expect")

    def handleContentChunk(self, data: bytes) -> None:
        """Bytes of the body have come."""
        if self.body is None:
            super().handleContentChunk(data)
            return
        self._wants_continue = False
        self.body.feed(data)
        if self._lingering is not None and self.body.received > self._linger_until:
            self._end_lingering()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The end of the body has come."""
        if self.body is None:
            super().requestReceived(command, path, version)
            return
        lingered = self.finished
        self.resume()
        self.body.finish()
        if lingered:
            self._stop_calls()
            super()._cleanup()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self._stop_calls()
        super().connectionLost(reason)  # first: it cancels whoever reads the body and would answer
        if self.body is not None:
            self.body.cut()

    # -- Flow: what the body asks of its sender

    def wanted(self) -> None:
        """Send ``100 Continue`` when it was asked for."""
        if self._wants_continue and not self.startedWriting:
            self._wants_continue = False
            self.channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def pause(self) -> None:
        """Read no more from the client for now."""
        producer = IPushProducer(self.transport, None)
        if self._disconnected or producer is None:
            return
        producer.pauseProducing()
        if not self._paused:
            self._paused = True
            self._stay_awake()

    def resume(self) -> None:
        """Read from the client again."""
        if self._paused and not self._disconnected:
            self._paused = False
            IPushProducer(self.transport).resumeProducing()

    def _stay_awake(self) -> None:
        # A client that we made wait is not idle: put off the timeout of the channel until it may send again.
        self._awake = None
        if self._paused and not self._disconnected:
            self.channel.resetTimeout()
            self._awake = self.channel.callLater(_KEEP_AWAKE_SECONDS, self._stay_awake)

    # -- The end of an answer that came before the end of the body

    def write(self, data: bytes) -> None:
        """Write a part of the answer."""
        if not self.startedWriting and self.body is not None and not self.body.complete and not self._drainable():
            self.channel.persistent = False
            self.setHeader(b"Connection", b"close")
        super().write(data)

    def _drainable(self) -> bool:
        assert self.body is not None
        remaining = self.body.remaining
        return not self._wants_continue and remaining is not None and remaining <= limits.DRAIN_BYTES

    def _cleanup(self) -> None:
        # The channel may take up the next request only where this one ends: what is left of the body would be
        # parsed as a request. And closing over unread bytes could take the answer away from the client.
        if self.body is None or self.body.complete:
            self._stop_calls()
            super()._cleanup()
            return
        self._linger_until = self.body.received + limits.LINGER_BYTES
        self._lingering = self.channel.callLater(limits.LINGER_SECONDS, self._end_lingering)
        self.body.discard()

    def _end_lingering(self) -> None:
        self._stop_calls()
        self.channel.loseConnection()

    def _stop_calls(self) -> None:
        stop_calls(self._awake, self._lingering)
        self._awake = self._lingering = None


def body_of(request: IRequest) -> AnyBody:
    """The body of a request, from our Request or a foreign one.

    :raises TooLarge: a foreign Request has spooled it to a file (100,000 bytes and more, or of unknown length).
    """
    if isinstance(request, Request) and request.body is not None:
        return request.body
    content = request.content
    if not isinstance(content, BytesIO):
        raise TooLarge(
            "Bodies of 100,000 bytes and more, or without Content-Length, are not taken here: "
            "the web site that this resource is mounted in collects them in files."
        )
    return WholeBody(content.getvalue())
