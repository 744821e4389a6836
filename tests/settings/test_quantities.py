"""Sizes and durations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.settings import format_duration, format_size, parse_duration, parse_size


class SizeTests(SynchronousTestCase):
    """Sizes in bytes."""

    def test_sizes(self) -> None:
        """Units of 1,000 and of 1,024 are told apart; case, one blank and fractions are free."""
        sizes = {
            "24 MiB": 24 * 1024**2,
            "24mib": 24 * 1024**2,
            "500 kB": 500_000,
            "500KB": 500_000,
            "1.5 GiB": 1536 * 1024**2,
            "1GB": 10**9,
            "2 TB": 2 * 10**12,
            "1 TiB": 1024**4,
            "123": 123,
            "123 B": 123,
            "0": 0,
            " 7 B ": 7,
            "0.0001 kB": 0,
        }
        self.assertEqual({text: parse_size(text) for text in sizes}, sizes)
        self.assertEqual(parse_size(123), 123)

    def test_no_sizes(self) -> None:
        """What is ambiguous, negative or no number is refused."""
        bad = ["", "MiB", "24 M", "24k", "24 G", "-1", "-1 MiB", "1e6", "0x10", "1,5 MB", "1 2", "24  MiB", "٣ MB"]
        bad += ["1.", ".5 MB", "inf", "nan", "1 MiB x", "1" * 30, -1, True, "1\nMB", "1 bit"]
        for text in bad:
            with self.subTest(text=text):
                self.assertRaises(ValueError, parse_size, text)

    @given(st.integers(0, 10**17) | st.integers(0, 4096).map(lambda one: one * 1024**3))
    def test_round_trip(self, size: int) -> None:
        """Every size is written so that it reads the same."""
        self.assertEqual(parse_size(format_size(size)), size)

    def test_written_shortly(self) -> None:
        """A size is written with the unit that makes it short."""
        sizes = {24 * 1024**2: "24 MiB", 500_000: "500 kB", 0: "0 B", 1: "1 B", 1025: "1025 B", 10**9: "1 GB"}
        self.assertEqual({size: format_size(size) for size in sizes}, sizes)

    @given(st.text(max_size=20))
    def test_anything(self, text: str) -> None:
        """Any text is a size or refused."""
        try:
            self.assertGreaterEqual(parse_size(text), 0)
        except ValueError as error:
            self.assertEqual(str(error), "not a number with a unit")


class DurationTests(SynchronousTestCase):
    """Durations in seconds."""

    def test_durations(self) -> None:
        """Seconds, minutes, hours, days and weeks; a bare number is seconds."""
        durations = {
            "30s": 30,
            "5m": 300,
            "24h": 86400,
            "7d": 604800,
            "2w": 1209600,
            "1.5h": 5400,
            "10": 10,
            "7 D": 604800,
        }
        self.assertEqual({text: parse_duration(text) for text in durations}, durations)
        self.assertEqual((parse_duration(2), parse_duration(0.5)), (2.0, 0.5))

    def test_no_durations(self) -> None:
        """Other units, negative numbers and what is no number are refused."""
        for text in (
            "",
            "s",
            "-1s",
            "1y",
            "1 month",
            "1h30m",
            "1e3",
            "inf",
            "nan",
            True,
            -1,
            float("nan"),
            float("inf"),
        ):
            with self.subTest(text=text):
                self.assertRaises(ValueError, parse_duration, text)

    @given(st.integers(0, 10**10))
    def test_round_trip(self, seconds: int) -> None:
        """Every number of seconds is written so that it reads the same."""
        self.assertEqual(parse_duration(format_duration(seconds)), seconds)

    def test_written_shortly(self) -> None:
        """A duration is written with the unit that makes it short."""
        durations = {604800: "1w", 86400: "1d", 7200: "2h", 90: "90s", 0: "0s", 1209600: "2w"}
        self.assertEqual({one: format_duration(one) for one in durations}, durations)
