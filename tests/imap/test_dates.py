"""INTERNALDATE as servers send it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.imap.dates import unix_time

MOMENTS = st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2199, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0)
)
ENGLISH = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class UnixTimeTests(SynchronousTestCase):
    """RFC 9051, date-time."""

    def test_the_example_of_the_standard(self) -> None:
        """A day of one digit has a blank before it."""
        self.assertEqual(unix_time(b"17-Jul-1996 02:44:25 -0700"), 837596665.0)
        self.assertEqual(unix_time(b" 1-Jan-1970 00:00:01 +0000"), 1.0)

    @given(MOMENTS, st.integers(-12 * 60, 14 * 60))
    def test_any_zone(self, moment: datetime, minutes: int) -> None:
        """The moment is that of the calendar, in whatever zone it is told."""
        aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        text = f"{aware.day:2}-{ENGLISH[aware.month - 1]}-{aware.year:04} {aware:%H:%M:%S %z}"
        self.assertEqual(unix_time(text.encode()), aware.astimezone(UTC).timestamp())

    @given(st.binary(max_size=40))
    def test_anything_else_is_none(self, text: bytes) -> None:
        """It is no error, whatever it is."""
        self.assertTrue(unix_time(text) is None or isinstance(unix_time(text), float))

    def test_what_no_calendar_has(self) -> None:
        """The 31st of February, the 13th month, year 0."""
        for text in (b"31-Feb-2026 00:00:00 +0000", b"01-Foo-2026 00:00:00 +0000", b"01-Jan-0000 00:00:00 +0000"):
            self.assertIsNone(unix_time(text))
        self.assertIsNone(unix_time(b"01-Jan-0001 00:00:00 +2359"))
