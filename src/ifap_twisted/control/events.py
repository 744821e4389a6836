"""``GET /v1/events``: what happens, as server-sent events (DESIGN 4.3).

Every event has an id of this run of the node; a client that comes back with its ``Last-Event-ID`` gets what it missed,
or ``renewed`` when that is not known any more. A client that does not read is held in a bounded queue, and told
``renewed`` when it overflows: nobody can make the node remember without end.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from ifap_twisted.control.answers import Answer, start
from ifap_twisted.control.call import Call
from ifap_twisted.control.timers import stop_calls
from ifap_twisted.core import limits
from ifap_twisted.core.values import Event
from ifap_twisted.errors import Throttled

RENEWED: Final = "renewed"
EVENT_STREAM: Final = "text/event-stream"


class Events:
    """All events of a node, and who listens to them.

    :param run: names this run of the node in the ids.
    :param clock: of the heartbeats.
    """

    def __init__(self, *, run: str, clock: IReactorTime) -> None:
        self._run = run
        self._clock = clock
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=limits.EVENTS_KEPT)
        self._streams: list[Stream] = []

    def tell(self, event: Event) -> None:
        """Give an event to everybody."""
        self._number += 1
        block = self._block(event.kind, event.to_json())
        self._kept.append((self._number, block))
        for stream in list(self._streams):
            stream.add(block)

    async def stream(self, call: Call) -> None:
        """Send events until the client goes, or :meth:`stop`.

        :raises Throttled: ``limits.EVENT_CLIENTS`` listen already.
        """
        if len(self._streams) >= limits.EVENT_CLIENTS:
            raise Throttled("Too many clients listen to events.", seconds=limits.HEARTBEAT_SECONDS)
        start(call.request, Answer(headers={"Content-Type": EVENT_STREAM}, body=()))
        if call.request.method == b"HEAD":
            return
        last = call.header("Last-Event-ID")
        stream = Stream(call.request, self.renewed, clock=self._clock)
        self._streams.append(stream)
        try:
            for block in [self._here()] if last is None else self._missed(last):
                stream.add(block)
            await stream.done
        finally:
            self._streams.remove(stream)
            stream.close()

    def stop(self) -> None:
        """End all streams."""
        for stream in list(self._streams):
            stream.end()

    def renewed(self) -> bytes:
        """The block that says: read everything again."""
        return self._block(RENEWED, {})

    def _missed(self, last: str) -> list[bytes]:
        run, _, text = last.rpartition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if run != self._run or not oldest - 1 <= number <= self._number:
            return [self.renewed()]
        return [b": welcome back\n\n", *(block for kept, block in self._kept if kept > number)]

    def _here(self) -> bytes:
        """An id without an event: where to go on after a break before the first one."""
        return f"id: {self._run}-{self._number}\n\n".encode("ascii")

    def _block(self, kind: str, data: object) -> bytes:
        text = json.dumps(data, separators=(",", ":"))
        return f"id: {self._run}-{self._number}\nevent: {kind}\ndata: {text}\n\n".encode("ascii")


@implementer(IPushProducer)
class Stream:
    """The events on their way to one client.

    :param renewed: makes the block that stands for all that did not fit into the queue.
    :ivar done: fires when the client is gone or the stream was ended.
    """

    def __init__(self, request: Any, renewed: Callable[[], bytes], *, clock: IReactorTime) -> None:
        self._request = request
        self._renewed = renewed
        self._clock = clock
        self._queue: deque[bytes] = deque()
        self._overflowed = False
        self._paused = False
        self._heartbeat: IDelayedCall | None = None
        self._stalled: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred()
        request.registerProducer(self, True)
        self._rest()

    def add(self, block: bytes) -> None:
        """Send a block, now or when the client reads."""
        if not self._paused:
            self._request.write(block)
        elif self._overflowed:
            return
        elif len(self._queue) < limits.EVENTS_QUEUED:
            self._queue.append(block)
        else:
            self._queue.clear()
            self._overflowed = True

    def end(self) -> None:
        """Send no more."""
        if not self.done.called:
            self.done.callback(None)

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._paused = True
        if self._stalled is None:
            self._stalled = self._clock.callLater(limits.CONTROL_STALL_SECONDS, self._cut_off)

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        stop_calls(self._stalled)
        self._stalled = None
        if self._overflowed:
            self._overflowed = False
            self._request.write(self._renewed())
        while self._queue and not self._paused:
            self._request.write(self._queue.popleft())

    def stopProducing(self) -> None:
        """The client is gone."""
        self.end()

    def close(self) -> None:
        """Let go of the request."""
        stop_calls(self._heartbeat, self._stalled)
        self._paused = True
        if self._request.channel is not None:
            self._request.unregisterProducer()

    def _rest(self) -> None:
        self._heartbeat = self._clock.callLater(limits.HEARTBEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        if not self._paused:
            self._request.write(b": still here\n\n")
        self._rest()

    def _cut_off(self) -> None:
        self._stalled = None
        self._request.transport.abortConnection()
