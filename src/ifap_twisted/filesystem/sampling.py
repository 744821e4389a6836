"""Which contents a check reads: all, a random share, or those whose turn it is; and reading them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Final, TypeAlias
from zlib import crc32

from ifap_twisted.core.chunks import CHUNKS, is_chunk_name
from ifap_twisted.core.findings import WARNING, Finding
from ifap_twisted.core.history import History
from ifap_twisted.core.outer import is_redated
from ifap_twisted.core.values import Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import Spliced, StoreError
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.inspecting import Case
from ifap_twisted.filesystem.known import NOT_NOW
from ifap_twisted.filesystem.notices import REDATED
from ifap_twisted.interfaces import Progress

AT_ONCE: Final = 4
"""Contents that are read at a time."""
WHOLE: Final = 100.0
"""Percent."""


Place: TypeAlias = tuple[int, Version]
"""A message, and the version that it is to be."""
Choice: TypeAlias = Callable[[Mapping[str, History]], Sequence[Place]]


def places(histories: Iterable[History]) -> Iterator[Place]:
    """All that can be read."""
    for history in histories:
        for placed in history.versions:
            if placed.version.understood:
                for uid in placed.places:
                    yield uid, placed.version


def share_of(percent: float, random: Callable[[int], bytes]) -> Choice:
    """So many, chosen at random."""

    def choose(histories: Mapping[str, History]) -> Sequence[Place]:
        found = list(places(histories.values()))
        count = ceil(len(found) * percent / WHOLE)
        if count < len(found):
            found.sort(key=lambda _place: random(8))
        return found[:count]

    return choose


def turn_of(first: float, last: float) -> Choice:
    """Those from one percentage to below another one, in their order, which never changes."""

    def choose(histories: Mapping[str, History]) -> Sequence[Place]:
        found = ((position(version), uid, version) for uid, version in places(histories.values()))
        due = sorted((at, uid, version) for at, uid, version in found if first <= at < last)
        return [(uid, version) for _at, uid, version in due]

    return choose


def position(version: Version) -> float:
    """Where a version is in that order, from 0 to below 100; ids are random, so that equal shares are equally large."""
    return crc32(version.vid.encode("utf-8", "surrogatepass")) * WHOLE / 2**32


def do_nothing_with(_count: int) -> None:
    """Nobody wants to know."""


class Reading:
    """Reads messages, some at a time; what is wrong with them is kept by the reader.

    :param names: the folder's key for the names of chunks; None: it is not known, and they are not looked at.
    :param passed: told how many of those that are wanted have been read, from the first one on; not in all at the end.
    :ivar failed: the UIDs of those that could not be read now.
    """

    def __init__(
        self,
        desk: Desk,
        wanted: Sequence[Place],
        progress: Progress,
        passed: Callable[[int], None] = do_nothing_with,
        *,
        names: bytes | None = None,
    ) -> None:
        self._desk = desk
        self._names = names
        self._left = deque(wanted)
        self._total = len(self._left)
        self._progress = progress
        self._done = 0
        self._passed = passed
        self._order = deque(uid for uid, _version in wanted)
        self._count = 0
        self._read: dict[int, int] = {}
        self._ended: set[int] = set()
        self._redated: set[int] = set()
        self.failed: set[int] = set()

    @property
    def bodies(self) -> int:
        """How many were read."""
        return len(self._read)

    @property
    def bytes(self) -> int:
        """Of the contents of those that were whole."""
        return sum(self._read.values())

    async def run(self) -> None:
        """Read all."""
        await settled([self._read_on() for _ in range(AT_ONCE)])

    async def once_more(self, wanted: Sequence[Place]) -> None:
        """Read these, after all others, whether they were read before or not."""
        self._left.extend(wanted)
        self._total += len(wanted)
        await self.run()

    def could_read(self, case: Case) -> bool:
        """Nothing that this is about is among what could not be read now."""
        about = {*case.uids, *(uid for placed in case.placed for uid in placed.places)}
        return not about & self.failed

    @deferred
    async def _read_on(self) -> None:
        try:
            while self._left:
                uid, version = self._left.popleft()
                await self._one(uid, version)
                self._pass_on(uid)
                self._done += 1
                if self._progress is not None:
                    self._progress(self._done, self._total)
        except BaseException:  # the others end after what they are reading
            self._left.clear()
            raise

    def _pass_on(self, uid: int) -> None:
        """Tell how many from the first one on have been read, now that one more has."""
        before = self._count
        self._ended.add(uid)
        while self._order and self._order[0] in self._ended:
            self._ended.discard(self._order.popleft())
            self._count += 1
        if self._count > before:
            self._passed(self._count)

    async def _one(self, uid: int, version: Version) -> None:
        look = partial(_note_date, self._redated, uid, version)
        judge = None
        if self._names is not None and version.path.startswith(CHUNKS):
            judge = partial(_check_name, self._names, version.path.removeprefix(CHUNKS))
        async with self._desk.admitted(version.length):
            try:
                damage = await self._desk.reader.verify(uid, version, look, judge)
            except StoreError:
                if self._desk.view.index.at(uid) is not None:  # or it was removed meanwhile
                    self.failed.add(uid)
                    self._desk.view.suspect([uid], NOT_NOW)
                return
        self._read[uid] = 0 if damage else version.length
        self._desk.view.note_date(uid, redated=uid in self._redated)

    def findings(self) -> Iterator[Finding]:
        """What could not be read, or says more than it should."""
        if self._redated:
            yield Finding("redated", WARNING, REDATED, places=len(self._redated))
        if self.failed:
            text = "The mail server did not give these messages; try again later."
            yield Finding(NOT_NOW, WARNING, text, places=len(self.failed))


def _note_date(redated: set[int], uid: int, version: Version, message: bytes) -> None:
    if is_redated(message, version):
        redated.add(uid)


def _check_name(key: bytes, name: str, content: bytes) -> None:
    """Only one content can have the name of a chunk (FORMAT 7.1).

    :raises Spliced: it is another one.
    """
    if not is_chunk_name(key, content, name):
        raise Spliced("Another content is there than the name of the chunk says.")
