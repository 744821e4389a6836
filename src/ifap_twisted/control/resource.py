"""The control resource, composed: ``control_resource`` is all that others need of the server side."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted._version import __version__
from ifap_twisted.control import openapi
from ifap_twisted.control.answers import Answer, json_answer
from ifap_twisted.control.app import Action, ControlResource
from ifap_twisted.control.call import Call
from ifap_twisted.control.events import Events
from ifap_twisted.control.files import Files
from ifap_twisted.control.folder import Folder
from ifap_twisted.control.gate import Gate
from ifap_twisted.control.jobs import Jobs, Work
from ifap_twisted.control.metrics import Metrics
from ifap_twisted.control.problems import bad_request
from ifap_twisted.control.routes import Route
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import Forbidden
from ifap_twisted.interfaces import IFilesystem

Info = Callable[[], Mapping[str, JSON] | Deferred[Mapping[str, JSON]]]

_VERBS = ("move", "copy", "mkdir", "restore", "undelete", "keep", "resolve")


def control_resource(
    filesystem: IFilesystem,
    *,
    reactor: Any,
    token: str,
    hosts: Collection[str] = (),
    max_file_size: int = limits.MAX_FILE_SIZE,
    info: Info = dict,
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> ControlResource:
    """The resource of DESIGN 4.3, for ``putChild`` or as the root of :func:`ifap_twisted.control.site.control_site`.

    :param token: the bearer token that everything but ``/healthz`` needs.
    :param hosts: further values of ``Host`` under which it may be reached, ``name`` or ``name:port``.
    :param max_file_size: bytes; a larger body is refused unread.
    :param info: what ``/v1/info`` says besides; the key ``counts`` (``files``, ``versions``, ``bytes``) also goes into
        the metrics. It must not give out keys or passwords.
    :param new_id: makes ids of jobs and of this run, and words that separate the parts of an answer.
    """
    events = Events(run=new_id(), clock=reactor)
    kinds: dict[str, Work] = {
        "sync": lambda _wanted, _progress: filesystem.refresh(),
        "collect": lambda wanted, progress: filesystem.collect(**wanted, progress=progress),
        "check": lambda wanted, progress: filesystem.check(**_check(wanted), progress=progress),
        "snapshot": lambda _wanted, _progress: filesystem.snapshot(),
    }
    jobs = Jobs(kinds, new_id=new_id, tell=events.tell, clock=reactor)
    metrics = Metrics()
    unwatch = filesystem.watch(events.tell)

    def stop() -> None:
        unwatch()
        jobs.stop()
        events.stop()

    about = _About(filesystem, info=info, metrics=metrics, max_file_size=max_file_size)
    actions = {
        **about.actions(),
        **_file_actions(Files(filesystem, max_file_size=max_file_size, new_boundary=new_id)),
        **_folder_actions(Folder(filesystem)),
        **_job_actions(jobs),
        "events": lambda call, _route: events.stream(call),
    }
    return ControlResource(Gate(token, hosts), actions, stop=stop, metrics=metrics, reactor=reactor)


def _file_actions(files: Files) -> dict[str, Action]:
    return {
        "get": lambda call, _route: files.get(call),
        "put": lambda call, _route: files.put(call),
        "delete": lambda call, _route: files.delete(call),
    }


def _folder_actions(folder: Folder) -> dict[str, Action]:
    async def verb(call: Call, route: Route) -> Answer:
        return await folder.verb(route.name, call, route)

    return {
        "list": lambda call, _route: folder.list(call),
        "versions": lambda call, _route: folder.versions(call),
        "usage": lambda call, _route: folder.usage(call),
        "conflicts": lambda call, _route: folder.conflicts(call),
        "locks": lambda call, _route: folder.locks(call),
        "lock": folder.lock,
        "unlock": lambda call, _route: folder.unlock(call),
        **dict.fromkeys(_VERBS, verb),
    }


def _job_actions(jobs: Jobs) -> dict[str, Action]:
    async def start(call: Call, route: Route) -> Answer:
        wanted = await call.json(route)
        if "from" in wanted and not call.private:  # a page in a browser must not make us read files
            raise Forbidden("Local files may be named through the node's own socket only.")
        return jobs.start(route.name, wanted)

    return {
        "sync": start,
        "collect": start,
        "check": start,
        "snapshot": start,
        "job": lambda call, _route, id: jobs.get(call, id),  # noqa: A006 -- the name in the URL
        "cancel": lambda _call, _route, id: jobs.delete(id),  # noqa: A006 -- the name in the URL
    }


def _check(wanted: Mapping[str, JSON]) -> dict[str, JSON]:
    """What ``IFilesystem.check`` takes.

    :raises RequestProblem: a local path means something where the node runs only when it is absolute.
    """
    asked = dict(wanted)
    if "from" in asked:
        sources = Path(asked.pop("from"))
        if not sources.is_absolute():
            raise bad_request("The path in 'from' must be absolute.")
        asked["sources"] = sources
    return asked


class _About:
    """What the node says of itself."""

    def __init__(self, filesystem: IFilesystem, *, info: Info, metrics: Metrics, max_file_size: int) -> None:
        self._filesystem = filesystem
        self._info = info
        self._metrics = metrics
        self._max_file_size = max_file_size

    def actions(self) -> dict[str, Action]:
        return {
            "healthz": self._healthz,
            "status": self._status,
            "info": self._tell_info,
            "metrics": self._tell_metrics,
            "openapi": self._openapi,
        }

    async def _healthz(self, _call: Call, _route: Route) -> Answer:
        return Answer(headers={"Content-Type": "text/plain; charset=utf-8"}, body=b"ok\n")

    async def _status(self, _call: Call, _route: Route) -> Answer:
        return json_answer((await self._filesystem.status()).to_json())

    async def _tell_info(self, _call: Call, _route: Route) -> Answer:
        return json_answer({**await self._found(), "max_file_size": self._max_file_size})

    async def _tell_metrics(self, _call: Call, _route: Route) -> Answer:
        found = await self._found()
        return self._metrics.answer(await self._filesystem.status(), found.get("counts") or {})

    async def _found(self) -> Mapping[str, JSON]:
        found = self._info()
        return await found if isinstance(found, Deferred) else found

    async def _openapi(self, _call: Call, _route: Route) -> Answer:
        return json_answer(openapi.description(__version__))
