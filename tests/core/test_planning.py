"""Plans: where a new version stands in history, and what a refresh reads (FORMAT 3.1, 3.6, 2.5)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits, planning
from ifap_twisted.core.history import Bygone, History
from ifap_twisted.core.index import Index
from ifap_twisted.core.values import ABSENT, FolderState
from ifap_twisted.errors import Conflict
from tests.core.test_history import at, ours, theirs


class AncestryTests(SynchronousTestCase):
    """The clock of a new version."""

    def test_it_holds_the_greatest_number_of_every_writer_replaced(self) -> None:
        """And the new one's own."""
        history = History(at(ours("1", "A", {"A": 3, "C": 1}), ours("2", "B", {"A": 2, "B": 5})))
        place = planning.ancestry(history, history.heads, writer="D", number=9)
        self.assertEqual(dict(place.clock), {"A": 3, "B": 5, "C": 1, "D": 9})
        self.assertEqual(place.parents, ())

    def test_versions_of_the_reference_are_named(self) -> None:
        """Their ids, because they have no clock of their own (FORMAT 1, ``parents``)."""
        history = History(at(theirs("1"), theirs("2")))
        self.assertEqual(planning.ancestry(history, history.heads, writer="A", number=1).parents, ("2",))

    def test_above_eight_entries_silent_writers_are_left_out(self) -> None:
        """Those of whom nothing is present, longest silent first (FORMAT 3.6)."""
        gone = [f"gone{number}" for number in range(limits.CLOCK_ENTRIES + 2)]
        versions = [ours("0", "A", {"A": 1, **dict.fromkeys(gone[:6], 1)})]
        versions.append(ours("1", "A", {"A": 2, **dict.fromkeys(gone, 1)}))
        history = History(at(*versions))
        place = planning.ancestry(history, history.heads, writer="B", number=1)
        self.assertEqual(len(place.clock), limits.CLOCK_ENTRIES)
        self.assertLessEqual({"A", "B"}, set(place.clock))
        self.assertLessEqual(set(gone[6:]), set(place.clock))

    def test_writers_who_are_present_stay_whatever_the_length(self) -> None:
        """Or their versions would come back as a conflict."""
        versions = [ours(str(number), f"w{number}", {f"w{number}": 1}) for number in range(limits.CLOCK_ENTRIES + 3)]
        history = History(at(*versions))
        place = planning.ancestry(history, history.heads, writer="A", number=1)
        self.assertEqual(len(place.clock), limits.CLOCK_ENTRIES + 4)

    def test_what_an_ancestor_left_out_is_known_again(self) -> None:
        """Who did not see a version took its writer for silent: the next who replaces everything names it (FORMAT 3.6).

        Else, when what lies between is collected, it would be a head again.
        """
        unseen = ours("1", "U", {"U": 1})
        between = ours("2", "B", {"U": 1, "B": 1})
        history = History(at(unseen, between, ours("3", "C", {"B": 1, "C": 1})))
        self.assertEqual(["3"], [head.version.vid for head in history.heads])
        place = planning.ancestry(history, history.heads, writer="D", number=4)
        self.assertEqual(dict(place.clock), {"U": 1, "B": 1, "C": 1, "D": 4})

    def test_a_number_that_was_used_twice_is_doubtful(self) -> None:
        """A kept message would be hidden by what never saw it, or hide what it did not replace (FORMAT 3.2)."""
        base, other = ours("0", "A", {"A": 1}), ours("1", "A", {"A": 3})
        history = History(at(base, other))
        for number, doubtful in ((2, True), (3, True), (4, True)):
            kept = ours("2", "A", {"A": number})
            self.assertIs(planning.number_is_doubtful(history, kept, ["0"]), doubtful)
        self.assertFalse(planning.number_is_doubtful(History(at(base)), ours("2", "A", {"A": 2}), ["0"]))
        self.assertFalse(planning.number_is_doubtful(history, ours("2", "A", {"A": 4}), ["1"]))

    def test_a_number_that_the_reference_inherited_with_the_id_is_not(self) -> None:
        """Who names the id has seen the version."""
        later = theirs("9", inherits="2", clock={"A": 2})
        self.assertFalse(planning.number_is_doubtful(History(at(later)), ours("2", "A", {"A": 2}), []))

    def test_a_sibling_is_not_known(self) -> None:
        """Who replaces one of two heads descends from nothing that only the other one does."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "B", {"A": 1, "B": 1}), ours("3", "C", {"C": 1})))
        place = planning.ancestry(history, history.heads[1:], writer="D", number=1)
        self.assertEqual(dict(place.clock), {"C": 1, "D": 1})


class ExpectationTests(SynchronousTestCase):
    """What a write expects to find (FORMAT 4.4)."""

    def test_a_version_is_expected_alone(self) -> None:
        """In a conflict the current head is not all that is there."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1})))
        self.assertRaises(Conflict, planning.check_expectation, history, "2", "a")
        planning.check_expectation(history, None, "a")

    def test_a_tombstone_is_absence(self) -> None:
        """The file is not there."""
        planning.check_expectation(History(at(ours("1", "A", {"A": 1}, deleted=True))), ABSENT, "a")
        planning.check_expectation(History(), ABSENT, "a")


class OvertakenTests(SynchronousTestCase):
    """Against whom a write that expected something lost (FORMAT 4.4)."""

    def test_a_sibling_of_lower_rank(self) -> None:
        """It was there first; a removal, and what is above, does not count."""
        before, own = ours("1", "A", {"A": 1}), ours("4", "A", {"A": 2})
        history = History(at(before, ours("2", "B", {"A": 1, "B": 1}), ours("3", "C", {"C": 1}, deleted=True), own))
        lost = planning.overtaken(history, history.versions[3], {"1"})
        self.assertEqual("2", lost.version.vid if lost else None)
        history = History(at(before, own, ours("2", "B", {"A": 1, "B": 1})))
        self.assertIsNone(planning.overtaken(history, history.versions[1], {"1"}))

    def test_a_copy_of_what_was_collected_is_none(self) -> None:
        """Of either program: it is no sibling of anything, wherever it is stored again."""
        for copy in (theirs("0"), ours("0", "C", {"C": 1})):
            versions = at(ours("1", "A", {"A": 1}), copy, ours("2", "A", {"A": 2}))
            history = History(versions, Bygone(copies=frozenset({2})))
            self.assertIsNone(planning.overtaken(history, history.versions[2], {"1"}))

    def test_a_copy_that_is_a_head_is_one(self) -> None:
        """Nothing else descends from what it descends from."""
        versions = at(ours("0", "C", {"C": 1}), ours("1", "C", {"C": 2}), ours("2", "A", {"A": 1}))
        history = History(versions, Bygone(copies=frozenset({2})))
        self.assertEqual("1", (planning.overtaken(history, history.versions[2], {"0"}) or versions[0]).version.vid)


class RefreshPlanTests(SynchronousTestCase):
    """What has to be read."""

    def test_the_first_time_everything(self) -> None:
        """From UID 1 on."""
        plan = planning.plan_refresh(None, FolderState(uidvalidity=1, uidnext=5, exists=4), Index())
        self.assertEqual((plan.restart, plan.first), (False, 1))

    def test_nothing_when_nothing_changed(self) -> None:
        """The same count, the same next UID, all known."""
        index = Index()
        index.reject(4, None)
        state = FolderState(uidvalidity=1, uidnext=5, exists=1)
        self.assertEqual(planning.plan_refresh(state, state, index).first, None)

    def test_what_is_above_the_highest_known(self) -> None:
        """When something came."""
        index = Index()
        index.reject(4, None)
        before = FolderState(uidvalidity=1, uidnext=5, exists=1)
        now = FolderState(uidvalidity=1, uidnext=6, exists=2)
        self.assertEqual(planning.plan_refresh(before, now, index).first, 5)

    def test_everything_anew_after_a_renumbering(self) -> None:
        """The UIDs mean nothing any more (FORMAT 2.5)."""
        before = FolderState(uidvalidity=1, uidnext=5, exists=1)
        now = FolderState(uidvalidity=2, uidnext=5, exists=1)
        plan = planning.plan_refresh(before, now, Index())
        self.assertEqual((plan.restart, plan.first), (True, 1))


class BehindTests(SynchronousTestCase):
    """Whether a server shows less than is known because it lags behind."""

    def test_a_missing_uid_that_was_not_given_yet(self) -> None:
        """It may come again."""
        now = FolderState(uidvalidity=1, uidnext=5, exists=1)
        self.assertTrue(planning.is_behind(now, {3, 5}))

    def test_missing_uids_that_were_given(self) -> None:
        """They are gone."""
        now = FolderState(uidvalidity=1, uidnext=5, exists=1)
        self.assertFalse(planning.is_behind(now, {3, 4}))
        self.assertFalse(planning.is_behind(now, ()))

    def test_a_server_that_does_not_tell(self) -> None:
        """Courier: its listing is all there is to go by."""
        now = FolderState(uidvalidity=1, uidnext=None, exists=1)
        self.assertFalse(planning.is_behind(now, {3, 5}))
