"""Checkpoints: FORMAT 9.2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.checkpoints import (
    Accepted,
    Checkpoint,
    Published,
    acceptances_of,
    checkpoints_of,
    hidden,
    is_news,
    left_of,
    redundant,
)
from ifap_twisted.errors import Malformed
from tests.core.strategies import json_values

DAY = 86400.0
NOW = 2e9
writers = st.text(alphabet="ABCabc012_-", min_size=6, max_size=6)
numbers = st.dictionaries(writers, st.integers(1, 2**53 - 1), max_size=4)
ranges = st.builds(lambda low, more: Accepted(low, low + more), st.integers(0, 4), st.integers(1, 4))
gone = st.dictionaries(st.sampled_from(["aaaaaa", "bbbbbb", "cccccc"]), ranges, max_size=3)
few = st.dictionaries(st.sampled_from(["aaaaaa", "bbbbbb", "cccccc"]), st.integers(1, 4), max_size=3)


def published(*contents: Mapping[str, int], age: float = 0.0) -> list[Published]:
    """In the order of their UIDs."""
    return [Published(uid, f"vid {uid}", NOW - age, Checkpoint(content)) for uid, content in enumerate(contents, 1)]


class TextTests(SynchronousTestCase):
    """Writing and reading."""

    @given(numbers, gone)
    def test_there_and_back(self, content: dict[str, int], accepted: dict[str, Accepted]) -> None:
        """A checkpoint comes back as it was."""
        checkpoint = Checkpoint(content, accepted)
        self.assertEqual(checkpoint, Checkpoint.decode(checkpoint.encode()))

    def test_what_is_accepted(self) -> None:
        """It is said only where there is any, and read only when it makes sense."""
        self.assertEqual(Checkpoint({"aaaaaa": 1}).encode(), b'{"v":1,"writers":{"aaaaaa":1}}')
        accepted = Checkpoint({}, {"aaaaaa": Accepted(0, 3)}).encode()
        self.assertEqual(accepted, b'{"accepted":{"aaaaaa":[0,3]},"v":1,"writers":{}}')
        for numbers in ([3, 3], [4, 3], [-1, 3], [0, 2**53], [0], [0, 1, 2], [True, 3], [0.0, 3], 3, None, {}):
            content = json.dumps({"v": 1, "writers": {}, "accepted": {"aaaaaa": numbers}}).encode()
            self.assertRaises(Malformed, Checkpoint.decode, content)
        for value in ({"a": [0, 1]}, [], None):
            content = json.dumps({"v": 1, "writers": {}, "accepted": value}).encode()
            self.assertRaises(Malformed, Checkpoint.decode, content)

    @given(json_values | st.dictionaries(st.sampled_from(["v", "writers", "accepted"]), json_values))
    def test_odd_ones_are_refused(self, value: Any) -> None:
        """Whatever JSON it is: right, or refused in one way."""
        try:
            found = Checkpoint.decode(json.dumps(value).encode())
        except Malformed:
            return
        self.assertEqual(found.writers, value["writers"])

    @given(st.binary(max_size=64))
    def test_anything(self, content: bytes) -> None:
        """So are bytes that are no JSON."""
        with self.assertRaises(Malformed):
            Checkpoint.decode(b"[" + content)

    def test_hostile_values(self) -> None:
        """Numbers and names are what those of a clock are."""
        for writers in ({"a": 1}, {"aaaaaa": 0}, {"aaaaaa": True}, {"aaaaaa": 1.0}, {"aaaaaa": 2**53}, [], None):
            content = json.dumps({"v": 1, "writers": writers}).encode()
            self.assertRaises(Malformed, Checkpoint.decode, content)
        self.assertRaises(Malformed, Checkpoint.decode, b'{"v":2,"writers":{}}')
        self.assertRaises(Malformed, Checkpoint.decode, b'{"v":1,"writers":{"aaaaaa":1,"aaaaaa":2}}')

    def test_bounds(self) -> None:
        """As many writers as one may name go into one, and more into others; more is refused."""
        most = {f"{number:06}": 2**53 - 1 for number in range(limits.CHECKPOINT_WRITERS + 1)}
        some = list(checkpoints_of(most))
        self.assertEqual([len(one.writers) for one in some], [limits.CHECKPOINT_WRITERS, 1])
        self.assertEqual([Checkpoint.decode(one.encode()) for one in some], some)
        self.assertRaises(Malformed, Checkpoint.decode, Checkpoint(most).encode())
        self.assertRaises(Malformed, Checkpoint.decode, Checkpoint({}).encode() + b" " * limits.CHECKPOINT_BYTES)
        self.assertEqual(list(checkpoints_of({})), [])
        accepted = {writer: Accepted(number - 1, number) for writer, number in most.items()}
        some = list(acceptances_of(accepted))
        self.assertEqual([len(one.accepted) for one in some], [limits.CHECKPOINT_WRITERS, 1])
        self.assertEqual([Checkpoint.decode(one.encode()) for one in some], some)
        self.assertRaises(Malformed, Checkpoint.decode, Checkpoint({}, accepted).encode())


class MeaningTests(SynchronousTestCase):
    """What follows from those that are there."""

    def test_hidden(self) -> None:
        """The greatest number that any names, where less is known."""
        found = published({"aaaaaa": 3, "bbbbbb": 9}, {"aaaaaa": 7, "cccccc": 1})
        known = {"aaaaaa": 6, "bbbbbb": 9}
        self.assertEqual(hidden(found, NOW, lambda writer: known.get(writer, 0)), {"aaaaaa": 7, "cccccc": 1})

    def test_a_year(self) -> None:
        """One that is older, or of a date that is wrong by as much, says nothing."""
        for age, said in ((364 * DAY, True), (366 * DAY, False), (-364 * DAY, True), (-366 * DAY, False)):
            self.assertEqual(bool(hidden(published({"aaaaaa": 1}, age=age), NOW, lambda _writer: 0)), said)

    def test_news(self) -> None:
        """What nobody has said of late."""
        found = published({"aaaaaa": 3})
        self.assertFalse(is_news({}, [], NOW))
        self.assertTrue(is_news({"aaaaaa": 1}, [], NOW))
        self.assertFalse(is_news({"aaaaaa": 3}, found, NOW))
        self.assertTrue(is_news({"aaaaaa": 4}, found, NOW))
        self.assertTrue(is_news({"bbbbbb": 1}, found, NOW))
        self.assertTrue(is_news({"aaaaaa": 3}, found, NOW + 91 * DAY))

    def test_redundant(self) -> None:
        """The later of equal ones stays, and what no later one says; what is too old goes."""
        found = published({"aaaaaa": 1}, {"aaaaaa": 2}, {"bbbbbb": 1}, {"aaaaaa": 2}, {})
        self.assertEqual(sorted(redundant(found, NOW)), ["vid 1", "vid 2", "vid 5"])
        self.assertEqual(len(list(redundant(found, NOW + 366 * DAY))), 5)

    def test_accepted(self) -> None:
        """What is gone is missed no more; what was there then, and what came after it, is."""
        found = [*published({"aaaaaa": 7}), Published(9, "vid 9", NOW, Checkpoint({}, {"aaaaaa": Accepted(4, 7)}))]
        for known, said in ((7, {}), (5, {}), (4, {}), (3, {"aaaaaa": 7}), (0, {"aaaaaa": 7})):
            self.assertEqual(hidden(found, NOW, lambda _writer, known=known: known), said)
        later = [*found, Published(10, "vid 10", NOW, Checkpoint({"aaaaaa": 8}))]
        self.assertEqual(hidden(later, NOW, lambda _writer: 7), {"aaaaaa": 8})

    def test_accepted_long_ago(self) -> None:
        """It ends like all that a checkpoint says."""
        old = Published(9, "vid 9", NOW - 366 * DAY, Checkpoint({}, {"aaaaaa": Accepted(0, 7)}))
        self.assertEqual(hidden([*published({"aaaaaa": 7}), old], NOW, lambda _writer: 0), {"aaaaaa": 7})
        self.assertEqual(list(redundant([old], NOW)), ["vid 9"])

    @given(st.lists(ranges, max_size=4), st.integers(0, 9), st.integers(0, 9))
    def test_what_is_left(self, accepted: list[Accepted], one: int, other: int) -> None:
        """Never more than was seen, in no range, and the order of numbers stays."""
        left = left_of(one, accepted)
        self.assertLessEqual(left, one)
        self.assertFalse(any(numbers.above < left <= numbers.upto for numbers in accepted))
        if one <= other:
            self.assertLessEqual(left, left_of(other, accepted))

    @given(st.lists(st.tuples(few, gone), max_size=5), few)
    def test_without_the_redundant_ones_the_same_is_accepted(
        self, contents: list[tuple[dict[str, int], dict[str, Accepted]]], known: dict[str, int]
    ) -> None:
        """Nobody is alarmed again, or less, when they are removed."""
        found = [Published(n, f"vid {n}", NOW, Checkpoint(*content)) for n, content in enumerate(contents)]
        left = [one for one in found if one.vid not in set(redundant(found, NOW))]
        said = hidden(found, NOW, lambda writer: known.get(writer, 0))
        self.assertEqual(hidden(left, NOW, lambda writer: known.get(writer, 0)), said)

    @given(st.lists(few, max_size=5))
    def test_without_the_redundant_ones_the_same_is_said(self, contents: list[dict[str, int]]) -> None:
        """Nobody is told less when they are removed, in whatever order they go."""
        found = published(*contents)
        gone = set(redundant(found, NOW))
        said = hidden(found, NOW, lambda _writer: 0)
        self.assertEqual(hidden([one for one in found if one.vid not in gone], NOW, lambda _writer: 0), said)
        self.assertFalse(set(redundant([one for one in found if one.vid not in gone], NOW)))
