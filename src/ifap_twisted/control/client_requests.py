"""Requests to a node: a few connections that are used again, the token, and errors as what they were.

Importing this imports treq and the client half of twisted.web; ``client`` does so with the first request only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse

from ifap_twisted.control.client_connections import Connections
from ifap_twisted.control.client_link import Question, Token
from ifap_twisted.control.client_stream import Download, Lines, Unwanted, Upload, delivered, upload_bytes
from ifap_twisted.control.client_values import parse_json
from ifap_twisted.control.problems import MEDIA_TYPE, error_of
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import Patience, Slots, deferred
from ifap_twisted.errors import IFAPError, OutcomeUnknown, ProtocolViolation, TimedOut, Unavailable

T = TypeVar("T")
BASE: Final = "http://ifap"
_UNKNOWN: Final = "The node went away before it answered: what was asked for may or may not be done."
_SILENT: Final = "What is to be stored has not come to its end, and no more of it came, or was taken,"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class Requests:
    """Makes requests to one node.

    :param token: the bearer token, or what gives the present one (a node has a new one after each start).
    """

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint, token: Token) -> None:
        self._reactor = reactor
        self._token = token
        self._pool: Any = HTTPConnectionPool(reactor, persistent=True)  # type: ignore[no-untyped-call]
        self._pool.maxPersistentPerHost = limits.CONTROL_CONNECTIONS
        self._pool.cachedConnectionTimeout = int(limits.CONTROL_REUSE_SECONDS)
        self._pool.retryAutomatically = False
        self._connections = Connections(endpoint)
        agent: Agent = Agent.usingEndpointFactory(reactor, self._connections, pool=self._pool)  # type: ignore[no-untyped-call]
        self._client = HTTPClient(agent)
        self._turns = Slots(limits.CONTROL_CONNECTIONS)

    @deferred
    async def json(self, question: Question) -> JSON:
        """The JSON of an answer; None for an empty one.

        :raises IFAPError: as the node answered; Unavailable, OutcomeUnknown, TimedOut: as far as it did not.
        """
        async with self._turns:
            response = await self.begin(question)
            data = await self._collected(question, response)
        return parse_json(data) if data else None

    @deferred
    async def body(self, question: Question, check: Callable[[IResponse], None], take: Callable[[bytes], None]) -> None:
        """Give the body of a good answer to a callable as it comes, unless ``check`` raises because of its header."""
        async with self._turns:
            response = await self.begin(question)
            try:
                check(response)
            except BaseException:
                response.deliverBody(Unwanted())  # type: ignore[no-untyped-call]
                raise
            await self._answered(question, response, Download(take))

    @deferred
    async def lines(self, question: Question, take: Callable[[bytes], None]) -> None:
        """Give each line of a good answer to a callable as it comes."""
        async with self._turns:
            response = await self.begin(question)
            await self._answered(question, response, Lines(take))

    @deferred
    async def begin(self, question: Question) -> IResponse:
        """Make a request now; gives the answer when its header has come, if it is a good one."""
        response = await self._send(question)
        if response.code < 400:
            return response
        raise _error_in(response, await self._collected(question, response))

    async def _send(self, question: Question) -> IResponse:
        token = self._token if isinstance(self._token, str) else self._token()
        headers = Headers({"Authorization": [f"Bearer {token}"]})
        for name, value in (question.headers or {}).items():
            headers.setRawHeaders(name, [value])
        body: Upload | None = question.body if isinstance(question.body, Upload) else None
        if body is None and question.body is not None:
            headers.setRawHeaders("Content-Type", ["application/json"])
            body = upload_bytes(json.dumps(question.body).encode("ascii"))
        sending = self._client.request(
            question.method,
            BASE + question.path + (f"?{urlencode(question.query)}" if question.query else ""),
            headers=headers,
            data=body,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        try:
            return await self._while_moving(_given_up_at_once(sending), body)
        except _BROKEN as error:
            raise _translated(error, question, body) from None

    async def _while_moving(self, work: Deferred[T], moving: Upload | Download | None) -> T:
        """Wait for work as long as bytes move; how long all of them take is nobody's business."""
        patience = Patience(limits.CONTROL_ANSWER_SECONDS, self._reactor, "The node's answer")
        if moving is not None:
            moving.moved = patience.moved
        return await patience.wait(work)

    async def _collected(self, question: Question, response: IResponse) -> bytes:
        pieces: list[bytes] = []
        await self._answered(question, response, Download(pieces.append))
        return b"".join(pieces)

    async def _answered(self, question: Question, response: IResponse, download: Download) -> None:
        """Wait for the rest of an answer; without it nobody knows what became of a write."""
        try:
            await self._while_moving(delivered(response, download), download)
        except (TimedOut, Unavailable):
            if question.method in _SAFE_METHODS:
                raise
            raise OutcomeUnknown(_UNKNOWN) from None

    @deferred
    async def close(self) -> None:
        """End all connections."""
        await self._pool.closeCachedConnections()
        await self._connections.abort()


_BROKEN: Final = (
    ConnectError,
    ConnectionClosed,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    TimedOut,
    OSError,
)


def _given_up_at_once(work: Deferred[T]) -> Deferred[T]:
    """The same work, but cancelling ends with CancelledError and not with what becomes of the connection then."""
    given_up = False

    def cancel(_outer: Deferred[T]) -> None:
        nonlocal given_up
        given_up = True
        work.cancel()

    def ended(result: T | Failure) -> None:
        if not given_up:
            outer.callback(result)

    outer: Deferred[T] = Deferred(cancel)
    work.addBoth(ended)  # type: ignore[unused-awaitable]
    return outer


def _translated(error: Exception, question: Question, upload: Upload | None) -> BaseException:
    """What a broken connection means: nothing was asked, or it is not known what came of it."""
    if upload is not None and upload.error is not None:
        return upload.error
    if isinstance(error, TimedOut) and upload is not None and upload.length is UNKNOWN_LENGTH and not upload.ended:
        return TimedOut(f"{_SILENT} for {limits.CONTROL_ANSWER_SECONDS:g} seconds: nothing was stored.")
    late = isinstance(error, ResponseFailed | ResponseNeverReceived | TimedOut)
    if late and question.method not in _SAFE_METHODS:
        return OutcomeUnknown(_UNKNOWN)
    return error if isinstance(error, TimedOut) else Unavailable("The node does not answer.")


def _error_in(response: IResponse, data: bytes) -> IFAPError:
    media_type = (response.headers.getRawHeaders("content-type") or [""])[0].partition(";")[0]
    if media_type != MEDIA_TYPE:
        return ProtocolViolation(f"The node answered {response.code} without saying why.")
    found = parse_json(data)
    return error_of(found if isinstance(found, dict) else {"status": response.code})
