"""Messages frozen for the journal (FORMAT 4.1, 8.1)."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.frozen import MAGIC, Frozen, freeze, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import ForeignKey, Malformed

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
