"""Times as people type and read them; times in JSON are those of ``core.values``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import click

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_EARLIEST: Final = -62135596800.0
_LATEST: Final = 253402300799.0


def parse_time(text: str, now: float) -> float:
    """Unix time from ISO 8601 or from how long ago (``2h``, ``3d``; s, m, h, d, w).

    Without an offset a time is local; a date alone is its first moment.

    :raises ValueError: it is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(now - int(ago[1]) * _SECONDS[ago[2]], _EARLIEST)
    return datetime.fromisoformat(text.strip()).timestamp()


def local_time(unix: float) -> str:
    """Local time to the second, for people; bounded to what a date can hold."""
    bounded = min(max(unix, _EARLIEST + 86400), _LATEST - 86400)
    return datetime.fromtimestamp(bounded, UTC).astimezone().replace(tzinfo=None).isoformat(" ", "seconds")


def time_or_ago(text: str) -> float:
    """A time on the command line, as Unix time; how long ago counts from now."""
    try:
        return parse_time(text, datetime.now(UTC).timestamp())
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{text!r} is no time: write 2026-01-31T12:00, or how long ago: 2h, 3d.") from None
