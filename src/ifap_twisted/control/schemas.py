"""The JSON objects of the control resource (DESIGN 4.5) as JSON Schema, and a strict check of request bodies.

The check knows the few words of JSON Schema that bodies use; openapi.json shows the same objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, TypeAlias

from ifap_twisted.control.problems import bad_request
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON

Schema: TypeAlias = Mapping[str, JSON]

ABSENT_WORD: Final = "absent"
"""``"expect": "absent"``: only when there is no such file."""

TEXT: Final[Schema] = {"type": "string"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
PATH: Final[Schema] = {"type": "string", "description": "A path in the folder; a leading slash is not needed."}
TIME: Final[Schema] = {"type": "string", "examples": ["2026-01-31T12:00:00Z", "1769860800"]}
_VERSION: Final[Schema] = {"type": "string", "description": "A version id, or a unique prefix of 4 or more characters."}
_EXPECT: Final[Schema] = {
    "type": "string",
    "description": f"The version that must be current, or `{ABSENT_WORD}`: there must be no such file.",
}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MAYBE_TIME: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}


def _body(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


BODIES: Final[Mapping[str, Schema]] = {
    "Nothing": _body({}),
    "Move": _body({"source": PATH, "destination": PATH}, {"expect": _EXPECT}),
    "Copy": _body({"source": PATH, "destination": PATH}, {"expect": _EXPECT}),
    "Mkdir": _body({"path": PATH}, {"parents": BOOLEAN}),
    "Restore": _body({"path": PATH, "version": _VERSION}, {"expect": _EXPECT}),
    "Undelete": _body({"path": PATH}, {"expect": _EXPECT}),
    "Keep": _body({"path": PATH, "count": {"type": "integer", "minimum": 1}}, {"expect": _EXPECT}),
    "Collect": _body({}, {"dry_run": BOOLEAN}),
    "Check": _body(
        {},
        {
            "read_data": {
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 0,
                "description": "The percentage of the messages whose contents are read, chosen at random.",
            },
            "bind": BOOLEAN,
            "repair": BOOLEAN,
            "accept": BOOLEAN,
            "from": {
                "type": "string",
                "description": "With `repair`, and through the node's own socket only: the absolute path of a local "
                "directory, or of a file, from which lost chunks are stored again.",
            },
        },
    ),
    "TakeLock": _body(
        {},
        {
            "seconds": {
                "type": "integer",
                "minimum": 1,
                "maximum": limits.LEASE_MOST,
                "default": limits.LEASE_SECONDS,
                "description": "How long it lasts after the last renewal.",
            },
            "holder": {
                "type": "string",
                "maxLength": limits.HOLDER_CHARACTERS,
                "description": "A name for people; by default that of the node's user and machine.",
            },
            "renew": {"type": "string", "description": "The id of a lock of this node that lasts anew from now on."},
        },
    ),
    "Resolve": _body({"path": PATH}, {"version": _VERSION, "both": BOOLEAN, "expect": _EXPECT}),
}
"""What is sent to us: a key that is not here is refused."""


def _object(properties: Mapping[str, Schema]) -> Schema:
    """What comes from us: keys may be added later, so others are allowed."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


OBJECTS: Final[Mapping[str, Schema]] = {
    "Entry": _object(
        {
            "path": TEXT,
            "type": {"enum": ["file", "directory"]},
            "size": _COUNT,
            "modified": {"type": "string", "format": "date-time"},
            "version": TEXT,
            "parents": {"type": "array", "items": TEXT},
            "versions": _COUNT,
            "keep": _COUNT,
            "deleted": BOOLEAN,
            "mode": _COUNT,
            "mime": _MAYBE_TEXT,
            "writer": TEXT,
            "conflict": BOOLEAN,
            "locked": {"oneOf": [{"$ref": "#/components/schemas/Lock"}, {"type": "null"}]},
            "bound": BOOLEAN,
            "missing": BOOLEAN,
            "sha256": _MAYBE_TEXT,
            "pending": BOOLEAN,
            "doubtful": BOOLEAN,
        }
    ),
    "Entries": _object({"entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}}}),
    "Usage": _object(
        {
            "path": TEXT,
            "type": {"enum": ["file", "directory"]},
            "files": _COUNT,
            "versions": _COUNT,
            "size": _COUNT,
            "stored": _COUNT,
            "shared": _COUNT,
            "complete": BOOLEAN,
        }
    ),
    "Usages": _object({"usage": {"type": "array", "items": {"$ref": "#/components/schemas/Usage"}}}),
    "Lock": _object(
        {
            "path": TEXT,
            "id": TEXT,
            "holder": TEXT,
            "writer": TEXT,
            "mine": BOOLEAN,
            "seconds": _COUNT,
            "renewed": _MAYBE_TIME,
        }
    ),
    "Locks": _object({"locks": {"type": "array", "items": {"$ref": "#/components/schemas/Lock"}}}),
    "Status": _object(
        {
            "state": {"enum": ["connected", "connecting", "offline", "stopped"]},
            "account": TEXT,
            "folder": TEXT,
            "dialect": _MAYBE_TEXT,
            "pending": _COUNT,
            "failing": _COUNT,
            "conflicts": _COUNT,
            "locks": _COUNT,
            "damaged": _COUNT,
            "damage": {"type": "object", "additionalProperties": _COUNT},
            "foreign": _COUNT,
            "other_dialect": _COUNT,
            "key": {"enum": ["wrapped", "clear", "none"]},
            "warnings": {
                "type": "array",
                "items": _object({"code": TEXT, "text": TEXT, "path": _MAYBE_TEXT}),
            },
            "last_refresh": _MAYBE_TIME,
            "checked": _object(
                {
                    "time": _MAYBE_TIME,
                    "damaged": _COUNT,
                    "read": {"type": "number", "minimum": 0, "maximum": 100},
                    "whole": _MAYBE_TIME,
                }
            ),
        }
    ),
    "Info": {
        "type": "object",
        "properties": {"max_file_size": _COUNT, "counts": {"type": "object", "additionalProperties": _COUNT}},
        "required": ["max_file_size"],
    },
    "Job": _object(
        {
            "id": TEXT,
            "kind": TEXT,
            "state": {"enum": ["running", "done", "failed", "cancelled"]},
            "done": _COUNT,
            "total": {"type": ["integer", "null"]},
            "unit": _MAYBE_TEXT,
            "result": {},
            "error": {"oneOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
        }
    ),
    "Problem": _object(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "code": TEXT,
            "path": _MAYBE_TEXT,
            "retryable": BOOLEAN,
        }
    ),
    "Object": {"type": "object"},
}

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def parse_body(data: bytes, schema: Schema) -> Mapping[str, JSON]:
    """A JSON body that holds exactly what a schema of :data:`BODIES` allows; an empty one counts as ``{}``.

    :raises RequestProblem: it is no JSON object, names a key twice, or a key is missing, unknown or of a wrong type.
    """
    try:
        value = json.loads(data or b"{}", object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON as RFC 8259 has it.") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object.")
    properties: Mapping[str, Schema] = schema["properties"]
    for name in value.keys() - properties.keys():
        raise bad_request(f"The body has a key that is not known here: {name[:40]!r}.")
    for name in schema["required"]:
        if name not in value:
            raise bad_request(f"The body lacks the key {name!r}.")
    for name, given in value.items():
        _check(name, given, properties[name])
    return value


def _check(name: str, given: object, schema: Schema) -> None:
    expected = _TYPES[schema["type"]]
    if not isinstance(given, expected) or (expected is not bool and isinstance(given, bool)):
        raise bad_request(f"The key {name!r} must be a JSON {schema['type']}.")
    if isinstance(given, int | float):
        _check_bounds(name, given, schema)


def _check_bounds(name: str, given: float, schema: Schema) -> None:
    minimum = schema.get("minimum")
    if minimum is not None and given < minimum:
        raise bad_request(f"The key {name!r} must be {minimum} or more.")
    if schema["type"] == "number" and given > schema.get("maximum", given):
        raise bad_request(f"The key {name!r} must be {schema['maximum']} or less.")


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(constant: str) -> JSON:
    raise ValueError(constant)
