"""Collecting in two phases: FORMAT 5.3 to 5.6."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Collection as Several
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import snapshot
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING, Collection
from ifap_twisted.core.disposal import Knowledge, survey
from ifap_twisted.core.plans import PLANS
from ifap_twisted.core.records import RECORDS
from ifap_twisted.core.retention import Policy
from ifap_twisted.core.values import Traits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import NotFound, Refused, StoredAsConflict, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.following import AGAIN_SECONDS
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.store.memory import MemoryStore, Turnstile
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import KEY, START, Folder, result
from tests.messages import mail

DAY = 86400.0
KEEP_ONE = Options(keep=1)
PLAIN = Options(keep=1, expunges_plainly=True)


class Meanwhile(InlineWorker):
    """Lets something happen before it does its first work: while a folder is opened, after it was listed."""

    def __init__(self, happening: Callable[[], Deferred[Any]]) -> None:
        self._happenings = [happening]

    def __call__(self, work: Any) -> Any:
        while self._happenings:
            result(self._happenings.pop()())
        return super().__call__(work)


class CollectingCase(SynchronousTestCase):
    """A folder, a device that keeps one version of each file, and its clock."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.fs = self.folder.device(options=KEEP_ONE)

    def put(self, path: str, *contents: bytes, fs: Filesystem | None = None) -> list[str]:
        """Write versions one after the other; their ids."""
        return [result((fs or self.fs).put(path, content)).version for content in contents]

    def collect(self, fs: Filesystem | None = None, **how: Any) -> Collection:
        """Collect now."""
        found: Collection = result((fs or self.fs).collect(**how))
        return found

    def collect_after_grace(self) -> None:
        """Twice: what the first one plans, the second one finds due."""
        self.collect()
        self.later(8)
        self.collect()

    def collect_for_long(self, *, anew: bool = False) -> None:
        """Five times, each when the grace of the one before is over; ``anew``: by a process of its own each time."""
        for _ in range(5):
            self.collect(self.folder.device() if anew else None)
            self.later(8)

    def later(self, days: float) -> None:
        """Time goes by."""
        self.folder.clock.advance(days * DAY)

    def versions(self, path: str, fs: Filesystem | None = None) -> list[str]:
        """The ids of the versions that a fresh device sees, oldest first."""
        fresh = self.folder.device()
        found = [entry.version for entry in reversed(result(fresh.versions(path)))]
        result(fresh.close())
        return found

    def fates(self, found: Collection, path: str) -> list[str]:
        """What became of the versions of a path, in their order."""
        return [verdict.fate for verdict in found.verdicts if verdict.path == path]


class TwoPhaseTests(CollectingCase):
    """First a plan, a grace later the removal."""

    def test_what_is_old_is_planned_first(self) -> None:
        """Nothing is removed by the first collection, nor before the grace is over."""
        vids = self.put("a", b"1", b"2", b"3")
        self.assertEqual([PLANNED, PLANNED, KEPT], self.fates(self.collect(), "a"))
        self.later(6.9)
        self.assertEqual([WAITING, WAITING, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids, self.versions("a"))

    def test_it_is_removed_when_the_grace_is_over(self) -> None:
        """Seven days later what was planned is gone, and the newest is as it was."""
        vids = self.put("a", b"1", b"2", b"3")
        self.collect()
        self.later(7.1)
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids[2:], self.versions("a"))
        self.assertEqual(b"3", result(self.folder.device().get("a")))

    def test_the_shortest_grace_is_a_day(self) -> None:
        """Whatever is configured."""
        self.fs = self.folder.device(options=Options(keep=1, grace=0.0))
        self.put("a", b"1", b"2")
        self.collect()
        self.later(0.99)
        self.assertEqual([WAITING, KEPT], self.fates(self.collect(), "a"))
        self.later(0.02)
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(), "a"))

    def test_any_device_goes_on(self) -> None:
        """The plan lies in the folder: who planned may be gone."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        result(self.fs.close())
        self.later(8)
        self.collect(self.folder.device(options=KEEP_ONE))
        self.assertEqual(vids[1:], self.versions("a"))

    def test_the_clock_of_the_server_counts(self) -> None:
        """A machine that believes that a month has passed removes nothing; the dates of two messages say how long."""
        self.put("a", b"1", b"2")
        self.collect()
        self.folder.shelf.passed = lambda _now: None  # type: ignore[method-assign]
        self.later(30)
        self.assertEqual([WAITING, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(2, len(self.versions("a")))

    def test_a_server_that_lies_about_dates(self) -> None:
        """The grace is over at once then; what goes is what no rule keeps, and nothing else."""
        vids = self.put("a", b"1", b"2", b"3")
        conflict = self.put("b", b"1") + self.put("b", b"2")
        result(self.fs.keep("b", 2))
        store = Lying(self.folder.shelf, clock=self.folder.clock)
        fs = self.folder.device(store=store, options=KEEP_ONE)
        for number in range(3):
            self.put("c", b"%d" % number, fs=fs)
            self.collect(fs)
        self.assertEqual(vids[2:], self.versions("a"))
        self.assertEqual(conflict[1:], self.versions("b")[:1])
        self.assertEqual(b"3", result(self.folder.device().get("a")))
        self.assertEqual(b"2", result(self.folder.device().get("b")))

    def test_a_dry_run_changes_nothing(self) -> None:
        """It says what would be, and writes no message."""
        self.put("a", b"1", b"2")
        before = dict(self.folder.shelf.messages)
        self.assertEqual([PLANNED, KEPT], self.fates(self.collect(dry_run=True), "a"))
        self.assertEqual(before, dict(self.folder.shelf.messages))
        self.collect()
        self.later(8)
        before = dict(self.folder.shelf.messages)
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(dry_run=True), "a"))
        self.assertEqual(before, dict(self.folder.shelf.messages))

    def test_nothing_to_do_writes_nothing(self) -> None:
        """A folder in which nothing is old does not grow by being looked at."""
        self.put("a", b"1")
        before = dict(self.folder.shelf.messages)
        for _ in range(3):
            self.collect()
            self.later(30)
        self.assertEqual(before, dict(self.folder.shelf.messages))

    def test_a_planned_one_that_waits_costs_nothing(self) -> None:
        """While the grace runs no further message is written."""
        self.put("a", b"1", b"2")
        self.collect()
        before = dict(self.folder.shelf.messages)
        self.later(3)
        self.collect()
        self.assertEqual(before, dict(self.folder.shelf.messages))

    def test_progress_and_counts(self) -> None:
        """The caller hears how many of how many are gone, and gets counts and sizes by fate."""
        for name in "abc":
            self.put(name, b"12345", b"2")
        self.collect()
        self.later(8)
        heard: list[tuple[int, int]] = []
        found = self.collect(progress=lambda done, total: heard.append((done, total)))
        self.assertEqual([(3, 3)], heard)
        self.assertEqual(3, found.counts()[COLLECTED])
        self.assertEqual(15, found.sizes()[COLLECTED])
        self.assertLess(0, found.counts()[KEPT])


class Withholding(MemoryStore):
    """A session with a server that cannot give one message now, or not its date."""

    def __init__(self, folder: Folder, uid: int, what: str) -> None:
        super().__init__(folder.shelf, clock=folder.clock)
        self._uid = uid
        self._what = what

    def message(self, uid: int) -> Deferred[bytes]:
        """Its bytes."""
        if (self._what, uid) == ("message", self._uid):
            return fail(Unavailable("Try again later."))
        return super().message(uid)

    @deferred
    async def dates(self, uids: Several[int]) -> dict[int, float]:
        """When they were received."""
        found = await super().dates(uids)
        return {uid: date for uid, date in found.items() if (self._what, uid) != ("dates", self._uid)}


class Lying(MemoryStore):
    """A session with a server that says it received each message a month before the next one."""

    @deferred
    async def dates(self, uids: Several[int]) -> dict[int, float]:
        """When they were received."""
        return {uid: START + uid * 30 * DAY for uid in await super().dates(uids)}


class NeededAgainTests(CollectingCase):
    """What is needed at the end of the grace stays, whatever the plan says."""

    def test_raising_the_number_of_versions(self) -> None:
        """``vers 5`` during the grace keeps them."""
        vids = self.put("a", b"1", b"2", b"3")
        self.collect()
        result(self.fs.keep("a", 5))
        self.later(8)
        self.collect()
        self.assertEqual(vids, self.versions("a")[:3])

    def test_the_grace_begins_anew(self) -> None:
        """What was needed in between is planned again, and waits its whole grace again."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        result(self.fs.keep("a", 5))
        self.later(3)
        self.collect()
        result(self.fs.keep("a", 1))
        self.later(10)
        self.collect()
        self.assertEqual(vids, self.versions("a")[:2])
        self.later(8)
        self.collect()
        self.assertEqual(1, len(self.versions("a")))

    def test_a_plan_that_cannot_be_read_or_has_no_date(self) -> None:
        """It may be the one that says what was needed again in between: no grace that began before it counts."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        plans = {one.places[0] for one in self.fs.desk.view.index.objects(PLANS)}
        result(self.fs.keep("a", 5))
        self.later(3)
        self.collect()
        (said,) = {one.places[0] for one in self.fs.desk.view.index.objects(PLANS)} - plans
        result(self.fs.keep("a", 1))
        self.later(8)
        for store in (Withholding(self.folder, said, "message"), Withholding(self.folder, said, "dates")):
            found = self.collect(self.folder.device(store=store, options=KEEP_ONE))
            self.assertNotIn(COLLECTED, self.fates(found, "a"))
        self.assertEqual(vids, self.versions("a")[:2])

    def test_a_version_that_became_a_head_again(self) -> None:
        """What replaced it was removed by somebody else: it is shown, and stays."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        newest = max(uid for uid in self.folder.shelf.messages if self.at(uid) == "a")
        self.folder.shelf.remove([newest])
        self.assertEqual([KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids[:1], self.versions("a"))

    def at(self, uid: int) -> str | None:
        """The path of the version at a UID."""
        version = self.fs.desk.view.index.at(uid)
        return None if version is None else version.path

    def test_what_replaced_it_has_to_have_been_there(self) -> None:
        """A version is collected when something a grace old descends from it: a refused write may still go."""
        self.fs = self.folder.device(options=Options(keep=2, grace=2 * DAY))
        self.put("a", b"1", b"2", b"3")
        self.collect()
        self.later(3)
        old = [uid for uid in self.folder.shelf.messages if self.at(uid) == "a"][1:]
        for uid in old:
            self.folder.shelf.date(uid, self.folder.clock.seconds())
        fresh = self.folder.device(options=Options(keep=2, grace=2 * DAY))
        found = self.collect(fresh)
        self.assertEqual([WAITING, KEPT, KEPT], self.fates(found, "a"))
        self.assertEqual(["not-covered"], [v.reason for v in found.verdicts if v.fate == WAITING])

    def test_undelete_and_restore_in_the_grace(self) -> None:
        """What they wrote stays; the content is there to the last."""
        vids = self.put("a", b"1", b"2")
        result(self.fs.remove("a"))
        self.collect()
        result(self.fs.undelete("a"))
        result(self.fs.restore("a", vids[0]))
        self.later(8)
        self.collect_after_grace()
        self.assertEqual(b"1", result(self.folder.device().get("a")))


class HeadTests(CollectingCase):
    """A head is not collected."""

    def conflict(self) -> list[str]:
        """Two devices write at the same time, over a version of before; the ids of the heads."""
        self.put("a", b"0")
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.gate = turnstile = Turnstile("append")
        work: Any = other.put("a", b"theirs")
        mine = self.put("a", b"mine")
        turnstile.release()
        theirs = result(work).version
        result(self.fs.refresh())
        return [*mine, theirs]

    def test_all_heads_of_a_conflict_stay(self) -> None:
        """Through every collection; what lies before them goes."""
        heads = self.conflict()
        for _ in range(4):
            self.collect()
            self.later(10)
        self.assertEqual(sorted(heads), sorted(self.versions("a")))
        self.assertEqual(2, len(result(self.folder.device().conflicts("a"))))

    def test_a_removed_file_is_kept_for_a_year(self) -> None:
        """Its tombstone, and as many versions as the policy says."""
        self.put("a", b"1")
        result(self.fs.remove("a"))
        for _ in range(36):
            self.collect()
            self.later(10)
        self.collect()
        self.assertEqual(2, len(self.versions("a")))

    def test_after_a_year_nothing_is_left(self) -> None:
        """First the versions, then the tombstone that is alone."""
        self.put("a", b"1", b"2")
        result(self.fs.remove("a"))
        self.later(366)
        self.collect_for_long()
        self.assertRaises(NotFound, self.versions, "a")

    def test_a_removal_before_a_message_that_cannot_be_read(self) -> None:
        """That may be a newer version of the file, of which the old ones are then all that can be read."""
        self.fs = self.folder.device()
        vids = self.put("a", b"1", b"2")
        result(self.fs.remove("a"))
        self.later(366)
        self.put("a", b"new")
        damaged = self.fs.desk.view.index.highest
        self.folder.shelf.tamper(damaged, self.folder.shelf.messages[damaged].replace(b"!gAAAA", b"!gAAAB"))
        self.put("b", b"1")
        result(self.fs.remove("b"))
        self.later(366)
        self.collect_for_long(anew=True)
        self.assertEqual(1, len(self.folder.device().desk.view.index.rejected()))
        self.assertEqual(vids, self.versions("a")[:2])
        self.assertRaises(NotFound, self.versions, "b")
        self.folder.shelf.forget(damaged)
        self.collect_for_long(anew=True)
        self.assertRaises(NotFound, self.versions, "a")

    def test_a_tombstone_of_which_only_the_machine_says_that_it_is_old(self) -> None:
        """It is not even planned: the server's clock says that it is young."""
        self.put("a", b"1")
        result(self.fs.remove("a"))
        self.folder.shelf.remove([uid for uid in self.folder.shelf.messages if self.is_live(uid)])
        self.folder.shelf.passed = lambda _now: None  # type: ignore[method-assign]
        self.later(400)
        self.assertEqual([KEPT], self.fates(self.collect(), "a"))

    def is_live(self, uid: int) -> bool:
        """It is a version of the file that is no tombstone."""
        version = self.fs.desk.view.index.at(uid)
        return version is not None and version.path == "a" and not version.deleted

    def test_history_stays_linear(self) -> None:
        """Without what was in the middle the newest still descends from what was kept of old."""
        options = Options(keep=1, retention=Policy(monthly=12))
        self.fs = self.folder.device(options=options)
        for _ in range(4):
            self.put("a", b"1", b"2", b"3")
            self.later(31)
        self.collect_after_grace()
        fresh = self.folder.device()
        history = fresh.desk.view.index.history("a")
        self.assertEqual(4, len(history.versions))
        self.assertEqual(1, len(history.heads))
        self.assertEqual([3, 2, 1, 0], [len(history.ancestors(one)) for one in reversed(history.versions)])

    def test_a_version_that_a_newer_program_wrote(self) -> None:
        """It is not understood and stays, whatever its age."""
        self.put("a", b"1", b"2")
        old = self.fs.desk.view.index.history("a").versions[0]
        self.fs.desk.view.index.observe(old.rank, old.version._replace(understood=False))
        self.collect()
        self.later(8)
        self.assertEqual([KEPT, KEPT], self.fates(self.collect(), "a"))


class RecordTests(CollectingCase):
    """What was collected is known when it turns up again."""

    def replay(self, *vids: str) -> None:
        """The server stores messages of before once more."""
        for vid in vids:
            self.folder.shelf.add(self.kept[vid])
        result(self.fs.refresh())

    def remember(self) -> None:
        """Keep the messages that are there now."""
        index, messages = self.fs.desk.view.index, self.folder.shelf.messages
        self.kept = {version.vid: messages[uid] for uid in messages if (version := index.at(uid)) is not None}

    def test_a_record_is_written_before_anything_is_removed(self) -> None:
        """Whoever dies in between leaves a record, and everything that it names."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.fail_next("remove", Unavailable("The server is away."))
        self.assertRaises(Unavailable, self.collect, other)
        fresh = self.folder.device()
        self.assertTrue(fresh.desk.view.index.is_collected(vids[0]))
        self.assertEqual(vids, self.versions("a"))
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(1, len(fresh.desk.view.index.objects(RECORDS)))

    def test_a_copy_that_turns_up_is_no_head(self) -> None:
        """Nor a conflict; and it is collected again, a grace later."""
        vids = self.put("a", b"1", b"2")
        self.remember()
        self.collect_after_grace()
        self.replay(vids[0])
        self.assertEqual([], result(self.fs.conflicts()))
        self.assertEqual(b"2", result(self.fs.get("a")))
        self.collect_after_grace()
        self.assertEqual(vids[1:], self.versions("a"))

    def test_a_removed_file_does_not_come_back(self) -> None:
        """Neither for who was there nor for a new device, when a version of it is stored again after its end.

        Nor in a listing of the past.
        """
        vids = self.put("a", b"1", b"2")
        result(self.fs.remove("a"))
        self.remember()
        self.later(366)
        self.collect_for_long()
        self.replay(*vids)
        for fs in (self.fs, self.folder.device()):
            self.assertEqual([], [entry.path for entry in result(fs.list())])
            now = self.folder.clock.seconds() + 1.0
            self.assertEqual([], [entry.path for entry in result(fs.list(at=now))])
            self.assertRaises(NotFound, result, fs.get("a"))
        self.collect_after_grace()
        self.assertRaises(NotFound, self.versions, "a")

    def test_a_new_file_of_that_name_is_a_file(self) -> None:
        """Written after the end, with the copies of the old one there."""
        vids = self.put("a", b"1", b"2")
        result(self.fs.remove("a"))
        self.remember()
        self.later(366)
        self.collect_for_long()
        self.replay(*vids)
        self.put("a", b"new")
        self.assertEqual(b"new", result(self.folder.device().get("a")))
        self.assertEqual([], result(self.folder.device().conflicts()))

    def test_undelete_brings_back_what_turned_up(self) -> None:
        """Who wants it has it: nothing that is there is out of reach."""
        vids = self.put("a", b"1")
        result(self.fs.remove("a"))
        self.remember()
        self.later(366)
        self.collect_for_long()
        self.replay(*vids)
        result(self.fs.undelete("a"))
        self.assertEqual(b"1", result(self.folder.device().get("a")))

    def test_a_damaged_record_hides_nothing(self) -> None:
        """It is left alone, and everything else goes on."""
        self.put("a", b"1", b"2")
        result(self.object(RECORDS, b"{}"))
        result(self.object(PLANS, b"[]"))
        self.collect()
        self.later(8)
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(2, len(self.fs.desk.view.index.objects(RECORDS)))

    def object(self, kind: str, content: bytes) -> Deferred[Any]:
        """Store a reserved object."""
        return Deferred.fromCoroutine(self.fs.desk.writer.add_object(kind, content))

    def test_what_only_this_process_remembers_is_put_on_record_again(self) -> None:
        """A copy that turns up when its record is gone from the folder is removed only when a new one says so."""
        vids = self.put("a", b"1", b"2")
        self.remember()
        self.collect_after_grace()
        self.folder.shelf.remove([placed.places[0] for placed in self.fs.desk.view.index.objects(RECORDS)])
        self.replay(vids[0])
        self.collect_after_grace()
        self.assertEqual(vids[1:], self.versions("a"))
        self.assertTrue(self.folder.device().desk.view.records.is_collected(vids[0]))

    def test_records_are_drawn_together(self) -> None:
        """There are never many: a new one says what the earlier ones said, and they are collected."""
        for number in range(30):
            self.put("a", b"%d" % number, b"%d" % number)
            self.collect()
            self.later(8)
        self.collect()
        self.assertGreater(22, len(self.fs.desk.view.index.objects(RECORDS)))
        self.assertGreater(12, len(self.fs.desk.view.index.objects(PLANS)))
        fresh = self.folder.device().desk.view.index
        self.assertEqual(59, len({one.vid for known in fresh.records._vids.values() for one in known}))


class PlacesTests(CollectingCase):
    """All places of a version, and no other's."""

    def test_a_late_double_is_waited_for(self) -> None:
        """A version goes with all its places, and only when each of them was planned."""
        vids = self.put("a", b"1", b"2")
        double = self.folder.shelf.messages[self.fs.desk.view.index.history("a").find(vids[0])[0].rank]
        self.collect()
        self.later(5)
        self.folder.shelf.passed(self.folder.clock.seconds())
        self.folder.shelf.add(double)
        self.later(3)
        self.assertEqual([PLANNED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids, self.versions("a"))
        self.later(8)
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids[1:], self.versions("a"))

    def test_a_renumbering_voids_plans(self) -> None:
        """The grace begins anew with the new numbers, in whatever order they were given."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
        result(self.fs.refresh())
        self.assertEqual([PLANNED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(2, len(self.versions("a")))
        self.later(8)
        self.collect()
        self.assertEqual(vids[1:], self.versions("a"))

    def test_a_renumbering_right_before_the_removal(self) -> None:
        """No number of before is used: nothing is removed."""
        self.put("a", b"1", b"2")
        self.put("b", b"3", b"4")
        self.collect()
        self.later(8)
        for method in ("headers", "remove"):
            store = self.folder.store()
            other = self.folder.device(store=store, options=KEEP_ONE)
            before = sorted(self.folder.shelf.messages.values())
            store.gate = turnstile = Turnstile("remove")
            work = other.collect()
            if method == "headers":
                turnstile.release(0)
            self.folder.shelf.renumber(sorted(self.folder.shelf.messages, reverse=True))
            turnstile.release()
            self.assertEqual(["renumbered"], [notice.code for notice in result(work).messages])
            self.assertLessEqual(set(before), set(self.folder.shelf.messages.values()))
            self.collect()
            self.later(8)

    def test_another_message_at_the_place(self) -> None:
        """A server that shows something else there than before is not believed; nothing is removed."""
        self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        first = self.fs.desk.view.index.history("a").versions[0].rank
        other = self.fs.desk.view.index.history("a").versions[1].rank
        self.folder.shelf.tamper(first, self.folder.shelf.messages[other])
        self.assertEqual([message.code for message in self.collect().messages], ["renumbered"])
        self.assertIn(first, self.folder.shelf.messages)

    def test_two_versions_of_one_id(self) -> None:
        """Nobody can say which one a plan means: both stay."""
        self.put("a", b"1", b"2")
        index = self.fs.desk.view.index
        old = index.history("a").versions[0]
        index.observe(9999, old.version._replace(mime="text/x"))
        known = self.fs.desk.view.index.history("a")
        self.assertEqual(3, len(known.versions))
        histories = {"a": known}
        knowledge = Knowledge(
            now=START + 100 * DAY,
            dates=dict.fromkeys((*old.places, 9999, known.versions[1].rank), START),
            standing={},
            records=index.records,
            policy=Policy(keep=1),
            grace=DAY,
        )
        (disposal,) = survey(histories, knowledge)
        self.assertEqual({KEPT}, {case.fate for case in disposal.cases})


class PlainTests(CollectingCase):
    """On a server without UIDPLUS, where the user allows plain EXPUNGE (FORMAT 5.4)."""

    def setUp(self) -> None:
        super().setUp()
        self.fs = self.poor(PLAIN)

    def poor(self, options: Options) -> Filesystem:
        """A device on such a server."""
        traits = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        return self.folder.device(store=self.folder.store(traits=traits), options=options)

    def planned(self) -> list[str]:
        """Versions whose grace is over."""
        vids = self.put("a", b"1", b"2", b"3")
        self.collect()
        self.later(8)
        return vids

    def test_it_is_removed_when_the_grace_is_over(self) -> None:
        """As on any other server."""
        vids = self.planned()
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(vids[2:], self.versions("a"))

    def test_marked_by_others(self) -> None:
        """While somebody has marked mail as deleted nothing is removed, and it is said; after that it goes on."""
        vids = self.planned()
        foreign = self.folder.shelf.add(mail())
        self.folder.shelf.marked.add(foreign)
        found = self.collect()
        self.assertEqual(["marked-by-others"], [notice.code for notice in found.messages])
        self.assertEqual([WAITING, WAITING, KEPT], self.fates(found, "a"))
        self.assertEqual(vids, self.versions("a"))
        self.assertIn(foreign, self.folder.shelf.messages)
        self.folder.shelf.marked.clear()
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertIn(foreign, self.folder.shelf.messages)

    def test_a_mark_on_what_stays(self) -> None:
        """It is taken off a version of ours, so that no EXPUNGE of anybody removes that."""
        vids = self.planned()
        self.folder.shelf.marked.add(self.fs.desk.view.index.history("a").versions[2].places[0])
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(), "a"))
        self.assertEqual(set(), self.folder.shelf.marked)
        self.assertEqual(vids[2:], self.versions("a"))

    def test_marks_that_were_left(self) -> None:
        """What a removal that was cut short left marked is in nobody's way: it is still to go."""
        vids = self.planned()
        self.folder.shelf.marked.add(self.fs.desk.view.index.history("a").versions[1].places[0])
        other = self.poor(PLAIN)
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(other), "a"))
        self.assertEqual(vids[2:], self.versions("a"))

    def test_only_collecting(self) -> None:
        """A write that somebody overtook is not taken back: that would be an EXPUNGE nobody asked for."""
        first = result(self.fs.put("a", b"1")).version
        gate = Turnstile("append")
        traits = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
        other = self.folder.device(store=self.folder.store(traits=traits, gate=gate), options=PLAIN)
        late = other.put("a", b"late", expect=first)
        result(self.fs.put("a", b"2"))
        gate.release()
        self.assertRaises(StoredAsConflict, result, late)
        self.assertEqual(3, len(self.versions("a")))


class MarkTests(CollectingCase):
    """A removal marks and then expunges; no mark is left on what stays (FORMAT 5.4)."""

    def setUp(self) -> None:
        super().setUp()
        self.store = self.folder.store()
        self.fs = self.folder.device(store=self.store, options=KEEP_ONE)
        self.vids = self.put("a", b"1", b"2", b"3")
        self.collect()
        self.later(8)

    def cut_short(self) -> None:
        """The connection breaks between the two steps."""
        self.store.fail_next("expunge", Unavailable("cut"))
        self.failureResultOf(self.fs.collect(), Unavailable)
        self.assertEqual(2, len(self.folder.shelf.marked))

    def expunged(self) -> list[str]:
        """What is left of the versions when another program sends a plain EXPUNGE."""
        self.folder.shelf.remove(set(self.folder.shelf.marked))
        return self.versions("a")

    def test_refused(self) -> None:
        """When the server refuses the second step, the first is undone."""
        self.store.fail_next("expunge", Refused("no"))
        self.failureResultOf(self.fs.collect(), Refused)
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_after_a_reconnection(self) -> None:
        """The marks are taken off as soon as the server can be reached again."""
        self.cut_short()
        self.store.go_offline()
        self.store.go_online()
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_after_a_failure(self) -> None:
        """What the server refused is tried again after some seconds; the connection need not break for it."""
        for refused in ("marked", "unmark"):
            self.cut_short()
            self.store.fail_next(refused, Refused("not now"))
            self.store.go_offline()
            self.store.go_online()
            self.assertEqual(2, len(self.folder.shelf.marked))
            self.folder.clock.advance(AGAIN_SECONDS)
            self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_after_many_failures(self) -> None:
        """A server that goes on refusing is asked less and less often, and never given up (P10)."""
        self.cut_short()
        refusals = 5
        self.store.fail_next("marked", Refused("not now"), refusals)
        self.store.go_offline()
        self.store.go_online()
        for seconds in (AGAIN_SECONDS * 2**number for number in range(refusals)):
            self.folder.clock.advance(seconds - 1)
            self.assertEqual(2, len(self.folder.shelf.marked))
            self.folder.clock.advance(1)
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_after_a_failure_while_opening(self) -> None:
        """The device that opened the folder tries again, too."""
        self.cut_short()
        store = self.folder.store()
        store.fail_next("marked", Refused("not now"))
        self.folder.device(store=store)
        self.assertEqual(2, len(self.folder.shelf.marked))
        self.folder.clock.advance(AGAIN_SECONDS)
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_a_reconnection_meanwhile(self) -> None:
        """What was marked before a reconnection that comes while marks are taken off is seen, too."""
        self.cut_short()
        self.store.gate = turnstile = Turnstile("unmark")
        self.store.go_offline()
        self.store.go_online()
        self.store.go_offline()
        self.folder.shelf.marked.add(self.fs.desk.view.index.history("a").versions[0].places[0])
        self.store.go_online()
        turnstile.release()
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_a_filesystem_that_was_closed(self) -> None:
        """It tries nothing again."""
        self.cut_short()
        self.store.fail_next("marked", Refused("not now"))
        self.store.go_offline()
        self.store.go_online()
        result(self.fs.close())
        self.folder.clock.advance(AGAIN_SECONDS)
        self.assertEqual(2, len(self.folder.shelf.marked))

    def test_after_a_kill(self) -> None:
        """By the next that opens the folder."""
        self.cut_short()
        self.folder.device()
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_after_a_kill_in_a_busy_folder(self) -> None:
        """Others who write while the folder is opened keep nobody from looking."""
        self.cut_short()
        self.folder.device(worker=Meanwhile(lambda: self.fs.put("b", b"busy")))
        self.assertEqual((set(), self.vids), (self.folder.shelf.marked, self.expunged()))

    def test_what_another_folder_marked(self) -> None:
        """A message that was moved here from another folder is not ours to unmark, nor what that one collected ours to
        know: not even before it is known which folder this is.
        """
        elsewhere = Folder(seed=5)
        other = elsewhere.device(options=KEEP_ONE)
        vids = [result(other.put("a", content)).version for content in (b"1", b"2")]
        result(other.collect())
        elsewhere.clock.advance(8 * DAY)
        self.assertEqual([COLLECTED, KEPT], [one.fate for one in result(other.collect()).verdicts if one.path == "a"])
        for message in elsewhere.shelf.messages.values():
            self.folder.shelf.marked.add(self.folder.shelf.add(message))
        marked = set(self.folder.shelf.marked)
        home = self.folder.device().desk.view.home
        busy = Meanwhile(lambda: self.fs.put("b", b"busy"))
        opened = self.folder.device(Membership(keys=(KEY,), home=home), worker=busy)
        self.assertEqual(marked, self.folder.shelf.marked)
        self.assertFalse(any(opened.desk.view.records.is_collected(vid) for vid in vids))

    def test_kept_again(self) -> None:
        """A collection takes them off what is wanted again; it does not look only when it opens or reconnects."""
        self.cut_short()
        result(self.fs.keep("a", 9))
        self.assertEqual({KEPT}, set(self.fates(self.collect(), "a")))
        self.assertEqual(self.vids, self.expunged()[:3])

    def test_a_dry_run(self) -> None:
        """It changes nothing, no mark either."""
        self.cut_short()
        self.collect(dry_run=True)
        self.assertEqual(2, len(self.folder.shelf.marked))

    def test_foreign_mail(self) -> None:
        """What somebody marked that is not ours stays marked."""
        foreign = self.folder.shelf.add(mail())
        self.folder.shelf.marked.add(foreign)
        self.collect()
        self.folder.device()
        self.assertEqual({foreign}, self.folder.shelf.marked)

    def test_what_is_being_removed_here(self) -> None:
        """A reconnection in the middle of a removal takes no mark off what that removes."""
        view = self.fs.desk.view
        uid = view.index.history("a").versions[0].places[0]
        self.folder.shelf.marked.add(uid)
        answered: Deferred[None] = Deferred()
        self.patch(self.store, "remove", lambda *_call: answered)
        removing = Deferred.fromCoroutine(view.remove(view.index.sealed_ids([uid]), view.generation))
        self.store.go_offline()
        self.store.go_online()
        self.assertEqual({uid}, self.folder.shelf.marked)
        answered.callback(None)
        result(removing)

    def test_who_cannot_look(self) -> None:
        """A server that refuses to search stops nothing."""
        self.store.fail_next("marked", Refused("no"))
        self.assertEqual([COLLECTED, COLLECTED, KEPT], self.fates(self.collect(), "a"))


class ServerTests(CollectingCase):
    """What a server cannot do, or does not say, stops everything."""

    def planned(self) -> None:
        """A version whose grace is over."""
        self.put("a", b"1", b"2")
        self.collect()
        self.later(8)

    def refused(self, code: str, **how: Any) -> None:
        """A device on such a server says why, and changes nothing."""
        self.planned()
        store = self.folder.store(**how)
        other = self.folder.device(store=store, options=KEEP_ONE)
        before = dict(self.folder.shelf.messages)
        found = self.collect(other)
        self.assertEqual([code], [notice.code for notice in found.messages])
        self.assertEqual(before, dict(self.folder.shelf.messages))

    def test_no_uidplus(self) -> None:
        """Without UID EXPUNGE nothing is removed or planned."""
        self.refused("no-uidplus", traits=Traits(reports_uid=True, expunges_by_uid=False, pushes=True))

    def test_status_says_so(self) -> None:
        """Such a folder only grows, and its status says it, unless plain EXPUNGE is allowed."""
        poor = Traits(reports_uid=True, expunges_by_uid=False, pushes=True)
        for options, told in ((KEEP_ONE, True), (PLAIN, False)):
            one = self.folder.device(store=self.folder.store(traits=poor), options=options)
            codes = [notice.code for notice in result(one.status()).warnings]
            self.assertEqual(told, "no-uidplus" in codes)
        self.assertEqual((), result(self.fs.status()).warnings)

    def test_read_only(self) -> None:
        """A folder that can only be read."""
        self.refused("read-only", read_only=True)

    def test_an_incomplete_listing(self) -> None:
        """A server that hides a message that it counts."""
        self.planned()
        store = self.folder.store()
        hidden = self.fs.desk.view.index.history("a").versions[1].rank
        store_device = self.folder.device(store=store, options=KEEP_ONE)
        result(store_device.close())
        store = self.folder.store()
        result(store.open())
        store.hide(hidden)
        other = self.folder.device(store=store, options=KEEP_ONE)
        before = dict(self.folder.shelf.messages)
        self.assertEqual(["listing-incomplete"], [notice.code for notice in self.collect(other).messages])
        self.assertEqual(before, dict(self.folder.shelf.messages))

    def test_no_dates(self) -> None:
        """A server that does not say when it received a message: what may be old is not known."""
        self.put("a", b"1", b"2")
        for uid in list(self.folder.shelf.messages):
            del self.folder.shelf._dates[uid]
        store = DatelessStore(self.folder.shelf, clock=self.folder.clock)
        found = self.collect(self.folder.device(options=KEEP_ONE, store=store))
        self.assertEqual([KEPT, KEPT], self.fates(found, "a"))

    def test_foreign_mail_is_left_alone(self) -> None:
        """Mail of others is neither planned nor removed (promise P6)."""
        foreign = [self.folder.shelf.add(mail(b"%d\r\n" % number)) for number in range(20)]
        self.planned()
        self.collect()
        self.assertLessEqual(set(foreign), set(self.folder.shelf.messages))


class DatelessStore(MemoryStore):
    """A shelf on a server that gives no dates."""

    def dates(self, uids: Any) -> Any:
        """None at all."""
        return succeed({})


class InUseTests(CollectingCase):
    """What this device is at is left for the next time."""

    def test_a_read_in_progress(self) -> None:
        """A version that is being read is not removed below the reader."""
        vids = self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.gate = turnstile = Turnstile("message")
        reading: Any = other.get("a", version=vids[0])
        store.gate = lambda _method: succeed(None)
        self.assertEqual([KEPT, KEPT], self.fates(self.collect(other), "a"))
        turnstile.release()
        self.assertEqual(b"1", result(reading))
        self.assertEqual([COLLECTED, KEPT], self.fates(self.collect(other), "a"))

    def test_a_write_in_flight(self) -> None:
        """Nothing of a file goes while it is being written."""
        self.put("a", b"1", b"2")
        self.collect()
        self.later(8)
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.gate = turnstile = Turnstile("append")
        writing: Any = other.put("a", b"3")
        store.gate = lambda _method: succeed(None)
        self.assertEqual([KEPT, KEPT], self.fates(self.collect(other), "a"))
        turnstile.release()
        result(writing)

    def test_a_change_between_the_last_look_and_the_removal(self) -> None:
        """News of the file that come while its headers are read back keep it."""
        vids = self.put("a", b"1", b"2")
        self.put("b", b"1", b"2")
        self.collect()
        self.later(8)
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        records = len(other.desk.view.index.objects(RECORDS))
        store.gate = turnstile = Turnstile("headers")
        work: Any = other.collect()
        while turnstile.held and len(other.desk.view.index.objects(RECORDS)) == records:
            turnstile.release(1)
        for _ in range(20):
            if work.called:
                break
            result(self.fs.keep("a", 5)) if _ == 0 else None
            turnstile.release(1)
        result(work)
        self.assertEqual(vids, self.versions("a")[:2])

    def test_closing_gives_up(self) -> None:
        """A collection that waits for the server does not hold up the end."""
        self.put("a", b"1", b"2")
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.gate = Turnstile("dates")
        work: Any = other.collect()
        store.gate = lambda _method: succeed(None)
        result(other.close())
        self.failureResultOf(work, CancelledError)
        self.failureResultOf(other.collect(), Unavailable)

    def test_one_at_a_time(self) -> None:
        """A second one waits for the first, and finds its work done."""
        self.put("a", b"1", b"2")
        store = self.folder.store()
        other = self.folder.device(store=store, options=KEEP_ONE)
        store.gate = turnstile = Turnstile("dates")
        first: Any = other.collect()
        second: Any = other.collect()
        turnstile.release()
        self.assertEqual([PLANNED, KEPT], self.fates(result(first), "a"))
        self.assertEqual([WAITING, KEPT], self.fates(result(second), "a"))
        self.assertEqual(1, len(other.desk.view.index.objects(PLANS)))


class TidyingTests(CollectingCase):
    """Snapshots and plans that nothing needs go, too."""

    def test_old_snapshots_go(self) -> None:
        """The newest stays."""
        self.put("a", b"1", b"2")
        for _ in range(3):
            result(self.fs.snapshot())
        self.collect_after_grace()
        self.later(8)
        self.put("a", b"3")
        self.collect_after_grace()
        self.assertEqual(1, len(self.fs.desk.view.index.history("IFAP/metadata").heads))
        self.assertGreater(4, len(self.fs.desk.view.index.history("IFAP/metadata").versions))

    def test_the_snapshot_is_right_after_a_collection(self) -> None:
        """It names what is there and nothing that is gone (FORMAT 6.2)."""
        self.put("a", b"1", b"2")
        result(self.fs.snapshot())
        self.collect_after_grace()
        content = result(self.fs.get("IFAP/metadata"))
        named = {uid for _uid, _metadata, uids in dict(snapshot.entries(content)).values() for uid in uids}
        self.assertLessEqual(named, set(self.folder.shelf.messages))

    def test_without_a_snapshot_none_is_written(self) -> None:
        """Who does not want one does not get one by collecting."""
        self.put("a", b"1", b"2")
        self.collect_after_grace()
        self.assertFalse(self.fs.desk.view.index.history("IFAP/metadata"))
