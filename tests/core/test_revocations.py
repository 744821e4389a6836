"""What says that keys of a folder are revoked (FORMAT 8.5)."""

from __future__ import annotations

import json
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.revocations import ID_LENGTH, NOTICES, Revocation, notice_in, notice_kind
from ifap_twisted.errors import Malformed

FINGERPRINTS = st.text("0123456789abcdef", min_size=16, max_size=16)
IDS = st.text("abcXYZ019-_", min_size=ID_LENGTH, max_size=ID_LENGTH)
SOME = frozenset({"0" * 16})


def _text(value: object) -> bytes:
    return json.dumps(value).encode()


class NoticeTests(SynchronousTestCase):
    """What a notice says is in its name."""

    @given(st.text(), st.text(), IDS)
    def test_round(self, former: str, newer: str, rest: str) -> None:
        """The fingerprints of both keys are read from it."""
        keys = Key.from_text(former), Key.from_text(newer)
        self.assertEqual(notice_in(notice_kind(*keys) + rest), tuple(key.fingerprint for key in keys))

    @given(st.one_of(st.text(), st.text().map(lambda rest: NOTICES + rest)))
    @example(NOTICES + "0" * 16 + "-" + "0" * 15 + "A-x")
    @example(NOTICES + "0" * 16 + "-" + "0" * 16)
    @example("x" + NOTICES + "0" * 16 + "-" + "0" * 16 + "-x")
    def test_anything_else(self, path: str) -> None:
        """No other name is one."""
        self.assertIsNone(notice_in(path))


class RevocationTests(SynchronousTestCase):
    """A record of revoked keys."""

    @given(st.frozensets(FINGERPRINTS, min_size=1), st.frozensets(IDS))
    def test_round(self, keys: frozenset[str], accepted: frozenset[str]) -> None:
        """What is written is read."""
        found = Revocation(keys=keys, accepted=accepted)
        self.assertEqual(Revocation.decode(found.encode()), found)

    @given(st.frozensets(FINGERPRINTS), st.frozensets(IDS), FINGERPRINTS, IDS)
    def test_refuses(self, keys: frozenset[str], accepted: frozenset[str], key: str, one: str) -> None:
        """Under a revoked key nothing counts but what is named; under any other all does."""
        found = Revocation(keys=keys, accepted=accepted)
        self.assertEqual(found.refuses(key, one), key in keys and one not in accepted)
        self.assertFalse(found.joined((), {one}).refuses(key, one))
        self.assertEqual(found.joined({key}).refuses(key, one), one not in accepted)

    @given(st.one_of(st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(_text)))
    def test_anything(self, content: bytes) -> None:
        """Whatever it is given, it tells that it is none."""
        with self.assertRaises(Malformed):
            Revocation.decode(content)

    def test_odd_ones(self) -> None:
        """No keys, half an id, another alphabet, another version, more than any record has."""
        good = json.loads(Revocation(keys=SOME, accepted=frozenset({"a" * ID_LENGTH})).encode())
        odd = (
            {"keys": []},
            {"keys": ["0" * 15]},
            {"keys": ["0" * 15 + "G"]},
            {"keys": [1]},
            {"keys": "0" * 16},
            {"accepted": "a" * (ID_LENGTH + 1)},
            {"accepted": "+" * ID_LENGTH},
            {"accepted": []},
            {"accepted": None},
            {"v": 2},
            {"v": True},
        )
        for change in odd:
            with self.assertRaises(Malformed, msg=str(change)):
                Revocation.decode(json.dumps(good | change).encode())
        long = Revocation(keys=SOME, accepted=frozenset(f"{number:022}" for number in range(3))).encode()
        bounds = patch.multiple(limits, REVOCATION_IDS=2, SLOT_BYTES=0)
        with bounds, self.assertRaises(Malformed):
            Revocation.decode(long)

    def test_what_later_releases_say_besides(self) -> None:
        """Is left out."""
        value = json.loads(Revocation(keys=SOME).encode()) | {"more": 1}
        self.assertEqual(Revocation.decode(json.dumps(value).encode()), Revocation(keys=SOME))
