"""Keys: FORMAT 8.1."""

from __future__ import annotations

import base64
import copy
import hashlib
import pickle
import traceback

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.keys import Key, new_key_text
from ifap_twisted.errors import CallerError
from tests.core.strategies import fixed_random

FINGERPRINT = "cf9cfe6d9ded613b"
SUBKEY = "c39f80f1c0ef1721ee51d5215e2d05e6d1e74564fcd381ecdecd92f46dedee53"


class KeyTests(SynchronousTestCase):
    """The data key."""

    def test_as_the_reference(self) -> None:
        """The passphrase ``abc`` gives the Fernet key that WIRE-FORMAT 2.2 tells."""
        key = Key.from_text("abc")
        fernet = base64.urlsafe_b64encode(key.signing + key.encryption)
        self.assertEqual(fernet, b"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=")
        self.assertEqual(key.text, "abc")

    def test_equal(self) -> None:
        """Keys of the same text are equal and have the same hash and fingerprint; others differ."""
        key, same, other = Key.from_text("é"), Key.from_text("é"), Key.from_text("e\u0301")
        self.assertEqual(key, same)
        self.assertEqual((hash(key), key.fingerprint), (hash(same), same.fingerprint))
        self.assertNotEqual(key, other)
        self.assertNotEqual(key.fingerprint, other.fingerprint)
        self.assertNotEqual(key, "é")

    @given(st.text(min_size=4))
    def test_shows_nothing(self, text: str) -> None:
        """Neither repr nor str nor format shows more than the fingerprint."""
        key = Key.from_text(text)
        for shown in (repr(key), str(key), f"{key}", f"{[key]}".strip("[]")):
            self.assertEqual(shown, f"<Key {key.fingerprint}>")

    def test_fingerprint_tells_nothing(self) -> None:
        """The fingerprint is no part of any secret."""
        key = Key.from_text("abc")
        secrets = (key.signing + key.encryption, hashlib.sha256(b"abc").digest(), key.subkey("cache"))
        self.assertFalse(any(bytes.fromhex(key.fingerprint) in secret for secret in secrets))

    def test_stays_here(self) -> None:
        """A key can be neither pickled nor copied."""
        key = Key.from_text("abc")
        for taken in (pickle.dumps, copy.copy, copy.deepcopy):
            self.assertRaises(TypeError, taken, key)

    def test_no_text(self) -> None:
        """A text that cannot be encoded is refused without being repeated."""
        error = self.assertRaises(CallerError, Key.from_text, "geheim\ud800")
        self.assertNotIn("geheim", "".join(traceback.format_exception_only(error)))
        self.assertIsNone(error.__cause__)
        self.assertTrue(error.__suppress_context__)

    def test_subkeys(self) -> None:
        """A sub-key depends on the key and on the purpose, and has the length asked for."""
        key = Key.from_text("abc")
        self.assertEqual(len(key.subkey("cache", 16)), 16)
        self.assertEqual(key.subkey("cache"), Key.from_text("abc").subkey("cache"))
        self.assertEqual(len({key.subkey("a"), key.subkey("b"), Key.from_text("d").subkey("a")}), 3)
        self.assertNotIn(key.subkey("a", 16), (key.signing, key.encryption))

    def test_subkeys_are_fixed(self) -> None:
        """The derivation never changes: journals and marks of older releases must open."""
        key = Key.from_text("abc")
        self.assertEqual(key.fingerprint, FINGERPRINT)
        self.assertEqual(key.subkey("cache").hex(), SUBKEY)


class NewKeyTests(SynchronousTestCase):
    """Making a key."""

    def test_form(self) -> None:
        """A new key is 32 random bytes in 44 characters of base64."""
        text = new_key_text(fixed_random)
        self.assertEqual(base64.b64decode(text), bytes(range(32)))
        self.assertEqual(len(text), 44)

    def test_poor_randomness(self) -> None:
        """A source that gives too few bytes makes no key."""
        self.assertRaises(ValueError, new_key_text, lambda count: bytes(count - 1))
