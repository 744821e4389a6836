"""Looking whether a folder is whole: all headers, the objects of the folder, and contents, all or a random share.

It writes nothing unless it is asked to bind what the reference programs wrote, or to mend what it finds, and it never
removes anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

from ifap_twisted.core import findings, snapshot
from ifap_twisted.core.findings import DAMAGE, SEVERITIES, WARNING, Checkup, Finding
from ifap_twisted.core.values import Version
from ifap_twisted.deferreds import deferred, settled
from ifap_twisted.errors import (
    CallerError,
    DataError,
    NewerVersionNeeded,
    ReadOnly,
    SnapshotCorrupt,
    StoreError,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.binding import Binding
from ifap_twisted.filesystem.checkpointing import Checkpointing
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.inspecting import Case, inspected, snapshot_remedy
from ifap_twisted.filesystem.mending import Mending
from ifap_twisted.filesystem.onebyone import OneByOne
from ifap_twisted.interfaces import Progress

AT_ONCE = 4
"""Contents that are read at a time."""
CHUNKS = "IFAP/chunks/"


class Checker:
    """Checks one folder, one check at a time.

    :param binding: binds what is not bound, when that is asked for.
    :param random: gives that many random bytes: chooses what is read of a share.
    :param mending: does what a repair does.
    """

    def __init__(
        self,
        desk: Desk,
        binding: Binding,
        mending: Mending,
        checkpointing: Checkpointing,
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._desk = desk
        self._binding = binding
        self._mending = mending
        self._checkpointing = checkpointing
        self._random = random
        self._checks: OneByOne[Checkup] = OneByOne()

    @deferred
    async def begin(self, *, read_data: float, bind: bool, repair: bool, progress: Progress) -> Checkup:
        """Look at everything, and read that percentage of the contents; bind before that, or mend after it."""
        if not 0 <= read_data <= 100:
            raise CallerError("The share of the contents to be read is a percentage from 0 to 100.")
        if bind:
            self._binding.check()
        if repair and self._desk.view.read_only:
            raise ReadOnly("The folder can only be read; nothing in it can be mended.")
        return await self._checks.begin(lambda: self._check(read_data, progress, bind=bind, repair=repair))

    def stop(self) -> None:
        """Give up what is under way."""
        self._checks.stop()

    async def _check(self, share: float, progress: Progress, *, bind: bool, repair: bool) -> Checkup:
        """:raises Renumbered: the server renumbered the folder meanwhile; try again."""
        view = self._desk.view
        await view.store.poll(thorough=True)
        view.freshness.compare = True  # with a listing, whatever the server says of how many there are
        await view.refresh()
        other_dialect = await view.refreshing.look_at_all()
        bound = await self._binding.run(progress) if bind else []
        generation = view.generation
        cases = [*map(Case, bound), *await self._objects()]
        reading = Reading(self._desk, self._chosen(share), progress)
        await reading.run()
        if repair:  # what was found once may have been garbled on its way
            await reading.once_more(self._doubtful())
        view.check_generation(generation)
        require_bound = self._desk.options.require_bound
        cases += inspected(view, other_dialect=other_dialect, require_bound=require_bound)
        certain = not (view.incomplete or view.unread)
        headers = len(view.index)
        cases = [case if certain and reading.could_read(case) else _undecided(case) for case in cases]
        if repair:
            cases = await self._mending.mended(cases)
        found = [*(case.finding for case in cases), *reading.findings()]
        found += [Finding(notice.code, DAMAGE, notice.text) for notice in self._checkpointing.notices()]
        return Checkup(
            findings=tuple(sorted(found, key=_order)),
            headers=headers,
            bodies=reading.bodies,
            bytes=reading.bytes,
            share=share,
            complete=certain and not reading.failed,
        )

    def _doubtful(self) -> list[tuple[int, Version]]:
        """All messages of the files of which one is damaged: what is mended of them depends on each."""
        damage = self._desk.view.rejected
        return [
            (uid, placed.version)
            for history in self._desk.view.index.histories().values()
            if any(uid in damage for placed in history.versions for uid in placed.places)
            for placed in history.versions
            if placed.version.understood
            for uid in placed.places
        ]

    # Objects of the folder (FORMAT 6.1)

    async def _objects(self) -> list[Case]:
        objects = self._desk.objects
        await objects.plans()
        await objects.records()
        await objects.read_checkpoints()
        text = "A plan, a record of what was collected or a checkpoint cannot be used."
        bad = [
            Case(Finding("object", DAMAGE, text, one.version.path, remedy=findings.SET_ASIDE), one.places, (one,))
            for one in objects.unusable()
        ]
        rest = [*await self._folder_object(), *await self._snapshot()]
        return [*(case.known(self._desk.view.aside) for case in bad), *map(Case, rest)]

    async def _folder_object(self) -> list[Finding]:
        """The one that says which folder this is can be read (FORMAT 8.2)."""
        view = self._desk.view
        if view.home is None:
            return []
        there = [one for one in folder.folder_objects(view.index) if one.version.home == view.home]
        for one in there:
            try:
                await folder.read_object(view.store, one, view.dialect, view.keys)
            except NewerVersionNeeded as error:
                return [Finding("newer-version-needed", WARNING, error.detail, one.version.path, one.version.vid)]
            except DataError:
                continue
            return []
        text = "The object that says which folder this is, is missing or damaged."
        # The names of chunks, which later releases write, depend on what is lost with it.
        remedy = "" if view.index.objects(CHUNKS) else findings.FOLDER_OBJECT
        path = there[0].version.path if there else None
        return [Finding("folder-object", DAMAGE, text, path, remedy=remedy)]

    async def _snapshot(self) -> list[Finding]:
        """The newest one can be read, and names for each path messages of that path only (FORMAT 6.2)."""
        view, path = self._desk.view, self._desk.view.dialect.snapshot_path
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
            return [
                Finding("snapshot-corrupt", WARNING, error.detail, path, placed.version.vid, 0, snapshot_remedy(view))
            ]
        except DataError:
            return []  # told as the damage of its content
        if not wrong:
            return []
        text = "The snapshot names messages that are none of the files it says; 'ifap snapshot' writes a new one."
        return [Finding("snapshot-wrong", WARNING, text, path, placed.version.vid, wrong, snapshot_remedy(view))]

    # Contents

    def _chosen(self, share: float) -> Sequence[tuple[int, Version]]:
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

    :ivar failed: the UIDs of those that could not be read now.
    """

    def __init__(self, desk: Desk, wanted: Sequence[tuple[int, Version]], progress: Progress) -> None:
        self._desk = desk
        self._left = deque(wanted)
        self._total = len(self._left)
        self._progress = progress
        self._done = 0
        self._read: dict[int, int] = {}
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

    async def once_more(self, wanted: Sequence[tuple[int, Version]]) -> None:
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
                if self._desk.view.index.at(uid) is not None:  # or it was removed meanwhile
                    self.failed.add(uid)
                return
        self._read[uid] = 0 if damage else version.length

    def findings(self) -> Iterator[Finding]:
        """What could not be read."""
        if self.failed:
            text = "The mail server did not give these messages; try again later."
            yield Finding("not-readable-now", WARNING, text, places=len(self.failed))


def _lies(content: bytes, known: Mapping[int, str]) -> Iterator[int]:
    """For each path how many messages a snapshot names for it that are known to be others."""
    for path, (_uid, _metadata, uids) in snapshot.entries(content):
        yield sum(known.get(uid, path) != path for uid in uids)


def _undecided(case: Case) -> Case:
    """While not all of it can be seen nothing is mended."""
    return case._replace(finding=case.finding._replace(remedy=""))


def _order(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.code, finding.path or ""
