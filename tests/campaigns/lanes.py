"""A caller at work in a folder: one operation after the other on files of its own, and what it knows of each."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import CallerError, DataError, NotFound, OutcomeUnknown, StoredAsConflict, StoreError
from ifap_twisted.interfaces import IFilesystem

NAMES = 8
"""Files of a lane; ``SHARED`` those that all lanes of a folder write."""
SHARED = 6
CANCELLED_WITHIN = 0.02
Outcome = str


def content_of(who: str, number: int, size: int, random: Random) -> bytes:
    """A content that is known for whole when it is met again."""
    text = f"soak {who} {number} ".encode() + random.randbytes(size)
    return text + zlib.crc32(text).to_bytes(4)


def is_whole(content: bytes) -> bool:
    """Whether it is one of these, unmixed."""
    return content.startswith(b"soak ") and zlib.crc32(content[:-4]).to_bytes(4) == content[-4:]


class Lane:
    """Files that nobody else writes.

    :param filesystem: gives that of the device, which may be started again.
    :ivar known: by path the contents that it may have now; None: it is absent.
    :ivar wrong: what contradicts that.
    """

    def __init__(self, name: str, filesystem: Callable[[], IFilesystem], random: Random, clock: IReactorTime) -> None:
        self.name = name
        self._clock = clock
        self.known: dict[str, frozenset[bytes | None]] = {f"{name}/{n}": frozenset({None}) for n in range(NAMES)}
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._filesystem = filesystem
        self._random = random
        self._number = 0
        self._before: dict[str, bytes] = {}
        self._acts: dict[str, tuple[int, Callable[[], Coroutine[Any, Any, Outcome]]]] = {
            "put": (24, self._put),
            "put expecting": (4, self._put_expecting),
            "put a stream": (3, self._put_stream),
            "batch": (2, self._batch),
            "write a file": (3, self._write_file),
            "cancel": (2, self._cancel),
            "put a shared one": (4, self._put_shared),
            "get": (16, self._get),
            "get a shared one": (4, self._get_shared),
            "list": (8, self._list),
            "stat": (5, self._stat),
            "versions": (5, self._versions),
            "status": (2, self._status),
            "refresh": (3, self._refresh),
            "remove": (5, self._remove),
            "undelete": (5, self._undelete),
            "move": (5, self._move),
            "copy": (4, self._copy),
            "restore": (4, self._restore),
            "keep": (2, self._keep),
            "directory": (2, self._directory),
            "snapshot": (1, self._snapshot),
        }

    async def work(self, count: int) -> None:
        """Do ``count`` things."""
        names, weights = list(self._acts), [weight for weight, _act in self._acts.values()]
        for _ in range(count):
            name = self._random.choices(names, weights)[0]
            try:
                outcome = await self._acts[name][1]()
            except StoreError as error:
                outcome = error.code
            except (CallerError, DataError) as error:
                outcome = f"wrong: {error.code}"
                self.wrong.append(f"{self.name}, {name}: {error!r} {error}")
            self.done[f"{name}: {outcome}"] += 1

    def found(self, path: str, content: bytes | None) -> None:
        """What is really there, when everything is at rest."""
        if content not in self.known[path]:
            self.wrong.append(f"{path} is {_shown(content)}, not {[_shown(one) for one in self.known[path]]}")
        if len(self.known[path]) > 1 and content is None:
            self._before.pop(path, None)
        self.known[path] = frozenset({content})

    # What is certain

    def _sure(self, *, present: bool | None) -> str | None:
        """A path of which is certain that it is there, or not; None: there is none."""
        sure = [
            path
            for path, known in self.known.items()
            if len(known) == 1 and (present is None or (None in known) != present)
        ]
        return self._random.choice(sure) if sure else None

    def _now(self, path: str) -> bytes | None:
        (content,) = self.known[path]
        return content

    def _new(self) -> bytes:
        self._number += 1
        size = self._random.choice((0, 100, 2_000, 2_000, 5_000, 20_000, 20_000, 150_000))
        return content_of(self.name, self._number, size, self._random)

    async def _change(self, after: dict[str, bytes | None], work: Awaitable[Any], *, whole: bool = False) -> Outcome:
        """Wait for a change, and remember what may be there now.

        :param whole: an error that is no ``OutcomeUnknown`` says that nothing was changed.
        """
        before = {path: self.known[path] for path in after}
        self.known.update((path, before[path] | {content}) for path, content in after.items())
        try:
            await work
        except (OutcomeUnknown, StoredAsConflict) as error:
            return error.code
        except CancelledError:
            return "cancelled"
        except StoreError as error:
            if whole:
                self.known.update(before)
            return error.code
        for path, content in after.items():
            self.known[path] = frozenset({content})
            if content is None:
                (self._before[path],) = before[path]  # type: ignore[assignment]
        return "done"

    # What is done

    async def _put(self) -> Outcome:
        path, content = self._sure(present=None), self._new()
        if path is None:
            return "nothing to do"
        return await self._change({path: content}, self._filesystem().put(path, content), whole=True)

    async def _put_expecting(self) -> Outcome:
        path, content, files = self._sure(present=None), self._new(), self._filesystem()
        if path is None:
            return "nothing to do"
        expect = ABSENT if self._now(path) is None else (await files.stat(path)).version
        return await self._change({path: content}, files.put(path, content, expect=expect), whole=True)

    async def _put_stream(self) -> Outcome:
        path, content = self._sure(present=None), self._new()
        if path is None:
            return "nothing to do"
        return await self._change({path: content}, self._filesystem().put(path, _pieces(content)), whole=True)

    async def _batch(self) -> Outcome:
        files = self._filesystem()
        after: dict[str, bytes | None] = {}
        for _ in range(3):
            path = self._sure(present=None)
            if path is not None:
                after[path] = self._new()

        async def work() -> None:
            async with files.batch():
                for path, content in after.items():
                    await files.put(path, content)

        return await self._change(after, work())

    async def _write_file(self) -> Outcome:
        path, content, files = self._sure(present=None), self._new(), self._filesystem()
        if path is None:
            return "nothing to do"

        async def work() -> None:
            async with files.open(path, "wb") as file:
                for piece in _pieces(content):
                    await file.write(piece)

        return await self._change({path: content}, work())

    async def _cancel(self) -> Outcome:
        path, content = self._sure(present=None), self._new()
        if path is None:
            return "nothing to do"
        putting = self._filesystem().put(path, content)
        giving_up = deferLater(self._clock, self._random.random() * CANCELLED_WITHIN, putting.cancel)
        outcome = await self._change({path: content}, putting)
        await giving_up
        return outcome

    async def _put_shared(self) -> Outcome:
        path, content = f"shared/{self._random.randrange(SHARED)}", self._new()
        await self._filesystem().put(path, content)
        return "done"

    async def _get(self) -> Outcome:
        path = self._random.choice(list(self.known))
        content: bytes | None
        try:
            content = await self._filesystem().get(path)
        except NotFound:
            content = None
        if content not in self.known[path]:
            self.wrong.append(f"{path} reads as {_shown(content)}, not {[_shown(one) for one in self.known[path]]}")
        return "done"

    async def _get_shared(self) -> Outcome:
        try:
            content = await self._filesystem().get(f"shared/{self._random.randrange(SHARED)}")
        except NotFound:
            return "nothing there"
        if not is_whole(content):
            self.wrong.append(f"{self.name} reads a mixed content of a shared file")
        return "done"

    async def _list(self) -> Outcome:
        entries = {entry.path for entry in await self._filesystem().list("/", recursive=True)}
        for path, known in self.known.items():
            if len(known) == 1 and (path in entries) == (None in known):
                self.wrong.append(f"{self.name}: a listing is wrong about {path}")
        return "done"

    async def _stat(self) -> Outcome:
        path = self._sure(present=True)
        if path is None:
            return "nothing to do"
        entry, content = await self._filesystem().stat(path), self._now(path)
        assert content is not None
        if entry.size != len(content):
            self.wrong.append(f"{path} has the size {entry.size}, not {len(content)}")
        return "done"

    async def _versions(self) -> Outcome:
        path = self._sure(present=True)
        if path is None:
            return "nothing to do"
        await self._filesystem().versions(path)
        return "done"

    async def _status(self) -> Outcome:
        await self._filesystem().status()
        return "done"

    async def _refresh(self) -> Outcome:
        await self._filesystem().refresh()
        return "done"

    async def _remove(self) -> Outcome:
        path = self._sure(present=True)
        return "nothing to do" if path is None else await self._change({path: None}, self._filesystem().remove(path))

    async def _undelete(self) -> Outcome:
        path = self._sure(present=False)
        if path is None or path not in self._before:
            return "nothing to do"
        return await self._change({path: self._before[path]}, self._filesystem().undelete(path))

    async def _move(self) -> Outcome:
        source, to = self._sure(present=True), self._sure(present=False)
        if source is None or to is None:
            return "nothing to do"
        return await self._change({source: None, to: self._now(source)}, self._filesystem().move(source, to))

    async def _copy(self) -> Outcome:
        source, to = self._sure(present=True), self._sure(present=False)
        if source is None or to is None:
            return "nothing to do"
        return await self._change({to: self._now(source)}, self._filesystem().copy(source, to))

    async def _restore(self) -> Outcome:
        path, files = self._sure(present=True), self._filesystem()
        if path is None:
            return "nothing to do"
        entries = [entry for entry in await files.versions(path) if not entry.deleted]
        version = self._random.choice(entries).version
        return await self._change({path: await files.get(path, version=version)}, files.restore(path, version))

    async def _keep(self) -> Outcome:
        path = self._sure(present=True)
        if path is None:
            return "nothing to do"
        return await self._change({path: self._now(path)}, self._filesystem().keep(path, self._random.randint(1, 9)))

    async def _directory(self) -> Outcome:
        path, files = f"{self.name}-empty", self._filesystem()
        try:
            await (files.make_directory(path) if self._random.random() < 0.5 else files.remove_directory(path))
        except CallerError as error:  # it is there, or it is not
            return error.code
        return "done"

    async def _snapshot(self) -> Outcome:
        try:
            await self._filesystem().snapshot()
        except CallerError as error:  # of an incomplete listing none is written
            return error.detail
        return "done"


def _pieces(content: bytes) -> Iterator[bytes]:
    return (content[start : start + 4096] for start in range(0, len(content), 4096))


def _shown(content: bytes | None) -> str:
    return "absent" if content is None else f"{content[:24]!r} ({len(content)} bytes)"
