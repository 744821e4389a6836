"""Hands a long literal to the transport in pieces, no faster than the transport takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

from ifap_twisted.core import limits

__all__ = ["PIECE", "LiteralProducer"]

PIECE: Final = 64 * limits.KIB
"""Bytes handed over at a time: what a transport buffers before it asks to pause."""


@implementer(IPushProducer)
class LiteralProducer:
    """One literal on its way; calls ``done`` when the transport has taken all of it, and never after a loss.

    :param moved: called for each piece, for whoever measures silence.
    """

    def __init__(self, transport: IConsumer, data: bytes, done: Callable[[], None], moved: Callable[[], None]) -> None:
        self._transport = transport
        self._data = data
        self._done = done
        self._moved = moved
        self._at = 0
        self._paused = True
        self._ended = False

    def start(self) -> None:
        """Begin."""
        self._transport.registerProducer(self, True)
        if not self._ended:
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """Hand over pieces until the transport has enough."""
        if self._ended or not self._paused:
            return
        self._paused = False
        while not self._held() and self._at < len(self._data):
            piece = self._data[self._at : self._at + PIECE]
            self._at += len(piece)
            self._moved()
            self._transport.write(piece)
        if self._at >= len(self._data) and not self._ended:
            self._ended = True
            self._transport.unregisterProducer()
            self._done()

    def _held(self) -> bool:
        return self._paused or self._ended

    def pauseProducing(self) -> None:
        """The transport has enough."""
        self._paused = True

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._ended = True

    def abandon(self) -> None:
        """Stop, so that the transport can be closed."""
        if not self._ended:
            self._ended = True
            self._transport.unregisterProducer()
