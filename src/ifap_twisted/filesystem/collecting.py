"""Removing for good what nobody needs any more, in two phases a grace apart (FORMAT 5.3).

It goes by what the folder says: plans, dates and records lie there, so that it may end anywhere and any device may go
on. What is not seen, has no date, is in use, or is a head stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ifap_twisted.core import collection, limits, paths
from ifap_twisted.core.collection import COLLECTED, PLANNED, REASONS, WAITING, Verdict
from ifap_twisted.core.disposal import IN_USE, UNREFERENCED, Disposal
from ifap_twisted.core.history import Placed
from ifap_twisted.core.plans import PLANS, RESEALED, Plan, Planned
from ifap_twisted.core.records import RECORDS, Gone
from ifap_twisted.core.resealing import Spare
from ifap_twisted.core.retention import Reason
from ifap_twisted.core.upkeep import drawn_together, unrecorded
from ifap_twisted.core.values import Notice
from ifap_twisted.errors import DataError, MarkedByOthers, NotSupported, ProtocolViolation, Renumbered, StoreError
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.expunging import Expunging
from ifap_twisted.filesystem.keylines import lost_keys
from ifap_twisted.filesystem.onebyone import OneByOne
from ifap_twisted.filesystem.resealing import plan_copies, standing_copies
from ifap_twisted.filesystem.sparing import Sparing, under_newest
from ifap_twisted.filesystem.surveying import Survey, Surveyor, date_of
from ifap_twisted.interfaces import Progress

_Key: TypeAlias = tuple[str, str, tuple[int, ...]]
"""Path, id and places of a version."""

_BY_AGE = frozenset({Reason.TOMBSTONE_OVER, UNREFERENCED})
"""What may not be planned by the clock of this machine."""

_UNCERTAIN = Notice(
    code="listing-incomplete",
    text="The mail server does not list all messages that it says are there; nothing is collected from such a listing.",
)
_NO_UIDPLUS = Notice(
    code="no-uidplus",
    text="The mail server cannot remove single messages (no UIDPLUS); nothing is collected, the folder only grows. "
    'The setting expunge = "plain" allows another way.',
)
_READ_ONLY = Notice(code="read-only", text="The folder can only be read; nothing is collected.")
_NO_DATES = Notice(
    code="no-dates", text="The mail server does not say when it received a message; no grace can be counted."
)
_LOST_KEYS = Notice(
    code="key-slot",
    text="A key slot that leads from a former key to the newest is gone, so the copies under former keys stay; "
    "'ifap rekey' writes it anew.",
)
_RENUMBERED = Notice(
    code="renumbered",
    text="The mail server renumbered the folder meanwhile; what was planned before is void. Try again.",
)


class Collector:
    """Collects in one folder, one collection at a time.

    :param written: called when something was removed: a snapshot that names it is of no use any more.
    """

    _log = Logger()

    def __init__(self, desk: Desk, surveyor: Surveyor, written: Callable[[], Awaitable[None]]) -> None:
        self._desk = desk
        self._surveyor = surveyor
        self._written = written
        self._collections: OneByOne[collection.Collection] = OneByOne()

    def begin(self, *, dry_run: bool, progress: Progress) -> Deferred[collection.Collection]:
        """Plan what may go, and remove what was planned a grace ago and is still not needed."""
        return self._collections.begin(lambda: self._run(dry_run=dry_run, progress=progress))

    def stop(self) -> None:
        """Give up what is under way; it can be taken up anywhere."""
        self._collections.stop()

    async def _run(self, *, dry_run: bool, progress: Progress) -> collection.Collection:
        found = await self._settled(dry_run=dry_run, progress=progress)
        if found.counts()[COLLECTED] and not dry_run:
            await self._written()
        return found

    async def _settled(self, *, dry_run: bool, progress: Progress) -> collection.Collection:
        try:
            return await self._collect(dry_run=dry_run, progress=progress)
        except Renumbered:
            return collection.Collection(messages=(_RENUMBERED,), dry_run=dry_run)
        except NotSupported:
            return collection.Collection(messages=(_NO_UIDPLUS,), dry_run=dry_run)

    async def _collect(self, *, dry_run: bool, progress: Progress) -> collection.Collection:
        if (refusal := await self._look()) is not None:
            return collection.Collection(messages=(refusal,), dry_run=dry_run)
        if not dry_run:
            await self._unmark()
            await self._plan_copies()
        first = await self._surveyor.survey(None)
        told = first.references.notices()
        if dry_run or not first.has_work:
            return collection.Collection(verdicts=await self._verdicts(first, (), None), messages=told, dry_run=dry_run)
        planned = [one for one in first.to_plan if one.reason not in _BY_AGE]
        now = await self._plan(first, planned, first.needed_again)
        if now is None:
            return collection.Collection(verdicts=await self._verdicts(first, planned, ()), messages=(*told, _NO_DATES))
        second = await self._surveyor.survey(now)
        told = second.references.notices()
        if rest := second.to_plan:
            await self._plan(second, rest, [])
        removed: list[Placed] = []
        refusal = await self._carry_out(second, progress, removed) if second.due else None
        verdicts = await self._verdicts(second, [*planned, *rest], removed)
        if refusal is None and second.spares():
            spared: list[Spare] = []
            refusal = await self._spare(second.spares(), second.generation, spared)
            verdicts = (*verdicts, *_spared(spared))
        return collection.Collection(verdicts=verdicts, messages=told if refusal is None else (*told, refusal))

    def _verdicts(
        self, found: Survey, planned: Iterable[Planned], removed: Iterable[Placed] | None
    ) -> Deferred[tuple[Verdict, ...]]:
        """As :func:`_verdicts`: there may be a hundred thousand."""
        return self._desk.worker(lambda: _verdicts(found, planned, removed))

    async def _unmark(self) -> None:
        try:
            await self._desk.view.unmark()
        except StoreError as error:  # what is to go is marked anew, and what stays is looked at again with the next
            self._log.info("marks of a removal that was cut short could not be taken off: {why}", why=str(error))

    # Seeing

    async def _look(self) -> Notice | None:
        """Refresh completely; why nothing may be collected now."""
        view = self._desk.view
        await view.store.poll(thorough=True)
        await view.refresh()
        if view.incomplete or view.renumbering:
            return _UNCERTAIN
        if view.read_only:
            return _READ_ONLY
        return None if self._desk.expunges else _NO_UIDPLUS

    # Planning

    async def _plan_copies(self) -> None:
        """Plan anew the copies under former keys whose plans a renumbering has voided."""
        view = self._desk.view
        if len(view.keys) < 2:
            return
        known = await standing_copies(self._desk)
        histories = [view.index.history(path) for path in view.index.paths()]
        some = [
            history
            for history in histories
            if any(uid not in known for one in history.versions for uid in one.places[:-1])
        ]
        uids = {uid for history in some for one in history.versions for uid in one.places}
        if uids:
            sound = await under_newest(self._desk, uids, view.generation)
            await plan_copies(self._desk, [one.versions[0].version.path for one in some], sound)

    async def _plan(self, found: Survey, collect: Sequence[Planned], keep: Sequence[Planned]) -> float | None:
        """Write plans; fires with the server's clock, or None when it does not tell. An empty plan asks only that."""
        empty = Plan(uidvalidity=found.uidvalidity)
        plans = [replace(empty, keep=some) for some in _sliced(keep)]
        plans += [replace(empty, collect=some) for some in _sliced(collect)]
        *some, last = plans or [empty]
        for plan in some:
            await self._desk.writer.add_object(PLANS, await self._desk.worker(plan.encode))
        written = await self._desk.writer.add_object(PLANS, await self._desk.worker(last.encode))
        return date_of(written, await self._desk.view.store.dates(written.places))

    # Removing

    async def _carry_out(self, found: Survey, progress: Progress, removed: list[Placed]) -> Notice | None:
        """Record, look again, and remove what both surveys let go; why it did not come to that."""
        await self._record(found)
        if (refusal := await self._look()) is not None:
            return refusal
        again = await self._surveyor.survey(found.known.now)
        disposals = await self._desk.worker(lambda: _recorded(again, found))
        plainly = self._desk.options.expunges_plainly
        expunging = Expunging(self._desk, disposals, again, progress, plainly=plainly)
        try:
            await expunging.run()
        except MarkedByOthers as marked:
            return Notice(code="marked-by-others", text=marked.detail)
        finally:
            removed.extend(expunging.removed)
        return None

    async def _spare(self, due: Collection[int], generation: int, spared: list[Spare]) -> Notice | None:
        """Look again, and remove the places that others take over; why it did not come to that."""
        if (refusal := await self._look() or await self._lines()) is not None:
            return refusal
        sparing = Sparing(self._desk, due, generation, plainly=self._desk.options.expunges_plainly)
        try:
            await sparing.run()
        except MarkedByOthers as marked:
            return Notice(code="marked-by-others", text=marked.detail)
        finally:
            spared.extend(sparing.removed)
        return None

    async def _lines(self) -> Notice | None:
        """The copies under a former key stay while that does not lead to the newest: somebody may have no other."""
        try:
            return _LOST_KEYS if await lost_keys(self._desk.view) else None
        except (DataError, StoreError) as error:
            return Notice(code=error.code, text=f"Copies under former keys were not removed: {error.detail}")

    async def _record(self, found: Survey) -> None:
        """Write what is about to be removed, and read it back."""
        now = found.known.now
        gone = [
            Gone.of(placed.version, time=now, end=disposal.end)
            for disposal in found.due
            if not paths.is_reserved(disposal.path)
            for placed in disposal.going
        ]
        # What this process remembers does not count: other devices go by what is there.
        earlier = [record for _placed, record in await self._desk.objects.records()]
        gone = list(unrecorded(gone, earlier, now))
        if not gone:
            return
        for record in drawn_together(gone, earlier, now):
            content = record.encode()
            placed = await self._desk.writer.add_object(RECORDS, content)
            if await self._desk.reader.content(placed) != content:
                raise ProtocolViolation("The mail server does not give a collection record back as it was stored.")
        await self._desk.objects.read_records()


def _sliced(entries: Sequence[Planned]) -> Iterator[tuple[Planned, ...]]:
    for start in range(0, len(entries), limits.PLAN_ENTRIES):
        yield tuple(entries[start : start + limits.PLAN_ENTRIES])


def _key(placed: Placed) -> _Key:
    return placed.version.path, placed.version.vid, placed.places


def _spared(spared: Iterable[Spare]) -> Iterator[Verdict]:
    for one in spared:
        version = one.placed.version
        yield Verdict(version.path, version.vid, version.length, one.places, COLLECTED, RESEALED, REASONS[RESEALED])


def _recorded(again: Survey, found: Survey) -> list[Disposal]:
    """What both surveys let go."""
    recorded = {_key(placed) for disposal in found.due for placed in disposal.going}
    return [_only(disposal, recorded) for disposal in again.due]


def _only(disposal: Disposal, recorded: Collection[_Key]) -> Disposal:
    """Without what was let go just now only: it is not on record yet."""
    cases = [
        case._replace(fate=WAITING) if case.fate == COLLECTED and _key(case.placed) not in recorded else case
        for case in disposal.cases
    ]
    return replace(disposal, cases=tuple(cases))


def _verdicts(found: Survey, planned: Iterable[Planned], removed: Iterable[Placed] | None) -> tuple[Verdict, ...]:
    """What a survey says, and what came of it.

    :param planned: what was planned since it was begun.
    :param removed: what of those that may go is gone; None: they all would be.
    """
    new = {(one.uid, one.vid) for one in planned}
    gone = None if removed is None else {_key(placed) for placed in removed}
    verdicts = []
    for path, case in found.cases():
        version, fate, reason, left = case.placed.version, case.fate, str(case.reason), case.left
        if fate == COLLECTED and gone is not None and _key(case.placed) not in gone:
            fate, reason, left = WAITING, IN_USE, 0.0
        if fate == WAITING and any((uid, version.vid) in new for uid in case.placed.places):
            fate = PLANNED
        verdicts.append(
            Verdict(path, version.vid, version.length, case.placed.places, fate, reason, REASONS[reason], left)
        )
    return tuple(verdicts)
