"""Collection records: FORMAT 5.3."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.index import Index
from ifap_twisted.core.records import Gone, Record, path_hash
from ifap_twisted.core.values import Version
from ifap_twisted.core.vocabulary import LATEST
from ifap_twisted.errors import Malformed
from tests.core.strategies import json_values
from tests.core.test_history import ours, theirs

ids = st.text(alphabet="ABCabc012_-", min_size=22, max_size=22)
writers = st.text(alphabet="ABCabc012_-", min_size=6, max_size=6)
clocks = st.dictionaries(writers, st.integers(1, 2**53 - 1), max_size=3)
entries = st.builds(
    Gone,
    ids,
    ids,
    st.just("") | writers,
    clocks.map(lambda clock: tuple(sorted(clock.items()))),
    st.integers(0, LATEST),
    st.booleans(),
)

VID = "v" * 22
ENTRY: dict[str, Any] = {"path": "p" * 22, "vid": VID, "writer": "abcdef", "clock": {"abcdef": 3}, "time": 5}


def packed(*entries: Any, **changes: Any) -> bytes:
    return json.dumps({"v": 1, "collected": list(entries)} | changes).encode()


class RecordTests(SynchronousTestCase):
    """Writing and reading."""

    @given(st.lists(entries, max_size=4))
    def test_there_and_back(self, gone: list[Gone]) -> None:
        """A record comes back as it was."""
        record = Record(tuple(gone))
        self.assertEqual(record, Record.decode(record.encode()))

    @given(json_values | st.dictionaries(st.sampled_from([*ENTRY, "end"]), json_values))
    def test_odd_ones_are_refused(self, value: Any) -> None:
        """Whatever JSON an entry is: right, or refused in one way."""
        try:
            Record.decode(packed(value))
        except Malformed:
            return
        self.assertLessEqual(set(ENTRY), set(value))

    @given(st.binary(max_size=64))
    def test_noise_is_refused(self, content: bytes) -> None:
        """Bytes that are no record are refused in one way."""
        self.assertRaises(Malformed, Record.decode, content)

    def test_each_fault_is_refused(self) -> None:
        """One wrong value anywhere spoils a record; a key that is not known does not."""
        faults: list[dict[str, Any]] = [
            {"path": "x"},
            {"vid": None},
            {"writer": "x"},
            {"clock": {"abcdef": 0}},
            {"time": 1.5},
            {"time": -1},
            {"end": 1},
        ]
        for fault in faults:
            self.assertRaises(Malformed, Record.decode, packed(ENTRY | fault))
        for version in (2, True, 1.0, None):
            self.assertRaises(Malformed, Record.decode, packed(ENTRY, v=version))
        self.assertEqual(VID, Record.decode(packed(ENTRY | {"later": 1})).gone[0].vid)

    def test_bounds(self) -> None:
        """Too many entries, or too long a text, are refused."""
        self.assertRaises(Malformed, Record.decode, packed(*[ENTRY] * (limits.RECORD_ENTRIES + 1)))
        self.assertRaises(Malformed, Record.decode, b" " * (limits.RECORD_BYTES + 1))


def gone(version: Version, *, end: bool = False) -> Gone:
    return Gone.of(version, time=7.9, end=end)


class CopiesTests(SynchronousTestCase):
    """What an index makes of versions that turn up after they were collected."""

    def index(self, *versions: Version) -> Index:
        """The versions at UIDs 1, 2, ..."""
        index = Index()
        for uid, version in enumerate(versions, 1):
            index.observe(uid, version)
        return index

    def heads(self, index: Index) -> list[str]:
        """The ids of the heads of the path."""
        return [head.version.vid for head in index.history("a").heads]

    def test_a_record_is_found_by_id(self) -> None:
        """Whether a version was collected is asked by its id."""
        index = self.index()
        index.note_collected([gone(ours("1", "A", {"A": 1}))])
        self.assertTrue(index.is_collected("1"))
        self.assertFalse(index.is_collected("2"))

    def test_the_numbers_on_record_are_known(self) -> None:
        """A device that was put back to an older state draws a new writer also where all that it wrote is gone."""
        index = self.index(ours("2", "B", {"B": 3}))
        index.note_collected([gone(ours("1", "A", {"A": 7, "B": 2}))])
        self.assertEqual([index.greatest(writer) for writer in "ABC"], [7, 3, 0])

    def test_a_copy_is_no_head(self) -> None:
        """What was collected is no conflict when it turns up again, even where no clock tells that it is old."""
        old, new = ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1})
        index = self.index(old, new)
        self.assertEqual(["1", "2"], self.heads(index))
        index.note_collected([gone(old)])
        self.assertEqual(["2"], self.heads(index))
        self.assertFalse(index.history("a").in_conflict)

    def test_a_copy_of_the_reference_does_not_become_current(self) -> None:
        """A chain is in UID order: an old message that is stored again would be its newest."""
        first, last = theirs("1"), theirs("2")
        index = self.index(last, first)
        self.assertEqual(["1"], self.heads(index))
        index.note_collected([gone(first)])
        self.assertEqual(["2"], self.heads(index))

    def test_borrowed_ids_are_not_believed(self) -> None:
        """Another version that carries a recorded id is a head: in doubt a conflict."""
        index = self.index(ours("1", "A", {"A": 9}), ours("2", "B", {"B": 1}))
        index.note_collected([gone(ours("1", "A", {"A": 1}))])
        self.assertEqual(["1", "2"], self.heads(index))

    def test_a_record_of_another_path_says_nothing(self) -> None:
        """The same version under another name is another version."""
        index = self.index(ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1}))
        index.note_collected([gone(ours("1", "A", {"A": 1}))._replace(path=path_hash("b"))])
        self.assertEqual(["1", "2"], self.heads(index))

    def test_unencrypted_messages_of_the_reference_are_never_copies(self) -> None:
        """Their ids do not tell one save from another."""
        plain = theirs("1")._replace(encrypted=False)
        index = self.index(theirs("2"), plain)
        index.note_collected([gone(plain)])
        self.assertEqual(["1"], self.heads(index))

    def test_the_last_thing_left_is_never_hidden(self) -> None:
        """Recorded, not removed for a crash, and then the newer one was removed by somebody else: it is shown."""
        old, new = ours("1", "A", {"A": 1}), ours("2", "A", {"A": 2})
        index = self.index(old, new)
        index.note_collected([gone(old)])
        index.discard([2])
        self.assertEqual(["1"], self.heads(index))

    def test_after_the_end_of_a_file_its_versions_stay_gone(self) -> None:
        """Where the tombstone itself was collected, no version before it comes back to life."""
        old, tombstone = ours("1", "A", {"A": 1}), ours("2", "B", {"A": 1, "B": 1}, deleted=True)
        index = self.index(old)
        index.note_collected([gone(tombstone, end=True)])
        self.assertEqual([], self.heads(index))
        self.assertFalse(index.is_file("a"))

    def test_a_file_made_after_the_end_is_a_file(self) -> None:
        """The end of a file says nothing of one that is written under its name later, by the same device too."""
        tombstone, new = ours("2", "A", {"A": 2}, deleted=True), ours("3", "A", {"A": 3})
        index = self.index(new)
        index.note_collected([gone(tombstone, end=True)])
        self.assertEqual(["3"], self.heads(index))

    def test_the_end_itself_is_still_shown_while_it_is_there(self) -> None:
        """Recorded and not removed yet: what is written now descends from it."""
        tombstone = ours("2", "A", {"A": 2}, deleted=True)
        index = self.index(tombstone)
        index.note_collected([gone(tombstone, end=True)])
        self.assertEqual(["2"], self.heads(index))

    def test_the_order_does_not_matter(self) -> None:
        """A record that is known before the versions are seen says the same."""
        old, new = ours("1", "A", {"A": 1}), ours("2", "B", {"B": 1})
        index = Index()
        index.note_collected([gone(old)])
        index.observe(1, old)
        index.observe(2, new)
        self.assertEqual(["2"], self.heads(index))

    def test_a_copy_still_descends_from_what_it_did(self) -> None:
        """Recorded and not removed yet: what it replaced of the reference's is no conflict because of that."""
        first, second = theirs("1"), ours("2", "A", {"A": 1}, parents=("1",))
        index = self.index(first, second, ours("3", "A", {"A": 2}))
        index.note_collected([gone(second)])
        self.assertEqual(["3"], self.heads(index))

    def test_a_copy_does_not_hide_what_nothing_else_replaced(self) -> None:
        """The version that replaced it was removed by somebody else: it is shown, in conflict with others."""
        first, second, other = ours("1", "A", {"A": 1}), ours("2", "A", {"A": 2}), ours("4", "B", {"B": 1})
        index = self.index(first, second, ours("3", "A", {"A": 3}), other)
        index.note_collected([gone(second)])
        self.assertEqual(["3", "4"], self.heads(index))
        index.discard([3])
        self.assertEqual(["2", "4"], self.heads(index))
        self.assertTrue(index.history("a").in_conflict)

    def test_an_ended_version_hides_nothing(self) -> None:
        """Nor does what the end of a file descends from cover what the end does not know."""
        end = ours("9", "B", {"A": 5, "B": 1}, deleted=True)
        index = self.index(ours("1", "C", {"C": 1}), ours("2", "A", {"A": 5, "C": 1}), ours("3", "D", {"D": 1}))
        index.note_collected([gone(end, end=True)])
        self.assertEqual(["1", "3"], self.heads(index))

    def test_a_copy_of_the_reference_makes_no_ancestors(self) -> None:
        """A version that had replaced it did not replace what came later in its chain, wherever the copy lies now."""
        old, later = theirs("1"), theirs("3")
        index = self.index(ours("2", "A", {"A": 1}, parents=("1",)), later, old)
        index.note_collected([gone(old)])
        history = index.history("a")
        ((second,), (third,), (copy,)) = (history.find(vid) for vid in "231")
        self.assertEqual(["2", "3"], self.heads(index))
        self.assertFalse(history.descends(second, third))
        self.assertTrue(history.descends(second, copy))
        self.assertFalse(history.descends(copy, third))
        self.assertEqual([copy], list(history.parents(second)))

    def test_a_copy_is_no_reason_to_take_a_write_back(self) -> None:
        """A version that is gone soon after it came lost no race against one that was collected: it is missing."""
        copy = ours("1", "C", {"C": 1})
        index = Index()
        for uid, version in enumerate((copy, ours("2", "A", {"A": 1}), ours("3", "A", {"A": 2})), 1):
            index.observe(uid, version, moment=5.0)
        index.note_collected([gone(copy)])
        index.forget([3], moment=6.0)
        vanished, _by_reference = index.missing()
        self.assertEqual(["3"], [one.version.vid for one in vanished])
