"""Times as people type and read them."""

from __future__ import annotations

import contextlib

import click
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.times import local_time, parse_time, time_or_ago

NOW = 1_700_000_000.0


class TimeTests(SynchronousTestCase):
    """``--at TIME``."""

    def test_ago(self) -> None:
        """How long ago counts back from now: seconds, minutes, hours, days, weeks."""
        for text, seconds in (("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 259200), ("1w", 604800)):
            self.assertEqual(NOW - seconds, parse_time(text, NOW))

    def test_iso_with_offset(self) -> None:
        """ISO 8601 with an offset means that very moment, wherever it is read."""
        self.assertEqual(0.0, parse_time("1970-01-01T00:00:00Z", NOW))
        self.assertEqual(0.0, parse_time("1970-01-01T02:00:00+02:00", NOW))

    def test_date_alone(self) -> None:
        """A date alone is its first moment, local time, like the same date with 00:00."""
        self.assertEqual(parse_time("2026-01-31T00:00:00", NOW), parse_time("2026-01-31", NOW))

    def test_printed_times_are_understood(self) -> None:
        """What `ls -l` prints can be given to `--at`."""
        self.assertEqual(NOW, parse_time(local_time(NOW), NOW))

    def test_nonsense(self) -> None:
        """What is neither is a usage error that shows both forms."""
        for text in ("", "yesterday", "3", "h", "-2h", "3y", "2026-13-01", "99999999999d"):
            error = self.assertRaises(click.BadParameter, time_or_ago, text)
            self.assertIn("2h, 3d", error.message)

    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text gives a time or a usage error, nothing else."""
        with contextlib.suppress(click.BadParameter):
            self.assertIsInstance(time_or_ago(text), float)

    @given(st.floats(allow_nan=False))
    def test_any_time_is_printed(self, unix: float) -> None:
        """Any time from a message is printed, however absurd."""
        self.assertEqual(19, len(local_time(unix)))
