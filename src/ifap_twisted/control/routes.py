"""The URL space of the control resource in one table (DESIGN 4.3): routing, checks and openapi.json are made from it.

Pure data; what a route does is in the module that its name names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ifap_twisted.control.schemas import BOOLEAN, PATH, TEXT, TIME, Schema

REMOTE_PATH: Final = "{path}"
"""In a URL: a path of the filesystem, possibly with a final slash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the query, or a header field that means something."""

    name: str
    schema: Schema
    text: str
    place: str = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One thing that can be asked for.

    :ivar body: the name of the schema of a JSON body, ``bytes`` for a file, None for none.
    :ivar answers: what comes back: status → the name of a schema, ``bytes``, ``text``, ``events``, or None for nothing;
        several with ``or`` between them.
    :ivar open: no token is needed.
    """

    name: str
    methods: tuple[str, ...]
    url: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    answers: Mapping[int, str | None] = field(default_factory=dict)
    open: bool = False

    @property
    def query(self) -> frozenset[str]:
        """The parameters that its query may have."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.place == "query")


_VERSION = Parameter(name="version", schema=TEXT, text="A version id, or a unique prefix of 4 or more characters.")
_RECURSIVE = Parameter(name="recursive", schema=BOOLEAN, text="The whole tree.")
_IF_MATCH = Parameter(
    name="If-Match", schema=TEXT, place="header", text="Only when this version is current; otherwise 412."
)
_IF_NONE_MATCH = Parameter(
    name="If-None-Match", schema=TEXT, place="header", text="`*`: only when there is no such file; otherwise 412."
)
_IF_CHANGED = Parameter(
    name="If-None-Match", schema=TEXT, place="header", text="304 when this version is the one that would be sent."
)
_RANGE = Parameter(
    name="Range", schema=TEXT, place="header", text="Up to 16 ranges of bytes; several come as `multipart/byteranges`."
)
_IF_RANGE = Parameter(
    name="If-Range",
    schema=TEXT,
    place="header",
    text="The version of which parts are wanted; of another, all is sent.",
)
_FILE_HEADERS: Final = (
    Parameter(
        name="Content-Type", schema=TEXT, place="header", text="The media type to be kept; without it, as it was."
    ),
    Parameter(name="X-IFAP-Mode", schema=TEXT, place="header", text="Permission bits in octal, such as `644`."),
    Parameter(
        name="X-IFAP-Modified",
        schema=TEXT,
        place="header",
        text="Modification time: ISO 8601 or Unix seconds. Without it Last-Modified counts, else the present.",
    ),
    Parameter(name="Last-Modified", schema=TEXT, place="header", text="Modification time as an HTTP date."),
)


def _verb(name: str, schema: str, summary: str) -> Route:
    return Route(name=name, methods=("POST",), url=f"/v1/{name}", summary=summary, body=schema, answers={200: "Entry"})


def _job(name: str, summary: str, body: str = "Nothing") -> Route:
    return Route(name=name, methods=("POST",), url=f"/v1/{name}", summary=summary, body=body, answers={202: "Job"})


ROUTES: Final[tuple[Route, ...]] = (
    Route(name="healthz", methods=("GET",), url="/healthz", summary="The node runs.", answers={200: "text"}, open=True),
    Route(name="metrics", methods=("GET",), url="/metrics", summary="Metrics for Prometheus.", answers={200: "text"}),
    Route(name="status", methods=("GET",), url="/v1/status", summary="The present state.", answers={200: "Status"}),
    Route(name="info", methods=("GET",), url="/v1/info", summary="Account and folder.", answers={200: "Info"}),
    Route(
        name="openapi", methods=("GET",), url="/v1/openapi.json", summary="This description.", answers={200: "Object"}
    ),
    Route(
        name="get",
        methods=("GET",),
        url="/v1/files/{path}",
        summary="The content of a file, or with `stat` the entry of a file, directory or version.",
        parameters=(
            _VERSION,
            Parameter(name="stat", schema=BOOLEAN, text="The Entry as JSON instead of the content."),
            _IF_MATCH,
            _IF_CHANGED,
            _RANGE,
            _IF_RANGE,
        ),
        answers={200: "bytes", 206: "bytes", 304: None},
    ),
    Route(
        name="put",
        methods=("PUT",),
        url="/v1/files/{path}",
        summary="Store a file, or with a final slash make an empty directory (`recursive`: and those above).",
        parameters=(
            _RECURSIVE,
            Parameter(
                name="early",
                schema=BOOLEAN,
                text="Two lines of JSON: `entry` when it is on its way, `problem` (or null) when it is durable.",
            ),
            Parameter(
                name="queue",
                schema=BOOLEAN,
                text="While the mail server is away: 202, and the file waits in the journal (`pending`).",
            ),
            Parameter(
                name="unless_equal",
                schema=BOOLEAN,
                text="Store nothing where the current version has this content and mode: 200, and its entry.",
            ),
            _IF_MATCH,
            _IF_NONE_MATCH,
            *_FILE_HEADERS,
        ),
        body="bytes",
        answers={200: "Entry", 201: "Entry", 202: "Entry or lines"},
    ),
    Route(
        name="delete",
        methods=("DELETE",),
        url="/v1/files/{path}",
        summary="Remove a file, or with a final slash an empty directory (`recursive`: a whole tree).",
        parameters=(_RECURSIVE, _IF_MATCH),
        answers={204: None},
    ),
    Route(
        name="list",
        methods=("GET",),
        url="/v1/list/{path}",
        summary="The entries of a directory, or the one of a file.",
        parameters=(
            _RECURSIVE,
            Parameter(name="everything", schema=BOOLEAN, text="Tombstones and reserved files too."),
            Parameter(name="at", schema=TIME, text="As it was then: ISO 8601 or Unix seconds."),
        ),
        answers={200: "Entries"},
    ),
    Route(
        name="versions",
        methods=("GET",),
        url="/v1/versions/{path}",
        summary="All versions of a path that are there, newest first.",
        answers={200: "Entries"},
    ),
    Route(
        name="usage",
        methods=("GET",),
        url="/v1/usage/{path}",
        summary="How much room all that is directly in a directory takes, and last all of it; of a file only that.",
        answers={200: "Usages"},
    ),
    Route(
        name="conflicts",
        methods=("GET",),
        url="/v1/conflicts",
        summary="All heads of files in conflict.",
        parameters=(Parameter(name="path", schema=PATH, text="Only of this file or tree."),),
        answers={200: "Entries"},
    ),
    Route(
        name="locks",
        methods=("GET",),
        url="/v1/locks/{path}",
        summary="The locks at and below a path that hold, as far as can be told.",
        answers={200: "Locks"},
    ),
    Route(
        name="lock",
        methods=("POST",),
        url="/v1/locks/{path}",
        summary="Take the lock on a path, or renew one. It belongs to the node, not to the client.",
        body="TakeLock",
        answers={200: "Lock"},
    ),
    Route(
        name="unlock",
        methods=("DELETE",),
        url="/v1/locks/{path}",
        summary="End the lock of this node, or with `force` that of another device; the answer is that lock.",
        parameters=(Parameter(name="force", schema=BOOLEAN, text="Break the lock of another device."),),
        answers={200: "Lock"},
    ),
    _verb("move", "Move", "Move a file or directory to a name that is free; `expect` is about the source."),
    _verb("copy", "Copy", "Copy a file or directory; `expect` is about the destination."),
    _verb("mkdir", "Mkdir", "Make an empty directory."),
    _verb("restore", "Restore", "Make the content of an old version current."),
    _verb("undelete", "Undelete", "Bring a removed file back."),
    _verb("keep", "Keep", "Set how many versions of a file are kept."),
    _verb("resolve", "Resolve", "End a conflict: one version becomes current, or both stay."),
    _job("sync", "See what others did, now."),
    _job("collect", "Remove for good what retention does not keep; `dry_run` only says what.", "Collect"),
    _job(
        "check",
        "Look whether all is whole, and `read_data` percent of the contents; `bind`, `repair` or `accept` what is not.",
        "Check",
    ),
    _job("snapshot", "Write a snapshot for new devices."),
    Route(
        name="job",
        methods=("GET",),
        url="/v1/jobs/{id}",
        summary="How far a job is.",
        parameters=(Parameter(name="wait", schema=TEXT, text="Answer when it has ended, or after so many seconds."),),
        answers={200: "Job"},
    ),
    Route(
        name="cancel",
        methods=("DELETE",),
        url="/v1/jobs/{id}",
        summary="Cancel a job, or forget one that has ended.",
        answers={200: "Job"},
    ),
    Route(
        name="events",
        methods=("GET",),
        url="/v1/events",
        summary="What happens, as server-sent events; `renewed` after a gap: read everything again.",
        parameters=(
            Parameter(
                name="Last-Event-ID", schema=TEXT, place="header", text="The last event that was seen before a break."
            ),
        ),
        answers={200: "events"},
    ),
)
