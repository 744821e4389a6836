"""What goes back: JSON, problems, streamed bytes; always with the headers that keep a browser from running it.

Long answers are written piece by piece as the client takes them, and a client that takes nothing for
``limits.CONTROL_STALL_SECONDS`` is cut off.
"""

# mypy: allow-untyped-calls
# (twisted.web is hardly annotated; what is ours here is.)

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

from ifap_twisted.control import problems
from ifap_twisted.control.pouring import Pouring
from ifap_twisted.control.problems import RequestProblem
from ifap_twisted.control.timers import stop_calls
from ifap_twisted.core import limits
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import JSON, Entry
from ifap_twisted.errors import IFAPError

_ALWAYS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that has not been sent.

    :ivar body: bytes, or pieces of them to be made, or waited for, when the client can take them.
    :ivar length: the value of ``Content-Length``; by default that of a body of bytes, none for pieces.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | AsyncIterator[bytes] = b""
    length: int | None = None


def json_answer(value: JSON, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A value as JSON."""
    return Answer(
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        body=dump(value).encode("ascii"),
    )


def entry_answer(entry: Entry, *, status: int = 200) -> Answer:
    """An entry as JSON, with its version as ``ETag``."""
    return json_answer(entry.to_json(), status=status, headers=etag_header(entry))


def entries_answer(entries: Sequence[Entry]) -> Answer:
    """``{"entries": [Entry…]}``; a long list is turned into JSON while it is sent."""
    if len(entries) <= limits.LIST_PIECE:
        return json_answer({"entries": [entry.to_json() for entry in entries]})
    return Answer(headers={"Content-Type": "application/json"}, body=pieces_of('{"entries":[', entries, "]}"))


def usage_answer(found: Sequence[Usage]) -> Answer:
    """``{"usage": [Usage…]}``, turned into JSON while it is sent."""
    return Answer(headers={"Content-Type": "application/json"}, body=pieces_of('{"usage":[', found, "]}"))


class HasJson(Protocol):
    """What can be told as a JSON object."""

    def to_json(self) -> Mapping[str, JSON]:
        """The object."""


def pieces_of(before: str, members: Sequence[HasJson], after: str) -> Iterator[bytes]:
    """A long list between two texts, turned into JSON while it is sent."""
    yield before.encode("ascii")
    for start in range(0, len(members), limits.LIST_PIECE):
        text = ",".join(dump(dict(member.to_json())) for member in members[start : start + limits.LIST_PIECE])
        yield (("," if start else "") + text).encode("ascii")
    yield after.encode("ascii")


def problem_answer(error: IFAPError | RequestProblem, *, conditional: bool = False) -> Answer:
    """An error as a problem object."""
    if isinstance(error, RequestProblem):
        return _problem(error.to_json(), error.headers)
    return _problem(problems.problem(error, conditional=conditional), problems.headers_of(error))


def bug_answer() -> Answer:
    """The answer when the node itself failed."""
    return _problem(problems.internal_problem(), {})


def _problem(found: Mapping[str, JSON], headers: Mapping[str, str]) -> Answer:
    return Answer(
        status=found["status"],
        headers={"Content-Type": problems.MEDIA_TYPE, **headers},
        body=dump(found).encode("ascii"),
    )


def etag_header(entry: Entry) -> dict[str, str]:
    """``ETag``: the version id (DESIGN 4.3); none for a directory without a marker."""
    return {"ETag": f'"{entry.version}"'} if entry.version else {}


def dump(value: JSON) -> str:
    """JSON on one line, ASCII only."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def start(request: Any, answer: Answer) -> None:
    """Set status and headers of an answer."""
    request.setResponseCode(answer.status)
    length = len(answer.body) if answer.length is None and isinstance(answer.body, bytes) else answer.length
    fields = {**_ALWAYS, **answer.headers}
    if length is not None and answer.status not in {204, 304}:
        fields["Content-Length"] = str(length)
    for name, value in fields.items():
        request.responseHeaders.setRawHeaders(name.encode("ascii"), [value.encode("latin-1")])


async def send(request: Any, answer: Answer, *, reactor: Any) -> None:
    """Send an answer, as fast as the client takes it; what is left to do is ``finish()``."""
    start(request, answer)
    body = answer.body
    if request.method == b"HEAD" or answer.status in {204, 304} or request.channel is None:
        return
    if isinstance(body, bytes):
        if len(body) <= limits.ANSWER_PIECE:
            request.write(body)
            return
        await Pump(request, _slices(body), reactor=reactor).done
    elif isinstance(body, AsyncIterator):
        await Pouring(request, reactor=reactor).run(body)
    else:
        await Pump(request, iter(body), reactor=reactor, breathing=True).done


def _slices(data: bytes) -> Iterator[bytes]:
    for start_at in range(0, len(data), limits.ANSWER_PIECE):
        yield data[start_at : start_at + limits.ANSWER_PIECE]


@implementer(IPushProducer)
class Pump:
    """Writes pieces into a request while it takes them.

    :param breathing: making a piece takes a while: give the reactor a turn after each.
    :ivar done: fires when all is written; cancelling it stops.
    """

    def __init__(self, request: Any, pieces: Iterator[bytes], *, reactor: Any, breathing: bool = False) -> None:
        self._request = request
        self._pieces = pieces
        self._reactor = reactor
        self._breathing = breathing
        self._paused = False
        self._stalled: IDelayedCall | None = None
        self._breath: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred(lambda _: self._abandon())
        request.registerProducer(self, True)
        self._run()

    def pauseProducing(self) -> None:
        """The client is slower than we are."""
        self._paused = True
        self._stop_calls()
        self._stalled = self._reactor.callLater(limits.CONTROL_STALL_SECONDS, self._cut_off)

    def resumeProducing(self) -> None:
        """The client has taken what was written."""
        self._paused = False
        self._stop_calls()
        self._run()

    def stopProducing(self) -> None:
        """Nobody takes any more of it."""
        self._pieces = iter(())
        self._paused = True
        self._stop_calls()

    def _run(self) -> None:
        while not self._paused:
            try:
                piece = next(self._pieces)
            except StopIteration:
                self._end().callback(None)
                return
            except Exception:  # noqa: BLE001 -- it goes on in the Deferred
                self._end().errback()
                return
            self._request.write(piece)
            if self._breathing and not self._paused:
                self._breath = self._reactor.callLater(0, self._run)
                return

    def _end(self) -> Deferred[None]:
        self._paused = True
        self._stop_calls()
        self._request.unregisterProducer()
        return self.done

    def _abandon(self) -> None:
        self.stopProducing()
        if self._request.channel is not None:
            self._request.unregisterProducer()

    def _cut_off(self) -> None:
        self._stalled = None
        self._request.transport.abortConnection()

    def _stop_calls(self) -> None:
        stop_calls(self._stalled, self._breath)
        self._stalled = self._breath = None
