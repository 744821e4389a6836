"""The link to one node: questions and answers, jobs, events; opened with the first question.

HTTP is imported then, not before: programs import the client before they know whether a node runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from ifap_twisted.control.client_values import number_from, text_from
from ifap_twisted.control.problems import error_of
from ifap_twisted.core.values import JSON
from ifap_twisted.deferreds import Waiters, deferred, detach
from ifap_twisted.errors import Unavailable
from ifap_twisted.interfaces import Listener, Progress

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse

    from ifap_twisted.control.client_events import Following
    from ifap_twisted.control.client_requests import Requests

T = TypeVar("T")
Token = str | Callable[[], str]
GLANCE_SECONDS: Final = 30
"""How long one request waits for the end of a job before it is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request to be made.

    :ivar path: of the URL, percent-encoded; ``query`` is not.
    :ivar body: JSON to be sent, or what provides ``IBodyProducer``.
    """

    method: str
    path: str
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: JSON = None


class Link:
    """Asks one node.

    :param address: the path of its control socket, or an endpoint that leads to it.
    :param token: the bearer token, or what gives the present one (a node has a new one after each start).
    """

    _log = Logger()

    def __init__(self, reactor: Any, address: str | os.PathLike[str] | IStreamClientEndpoint, token: Token) -> None:
        self._reactor = reactor
        self._address = address
        self._token = token
        self._made: Requests | None = None
        self._following: Following | None = None
        self._asking = 0
        self._idle = Waiters()
        self._closed = False

    def ask(self, question: Question) -> Deferred[JSON]:
        """The JSON of the answer; None for an empty one.

        :raises IFAPError: as the node answered; Unavailable, OutcomeUnknown, TimedOut: as far as it did not.
        """
        return self._do(lambda requests: requests.json(question))

    def body(
        self, question: Question, check: Callable[[IResponse], None], take: Callable[[bytes], None]
    ) -> Deferred[None]:
        """Give the body of the answer to a callable as it comes, unless ``check`` raises because of its header."""
        return self._do(lambda requests: requests.body(question, check, take))

    def lines(self, question: Question, take: Callable[[bytes], None]) -> Deferred[None]:
        """Give each line of the answer to a callable as it comes."""
        return self._do(lambda requests: requests.lines(question, take))

    @deferred
    async def job(self, kind: str, wanted: Mapping[str, JSON] | None = None, progress: Progress = None) -> JSON:
        """Start a job, and wait for its result; cancelling cancels it."""
        found = await self.ask(Question(method="POST", path=f"/v1/{kind}", body=wanted or {}))
        path = f"/v1/jobs/{text_from(found, 'id')}"
        try:
            while text_from(found, "state") == "running":
                found = await self.ask(Question(method="GET", path=path, query={"wait": str(GLANCE_SECONDS)}))
                if progress is not None and found.get("total"):
                    progress(number_from(found, "done"), number_from(found, "total"))
        except CancelledError:
            detach(self.ask(Question(method="DELETE", path=path)), self._log, "cancelling a job")
            raise
        if found.get("error"):
            raise error_of(found["error"])
        if found["state"] != "done":
            raise Unavailable(f"The node has given up the job ({kind}).")
        return found.get("result")

    def follow(self, tell: Listener) -> None:
        """Tell a callable of every event; questions asked from now on wait until that is so."""
        from ifap_twisted.control.client_events import Following  # noqa: PLC0415 -- with HTTP

        if self._following is None:
            self._following = Following(self._requests(), tell, reactor=self._reactor)

    def follow_no_more(self) -> None:
        """Tell nobody of events any more."""
        following, self._following = self._following, None
        if following is not None:
            following.stop()

    @deferred
    async def close(self) -> None:
        """Wait for all answers, and let go of the node."""
        self._closed = True
        self.follow_no_more()
        if self._asking:
            await self._idle.wait()
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    @deferred
    async def _do(self, act: Callable[[Requests], Deferred[T]]) -> T:
        requests = self._requests()
        self._asking += 1
        try:
            await (succeed(None) if self._following is None else self._following.ready())
            return await act(requests)
        finally:
            self._asking -= 1
            if not self._asking:
                self._idle.tell()

    def _requests(self) -> Requests:
        from ifap_twisted.control.client_requests import Requests  # noqa: PLC0415 -- imports treq
        from ifap_twisted.control.client_socket import SocketEndpoint  # noqa: PLC0415 -- with HTTP

        if self._closed:
            raise Unavailable("This filesystem is closed.")
        if self._made is None:
            address = self._address
            if isinstance(address, str | os.PathLike):
                endpoint: IStreamClientEndpoint = SocketEndpoint(self._reactor, address)
            else:
                endpoint = address
            self._made = Requests(self._reactor, endpoint, self._token)
        return self._made
