"""The body of a request as it arrives: an asynchronous iterable with a brake.

It holds no more than ``limits.BODY_AHEAD`` and one read of the socket, and never writes to a file: plaintext does not
touch the disk (DESIGN 4.3). It knows nothing of HTTP but that a body has a beginning and an end.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol, Self

from twisted.internet.defer import Deferred

from ifap_twisted.core import limits
from ifap_twisted.errors import IncompleteSource, TooLarge


class Flow(Protocol):
    """The sender of a body, as seen by the one who reads it."""

    def wanted(self) -> None:
        """Somebody waits for the body: tell the sender to go on, if it asked first (``Expect: 100-continue``)."""

    def pause(self) -> None:
        """Stop sending for a while; may be called again while paused."""

    def resume(self) -> None:
        """Go on sending; may be called while not paused."""


class Body:
    """A body that is arriving; iterate over it once.

    :ivar length: the declared length in bytes, or None when it was not declared (chunked).
    :ivar received: how many bytes came so far.
    :ivar complete: its end has come.
    """

    def __init__(self, length: int | None, flow: Flow) -> None:
        self.length = length
        self.received = 0
        self.complete = False
        self._flow = flow
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._waiting: Deferred[None] | None = None
        self._cut = False
        self._unwanted = False

    def __aiter__(self) -> Self:
        """The body itself."""
        return self

    async def __anext__(self) -> bytes:
        """The next bytes.

        :raises IncompleteSource: the sender went away before the end.
        """
        while not self._chunks:
            if self._cut:
                raise IncompleteSource("The connection was closed before the end of the body; nothing was stored.")
            if self.complete:
                raise StopAsyncIteration
            self._flow.wanted()
            self._waiting = Deferred(self._forget)
            await self._waiting
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        if self._held <= limits.BODY_AHEAD // 2:
            self._flow.resume()
        return chunk

    @property
    def remaining(self) -> int | None:
        """How many bytes are still to come, or None when that is not known."""
        return None if self.length is None else self.length - self.received

    def feed(self, chunk: bytes) -> None:
        """Take bytes from the sender."""
        self.received += len(chunk)
        if self._unwanted or not chunk:
            return
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._wake()
        if self._held > limits.BODY_AHEAD and self.received != self.length:
            self._flow.pause()

    def finish(self) -> None:
        """The sender has sent all."""
        self.complete = True
        self._wake()

    def cut(self) -> None:
        """The sender is gone."""
        if not self.complete:
            self._cut = True
        self._wake()

    def discard(self) -> None:
        """Forget what is held, and all that still comes."""
        self._unwanted = True
        self._chunks.clear()
        self._held = 0
        self._flow.resume()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def _forget(self, _cancelled: Deferred[Any]) -> None:
        self._waiting = None


class WholeBody:
    """A short body that is in memory already, with the face of :class:`Body`."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = data

    def __aiter__(self) -> Self:
        """The body itself."""
        return self

    async def __anext__(self) -> bytes:
        """All of it, once."""
        if not self._data:
            raise StopAsyncIteration
        data, self._data = self._data, b""
        return data


AnyBody = Body | WholeBody


async def read_whole(body: AnyBody, limit: int) -> bytes:
    """A short body as bytes.

    :raises TooLarge: it is longer than ``limit``; when it was declared to be, nothing of it is read.
    """
    pieces: list[bytes] = []
    size = body.length or 0
    if size <= limit:
        size = 0
        async for chunk in body:
            size += len(chunk)
            if size > limit:
                break
            pieces.append(chunk)
    if size > limit:
        raise TooLarge(f"The body of this request may have {limit} bytes at most.", limit=limit)
    return b"".join(pieces)
