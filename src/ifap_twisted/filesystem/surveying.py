"""Looking at a whole folder for what may go: its histories, the dates that the server gave, plans and records.

It writes and removes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.clocks import date_by
from ifap_twisted.core import limits, paths
from ifap_twisted.core.checkpoints import CHECKPOINTS, redundant
from ifap_twisted.core.chunks import CHUNKS
from ifap_twisted.core.collection import KEPT, PLANNED
from ifap_twisted.core.disposal import REFERENCED, Case, Disposal, Knowledge, survey
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.plans import PLANS, Plan, Planned, Standing, standing
from ifap_twisted.core.records import RECORDS, Record
from ifap_twisted.core.retention import Reason
from ifap_twisted.core.upkeep import idle_plans, redundant_records
from ifap_twisted.errors import Renumbered
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.manifest_reading import ManifestReading, References

Plans = Sequence[tuple[Placed, Plan | None]]
"""The plans that are there; None: what one says is not known."""

MANY_OBJECTS = 20
"""Objects that nothing needs are planned along with versions of files; alone only when there are so many."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found, and of which numbers it speaks.

    :ivar resealed: what plans say of places that others are to take over, by UID (FORMAT 8.5).
    :ivar to_plan: the places that no plan names yet; ``needed_again`` those that one names and the policy keeps.
    :ivar due: the paths of which something may go now.
    :ivar references: what is known of the chunks, going by the messages ``seen``, without those that were ``useless``.
    """

    histories: Mapping[str, History]
    known: Knowledge
    disposals: tuple[Disposal, ...]
    generation: int
    uidvalidity: int
    resealed: Mapping[int, Standing]
    references: References
    seen: frozenset[int]
    useless: frozenset[int]
    to_plan: Sequence[Planned]
    needed_again: Sequence[Planned]
    due: Sequence[Disposal]

    def cases(self) -> Iterator[tuple[str, Case]]:
        """All cases with their paths."""
        return ((disposal.path, case) for disposal in self.disposals for case in disposal.cases)

    def spares(self) -> frozenset[int]:
        """The places whose grace is over, and that others are to take over."""
        return frozenset(uid for uid, one in self.resealed.items() if self.known.now >= one.since + self.known.grace)

    @property
    def has_work(self) -> bool:
        """Something would have to be written or removed."""
        return bool(self.due or self.to_plan or self.needed_again or self.spares())


class Surveyor:
    """Surveys one folder.

    :param manifests: tells which chunks are needed.
    :param unfinished: tells the paths of journalled writes that are not finished.
    """

    def __init__(
        self,
        desk: Desk,
        manifests: ManifestReading,
        *,
        clock: IReactorTime,
        unfinished: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        self._desk = desk
        self._manifests = manifests
        self._clock = clock
        self._unfinished = unfinished
        self._dates: dict[int, float] = {}
        self._dates_generation = -1

    async def survey(self, now: float | None) -> Survey:
        """What may become of everything that is there.

        :param now: the server's clock; None: as late as it may be.
        """
        view, options = self._desk.view, self._desk.options
        generation, uidvalidity = view.generation, view.uidvalidity
        view.check_generation(generation)
        plans = await self._desk.objects.plans()
        records = await self._desk.objects.records()
        await self._desk.objects.read_checkpoints()
        unfinished = await self._unfinished()
        histories, seen, useless = view.index.histories(), frozenset(view.index.uids()), frozenset(view.index.useless)
        references = await self._manifests.look(histories)
        dates = await self._dated(histories, references.unneeded or ())
        if now is None:
            now = max([date_by(self._clock), *dates.values()])
        dated = _dated_plans(plans, dates, now)
        known = Knowledge(
            now=now,
            dates=dates,
            standing=await self._desk.worker(lambda: standing(dated, uidvalidity)),
            records=view.records,
            policy=replace(options.retention, keep=options.keep),
            grace=max(options.grace, limits.LEAST_GRACE_SECONDS),
            in_use={*self._desk.in_use, *unfinished},
            snapshot=view.dialect.snapshot_path,
            unreadable=max(view.index.rejected().keys() - view.late.keys(), default=0),
            damaged=frozenset({*view.rejected, *view.unusable, *references.doubtful}),
            objects=self._of_no_use(plans, records, now, uidvalidity),
            unneeded=references.unneeded,
        )
        resealed = await self._resealed(dated, uidvalidity)

        def work() -> Survey:
            disposals = tuple(survey(histories, known))
            return Survey(
                histories,
                known,
                disposals,
                generation,
                uidvalidity,
                resealed,
                references,
                seen,
                useless,
                to_plan=_to_plan(disposals, known),
                needed_again=_needed_again(disposals, known),
                due=[disposal for disposal in disposals if disposal.going],
            )

        found = await self._desk.worker(work)
        view.check_generation(generation)
        return found

    async def _resealed(
        self, dated: Iterable[tuple[int, float, Plan | None]], uidvalidity: int
    ) -> Mapping[int, Standing]:
        found = await self._desk.worker(lambda: standing(dated, uidvalidity, resealed=True))
        return {uid: one for uid, one in found.items() if self._vid_at(uid) == one.vid}

    def _of_no_use(
        self, plans: Plans, records: Sequence[tuple[Placed, Record]], now: float, uidvalidity: int
    ) -> Mapping[str, str]:
        """The plans, records and checkpoints that say nothing any more that others do not say, by vid, and why."""
        planned = ((one.version.vid, plan) for one, plan in plans if plan is not None)
        recorded = ((one.places[0], one.version.vid, record) for one, record in records)
        return {
            **dict.fromkeys(idle_plans(planned, uidvalidity, self._vid_at), "done"),
            **dict.fromkeys(redundant_records(recorded, now), "repeated"),
            **dict.fromkeys(redundant(self._desk.objects.checkpoints(), now), "repeated"),
        }

    def _vid_at(self, uid: int) -> str | None:
        version = self._desk.view.index.at(uid)
        return None if version is None else version.vid

    async def _dated(self, histories: Mapping[str, History], unneeded: Collection[str]) -> Mapping[int, float]:
        """The dates of all that may have to go; a message never gets another one, so that each is asked for once."""
        view = self._desk.view
        if self._dates_generation != view.generation:
            self._dates, self._dates_generation = {}, view.generation
        wanted = await self._desk.worker(lambda: set(_of_interest(histories, unneeded)))
        generation = view.generation
        missing = wanted - self._dates.keys()
        found = await view.store.dates(missing) if missing else {}
        if generation != view.generation:
            raise Renumbered
        self._dates = {uid: date for uid, date in {**self._dates, **found}.items() if uid in wanted}
        return self._dates


def _to_plan(disposals: Sequence[Disposal], known: Knowledge) -> list[Planned]:
    found = [
        (disposal.path, Planned(uid, case.placed.version.vid, str(case.reason)))
        for disposal in disposals
        for case in disposal.cases
        if case.fate == PLANNED
        for uid in known.unplanned(case.placed)
    ]
    objects = sum(paths.is_reserved(path) and not path.startswith(CHUNKS) for path, _planned in found)
    enough = objects < len(found) or objects >= MANY_OBJECTS
    return [planned for _path, planned in found] if enough else []


def _needed_again(disposals: Sequence[Disposal], known: Knowledge) -> list[Planned]:
    wanted = {*Reason, REFERENCED}
    return [
        Planned(uid, case.placed.version.vid, str(case.reason))
        for disposal in disposals
        for case in disposal.cases
        if case.fate == KEPT and case.reason in wanted
        for uid in case.placed.places
        if uid in known.standing and known.standing[uid].vid == case.placed.version.vid
    ]


def _dated_plans(plans: Plans, dates: Mapping[int, float], now: float) -> list[tuple[int, float, Plan | None]]:
    """UID, date and content of each plan; of one without a date it is not known what it says."""
    return [
        (placed.places[0], now, None) if (date := date_of(placed, dates)) is None else (placed.places[0], date, plan)
        for placed, plan in plans
    ]


def date_of(placed: Placed, dates: Mapping[int, float]) -> float | None:
    """When the last copy of a version was received; None where one has no date."""
    found = [dates.get(uid) for uid in placed.places]
    known = [date for date in found if date is not None]
    return max(known) if len(known) == len(found) else None


def _of_interest(histories: Mapping[str, History], unneeded: Collection[str]) -> Iterator[int]:
    """The UIDs of everything but the files that have one version only, and the chunks that are needed."""
    for path, history in histories.items():
        if path.startswith(CHUNKS):
            wanted = path in unneeded
        else:
            only = history.versions[0].version if len(history.versions) == 1 else None
            wanted = only is None or only.deleted or not history.heads
            wanted = wanted or path.startswith((PLANS, RECORDS, CHECKPOINTS))
        if wanted:
            for placed in history.versions:
                yield from placed.places
