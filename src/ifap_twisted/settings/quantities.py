"""Sizes and durations as people write them: ``24 MiB``, ``500 kB``, ``7d``, ``30s``.

A letter alone (``24 M``) is refused, because some mean 1,000 by it and some 1,024.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]

SIZE_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
SHOWN_SIZES: Final = (
    ("TiB", 1024**4),
    ("TB", 1000**4),
    ("GiB", 1024**3),
    ("GB", 1000**3),
    ("MiB", 1024**2),
    ("MB", 1000**2),
    ("KiB", 1024),
    ("kB", 1000),
)
DURATION_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
QUANTITY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", re.ASCII)


def parse_size(text: str | int) -> int:
    """Bytes of ``24 MiB``, ``1.5GB``, ``500 kB``, ``123``; units without regard to case, rounded down.

    :raises ValueError: it is no size, or below 0.
    """
    if isinstance(text, str):
        return int(_product(text, SIZE_UNITS))
    if isinstance(text, bool) or text < 0:
        raise ValueError("not a size")
    return text


def parse_duration(text: str | float) -> float:
    """Seconds of ``30s``, ``5m``, ``24h``, ``7d``, ``2w``; a bare number is seconds.

    :raises ValueError: it is no duration, or below 0.
    """
    if isinstance(text, str):
        return float(_product(text, DURATION_UNITS))
    if isinstance(text, bool) or not 0 <= text < 10**18:
        raise ValueError("not a duration")
    return float(text)


def _product(text: str, units: dict[str, int]) -> Decimal:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError("not a number with a unit")
    return Decimal(match[1]) * units[match[2].lower()]


def format_size(size: int) -> str:
    """The shortest exact way to write a size: the inverse of :func:`parse_size`."""
    exact = [f"{size // factor} {unit}" for unit, factor in SHOWN_SIZES if size and size % factor == 0]
    return min([*exact, f"{size} B"], key=len)


def format_duration(seconds: int) -> str:
    """The shortest exact way to write whole seconds: the inverse of :func:`parse_duration`."""
    units = [(unit, factor) for unit, factor in reversed(DURATION_UNITS.items()) if unit]
    exact = [f"{seconds // factor}{unit}" for unit, factor in units if seconds and seconds % factor == 0]
    return min([*exact, f"{seconds}s"], key=len)
