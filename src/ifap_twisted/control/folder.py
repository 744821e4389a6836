"""Names, versions and conflicts: everything of the filesystem that is asked for and answered in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred

from ifap_twisted.control.answers import Answer, entries_answer, entry_answer, json_answer, usage_answer
from ifap_twisted.control.call import Call
from ifap_twisted.control.routes import Route
from ifap_twisted.core.values import JSON, Entry
from ifap_twisted.errors import NotADirectory
from ifap_twisted.interfaces import IFilesystem

Verb = Callable[..., Deferred[Entry]]


class Folder:
    """The folder of a filesystem as HTTP has it."""

    def __init__(self, filesystem: IFilesystem) -> None:
        self._filesystem = filesystem

    async def list(self, call: Call) -> Answer:
        """``GET /v1/list/PATH``; with a final slash it must be a directory."""
        at = call.time("at")
        if call.slash and call.path and at is None and (await self._filesystem.stat(call.path)).type != "directory":
            raise NotADirectory(path=call.path)
        return entries_answer(
            await self._filesystem.list(
                call.path or "/", recursive=call.flag("recursive"), everything=call.flag("everything"), at=at
            )
        )

    async def versions(self, call: Call) -> Answer:
        """``GET /v1/versions/PATH``."""
        return entries_answer(await self._filesystem.versions(call.path or "/"))

    async def usage(self, call: Call) -> Answer:
        """``GET /v1/usage/PATH``."""
        return usage_answer(await self._filesystem.usage(call.path or "/"))

    async def conflicts(self, call: Call) -> Answer:
        """``GET /v1/conflicts``."""
        return entries_answer(await self._filesystem.conflicts(call.query.get("path")))

    async def locks(self, call: Call) -> Answer:
        """``GET /v1/locks/PATH``."""
        found = await self._filesystem.locks(call.path or None)
        return json_answer({"locks": [lock.to_json() for lock in found]})

    async def lock(self, call: Call, route: Route) -> Answer:
        """``POST /v1/locks/PATH``."""
        wanted = await call.json(route)
        return json_answer((await self._filesystem.lock(call.path or "/", **wanted)).to_json())

    async def unlock(self, call: Call) -> Answer:
        """``DELETE /v1/locks/PATH``."""
        return json_answer((await self._filesystem.unlock(call.path or "/", force=call.flag("force"))).to_json())

    async def verb(self, name: str, call: Call, route: Route) -> Answer:
        """One of the POST routes whose body is what a method of the filesystem takes."""
        found = dict(await call.json(route))
        return entry_answer(await getattr(self, f"_{name}")(found))

    def _move(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._two_names(self._filesystem.move, body)

    def _copy(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._two_names(self._filesystem.copy, body)

    def _two_names(self, verb: Verb, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return verb(body["source"], body["destination"], expect=body.get("expect"))

    def _mkdir(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._filesystem.make_directory(body["path"], parents=body.get("parents", False))

    def _restore(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._filesystem.restore(body["path"], body["version"], expect=body.get("expect"))

    def _undelete(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._filesystem.undelete(body["path"], expect=body.get("expect"))

    def _keep(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._filesystem.keep(body["path"], body["count"], expect=body.get("expect"))

    def _resolve(self, body: Mapping[str, JSON]) -> Deferred[Entry]:
        return self._filesystem.resolve(
            body["path"], version=body.get("version"), both=body.get("both", False), expect=body.get("expect")
        )
