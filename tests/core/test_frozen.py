"""Messages frozen for the journal (FORMAT 4.1, 8.1)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.frozen import EARLIER, MAGIC, Frozen, _facts, freeze, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import ForeignKey, Malformed, NewerVersionNeeded

KEY, OTHER = Key.from_text("correct horse"), Key.from_text("battery staple")
RANDOM = random.Random(1).randbytes
ENTRY = Frozen(
    account="embedded", folder="IFAP_DATA", home="AAAAAAAA", dialect="ifap", sealed_id="x", message=b"secret"
)
ENTRIES = st.builds(
    Frozen,
    account=st.text(max_size=20),
    folder=st.text(max_size=20),
    home=st.text(max_size=8),
    dialect=st.sampled_from(["ifap", "mailfile"]),
    sealed_id=st.text(max_size=22),
    message=st.binary(max_size=300) | st.just(MAGIC * 3),
    accepted=st.booleans(),
    expect=st.none() | st.just(ABSENT) | st.text(max_size=22),
    replaced=st.lists(st.text(max_size=22), max_size=3).map(tuple),
)


def record_of(entry: Frozen, key: Key | None = KEY) -> bytes:
    """As it stands in a file."""
    return b"".join(freeze(entry, key, RANDOM))


class FrozenTests(SynchronousTestCase):
    """What comes back is what was frozen, or nothing."""

    @given(st.lists(ENTRIES, max_size=5), st.sampled_from([KEY, None]))
    def test_many_in_a_file(self, entries: list[Frozen], key: Key | None) -> None:
        """Each comes back as it was, in order."""
        data = b"".join(record_of(entry, key) for entry in entries)
        self.assertEqual([found for _record, found in thaw(data, [OTHER, KEY])], entries)

    def test_sealed(self) -> None:
        """Where it goes cannot be read without the key; the message is sealed by itself, and is not copied."""
        record = record_of(ENTRY)
        self.assertNotIn(b"IFAP_DATA", record)
        self.assertIs(freeze(ENTRY, KEY, RANDOM)[1], ENTRY.message)
        ((whole, found),) = thaw(record, [OTHER])
        self.assertIsInstance(found, ForeignKey)
        self.assertEqual(whole, record)

    @given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from([KEY, None]))
    def test_damage_hurts_one_only(self, place: int, change: int, key: Key | None) -> None:
        """Whatever byte is changed: no wrong message comes of it, the others are there, and no byte is passed over."""
        entries = [replace(ENTRY, message=bytes([number]) * 50) for number in range(3)]
        whole = bytearray(b"".join(record_of(entry, key) for entry in entries))
        place %= len(whole)
        whole[place] ^= change
        pieces = list(thaw(bytes(whole), [KEY]))
        self.assertEqual(b"".join(piece for piece, _found in pieces), bytes(whole))
        hurt = place * 3 // len(whole)
        found = [entry for _piece, entry in pieces if isinstance(entry, Frozen)]
        self.assertEqual(found, entries[:hurt] + entries[hurt + 1 :])

    @given(st.integers(0, 400))
    def test_cut(self, length: int) -> None:
        """The end of a file that was cut is damaged, and no more."""
        record = record_of(ENTRY)
        cut = (record * 2)[: min(length, 2 * len(record) - 1)]
        found = [entry for _piece, entry in thaw(cut, [KEY]) if isinstance(entry, Frozen)]
        self.assertEqual(found, [ENTRY] * (len(cut) // len(record)))

    @given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: MAGIC + rest))
    def test_anything(self, data: bytes) -> None:
        """Any bytes are a message or one of our errors."""
        pieces = list(thaw(data, [KEY]))
        self.assertEqual(b"".join(piece for piece, _found in pieces), data)
        self.assertTrue(all(isinstance(found, (Frozen, Malformed, ForeignKey)) for _piece, found in pieces))


class FormatTests(SynchronousTestCase):
    """Records of other releases."""

    @given(ENTRIES)
    def test_of_the_first_format(self, entry: Frozen) -> None:
        """It is read as what it was: nothing was promised, and what was expected is not known."""
        (found,) = [found for _record, found in thaw(record_of_the_first(entry), [KEY])]
        self.assertEqual(found, replace(entry, accepted=False, expect=None, replaced=()))

    def test_of_a_later_format(self) -> None:
        """It is left as it is, and those around it are found."""
        later = b"IFAPJ3\r\n" + b"whatever that is"
        pieces = list(thaw(record_of(ENTRY) + later + record_of(ENTRY), [KEY]))
        self.assertEqual([found for _piece, found in pieces if isinstance(found, Frozen)], [ENTRY, ENTRY])
        (record, error) = pieces[1]
        self.assertEqual(record, later)
        self.assertIsInstance(error, NewerVersionNeeded)

    def test_facts_of_a_wrong_kind(self) -> None:
        """They are damage, not an exception."""
        for wrong in ({"accepted": 1}, {"expect": "x"}, {"expect": ["a", "b"]}, {"replaced": [1]}, {"replaced": None}):
            with patch("ifap_twisted.core.frozen._facts", lambda entry, wrong=wrong: _facts(entry) | wrong):
                data = record_of(ENTRY)
            ((_record, found),) = thaw(data, [KEY])
            self.assertIsInstance(found, Malformed)


def record_of_the_first(entry: Frozen) -> bytes:
    """As the first format had it: without what was promised and expected."""
    newer = ("accepted", "expect", "replaced")

    def facts(frozen: Frozen) -> dict[str, Any]:
        return {name: value for name, value in _facts(frozen).items() if name not in newer}

    with patch("ifap_twisted.core.frozen._facts", facts), patch("ifap_twisted.core.frozen.MAGIC", EARLIER):
        return record_of(entry)
