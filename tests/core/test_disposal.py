"""What may be removed of one path: FORMAT 5.3 and 5.6, rule by rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING
from ifap_twisted.core.disposal import Disposal, Knowledge, survey
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.plans import Standing
from ifap_twisted.core.records import Gone, Records
from ifap_twisted.core.retention import Policy
from ifap_twisted.core.values import Version
from tests.core.test_history import at, ours, theirs, vids

DAY = 86400.0
NOW = 1000 * DAY
OLD = NOW - 30 * DAY
LONG_AGO = NOW - 400 * DAY


def line(count: int, **facts: Any) -> list[Placed]:
    """Versions of one writer, each of which descends from the one before."""
    return at(*(ours(f"v{number}", "w", {"w": number}, **facts) for number in range(1, count + 1)))


class DisposalCase(SynchronousTestCase):
    """Versions that are thirty days old, all of them planned at once, and a policy that keeps one."""

    def setUp(self) -> None:
        self.records = Records()
        self.dates: dict[int, float] = {}
        self.fences: Mapping[str, int] = {}
        self.known = Knowledge(
            now=NOW, dates={}, standing={}, records=self.records, policy=Policy(keep=1), grace=7 * DAY
        )

    def record(self, *versions: Version, time: float = OLD, end: bool = False) -> None:
        """They were collected."""
        self.records.add(Gone.of(version, time=time, end=end) for version in versions)

    def disposal(self, versions: Collection[Placed], **changes: Any) -> Disposal:
        """What becomes of them."""
        places = {uid: one.version.vid for one in versions for uid in one.places}
        dates = {**dict.fromkeys(places, OLD), **self.dates}
        standing = {uid: Standing(vid, "old", dates[uid]) for uid, vid in places.items()}
        known = replace(self.known, **{"dates": dates, "standing": standing, **changes})
        history = History(versions, self.records.bygone(list(versions)), self.fences)
        (found,) = survey({"a": history}, known)
        return found

    def fates(self, versions: Collection[Placed], **changes: Any) -> dict[str, tuple[str, str]]:
        """Fate and reason of each, by id."""
        cases = self.disposal(versions, **changes).cases
        return {case.placed.version.vid: (case.fate, str(case.reason)) for case in cases}


class OneVersionTests(DisposalCase):
    """What has to be so of the version itself."""

    def test_what_was_planned_a_grace_ago_goes(self) -> None:
        """And the newest stays."""
        self.assertEqual(
            {"v1": (COLLECTED, "old"), "v2": (COLLECTED, "old"), "v3": (KEPT, "head")}, self.fates(line(3))
        )

    def test_each_place_has_to_be_planned(self) -> None:
        """A double that turned up since waits for a plan of its own, and the version with it."""
        versions = [Placed(line(1)[0].version, (1, 9)), Placed(line(2)[1].version, (2,))]
        standing = {1: Standing("v1", "old", OLD)}
        self.assertEqual((PLANNED, "old"), self.fates(versions, standing=standing)["v1"])

    def test_the_grace_of_each_place_has_to_be_over(self) -> None:
        """The place that was planned last counts."""
        versions = [Placed(line(1)[0].version, (1, 9)), Placed(line(2)[1].version, (2,))]
        standing = {1: Standing("v1", "old", OLD), 9: Standing("v1", "old", NOW - 6.9 * DAY)}
        self.assertEqual((WAITING, "old"), self.fates(versions, standing=standing)["v1"])
        standing[9] = Standing("v1", "old", NOW - 7 * DAY)
        self.assertEqual((COLLECTED, "old"), self.fates(versions, standing=standing)["v1"])

    def test_a_plan_for_another_version_at_the_place(self) -> None:
        """It says nothing of this one."""
        self.assertEqual((PLANNED, "old"), self.fates(line(2), standing={1: Standing("v2", "old", OLD)})["v1"])

    def test_without_a_date_it_stays(self) -> None:
        """Of any of its places."""
        versions = [Placed(line(1)[0].version, (1, 9)), Placed(line(2)[1].version, (2,))]
        self.assertEqual((KEPT, "not-covered"), self.fates(versions, dates={1: OLD, 2: OLD})["v1"])

    def test_what_is_not_understood_stays(self) -> None:
        """Whatever its age, also below a removal of a year ago (FORMAT 1.5)."""
        versions = at(
            ours("1", "w", {"w": 1}, understood=False),
            ours("2", "w", {"w": 2}),
            ours("3", "w", {"w": 3}, deleted=True),
        )
        self.dates = dict.fromkeys((1, 2, 3), LONG_AGO)
        self.assertEqual(
            {"1": (KEPT, "not-understood"), "2": (COLLECTED, "removed"), "3": (KEPT, "head")}, self.fates(versions)
        )

    def test_a_path_in_use_is_left_alone(self) -> None:
        """Nothing of what is written or read here goes."""
        self.assertEqual({KEPT}, {fate for fate, _reason in self.fates(line(3), in_use={"a"}).values()})

    def test_while_the_head_is_missing_nothing_goes(self) -> None:
        """What is left may be all that there is (FORMAT 5.5)."""
        versions = [*line(2), Placed(ours("v3", "w", {"w": 3}), (), 2.5)]
        self.assertEqual({"v1": (KEPT, "missing"), "v2": (KEPT, "missing")}, self.fates(versions))


class CoveredTests(DisposalCase):
    """Something that stays, and has been there for a grace itself, descends from what goes."""

    def test_what_replaced_it_just_now_may_still_be_taken_back(self) -> None:
        """It waits until the newest is a grace old (FORMAT 4.4)."""
        self.dates = {3: NOW - 6.9 * DAY}
        self.assertEqual({(WAITING, "not-covered")}, set(list(self.fates(line(3)).values())[:2]))
        self.dates = {3: NOW - 7 * DAY}
        self.assertEqual({(COLLECTED, "old")}, set(list(self.fates(line(3)).values())[:2]))

    def test_what_came_too_late_covers_nothing_that_did_not(self) -> None:
        """Written under a lock that was over: what it replaced is the current one (FORMAT 10.2)."""
        self.fences = {"L": 2}
        versions = at(ours("1", "A", {"A": 1}), ours("2", "B", {"A": 1, "B": 1}))
        late = Placed(ours("3", "A", {"A": 2, "B": 1}, lock="L"), (4,))
        found = self.disposal([*versions, late])
        self.assertEqual(["1"], vids(found.going))
        self.assertEqual({KEPT}, {case.fate for case in found.cases[1:]})

    def test_what_came_too_late_goes_when_it_was_settled(self) -> None:
        """A version that knows it is there to stay."""
        self.fences = {"L": 2}
        late = Placed(ours("2", "A", {"A": 2}, lock="L"), (3,))
        versions = [*at(ours("1", "A", {"A": 1})), late, Placed(ours("4", "B", {"A": 2, "B": 1}), (4,))]
        self.assertEqual(["1", "2"], vids(self.disposal(versions).going))

    def test_what_a_clock_left_out_waits_for_who_knows_it(self) -> None:
        """Only what goes itself descends from it: both stay until the next version names both (FORMAT 3.6)."""
        versions = at(ours("1", "U", {"U": 1}), ours("2", "B", {"U": 1, "B": 1}), ours("3", "C", {"B": 1, "C": 1}))
        self.assertEqual([], list(self.disposal(versions).going))
        versions += [Placed(ours("4", "D", {"U": 1, "B": 1, "C": 1, "D": 1}), (4,))]
        self.assertEqual(["1", "2", "3"], vids(self.disposal(versions).going))

    def test_what_alone_covers_something_that_stays(self) -> None:
        """It would make a head of it: it stays as well."""
        versions = at(ours("1", "U", {"U": 1}), ours("2", "B", {"U": 1, "B": 1}), ours("3", "C", {"B": 1, "C": 1}))
        self.assertEqual([], list(self.disposal(versions, standing={2: Standing("2", "old", OLD)}).going))

    def test_what_came_too_late_covers_nothing_in_between(self) -> None:
        """When the collection is cut short after the second, the first would be a head again."""
        self.fences = {"L": 3}
        versions = at(ours("1", "U", {"U": 1}), ours("2", "B", {"U": 1, "B": 1}), ours("3", "C", {"B": 1, "C": 1}))
        late = Placed(ours("4", "D", {"U": 1, "D": 1}, lock="L"), (4,))
        self.assertEqual([], list(self.disposal([*versions, late]).going))


class ReferenceTests(DisposalCase):
    """Versions of the reference programs go one after the other (FORMAT 5.6)."""

    def test_oldest_first(self) -> None:
        """A chain from its beginning."""
        found = self.disposal(at(theirs("1"), theirs("2"), theirs("3")))
        self.assertEqual((["1", "2"], False), (vids(found.going), found.together))

    def test_what_is_kept_keeps_all_that_is_behind_it(self) -> None:
        """A version that is in no plan holds up those after it."""
        versions = at(theirs("1"), theirs("2"), theirs("3"))
        self.assertEqual([], list(self.disposal(versions, standing={2: Standing("2", "old", OLD)}).going))

    def test_who_names_a_parent_goes_after_it(self) -> None:
        """And who inherited an id after the version of it."""
        versions = at(
            theirs("1"),
            ours("2", "A", {"A": 1}, parents=("1",)),
            theirs("3", "2", {"A": 1}),
            theirs("4", "2", {"A": 1}),
        )
        self.assertEqual(["1", "2", "3"], vids(self.disposal(versions).going))
        standing = {uid: Standing(str(uid), "old", OLD) for uid in (2, 3)}
        self.assertEqual([], list(self.disposal(versions, standing=standing).going))
        standing = {uid: Standing(str(uid), "old", OLD) for uid in (1, 3)}
        self.assertEqual(["1"], vids(self.disposal(versions, standing=standing).going))

    def test_of_ours_only_one_that_names_a_parent_waits(self) -> None:
        """For a message of the reference that is in no plan."""
        versions = at(theirs("1"), ours("2", "A", {"A": 1}, parents=("1",)), ours("3", "A", {"A": 2}))
        self.assertEqual([], list(self.disposal(versions, standing={2: Standing("2", "old", OLD)}).going))
        replaced = versions[2].version._replace(parents=("1",))
        versions[2] = versions[2]._replace(version=replaced)
        self.assertEqual([], list(self.disposal(versions, standing={2: Standing("2", "old", OLD)}).going))


class CopyTests(DisposalCase):
    """What was collected once and is there again."""

    def test_it_takes_no_place_among_the_last(self) -> None:
        """Of two that are kept one was collected: the one before it stays, too."""
        versions = line(3, keep=2)
        self.record(versions[1].version)
        self.assertEqual(["last", "last", "head"], [reason for _fate, reason in self.fates(versions).values()])

    def test_its_place_does_not_make_others_newer(self) -> None:
        """Stored again above all others, it comes before what replaced it: that is no reason to let others go."""
        fork = at(ours("1", "A", {"A": 2}, keep=2), ours("2", "B", {"B": 1}, keep=2), ours("3", "B", {"B": 2}, keep=2))
        copy = Placed(ours("0", "A", {"A": 1}), (4,))
        self.record(copy.version)
        alone = {"1": (KEPT, "head"), "2": (KEPT, "last"), "3": (KEPT, "head")}
        self.assertEqual(alone, self.fates(fork))
        self.assertEqual(alone, {vid: fate for vid, fate in self.fates([*fork, copy]).items() if vid != "0"})

    def test_it_keeps_nothing_of_a_file_removed_long_ago(self) -> None:
        """All versions go when the removal is a year old."""
        versions = [*line(2, keep=1), Placed(ours("v3", "w", {"w": 3}, deleted=True), (3,))]
        self.record(versions[1].version)
        self.dates = dict.fromkeys((1, 2, 3), LONG_AGO)
        self.assertEqual(["v1", "v2"], vids(self.disposal(versions).going))

    def test_it_does_not_hold_up_what_it_replaced(self) -> None:
        """A message of the reference that only the copy names goes, and then the copy."""
        versions = at(theirs("1"), ours("2", "A", {"A": 1}, parents=("1",)), ours("3", "A", {"A": 2}))
        self.record(versions[1].version)
        self.assertEqual(["1", "2"], vids(self.disposal(versions).going))

    def test_it_goes_though_nothing_that_is_there_knows_it(self) -> None:
        """Its writer was left out of the clocks, or it is of the reference (FORMAT 3.6)."""
        for copy in (ours("1", "A", {"A": 1}), theirs("1")):
            versions = at(copy, ours("2", "B", {"B": 1}), ours("3", "B", {"B": 2}))
            self.record(copy)
            self.assertEqual({"1", "2"}, set(vids(self.disposal(versions).going)))

    def test_what_it_hides_otherwise_makes_it_a_head(self) -> None:
        """Nothing else descends from a version that is there: neither goes while another is current."""
        versions = at(ours("1", "A", {"A": 1}), ours("2", "A", {"A": 2}), ours("3", "B", {"B": 1}))
        self.record(versions[1].version)
        self.assertEqual((KEPT, "head"), self.fates(versions)["2"])

    def test_a_record_of_this_very_collection_does_not_count(self) -> None:
        """It would let everything that it names go, because it names it."""
        versions = at(ours("1", "U", {"U": 1}), ours("2", "B", {"U": 1, "B": 1}), ours("3", "C", {"B": 1, "C": 1}))
        self.record(versions[0].version, versions[1].version, time=NOW)
        self.assertEqual([], list(self.disposal(versions).going))


class EndTests(DisposalCase):
    """The end of a file."""

    def tombstone(self, **facts: Any) -> Placed:
        """The last thing left."""
        return Placed(ours("9", "A", {"A": 9}, deleted=True, **facts), (9,))

    def test_a_sole_tombstone_goes_after_a_year(self) -> None:
        """Not before, by the server's date and by its writer's clock."""
        self.dates = {9: LONG_AGO}
        found = self.disposal([self.tombstone()])
        self.assertEqual((["9"], True), (vids(found.going), found.end))
        self.assertEqual((KEPT, "head"), self.fates([self.tombstone(written=NOW - 364 * DAY)])["9"])
        self.dates = {9: NOW - 364 * DAY}
        self.assertEqual((KEPT, "head"), self.fates([self.tombstone()])["9"])

    def test_it_stays_while_anything_else_is_there(self) -> None:
        """Whatever it is, and though it goes in the same collection."""
        self.dates = {1: LONG_AGO, 9: LONG_AGO}
        found = self.disposal([*line(1), self.tombstone()])
        self.assertEqual((KEPT, "head"), self.fates([*at(ours("1", "A", {"A": 1})), self.tombstone()])["9"])
        self.assertFalse(found.end)

    def test_what_comes_back_after_the_end_goes_again(self) -> None:
        """A version that the end descends from is nobody's head, and is collected when the record is a grace old."""
        self.record(self.tombstone().version, end=True)
        versions = at(ours("1", "A", {"A": 1}))
        self.assertEqual((COLLECTED, "removed"), self.fates(versions)["1"])
        self.records = Records()
        self.record(self.tombstone().version, time=NOW - DAY, end=True)
        self.known = replace(self.known, records=self.records)
        self.assertEqual((WAITING, "not-covered"), self.fates(versions)["1"])
