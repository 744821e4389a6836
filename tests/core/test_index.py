"""The index: what follows from what was seen, in whatever order."""

from __future__ import annotations

from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.index import Index
from ifap_twisted.core.values import OTHER_DIALECT, Version
from ifap_twisted.errors import Malformed

PATHS = ["a", "a/b", "a/b/c", "d", "IFAP/metadata", "", "x//y", "../e"]


def version(path: str, vid: str, number: int = 1, **facts: Any) -> Version:
    """A version of ours by the writer ``A``."""
    facts = {"sha256": vid, "writer": "A", "clock": {"A": number}, **facts}
    return Version(
        path=path, vid=vid, sealed_id=vid, ours=True, encrypted=True, length=0, size=0, modified=0.0, **facts
    )


class ObservationTests(SynchronousTestCase):
    """What the index makes of messages."""

    def setUp(self) -> None:
        self.index = Index()

    def test_two_copies_of_a_version_are_one_version_at_two_places(self) -> None:
        """Equal in id and metadata (FORMAT 2.2)."""
        self.index.observe(1, version("a", "v"))
        self.index.observe(2, version("a", "v"))
        (placed,) = self.index.history("a").versions
        self.assertEqual(placed.places, (1, 2))

    def test_a_message_that_is_read_twice_is_known_since_the_first_time(self) -> None:
        """And its writer, who was told that it is stored, does not come to take it back (FORMAT 4.4)."""
        self.index.observe(1, version("a", "v"), 10.0)
        self.index.observe(1, version("a", "v"), 500.0)
        (placed,) = self.index.history("a").versions
        self.assertTrue(self.index.is_settled(placed, 10.0 + limits.WITHDRAWAL_SECONDS))
        self.index.acknowledge(placed.version)
        self.index.observe(1, version("a", "v"), 500.0)
        self.assertTrue(self.index.is_settled(placed, 500.0))

    def test_the_same_id_with_other_metadata_is_another_version_and_told(self) -> None:
        """A vid collision (FORMAT 2.2)."""
        self.index.observe(1, version("a", "v"))
        self.index.observe(2, version("a", "v", deleted=True))
        self.assertEqual(len(self.index.history("a").versions), 2)
        self.assertEqual(self.index.collisions(), ["v"])

    def test_the_same_id_at_another_path_is_a_collision(self) -> None:
        """A vid names one version of one file."""
        self.index.observe(1, version("a", "v"))
        self.index.observe(2, version("d", "v"))
        self.assertEqual(self.index.collisions(), ["v"])

    def test_a_version_stays_while_one_of_its_places_is_there(self) -> None:
        """Losing a copy loses nothing."""
        self.index.observe(1, version("a", "v"))
        self.index.observe(2, version("a", "v"))
        self.index.discard([1])
        self.assertTrue(self.index.is_file("a"))
        self.index.discard([2])
        self.assertFalse(self.index.is_file("a"))
        self.assertEqual(list(self.index.paths()), [])

    def test_a_message_that_cannot_be_used_is_kept_with_the_reason(self) -> None:
        """It is counted, and it stops nothing (FORMAT 2.6)."""
        self.index.reject(1, Malformed("no"))
        self.index.reject(2, None)
        self.assertEqual([error.code for error in self.index.rejected().values()], ["malformed"])
        self.assertEqual(self.index.foreign(), 1)
        self.assertEqual(len(self.index), 2)

    def test_a_message_of_the_other_dialect_is_neither_damage_nor_mail(self) -> None:
        """It is counted by itself, until it is gone."""
        self.index.reject(1, OTHER_DIALECT)
        self.index.reject(2, None)
        self.assertEqual((self.index.other_dialect(), self.index.foreign(), self.index.rejected()), (1, 1, {}))
        self.index.forget([1])
        self.assertEqual(self.index.other_dialect(), 0)

    def test_the_greatest_number_of_a_writer_is_never_forgotten(self) -> None:
        """Or a device could use a number twice (FORMAT 3.2)."""
        self.index.observe(1, version("a", "v", 7))
        self.index.forget([1])
        self.assertEqual(self.index.greatest("A"), 7)


class GoneTests(SynchronousTestCase):
    """Versions that somebody removed, nobody knows who (FORMAT 5.5)."""

    def test_of_those_that_were_replaced_the_last_are_remembered(self) -> None:
        """A reference program removes them for ever; what nobody replaced is never forgotten."""
        index = Index()
        for number in range(1, 101):
            index.observe(number, version("a", f"v{number}", number))
            index.forget([number - 1])
        last = [f"v{number}" for number in range(100 - limits.GONE_KEPT, 100)]
        self.assertEqual(sorted(one.vid for one in index.gone("a")), last)
        self.assertEqual(index.thinned(), ["a"])
        index.forget([100])
        self.assertEqual([head.version.vid for head in index.missing()[0]], ["v100"])
        self.assertIn("v100", [one.vid for one in index.gone("a")])

    def test_many_that_nobody_replaced(self) -> None:
        """Each is told until it is settled."""
        index = Index()
        for number in range(1, 101):
            index.observe(number, version("a", f"v{number}", writer=f"w{number}", clock={f"w{number}": 1}))
        index.forget(range(1, 101))
        self.assertEqual(len(index.missing()[0]), 100)


class DirectoryTests(SynchronousTestCase):
    """Directories exist through what is in them, or through a marker (FORMAT 11.2)."""

    def setUp(self) -> None:
        self.index = Index()

    def test_a_directory_is_there_while_something_live_is_below(self) -> None:
        """It goes with its last file."""
        self.index.observe(1, version("a/b/c", "v"))
        self.assertTrue(self.index.is_directory("a"))
        self.assertEqual(self.index.children("a"), ["b"])
        self.index.observe(2, version("a/b/c", "w", 2, deleted=True))
        self.assertFalse(self.index.is_directory("a"))
        self.assertEqual(self.index.children(""), [])

    def test_a_marker_keeps_an_empty_directory(self) -> None:
        """Until it is removed."""
        self.index.observe(1, version("a", "v", directory=True))
        self.assertTrue(self.index.is_directory("a"))
        self.assertFalse(self.index.is_file("a"))
        self.assertEqual(self.index.children(""), ["a"])

    def test_reserved_and_odd_names_are_in_no_directory(self) -> None:
        """They are not the user's files (FORMAT 6.1, 11.1)."""
        for uid, path in enumerate(["IFAP/keys/x", "", "/b", "c//d", "../e"], 1):
            self.index.observe(uid, version(path, f"v{uid}"))
        self.assertEqual(self.index.children(""), [])
        self.assertEqual(len(list(self.index.paths())), 5)

    def test_a_file_whose_name_a_directory_needs_is_told(self) -> None:
        """The directory keeps the name."""
        self.index.observe(1, version("a", "v"))
        self.index.observe(2, version("a/b", "w"))
        self.assertTrue(self.index.is_directory("a"))
        self.assertTrue(self.index.is_file("a"))
        self.assertEqual(self.index.clashes(), ["a"])


@st.composite
def observations(draw: st.DrawFn) -> list[tuple[int, Version | Malformed | None]]:
    """What lies at each UID of a small folder."""
    found: list[tuple[int, Version | Malformed | None]] = []
    for uid in range(1, draw(st.integers(1, 10))):
        if draw(st.integers(0, 5)) == 0:
            found.append((uid, draw(st.sampled_from([None, Malformed("no")]))))
            continue
        number = draw(st.integers(1, 4))
        kind = draw(st.sampled_from([{}, {"deleted": True}, {"directory": True}]))
        path = draw(st.sampled_from(PATHS))
        found.append((uid, version(path, draw(st.sampled_from("uvwxyz")), number, **kind)))
    return found


def facts(index: Index) -> Any:
    """Everything that can be asked of an index."""
    return (
        {path: (index.history(path).versions, index.history(path).heads) for path in sorted(index.paths())},
        index.conflicts(),
        index.clashes(),
        index.collisions(),
        {directory: index.children(directory) for directory in ["", *PATHS]},
        sorted(index.rejected()),
        index.foreign(),
        sorted(index.uids()),
    )


def filled(seen: list[tuple[int, Version | Malformed | None]]) -> Index:
    """An index that saw them."""
    index = Index()
    for uid, found in seen:
        if isinstance(found, Version):
            index.observe(uid, found)
        else:
            index.reject(uid, found)
    return index


def heads_of(index: Index, path: str) -> list[Version]:
    """The heads of a path, missing or not; without their sealing, which differs between copies."""
    return sorted((head.version for head in index.history(path).heads), key=repr)


class IndexProperties(SynchronousTestCase):
    """What holds for every folder."""

    @given(observations(), st.randoms(use_true_random=False))
    def test_the_index_is_the_same_for_every_order_of_observation(self, seen: Any, random: Any) -> None:
        """Also when it is asked in between."""
        one, other = Index(), Index()
        shuffled = list(seen)
        random.shuffle(shuffled)
        for index, order, asks in ((one, seen, False), (other, shuffled, True)):
            for uid, found in order:
                if isinstance(found, Version):
                    index.observe(uid, found)
                else:
                    index.reject(uid, found)
                if asks:
                    facts(index)
        self.assertEqual(facts(one), facts(other))

    @given(observations(), st.sets(st.integers(1, 10)))
    def test_discarding_is_as_if_it_had_never_been_seen(self, seen: Any, gone: set[int]) -> None:
        """But for the greatest numbers of writers."""
        one, other = Index(), Index()
        for uid, found in seen:
            for index in (one, other) if uid not in gone else (one,):
                if isinstance(found, Version):
                    index.observe(uid, found)
                else:
                    index.reject(uid, found)
        one.discard(gone)
        self.assertEqual(facts(one), facts(other))

    @given(observations(), st.sets(st.integers(1, 10)), st.randoms(use_true_random=False))
    def test_what_is_missing_is_the_same_for_every_order_in_which_it_went(
        self, seen: Any, gone: set[int], random: Any
    ) -> None:
        """It follows from what was there and what is there; and each of it heals when it comes back (FORMAT 5.5)."""
        one, other, whole = filled(seen), filled(seen), filled(seen)
        shuffled = sorted(gone)
        random.shuffle(shuffled)
        one.forget(sorted(gone))
        for uid in shuffled:
            other.forget([uid])
            facts(other)
        self.assertEqual(facts(one), facts(other))
        self.assertEqual(one.missing(), other.missing())
        for uid, found in seen:
            if uid in gone:
                if isinstance(found, Version):
                    one.observe(uid, found)
                else:
                    one.reject(uid, found)
        self.assertEqual(facts(one), facts(whole))
        self.assertEqual((one.missing(), one.thinned()), (([], []), []))

    @given(observations(), st.sets(st.integers(1, 10)))
    def test_what_goes_changes_no_head_but_makes_it_missing(self, seen: Any, gone: set[int]) -> None:
        """Nothing that was replaced becomes current again because its successor went (FORMAT 5.5)."""
        index = filled(seen)
        before = {path: heads_of(index, path) for path in PATHS if path != "IFAP/metadata"}
        index.forget(gone)
        self.assertEqual({path: heads_of(index, path) for path in before}, before)

    @given(observations(), st.sets(st.integers(1, 10)), st.randoms(use_true_random=False))
    def test_new_numbers_change_nothing_but_what_is_not_under_them(
        self, seen: Any, gone: set[int], random: Any
    ) -> None:
        """What was there and is not any more is missing as if it had gone before (FORMAT 2.5, 5.5)."""
        before = filled(seen)
        order = [found for uid, found in seen if uid not in gone]
        random.shuffle(order)
        after = filled(list(enumerate(order, 1)))
        after.miss_from(before, inf)
        before.forget(gone)
        for path in PATHS:
            if path != "IFAP/metadata":
                self.assertEqual(heads_of(after, path), heads_of(before, path))
