"""The web site of the node: our Request, bounds on what a client may send, and no access log.

It opens no port and no file. Paths of requests are logged at debug level only, query and headers never.
"""

# mypy: allow-untyped-calls
# (twisted.web is hardly annotated; what is ours here is.)

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Site

from ifap_twisted.control.requests import Request
from ifap_twisted.core import limits


class Channel(HTTPChannel):
    """One connection of a client."""

    maxHeaders = limits.CONTROL_HEADERS
    site: ControlSite

    def connectionMade(self) -> None:
        """Refuse to be one too many."""
        self.site.channels.add(self)
        super().connectionMade()
        if len(self.site.channels) > limits.CONTROL_CLIENTS:
            self.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Make room for another."""
        self.site.channels.discard(self)
        super().connectionLost(reason)

    def resetTimeout(self) -> None:
        """Bytes of a body are a sign of life; a header has to come whole while the node waits for it once."""
        if not self.line_mode:
            super().resetTimeout()

    def allHeadersReceived(self) -> None:
        """What our own client stores may come from a pipe that says nothing for long; its end is heard of at once."""
        if self.site.private and self.length != 0:
            self.setTimeout(limits.CONTROL_SOURCE_SECONDS)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """What comes next on this connection has to come in time again."""
        if self.site.private:
            self.setTimeout(self.site.timeOut)
        super().allContentReceived()

    def retire(self) -> None:
        """Take no more requests."""
        self.persistent = False
        if not self.requests:
            self.loseConnection()


class ControlSite(Site):
    """A site for a control resource; see :func:`control_site`.

    :ivar channels: the connections that are open.
    :ivar private: only the user of the node gets here, and no browser: local files may be named.
    """

    def __init__(self, *args: Any, private: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.private = private
        self.channels: set[Channel] = set()

    def startFactory(self) -> None:
        """Without an access log there is nothing to open and no clock to keep."""

    def stopFactory(self) -> None:
        """Nobody listens any more: let the connections go when what was asked on them is answered."""
        for channel in list(self.channels):
            channel.retire()

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: ARG002 -- Twisted's interface
        """A channel of HTTP/1.1 with our bounds."""
        channel: Any = Channel()
        channel.factory = self
        channel.site = self
        channel.requestFactory = self.requestFactory
        channel.callLater = self.reactor.callLater
        channel.timeOut = self.timeOut
        return channel

    def log(self, request: Any) -> None:
        """Keep no access log."""


def control_site(resource: IResource, *, reactor: Any, private: bool = False) -> ControlSite:
    """A site for ``resource``, to listen with on any endpoint.

    :param reactor: the clock of its timeouts.
    :param private: nobody but the user of the node can connect to it, and no program that does so for others: who asks
        may name local files.
    """
    return ControlSite(
        resource,
        requestFactory=Request,
        parsePOSTFormSubmission=False,
        reactor=reactor,
        timeout=limits.CONTROL_IDLE_SECONDS,
        private=private,
    )
