"""What a row says."""

from __future__ import annotations

from benchmarks.report import Row, times
from twisted.trial.unittest import SynchronousTestCase


class RowTests(SynchronousTestCase):
    """A figure beside its limit."""

    def test_met(self) -> None:
        """At most the limit is met; the ratio is to the parts, not to the limit."""
        parts = {"raw": 1.0, "cipher": 1.0}
        row = Row(bar="W1", work="put", ours=3.0, limit=times(1.5, parts), parts=parts)
        self.assertTrue(row.met)
        self.assertEqual(1.5, row.ratio)

    def test_missed(self) -> None:
        """Above the limit is missed, and the table shows it."""
        row = Row(bar="W4", work="refresh", ours=5, unit="trips", limit=4)
        self.assertFalse(row.met)
        self.assertIn(" NO ", f"{row.line()} ")

    def test_not_measured(self) -> None:
        """What could not be measured is neither met nor missed."""
        row = Row(bar="W9", work="PUT", ours=None, limit=1, note="refused")
        self.assertIsNone(row.met)
        self.assertIsNone(row.ratio)

    def test_only_told(self) -> None:
        """What has no limit is not judged."""
        self.assertIsNone(Row(bar="W1", work="put", ours=3.0).met)
