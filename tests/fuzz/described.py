"""Ask a node whatever its OpenAPI description allows, and whatever it does not: ``python -m tests.fuzz.described``.

It needs the extra ``fuzz`` (schemathesis, which makes the requests). The node is the real one, over a folder in memory,
and is spoken to in bytes. Every answer has to be one of the description: its status, media type, header fields and
schema; what the description does not allow has to be refused, and nothing may be a mistake of the node. Ends with
figures, and with exit status 1 when an answer was wrong; the requests are shown.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import click
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from urllib3 import HTTPResponse

from ifap_twisted.control.openapi import description
from tests.control.wire import PORT, TOKEN, Node, Reply, parse

CHECKS: Final = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
"""What holds for every answer. (What is valid may be refused all the same: no schema says which paths are names.)"""
STREAMS: Final = frozenset({"/v1/events"})
"""Answers without an end; schemathesis reads each event as an object, OpenAPI 3.1 has no word for their schema."""


class Shooter:
    """One node, and what it was asked.

    :ivar statuses: how many answers there were of each; 0 is a connection that was closed instead.
    """

    def __init__(self) -> None:
        self.node = Node(max_file_size=100_000)
        self.node.ask("PUT", "/v1/files/a/b.txt", None, b"x")
        self.statuses: Counter[int] = Counter()

    def send(self, case: schemathesis.Case) -> requests.Response | None:
        """Send a request of schemathesis; None when it cannot be written as HTTP, or gets no answer."""
        try:
            asked = _prepared(case)
        except (UnicodeError, requests.exceptions.RequestException):
            return None
        wire = self.node.connect()
        wire.send(_written(asked))
        self.node.clock.pump([0] * 20)
        value = wire.value()
        if not wire.aborted:
            wire.lose()
        if b"Transfer-Encoding: chunked" in value and not value.endswith(b"0\r\n\r\n"):
            value += b"0\r\n\r\n"
        reply = parse(value, head=asked.method == "HEAD") if value else None
        self.statuses[reply.status if reply else 0] += 1
        return None if reply is None else _response(asked, reply)


def _prepared(case: schemathesis.Case) -> requests.PreparedRequest:
    asked = case.as_transport_kwargs(base_url=f"http://127.0.0.1:{PORT}")
    known = {name: asked[name] for name in ("method", "url", "params", "data", "json", "files") if name in asked}
    fields = {name: value for name, value in asked["headers"].items() if name.lower() != "authorization"}
    return requests.Request(**known, headers=fields | {"Authorization": f"Bearer {TOKEN}"}).prepare()


def _written(asked: requests.PreparedRequest) -> bytes:
    body = asked.body.encode() if isinstance(asked.body, str) else asked.body or b""
    fields: Mapping[str, Any] = {"Host": f"127.0.0.1:{PORT}", **asked.headers, "Content-Length": str(len(body))}
    lines = [f"{asked.method} {asked.path_url} HTTP/1.1".encode()]
    for name, value in fields.items():
        lines.append(_bytes(name) + b": " + _bytes(value))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _response(asked: requests.PreparedRequest, reply: Reply) -> requests.Response:
    """An answer as schemathesis takes it."""
    found = requests.Response()
    found.status_code, found._content, found.request, found.url = reply.status, reply.body, asked, asked.url or ""
    found.headers.update({name: ", ".join(values) for name, values in reply.headers.items()})
    found.elapsed = timedelta(0)
    found.raw = HTTPResponse(body=reply.body, headers=found.headers, status=reply.status, version=11)
    return found


def ask(operation: Any, mode: GenerationMode, count: int, shooter: Shooter) -> None:
    """So many requests for one operation; raises what schemathesis says of a wrong answer."""
    checks = CHECKS if mode is GenerationMode.POSITIVE else (*CHECKS, negative_data_rejection)
    if operation.path in STREAMS:
        checks = tuple(check for check in checks if check is not response_schema_conformance)

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def each(case: schemathesis.Case) -> None:
        response = shooter.send(case)
        if response is not None:
            case.validate_response(response, checks=list(checks))

    each()


def _without_token(described: Mapping[str, Any]) -> dict[str, Any]:
    """The description as for somebody who is let in: who is not is the business of ``tests/control/test_abuse.py``."""
    found: dict[str, Any] = json.loads(json.dumps(described))
    del found["security"], found["components"]["securitySchemes"]
    return found


@click.command("described", help=__doc__)
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Of each kind, per operation.")
def main(count: int) -> None:
    """Ask for all operations."""
    schema = schemathesis.openapi.from_dict(_without_token(description("fuzz")))
    statuses: Counter[int] = Counter()
    operations = wrong = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        operations += 1
        for mode in GenerationMode:
            shooter = Shooter()
            try:
                ask(operation, mode, count, shooter)
            except Unsatisfiable:  # whatever is asked for here is allowed
                if mode is GenerationMode.POSITIVE:
                    raise
            except (Exception, BaseExceptionGroup) as error:  # told, and the others are asked
                wrong += 1
                click.echo(f"{operation.method.upper()} {operation.path} ({mode.name.lower()}): {error}")
            statuses += shooter.statuses
    told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))
    click.echo(f"{operations} operations, {statuses.total()} requests, {wrong} wrong; answers {told}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
