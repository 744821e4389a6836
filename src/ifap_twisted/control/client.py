"""A filesystem at the other end of a node's control socket: ``IFilesystem`` over HTTP (DESIGN 4.3).

It does what the node does and gives the same errors; it decides nothing, keeps nothing on disk and tries nothing twice,
but for a reading that is cut in the middle, which goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from ifap_twisted.control.client_content import HttpStream, read_whole
from ifap_twisted.control.client_link import Link, Question, Token
from ifap_twisted.control.client_values import (
    checkup_from,
    collection_from,
    entries_from,
    entry_from,
    lock_from,
    locks_from,
    number_from,
    parse_json,
    status_from,
    usage_from,
)
from ifap_twisted.control.paths import encode_path
from ifap_twisted.control.problems import error_of
from ifap_twisted.control.schemas import ABSENT_WORD
from ifap_twisted.core import limits, paths
from ifap_twisted.core.collection import Collection
from ifap_twisted.core.findings import Checkup
from ifap_twisted.core.usage import Usage
from ifap_twisted.core.values import ABSENT, JSON, Entry, Expect, Lock, Notice, Record, Status
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError, InvalidPath, IsADirectory, NotFound, ProtocolViolation
from ifap_twisted.filesystem.batches import Batch, present_batch
from ifap_twisted.filesystem.files import Opening
from ifap_twisted.filesystem.leasing import Leasing
from ifap_twisted.filesystem.sources import check_size, known_size
from ifap_twisted.filesystem.watching import Watchers
from ifap_twisted.interfaces import IFilesystem, IStream, Listener, Progress, RemotePath, Source
from ifap_twisted.workers import InlineWorker, Worker


@implementer(IFilesystem)
class HttpFilesystem:
    """The filesystem of a running node.

    :param address: the path of the control socket, or an endpoint that leads to the node.
    :param token: the bearer token, or what gives the present one (a node has a new one after each start).
    :param worker: reads local files that are put.
    """

    def __init__(
        self,
        reactor: Any,
        address: str | os.PathLike[str] | IStreamClientEndpoint,
        token: Token,
        *,
        worker: Worker | None = None,
    ) -> None:
        self._reactor = reactor
        self._link = Link(reactor, address, token)
        self._worker = worker or InlineWorker()
        self._watchers = Watchers()
        self._listeners = 0
        self._largest: int | None = None

    # Writing

    def put(
        self,
        path: RemotePath,
        data: Source,
        *,
        expect: Expect = None,
        mode: int | None = None,
        mime: str | None = None,
        modified: float | None = None,
        size: int | None = None,
        queue: bool = False,
        unless_equal: bool = False,
    ) -> Deferred[Entry]:
        """Store a file as a new version."""
        headers = _file_headers(expect, mode, mime, modified)
        query = _query(queue=queue, unless_equal=unless_equal)
        batch = present_batch(self)
        if batch is None or queue:
            return self._put(path, data, size, headers, query)
        early: Deferred[Entry] = Deferred()
        return batch.follow(early, self._put_early(path, data, size, headers, query, early))

    @deferred
    async def _put(
        self, path: RemotePath, data: Source, size: int | None, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> Entry:
        return entry_from(await self._link.ask(await self._upload(path, data, size, headers, query)))

    @deferred
    async def _put_early(
        self,
        path: RemotePath,
        data: Source,
        size: int | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        early: Deferred[Entry],
    ) -> Entry:
        """A put inside a batch: the node says when it is on its way, and then how it ended."""
        question = await self._upload(path, data, size, headers, {**query, "early": "1"})
        told: list[Any] = []

        def take(line: bytes) -> None:
            told.append(parse_json(line))
            if len(told) == 1 and not early.called:
                early.callback(entry_from(told[0].get("entry")))

        await self._link.lines(question, take)
        if len(told) != 2:
            raise ProtocolViolation("The node did not say how the put ended.")
        if told[1].get("problem"):
            raise error_of(told[1]["problem"])
        return entry_from(told[0].get("entry"))

    async def _upload(
        self,
        path: RemotePath,
        data: Source,
        size: int | None,
        headers: Mapping[str, str],
        query: Mapping[str, str],
    ) -> Question:
        from ifap_twisted.control.client_stream import Upload, pieces_of  # noqa: PLC0415 -- with HTTP

        name = paths.clean_file(path)
        length = known_size(data, size)
        if length is not None and not isinstance(data, bytes):
            check_size(length, await self._largest_file(), name)
        pieces = pieces_of(data, size=size, path=name, worker=self._worker)
        return Question(method="PUT", path=_file_url(name), query=query, headers=headers, body=Upload(pieces, length))

    async def _largest_file(self) -> int:
        if self._largest is None:
            found = await self._link.ask(Question(method="GET", path="/v1/info"))
            self._largest = number_from(found, "max_file_size")
        return self._largest

    def open(self, path: RemotePath, mode: str = "r", *, expect: Expect = None) -> Opening:
        """Open a file like Python's ``open``; see :mod:`ifap_twisted.filesystem.files`."""
        return Opening(self, path, mode, expect)

    @deferred
    async def remove(self, path: RemotePath, *, recursive: bool = False, expect: Expect = None) -> None:
        """Remove a file or a tree."""
        name = paths.clean(path)
        if not name:
            raise (InvalidPath if recursive else IsADirectory)("The root directory cannot be removed.", path="")
        query = _query(recursive=recursive)
        question = Question(method="DELETE", path=_file_url(name), query=query, headers=_condition(expect))
        await self._link.ask(question)

    def undelete(self, path: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Bring a removed file back."""
        return self._verb("undelete", {"path": _text(path)}, expect)

    def restore(self, path: RemotePath, version: str, *, expect: Expect = None) -> Deferred[Entry]:
        """Make an old version current again."""
        return self._verb("restore", {"path": _text(path), "version": version}, expect)

    def move(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Move a file or a directory."""
        return self._verb("move", {"source": _text(source), "destination": _text(destination)}, expect)

    def copy(self, source: RemotePath, destination: RemotePath, *, expect: Expect = None) -> Deferred[Entry]:
        """Copy a file or a directory."""
        return self._verb("copy", {"source": _text(source), "destination": _text(destination)}, expect)

    def make_directory(self, path: RemotePath, *, parents: bool = False) -> Deferred[Entry]:
        """Make an empty directory."""
        return self._verb("mkdir", {"path": _text(path), "parents": parents}, None)

    @deferred
    async def remove_directory(self, path: RemotePath) -> None:
        """Remove an empty directory."""
        await self._link.ask(Question(method="DELETE", path=_file_url(paths.clean(path), slash="/")))

    def keep(self, path: RemotePath, count: int, *, expect: Expect = None) -> Deferred[Entry]:
        """Set how many versions of a file are kept."""
        return self._verb("keep", {"path": _text(path), "count": count}, expect)

    def resolve(
        self, path: RemotePath, *, version: str | None = None, both: bool = False, expect: Expect = None
    ) -> Deferred[Entry]:
        """End a conflict."""
        body: dict[str, JSON] = {"path": _text(path), "both": both}
        if version is not None:
            body["version"] = version
        return self._verb("resolve", body, expect)

    @deferred
    async def _verb(self, name: str, body: Mapping[str, JSON], expect: Expect) -> Entry:
        whole = dict(body)
        if expect is not None:
            whole["expect"] = ABSENT_WORD if expect is ABSENT else expect
        return entry_from(await self._link.ask(Question(method="POST", path=f"/v1/{name}", body=whole)))

    def lock(
        self,
        path: RemotePath,
        *,
        seconds: int = limits.LEASE_SECONDS,
        holder: str | None = None,
        renew: str | None = None,
    ) -> Leasing:
        """Take or renew a lock; see :mod:`ifap_twisted.filesystem.leasing`."""
        return Leasing(
            self._lock(path, {"seconds": seconds, "holder": holder, "renew": renew}),
            renew=lambda lock: self.lock(path, seconds=seconds, renew=lock.id),
            give_back=lambda _lock: self.unlock(path),
            clock=self._reactor,
        )

    @deferred
    async def _lock(self, path: RemotePath, wanted: Mapping[str, JSON]) -> Lock:
        await self._settled_batch()
        body = {name: value for name, value in wanted.items() if value is not None}
        return lock_from(await self._link.ask(Question(method="POST", path=_lock_url(path), body=body)))

    @deferred
    async def unlock(self, path: RemotePath, *, force: bool = False) -> Lock:
        """End the lock on a path."""
        await self._settled_batch()
        question = Question(method="DELETE", path=_lock_url(path), query=_query(force=force))
        return lock_from(await self._link.ask(question))

    def batch(self) -> Batch:
        """Let many puts go out together; see :mod:`ifap_twisted.filesystem.batches`."""
        return Batch(self)

    # Reading

    @deferred
    async def get(self, path: RemotePath, *, version: str | None = None) -> bytes:
        """The content of a file."""
        return (await self._read(path, version)).data

    @deferred
    async def read(self, path: RemotePath, *, version: str | None = None) -> Record:
        """The content of a file and its entry."""
        return await self._read(path, version)

    async def _read(self, path: RemotePath, version: str | None) -> Record:
        await self._settled_batch()
        return await read_whole(self._link, _file_url(_text(path)), version)

    @deferred
    async def stream(self, path: RemotePath, *, version: str | None = None) -> IStream:
        """The content of a version, to be read a part at a time."""
        entry = await self._stat(path, version)
        if entry.type == "directory":
            raise IsADirectory(path=entry.path)
        if entry.deleted:
            raise NotFound(f"That version of /{entry.path} is its removal.", path=entry.path)
        return HttpStream(self._link, _file_url(_text(path)), entry)

    @deferred
    async def stat(self, path: RemotePath, *, version: str | None = None) -> Entry:
        """The entry of a file, a directory or a version."""
        return await self._stat(path, version)

    async def _stat(self, path: RemotePath, version: str | None) -> Entry:
        await self._settled_batch()
        query = _query(stat=True, version=version)
        return entry_from(await self._link.ask(Question(method="GET", path=_file_url(_text(path)), query=query)))

    def list(
        self, path: RemotePath = "/", *, recursive: bool = False, everything: bool = False, at: float | None = None
    ) -> Deferred[Sequence[Entry]]:
        """The entries of a directory, or the one of a file."""
        query = _query(recursive=recursive, everything=everything, at=None if at is None else repr(float(at)))
        return self._entries("/v1/list/", path, query)

    def versions(self, path: RemotePath) -> Deferred[Sequence[Entry]]:
        """All versions of a path, newest first."""
        return self._entries("/v1/versions/", path, {})

    def conflicts(self, path: RemotePath | None = None) -> Deferred[Sequence[Entry]]:
        """All heads of all files in conflict."""
        return self._entries("/v1/conflicts", "", _query(path=None if path is None else _text(path)))

    @deferred
    async def usage(self, path: RemotePath = "/") -> Sequence[Usage]:
        """How much room files take."""
        await self._settled_batch()
        question = Question(method="GET", path="/v1/usage/" + encode_path(_text(path)))
        return usage_from(await self._link.ask(question))

    @deferred
    async def locks(self, path: RemotePath | None = None) -> Sequence[Lock]:
        """The locks that hold."""
        question = Question(method="GET", path=_lock_url("" if path is None else path))
        return locks_from(await self._link.ask(question))

    @deferred
    async def _entries(self, route: str, path: RemotePath, query: Mapping[str, str]) -> Sequence[Entry]:
        await self._settled_batch()
        return entries_from(
            await self._link.ask(Question(method="GET", path=route + encode_path(_text(path)), query=query))
        )

    async def _settled_batch(self) -> None:
        """Inside a batch one's own writes are seen."""
        batch = present_batch(self)
        if batch is not None:
            await batch.arrived()

    @deferred
    async def refresh(self) -> None:
        """See what others did."""
        await self._link.job("sync")

    @deferred
    async def collect(self, *, dry_run: bool = False, progress: Progress = None) -> Collection:
        """Plan what retention lets go, and remove for good what was planned a grace ago."""
        return collection_from(await self._link.job("collect", {"dry_run": dry_run}, progress))

    @deferred
    async def check(
        self,
        *,
        read_data: float = 0.0,
        bind: bool = False,
        repair: bool = False,
        accept: bool = False,
        sources: Path | None = None,
        progress: Progress = None,
    ) -> Checkup:
        """Look whether everything is whole, and bind, mend or accept what is not if that is asked for."""
        wanted: dict[str, JSON] = {"read_data": read_data, "bind": bind, "repair": repair, "accept": accept}
        if sources is not None:
            wanted["from"] = _absolute(sources)
        return checkup_from(await self._link.job("check", wanted, progress))

    @deferred
    async def snapshot(self) -> None:
        """Write a snapshot."""
        await self._link.job("snapshot")

    # Around it

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell a callable of every event; of ``renewed`` when some were missed."""
        remove = self._watchers.add(listener)
        self._listeners += 1
        self._link.follow(self._watchers.tell)
        listening = True

        def stop() -> None:
            nonlocal listening
            if listening:
                listening = False
                remove()
                self._listeners -= 1
                if not self._listeners:
                    self._link.follow_no_more()

        return stop

    @deferred
    async def status(self) -> Status:
        """The present state; ``stopped`` when the node does not answer."""
        try:
            return status_from(await self._link.ask(Question(method="GET", path="/v1/status")))
        except IFAPError as error:
            notice = Notice(code=error.code, text=error.detail)
            return Status(state="stopped", account="", folder="", dialect=None, warnings=(notice,))

    def close(self) -> Deferred[None]:
        """Wait for what was asked for, and let go of the node; it goes on."""
        return self._link.close()


def _text(path: RemotePath) -> str:
    """A path as it goes into a request: without slashes at its ends, otherwise as it is; the node judges it."""
    return (path if isinstance(path, str) else path.as_posix()).strip("/")


def _file_url(name: str, slash: str = "") -> str:
    return "/v1/files/" + encode_path(name) + (slash if name else "")


def _absolute(path: Path) -> str:
    """A local path as the node understands it, which may be in another directory."""
    return str(path.absolute())


def _lock_url(path: RemotePath) -> str:
    return "/v1/locks/" + encode_path(_text(path))


def _query(**given: str | bool | None) -> dict[str, str]:
    return {name: "1" if value is True else str(value) for name, value in given.items() if value not in (None, False)}


def _condition(expect: Expect) -> dict[str, str]:
    if expect is None:
        return {}
    return {"If-None-Match": "*"} if expect is ABSENT else {"If-Match": f'"{expect}"'}


def _file_headers(expect: Expect, mode: int | None, mime: str | None, modified: float | None) -> dict[str, str]:
    headers = _condition(expect)
    if mode is not None:
        headers["X-IFAP-Mode"] = f"{mode & 0o7777:o}"
    if mime is not None:
        headers["Content-Type"] = mime
    if modified is not None:
        headers["X-IFAP-Modified"] = repr(float(modified))
    return headers
