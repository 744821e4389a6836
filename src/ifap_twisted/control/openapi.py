"""``/v1/openapi.json``: the table of routes as an OpenAPI 3.1 description."""

from __future__ import annotations

import re
from typing import Final

from ifap_twisted.control import problems
from ifap_twisted.control.routes import ROUTES, Parameter, Route
from ifap_twisted.control.schemas import BODIES, OBJECTS
from ifap_twisted.core.values import JSON

_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_MEDIA: Final = {
    "bytes": "application/octet-stream",
    "text": "text/plain",
    "lines": "application/x-ndjson",
    "events": "text/event-stream",
}
_VARIABLES: Final = {
    "path": "A path of the folder, percent-encoded UTF-8; its slashes are not encoded, a final one names a directory.",
    "id": "The id of a job.",
}


def description(version: str) -> dict[str, JSON]:
    """The whole description.

    :param version: of the program.
    """
    paths: dict[str, dict[str, JSON]] = {}
    for route in ROUTES:
        for method in methods_of(route):
            paths.setdefault(route.url, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ifap-twisted control", "version": version, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": {**OBJECTS, **BODIES},
            "responses": {"Problem": {"description": "What went wrong (RFC 9457).", "content": _problem_content()}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def methods_of(route: Route) -> tuple[str, ...]:
    """The methods of a route; where there is GET there is HEAD."""
    return (*route.methods, "HEAD") if "GET" in route.methods else route.methods


def _operation(route: Route, method: str) -> dict[str, JSON]:
    operation: dict[str, JSON] = {
        "operationId": route.name if method != "HEAD" else f"{route.name}-head",
        "summary": route.summary,
        "parameters": [*_variables(route), *(_parameter(parameter) for parameter in route.parameters)],
        "responses": {
            **{str(status): _answer(status, name) for status, name in route.answers.items()},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.body, media="application/json")}
    if route.open:
        operation["security"] = []
    return operation


def _variables(route: Route) -> list[JSON]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _VARIABLES[name],
            "schema": {"type": "string"},
        }
        for name in _VARIABLE.findall(route.url)
    ]


def _parameter(parameter: Parameter) -> JSON:
    # OpenAPI has fields of its own for the media type of a body; a header parameter of that name would be ignored.
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }


def _answer(status: int, name: str | None) -> JSON:
    answer: dict[str, JSON] = {"description": "Nothing." if name is None else f"{name} ({status})."}
    if name is not None:
        answer["content"] = {}
        for one in name.split(" or "):
            answer["content"] |= _content(one, media="application/json")
    return answer


def _content(name: str, *, media: str) -> JSON:
    if name in _MEDIA:
        return {_MEDIA[name]: {"schema": {"type": "string"}}}
    return {media: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _problem_content() -> JSON:
    return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
