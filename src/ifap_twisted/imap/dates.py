"""INTERNALDATE as the wire has it (RFC 9051 section 9, ``date-time``)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["unix_time"]

_MONTHS: Final = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_DATE_TIME: Final = re.compile(
    rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})", re.ASCII
)


def unix_time(text: bytes) -> float | None:
    """The moment that a date-time names, in Unix time; None when it names none: a server may say anything."""
    match = _DATE_TIME.fullmatch(text)
    if match is None or match[2].lower() not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    zone = timedelta(hours=int(match[8]), minutes=int(match[9])) * (1 if match[7] == b"+" else -1)
    try:
        local = datetime(year, _MONTHS.index(match[2].lower()) + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
        return (local - zone).timestamp()
    except (ValueError, OverflowError):
        return None
