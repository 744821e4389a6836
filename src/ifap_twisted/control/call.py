"""One request as the routes see it: its path, query, header and body, taken apart strictly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from zope.interface import Attribute, Interface, implementer

from ifap_twisted.control.body import AnyBody, read_whole
from ifap_twisted.control.gate import header_values
from ifap_twisted.control.paths import parse_query, split_path
from ifap_twisted.control.problems import RequestProblem, bad_request
from ifap_twisted.control.requests import body_of
from ifap_twisted.control.routes import Route
from ifap_twisted.control.schemas import ABSENT_WORD, BODIES, parse_body
from ifap_twisted.core import limits
from ifap_twisted.core.values import ABSENT, JSON, Expect

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


class ICall(Interface):
    """The call that a request makes."""

    path: str = Attribute("the remote path")


@implementer(ICall)
class Call:
    """A request that has passed the gate.

    :ivar route_segments: of the URL below the place where the resource is mounted, without those of a remote path.
    :ivar path: the remote path, without leading and final slash; the root is empty.
    :ivar slash: the URL ended with a slash.
    :ivar conditional: it has a precondition; set by who reads one.
    """

    def __init__(self, request: Any, *, remote_after: frozenset[tuple[str, ...]]) -> None:
        self.request = request
        target, _, query = request.uri.partition(b"?")
        segments = split_path(target)[len(request.prepath) :]
        self.slash = segments[-1:] in {("",), ()}
        names = segments[:-1] if self.slash else segments
        self.route_segments = names
        self.path = ""
        if names[:2] in remote_after:
            self.route_segments, self.path = names[:2], "/".join(names[2:])
        self.query: Mapping[str, str] = {}
        self._raw_query = query
        self.conditional = False

    def check(self, route: Route) -> None:
        """Refuse a query that the route does not know.

        :raises RequestProblem:
        """
        self.query = parse_query(self._raw_query)
        for name in self.query.keys() - route.query:
            raise bad_request(f"The query has a parameter that is not known here: {name[:40]!r}.")

    def header(self, name: str) -> str | None:
        """The value of a header field that may come once.

        :raises RequestProblem: it comes twice.
        """
        values = header_values(self.request, name.encode("ascii"))
        if len(values) > 1:
            raise bad_request(f"The header field {name} came twice.")
        return values[0].strip() if values else None

    def flag(self, name: str) -> bool:
        """A parameter of the query that is ``1`` or ``true``, ``0`` or ``false``; absent is false."""
        value = self.query.get(name, "0").lower()
        if value not in _FLAGS:
            raise bad_request(f"The parameter {name!r} must be 1 or 0.")
        return _FLAGS[value]

    def time(self, name: str) -> float | None:
        """A parameter of the query that is a time."""
        value = self.query.get(name)
        return None if value is None else parse_time(value, name)

    @property
    def private(self) -> bool:
        """It came to a site at which only the user of the node can be; where we are only mounted, nobody knows that."""
        return getattr(self.request.site, "private", False) is True

    def body(self) -> AnyBody:
        """The body, to be iterated over once."""
        return body_of(self.request)

    async def json(self, route: Route) -> Mapping[str, JSON]:
        """The JSON body that the route wants, with ``expect`` turned into what the filesystem takes.

        :raises RequestProblem: it is not sent as ``application/json`` (so that no form can send one), or not as wanted.
        :raises TooLarge: it has more than ``limits.JSON_BODY`` bytes.
        """
        media_type = (self.header("Content-Type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise RequestProblem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body of this request must come with Content-Type: application/json.",
            )
        data = await read_whole(self.body(), limits.JSON_BODY)
        found = dict(parse_body(data, BODIES[route.body or ""]))
        if "expect" in found:
            self.conditional = True
            expect: Expect = ABSENT if found["expect"] == ABSENT_WORD else found["expect"]
            found["expect"] = expect
        return found


def parse_time(text: str, name: str) -> float:
    """Unix seconds, or ISO 8601 (UTC unless it says otherwise), as Unix time.

    :raises RequestProblem: it is neither, or no time that a date can hold.
    """
    try:
        found = float(text)
    except ValueError:
        try:
            date = datetime.fromisoformat(text)
            found = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise bad_request(f"{name} must be a time in ISO 8601, or in Unix seconds.") from None
    if not -62135596800.0 <= found <= 253402300799.0:
        raise bad_request(f"{name} must be a time between the years 1 and 9999.")
    return found
