"""History: ancestors, heads, current and conflicts (FORMAT 3)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.history import Bygone, History, Placed
from ifap_twisted.core.values import Version


def ours(vid: str, writer: str, clock: dict[str, int], **facts: Any) -> Version:
    """A version of ours; its content is named like its id unless said otherwise."""
    facts.setdefault("sha256", vid)
    return Version(
        path="a", vid=vid, sealed_id=vid, ours=True, encrypted=True, length=0, size=0, modified=0.0, writer=writer,
        clock=clock, **facts,
    )  # fmt: skip


def theirs(vid: str, inherits: str | None = None, clock: dict[str, int] | None = None) -> Version:
    """A message of a reference program."""
    return Version(
        path="a", vid=vid, sealed_id=vid, ours=False, encrypted=True, length=0, size=0, modified=0.0,
        clock=clock or {}, inherits=inherits,
    )  # fmt: skip


def at(*versions: Version) -> list[Placed]:
    """The versions at UIDs 1, 2, 3 …"""
    return [Placed(version, (uid,)) for uid, version in enumerate(versions, 1)]


def vids(placed: Any) -> list[str]:
    """The ids, in order."""
    return [one.version.vid for one in placed]


class LinearHistoryTests(SynchronousTestCase):
    """Versions that were written one after the other."""

    def test_the_last_of_a_line_is_the_only_head(self) -> None:
        """Each version replaces the one before it."""
        history = History(
            at(ours("1", "A", {"A": 1}), ours("2", "B", {"A": 1, "B": 1}), ours("3", "A", {"A": 2, "B": 1}))
        )
        self.assertEqual(vids(history.heads), ["3"])
        self.assertFalse(history.in_conflict)

    def test_a_line_stays_a_line_when_versions_between_were_collected(self) -> None:
        """The clock alone tells the ancestor (FORMAT 3.1)."""
        history = History(at(ours("1", "A", {"A": 1}), ours("3", "A", {"A": 2, "B": 7})))
        self.assertEqual(vids(history.heads), ["3"])

    def test_parents_are_the_newest_ancestors_that_are_known(self) -> None:
        """Older ancestors are not named."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "A", {"A": 2}), ours("3", "A", {"A": 3})))
        self.assertEqual(vids(history.parents(history.versions[2])), ["2"])

    def test_order_of_uids_does_not_matter_to_descent(self) -> None:
        """A renumbering cannot turn history round (FORMAT 3.5)."""
        history = History(at(ours("2", "B", {"A": 1, "B": 1}), ours("1", "A", {"A": 1})))
        self.assertEqual(vids(history.heads), ["2"])


class ConflictTests(SynchronousTestCase):
    """Versions that do not know each other."""

    def test_two_that_do_not_know_each_other_are_a_conflict(self) -> None:
        """Both are heads; the one of higher rank is current."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1})))
        self.assertEqual(vids(history.heads), ["1", "2"])
        self.assertTrue(history.in_conflict)
        self.assertEqual(history.current.version.vid if history.current else None, "2")

    def test_a_version_that_knows_both_ends_it(self) -> None:
        """A resolution names all heads."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1}), ours("3", "A", {"A": 2, "B": 1})))
        self.assertEqual(vids(history.heads), ["3"])

    def test_equal_content_is_no_conflict(self) -> None:
        """Two people stored the same."""
        history = History(at(ours("1", "A", {"A": 1}, sha256="x"), ours("2", "B", {"B": 1}, sha256="x")))
        self.assertEqual(len(history.heads), 2)
        self.assertFalse(history.in_conflict)

    def test_two_tombstones_are_no_conflict(self) -> None:
        """Two people removed it."""
        history = History(at(ours("1", "A", {"A": 1}, deleted=True), ours("2", "B", {"B": 1}, deleted=True)))
        self.assertFalse(history.in_conflict)

    def test_two_directory_markers_are_no_conflict(self) -> None:
        """Two people made the directory."""
        history = History(at(ours("1", "A", {"A": 1}, directory=True), ours("2", "B", {"B": 1}, directory=True)))
        self.assertFalse(history.in_conflict)

    def test_an_edit_wins_over_a_removal_and_the_conflict_is_told(self) -> None:
        """Tombstones rank below live heads (FORMAT 3.5)."""
        history = History(at(ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1}, deleted=True)))
        self.assertTrue(history.in_conflict)
        self.assertEqual(history.current.version.vid if history.current else None, "1")

    def test_two_versions_with_the_same_number_of_one_writer_are_a_conflict(self) -> None:
        """A cloned device: neither is an ancestor of the other (FORMAT 3.2)."""
        history = History(at(ours("1", "A", {"A": 5}), ours("2", "A", {"A": 5})))
        self.assertEqual(vids(history.heads), ["1", "2"])
        self.assertTrue(history.in_conflict)

    def test_a_copy_of_a_replaced_version_under_a_new_uid_does_not_come_back(self) -> None:
        """Rank is the lowest UID of a version's places."""
        old = Placed(ours("1", "A", {"A": 1}), (1, 9))
        history = History([old, Placed(ours("2", "A", {"A": 2}), (2,))])
        self.assertEqual(vids(history.heads), ["2"])


class ReferenceTests(SynchronousTestCase):
    """Messages of ifaplib and mailfile (FORMAT 3.3)."""

    def test_saves_of_the_reference_in_a_row_are_one_line(self) -> None:
        """The highest UID is the only head."""
        history = History(at(theirs("1"), theirs("2"), theirs("3")))
        self.assertEqual(vids(history.heads), ["3"])

    def test_a_save_of_the_reference_descends_from_the_version_it_inherits(self) -> None:
        """It copied our keys."""
        history = History(at(ours("1", "A", {"A": 1}), theirs("2", "1", {"A": 1})))
        self.assertEqual(vids(history.heads), ["2"])

    def test_our_version_descends_from_what_it_names_and_all_before_it(self) -> None:
        """``parents`` names the last of a chain."""
        history = History(at(theirs("1"), theirs("2"), ours("3", "A", {"A": 1}, parents=("2",))))
        self.assertEqual(vids(history.heads), ["3"])
        self.assertEqual(vids(history.ancestors(history.versions[2])), ["1", "2"])

    def test_a_later_save_that_did_not_see_ours_is_concurrent(self) -> None:
        """It is of the old chain, not of a new one behind ours."""
        history = History(at(theirs("1"), ours("2", "A", {"A": 1}, parents=("1",)), theirs("3")))
        self.assertEqual(vids(history.heads), ["2", "3"])
        self.assertTrue(history.in_conflict)

    def test_what_descends_from_ours_descends_from_what_ours_replaced(self) -> None:
        """Through a version of ours that is still there."""
        history = History(at(theirs("1"), ours("2", "A", {"A": 1}, parents=("1",)), ours("3", "B", {"A": 1, "B": 1})))
        self.assertTrue(history.descends(history.versions[2], history.versions[0]))
        self.assertEqual(vids(history.heads), ["3"])

    def test_the_newest_of_some_is_none_that_was_collected(self) -> None:
        """Though it was stored again as the last of its chain; unless nothing else is there."""
        versions = at(theirs("1"), theirs("2"), theirs("3"), theirs("0"))
        history = History(versions, Bygone(copies=frozenset({4})))
        self.assertEqual("3", history.newest_of(versions).version.vid)
        self.assertEqual("1", history.newest_of([versions[0], versions[3]]).version.vid)
        self.assertEqual("0", history.newest_of([versions[3]]).version.vid)
        ended = History(versions, Bygone(ended=frozenset({1, 2, 3, 4})))
        self.assertEqual("2", ended.newest_of(versions[:2]).version.vid)

    def test_the_newest_of_some_is_none_that_came_too_late(self) -> None:
        """While one is there that did not."""
        versions = at(theirs("1"), ours("x", "A", {"A": 1}, lock="L"))
        history = History(versions, fences={"L": 1})
        self.assertEqual("1", history.newest_of(versions).version.vid)
        self.assertEqual("x", history.newest_of(versions[1:]).version.vid)

    def test_two_chains_are_concurrent(self) -> None:
        """One began before our version, one behind it."""
        history = History(at(theirs("1"), ours("2", "A", {"A": 1}), theirs("3", "2", {"A": 1}), theirs("4")))
        self.assertEqual(vids(history.heads), ["3", "4"])


@st.composite
def folders(draw: st.DrawFn) -> list[Placed]:
    """Versions as two or three writers and the reference would make them, each replacing some heads that it saw."""
    made: list[Version] = []
    numbers: dict[str, int] = {}
    for index in range(draw(st.integers(0, 8))):
        history = History(at(*made))
        seen = draw(st.lists(st.sampled_from(history.heads), unique_by=id)) if history.heads else []
        vid = f"v{index}"
        clock: dict[str, int] = {}
        for head in seen:
            for writer, number in head.version.clock.items():
                clock[writer] = max(number, clock.get(writer, 0))
        if draw(st.integers(0, 3)) == 0:
            base = next((head for head in seen if head.version.ours), None)
            made.append(theirs(vid, base.version.vid if base else None, dict(base.version.clock) if base else {}))
            continue
        writer = draw(st.sampled_from("ABC"))
        numbers[writer] = numbers.get(writer, 0) + 1
        # A writer knows its own last version of the path: it never writes a sibling of it (FORMAT 3.2).
        own = [p for p in history.versions if p.version.writer == writer]
        for head in own:
            for name, number in head.version.clock.items():
                clock[name] = max(number, clock.get(name, 0))
        clock[writer] = numbers[writer]
        parents = tuple(head.version.vid for head in seen if not head.version.ours)
        made.append(ours(vid, writer, clock, parents=parents, deleted=draw(st.booleans())))
    return [placed for placed in at(*made) if draw(st.integers(0, 4))]


class HistoryProperties(SynchronousTestCase):
    """What holds for every folder."""

    @given(folders(), st.randoms(use_true_random=False))
    def test_the_order_of_arrival_changes_nothing(self, versions: list[Placed], random: Any) -> None:
        """History is a function of the set."""
        shuffled = list(versions)
        random.shuffle(shuffled)
        one, other = History(versions), History(shuffled)
        self.assertEqual(vids(one.heads), vids(other.heads))
        self.assertEqual(one.current, other.current)
        self.assertEqual(one.in_conflict, other.in_conflict)

    @given(folders())
    def test_heads_are_those_that_nobody_descends_from(self, versions: list[Placed]) -> None:
        """The quick way of finding heads agrees with the definition (FORMAT 3.4)."""
        history = History(versions)
        slow = [one for one in history.versions if not any(history.descends(other, one) for other in history.versions)]
        self.assertEqual(vids(history.heads), vids(slow))

    @given(folders())
    def test_there_is_a_head_as_long_as_there_is_a_version(self, versions: list[Placed]) -> None:
        """Nothing disappears."""
        history = History(versions)
        self.assertEqual(bool(history.heads), bool(versions))
        self.assertEqual(history.current is not None, bool(versions))

    @given(folders())
    def test_descent_has_no_circles(self, versions: list[Placed]) -> None:
        """No version descends from its own descendant."""
        history = History(versions)
        for one in history.versions:
            for other in history.versions:
                self.assertFalse(history.descends(one, other) and history.descends(other, one))

    @given(folders())
    def test_parents_are_the_ancestors_that_no_other_ancestor_descends_from(self, versions: list[Placed]) -> None:
        """The quick way of finding parents agrees with the definition (DESIGN 4.5)."""
        history = History(versions)
        for one in history.versions:
            above = history.ancestors(one)
            slow = [other for other in above if not any(history.descends(third, other) for third in above)]
            self.assertEqual(vids(history.parents(one)), vids(slow))

    @given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=5))
    def test_numbers_that_went_back_hide_nothing(self, drawn: list[tuple[str, int, int]]) -> None:
        """Whatever the clocks say, nobody's version disappears without a descendant that is there (FORMAT 3.1)."""
        made = []
        for index, (writer, number, known) in enumerate(drawn):
            clock = {"AB".replace(writer, ""): known} if known else {}
            made.append(ours(f"v{index}", writer, {**clock, writer: number}))
        history = History(at(*made))
        slow = [one for one in history.versions if not any(history.descends(other, one) for other in history.versions)]
        self.assertEqual(vids(history.heads), vids(slow))
