"""Looking whether a folder is whole: all headers, the objects of the folder, and contents, all or a random share.

It writes nothing unless it is asked to bind what the reference programs wrote, and never removes anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from math import ceil

from ifap_twisted.core import snapshot
from ifap_twisted.core.findings import DAMAGE, SEVERITIES, WARNING, Checkup, Finding
from ifap_twisted.core.values import Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import CallerError, DataError, NewerVersionNeeded, SnapshotCorrupt, StoreError
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.binding import Binding
from ifap_twisted.filesystem.checkpointing import Checkpointing
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.inspecting import inspected
from ifap_twisted.filesystem.onebyone import OneByOne
from ifap_twisted.interfaces import Progress

AT_ONCE = 4
"""Contents that are read at a time."""


class Checker:
    """Checks one folder, one check at a time.

    :param binding: binds what is not bound, when that is asked for.
    :param random: gives that many random bytes: chooses what is read of a share.
    """

    def __init__(
        self, desk: Desk, binding: Binding, checkpointing: Checkpointing, *, random: Callable[[int], bytes]
    ) -> None:
        self._desk = desk
        self._binding = binding
        self._checkpointing = checkpointing
        self._random = random
        self._checks: OneByOne[Checkup] = OneByOne()

    @deferred
    async def begin(self, *, read_data: float, bind: bool, progress: Progress) -> Checkup:
        """Look at everything, and read that percentage of the contents; before that, bind what is not bound."""
        if not 0 <= read_data <= 100:
            raise CallerError("The share of the contents to be read is a percentage from 0 to 100.")
        if bind:
            self._binding.check()
        return await self._checks.begin(lambda: self._check(read_data, progress, bind=bind))

    def stop(self) -> None:
        """Give up what is under way."""
        self._checks.stop()

    async def _check(self, share: float, progress: Progress, *, bind: bool) -> Checkup:
        """:raises Renumbered: the server renumbered the folder meanwhile; try again."""
        view = self._desk.view
        await view.store.poll(thorough=True)
        view.freshness.compare = True  # with a listing, whatever the server says of how many there are
        await view.refresh()
        other_dialect = await view.refreshing.look_at_all()
        bound = await self._binding.run(progress) if bind else []
        generation = view.generation
        found = [*bound, *await self._objects()]
        reading = Reading(self._desk, deque(self._chosen(share)), progress)
        await reading.run()
        view.check_generation(generation)
        require_bound = self._desk.options.require_bound
        found += inspected(view, other_dialect=other_dialect, require_bound=require_bound)
        found += reading.findings()
        found += [Finding(notice.code, DAMAGE, notice.text) for notice in self._checkpointing.notices()]
        return Checkup(
            findings=tuple(sorted(found, key=_order)),
            headers=len(view.index),
            bodies=reading.bodies,
            bytes=reading.bytes,
            share=share,
            complete=not (view.incomplete or view.unread or reading.failed),
        )

    # Objects of the folder (FORMAT 6.1)

    async def _objects(self) -> list[Finding]:
        objects = self._desk.objects
        await objects.plans()
        await objects.records()
        await objects.read_checkpoints()
        text = "A plan, a record of what was collected or a checkpoint cannot be used."
        bad = [Finding("object", DAMAGE, text, one.version.path) for one in objects.unusable()]
        return [*bad, *await self._folder_object(), *await self._snapshot()]

    async def _folder_object(self) -> list[Finding]:
        """The one that says which folder this is can be read (FORMAT 8.2)."""
        view = self._desk.view
        if view.home is None:
            return []
        there = [one for one in folder.folder_objects(view.index) if one.version.home == view.home]
        for one in there:
            try:
                await folder.read_object(view.store, one, view.dialect, view.keys)
            except DataError:
                continue
            return []
        text = "The object that says which folder this is, is missing or damaged."
        return [Finding("folder-object", DAMAGE, text, there[0].version.path if there else None)]

    async def _snapshot(self) -> list[Finding]:
        """The newest one can be read, and names for each path messages of that path only (FORMAT 6.2)."""
        view = self._desk.view
        path = view.dialect.snapshot_path
        placed = view.index.history(path).current
        if placed is None or placed.missing or placed.version.deleted:
            return []
        known = {uid: one.path for uid in view.index.uids() if (one := view.index.at(uid)) is not None}
        try:
            async with self._desk.admitted(placed.version.length):
                content = await self._desk.reader.content(placed)
                wrong = await self._desk.worker(lambda: sum(_lies(content, known)))
        except NewerVersionNeeded as error:
            return [Finding("newer-version-needed", WARNING, error.detail, path, placed.version.vid)]
        except SnapshotCorrupt as error:
            return [Finding("snapshot-corrupt", WARNING, error.detail, path, placed.version.vid)]
        except DataError:
            return []  # told as the damage of its content
        if not wrong:
            return []
        text = "The snapshot names messages that are none of the files it says; 'ifap snapshot' writes a new one."
        return [Finding("snapshot-wrong", WARNING, text, path, placed.version.vid, wrong)]

    # Contents

    def _chosen(self, share: float) -> list[tuple[int, Version]]:
        """The messages to be read, each with the version that it is to be."""
        places = [
            (uid, placed.version)
            for history in self._desk.view.index.histories().values()
            for placed in history.versions
            if placed.version.understood
            for uid in placed.places
        ]
        count = ceil(len(places) * share / 100)
        if count < len(places):
            places.sort(key=lambda _place: self._random(8))
        return places[:count]


class Reading:
    """Reads messages, some at a time; what is wrong with them is kept by the reader.

    :ivar bodies: how many were read; ``bytes``: of the contents of those that were whole.
    :ivar failed: how many could not be read now.
    """

    def __init__(self, desk: Desk, left: deque[tuple[int, Version]], progress: Progress) -> None:
        self._desk = desk
        self._left = left
        self._total = len(left)
        self._progress = progress
        self._done = 0
        self.bodies = 0
        self.bytes = 0
        self.failed = 0

    async def run(self) -> None:
        """Read all."""
        await settled([self._read_on() for _ in range(AT_ONCE)])

    @deferred
    async def _read_on(self) -> None:
        try:
            while self._left:
                await self._one(*self._left.popleft())
                self._done += 1
                if self._progress is not None:
                    self._progress(self._done, self._total)
        except BaseException:  # the others end after what they are reading
            self._left.clear()
            raise

    async def _one(self, uid: int, version: Version) -> None:
        async with self._desk.admitted(version.length):
            try:
                damage = await self._desk.reader.verify(uid, version)
            except StoreError:
                self.failed += self._desk.view.index.at(uid) is not None  # or it was removed meanwhile
                return
        self.bodies += 1
        self.bytes += 0 if damage else version.length

    def findings(self) -> Iterator[Finding]:
        """What could not be read."""
        if self.failed:
            text = "The mail server did not give these messages; try again later."
            yield Finding("not-readable-now", WARNING, text, places=self.failed)


def _lies(content: bytes, known: Mapping[int, str]) -> Iterator[int]:
    """For each path how many messages a snapshot names for it that are known to be others."""
    for path, (_uid, _metadata, uids) in snapshot.entries(content):
        yield sum(known.get(uid, path) != path for uid in uids)


def _order(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.code, finding.path or ""
