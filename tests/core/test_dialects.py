"""Dialects: WIRE-FORMAT 1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.dialects import DIALECTS, IFAP, MAILFILE, dialects_of
from ifap_twisted.core.paths import is_reserved
from tests.core.vectors import vectors


class DialectTests(SynchronousTestCase):
    """The two dialects."""

    def test_by_name(self) -> None:
        """They are found by the names of the option ``--dialect``."""
        self.assertEqual(dict(DIALECTS), {"ifap": IFAP, "mailfile": MAILFILE})

    def test_snapshot_is_reserved(self) -> None:
        """No user's file can take the place of a snapshot."""
        for dialect in DIALECTS.values():
            self.assertTrue(is_reserved(dialect.snapshot_path))


class FoundTests(SynchronousTestCase):
    """Which dialects a header block speaks."""

    def test_examples(self) -> None:
        """The field counts, in any case, wherever it stands, and nothing that only looks like it."""
        self.assertEqual(dialects_of(b"To: a\r\nx-ifap : !x\r\n\r\n"), {"ifap"})
        self.assertEqual(dialects_of(b"X-MAILFILE:\n !x\n"), {"mailfile"})
        self.assertEqual(dialects_of(b"X-IFAP: a\r\nX-Mailfile: b\r\n"), {"ifap", "mailfile"})
        for fields in (b"", b"\r\n", b"Subject: X-IFAP: a", b"To: a\r\n X-IFAP: b", b"X-IFAP2: x", b"X-IFAP\r\n: x"):
            self.assertEqual(dialects_of(fields), frozenset())

    def test_vectors(self) -> None:
        """Every message of the reference is of its own dialect and of no other."""
        for found in vectors("accept"):
            self.assertEqual(dialects_of(found.head), {found.dialect.name}, found.name)

    @given(st.binary())
    def test_any_bytes(self, fields: bytes) -> None:
        """Any bytes have an answer."""
        self.assertLessEqual(dialects_of(fields), set(DIALECTS))
