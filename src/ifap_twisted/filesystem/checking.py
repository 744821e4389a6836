"""Looking whether a folder is whole: all headers, the objects of the folder, and contents, all or a random share.

It writes nothing unless it is asked to bind what the reference programs wrote, or to mend what it finds, and it never
removes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core import findings, snapshot
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.findings import DAMAGE, NOTE, SEVERITIES, WARNING, Checkup, Finding
from ifap_twisted.core.values import Notice
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import (
    CallerError,
    ChunkLost,
    DataError,
    NewerVersionNeeded,
    ReadOnly,
    SnapshotCorrupt,
)
from ifap_twisted.filesystem import folder
from ifap_twisted.filesystem.binding import Binding
from ifap_twisted.filesystem.checkpointing import Checkpointing
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.inspecting import Case, inspected, noticed, snapshot_remedy
from ifap_twisted.filesystem.manifest_reading import Lost, ManifestReading, References
from ifap_twisted.filesystem.mending import Mending
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.onebyone import OneByOne
from ifap_twisted.filesystem.refilling import Refilling
from ifap_twisted.filesystem.sampling import (
    WHOLE,
    Choice,
    Place,
    Reading,
    do_nothing_with,
    places,
    position,
    share_of,
    turn_of,
)
from ifap_twisted.filesystem.undone import Undone
from ifap_twisted.filesystem.unopened import changed_headers, slot_findings
from ifap_twisted.interfaces import Progress


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked of one check.

    :ivar share: the percentage of the messages with content that are read; ``choice``: which ones.
    :ivar accept: tell everybody that what is hidden is gone for good (FORMAT 9.2).
    :ivar recover: what a repair mends, and what only a recovery does: finish moves, and write a snapshot in any case.
    :ivar sources: a directory of this machine, or a file, from which lost chunks are stored again.
    :ivar came_to: told what was chosen, and how many of it have been read from the first one on, again and again.
    """

    share: float
    choice: Choice
    progress: Progress = None
    bind: bool = False
    repair: bool = False
    accept: bool = False
    recover: bool = False
    sources: Path | None = None
    came_to: Callable[[Sequence[Place], int], None] | None = None


class Checker:
    """Checks one folder, one check at a time.

    :param binding: binds what is not bound, when that is asked for.
    :param random: gives that many random bytes: chooses what is read of a share.
    :param mending: does what a repair does; ``refilling`` stores lost chunks again.
    :param manifests: tells which chunks are lost; ``naming`` what names they may have.
    :param marked: gives what the device remembers to have seen otherwise.
    """

    def __init__(
        self,
        desk: Desk,
        binding: Binding,
        mending: Mending,
        refilling: Refilling,
        manifests: ManifestReading,
        naming: Naming,
        checkpointing: Checkpointing,
        undone: Undone,
        marked: Callable[[], Iterable[Notice]],
        *,
        random: Callable[[int], bytes],
        clock: IReactorTime,
    ) -> None:
        self._desk = desk
        self._binding = binding
        self._mending = mending
        self._refilling = refilling
        self._manifests = manifests
        self._naming = naming
        self._checkpointing = checkpointing
        self._undone = undone
        self._marked = marked
        self._random = random
        self._clock = clock
        self._checks: OneByOne[Checkup] = OneByOne()

    @deferred
    async def begin(
        self,
        *,
        read_data: float,
        bind: bool,
        repair: bool,
        accept: bool,
        progress: Progress,
        sources: Path | None = None,
    ) -> Checkup:
        """Look at everything, and read that percentage of the contents; bind before that, mend or accept after it."""
        if sources is not None and not repair:
            raise CallerError("Local files are of use to a repair only.")
        if not 0 <= read_data <= 100:
            raise CallerError("The share of the contents to be read is a percentage from 0 to 100.")
        if bind:
            self._binding.check()
        if repair or accept:
            self._check_writable()
        look = Look(
            read_data,
            share_of(read_data, self._random),
            progress,
            bind=bind,
            repair=repair,
            accept=accept,
            sources=sources,
        )
        return await self._checks.begin(lambda: self._check(look))

    @deferred
    async def recover(self, progress: Progress) -> Checkup:
        """Look at everything and read all of it, mend what can be mended, finish moves, and write a snapshot.

        :raises ReadOnly: nothing can be mended.
        """
        self._check_writable()
        look = Look(WHOLE, share_of(WHOLE, self._random), progress, repair=True, recover=True)
        return await self._checks.begin(lambda: self._check(look))

    @deferred
    async def go_on(self, share: float) -> Checkup:
        """Look at everything, and read the next contents in a turn that comes to all of them.

        However it ends, the next one goes on where it ended.

        :param share: the percentage of the messages with content that are read.
        """
        return await self._checks.begin(lambda: self._go_on(share))

    async def _go_on(self, share: float) -> Checkup:
        view = self._desk.view
        first = view.checked.read
        last = min(first + share, WHOLE)
        found = await self._check(Look(share, turn_of(first, last), came_to=partial(self._came_to, last)))
        view.note_checked(view.checked._replace(time=date_by(self._clock), damaged=found.damaged))
        return found

    def _came_to(self, last: float, chosen: Sequence[Place], count: int) -> None:
        """Where the next one goes on: at the first that was not read."""
        view = self._desk.view
        read = position(chosen[count][1]) if count < len(chosen) else last
        checked = view.checked._replace(read=read)
        if read >= WHOLE:
            checked = checked._replace(read=0.0, whole=date_by(self._clock))
        view.note_checked(checked)

    def _check_writable(self) -> None:
        if self._desk.view.read_only:
            raise ReadOnly("The folder can only be read; nothing in it can be mended.")

    def stop(self) -> None:
        """Give up what is under way."""
        self._checks.stop()

    async def _check(self, look: Look) -> Checkup:
        """:raises Renumbered: the server renumbered the folder meanwhile; try again."""
        view = self._desk.view
        await view.store.poll(thorough=True)
        view.freshness.compare = True  # with a listing, whatever the server says of how many there are
        await view.refresh()
        await view.refreshing.look_at_all()
        bound = await self._binding.run(look.progress) if look.bind else []
        generation = view.generation
        cases = [*map(Case, bound), *await self._objects()]
        changed = await changed_headers(self._desk)
        reading = await self._read(look)
        if look.repair:  # what was found once may have been garbled on its way
            await reading.once_more(self._doubtful())
        view.check_generation(generation)
        certain = not (view.incomplete or view.unread)
        references = await self._manifests.look(view.index.histories())
        refilled: list[Finding] = []
        if look.sources is not None and certain and references.missing:
            before = references.lost
            told = await self._refilling.run(look.sources)
            references = await self._manifests.look(view.index.histories())
            refilled = [*_refilled(before, references), *told]
        view.check_generation(generation)
        require_bound = self._desk.options.require_bound
        holes = references.lost if certain else ()  # not listed is not lost
        cases += inspected(view, changed, holes, require_bound=require_bound)
        cases = self._with_recovery(cases) if look.recover else [_without_moves(case) for case in cases]
        headers = len(view.index)
        cases = [case if certain and reading.could_read(case) else _undecided(case) for case in cases]
        if look.repair:
            cases = await self._mending.mended(cases)
        found = [
            *(case.finding for case in cases),
            *refilled,
            *_kept(references),
            *reading.findings(),
            *noticed(self._marked()),
        ]
        found += await self._checkpointing.findings(accept=look.accept and certain)
        found += await self._undone.findings() if certain else []
        return Checkup(
            findings=tuple(sorted(found, key=_order)),
            headers=headers,
            bodies=reading.bodies,
            bytes=reading.bytes,
            share=look.share,
            complete=certain and not reading.failed,
        )

    async def _read(self, look: Look) -> Reading:
        """Read what is chosen, and what could not be read the last time."""
        view = self._desk.view
        generation, histories = view.generation, view.index.histories()
        chosen = await self._desk.worker(lambda: look.choice(histories))
        view.check_generation(generation)
        suspects = {uid: version for uid, _code in view.suspects if (version := view.index.at(uid)) is not None}
        wanted = list({**dict(chosen), **suspects}.items())
        passed = do_nothing_with if look.came_to is None else partial(look.came_to, chosen)
        reading = Reading(self._desk, wanted, look.progress, passed, names=await self._names(wanted))
        await reading.run()
        if look.came_to is not None:
            look.came_to(chosen, len(chosen))
        return reading

    async def _names(self, wanted: Iterable[Place]) -> bytes | None:
        """By which the names of chunks are judged; None where there are none, or it is lost: that is told apart."""
        if not any(version.path.startswith(CHUNKS) for _uid, version in wanted):
            return None
        try:
            return await self._naming.key()
        except DataError:
            return None

    def _with_recovery(self, cases: list[Case]) -> list[Case]:
        """The cases, and that a snapshot of what is there is due."""
        remedy = snapshot_remedy(self._desk.view)
        if not remedy or any(case.finding.remedy == remedy for case in cases):
            return cases
        return [*cases, Case(Finding("snapshot-due", NOTE, "A snapshot of what there is now.", remedy=remedy))]

    def _doubtful(self) -> list[Place]:
        """All messages of the files of which one is damaged: what is mended of them depends on each."""
        damage = self._desk.view.rejected
        histories = self._desk.view.index.histories().values()
        return list(
            places(
                history
                for history in histories
                if any(uid in damage for placed in history.versions for uid in placed.places)
            )
        )

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
        rest = [*await self._folder_object(), *await slot_findings(self._desk), *await self._snapshot()]
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
        # The names of chunks depend on what is lost with it.
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


def _lies(content: bytes, known: Mapping[int, str]) -> Iterator[int]:
    """For each path how many messages a snapshot names for it that are known to be others."""
    for path, (_uid, _metadata, uids) in snapshot.entries(content):
        yield sum(known.get(uid, path) != path for uid in uids)


def _refilled(before: Iterable[Lost], references: References) -> Iterator[Finding]:
    """The versions that are whole again, because their chunks were stored again."""
    left = {uid for one in references.lost for uid in one.placed.places}
    text = "Chunks of this version were lost, and were stored again from local files."
    for one in before:
        version = one.placed.version
        if not left.intersection(one.placed.places):
            yield Finding(
                ChunkLost.code,
                DAMAGE,
                text,
                version.path,
                version.vid,
                len(one.placed.places),
                findings.REFILL,
                mended=True,
            )


def _kept(references: References) -> Iterator[Finding]:
    """Nothing is lost by it, but the folder only grows."""
    return (Finding(notice.code, WARNING, notice.text) for notice in references.notices())


def _without_moves(case: Case) -> Case:
    """A move is finished by its mover, or by ``recover`` (FORMAT 11.3)."""
    if case.finding.remedy != findings.FINISH_MOVE:
        return case
    return _undecided(case).told("To move it once more, or 'ifap recover', finishes it.")


def _undecided(case: Case) -> Case:
    """While not all of it can be seen nothing is mended."""
    return case._replace(finding=case.finding._replace(remedy=""))


def _order(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.code, finding.path or ""
