"""JSON that every reader understands alike; it accepts nothing that two readers could take differently."""

from __future__ import annotations

import json
import math
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON

__all__ = ["check_json", "strict_json", "strict_json_at"]

_INTEGER: Final = 2**63 - 1
_GLANCE: Final = 2048
_MORE: Final = 16
"""Most values end within a glance; of a longer text so many times more is looked at each time."""
_WHITE: Final = " \t\r\n"
_NESTS: Final = (dict, list)


def strict_json(text: str) -> JSON:
    """The value of a JSON text.

    :raises ValueError: bad syntax, a duplicate key, NaN or an infinity.
    """
    try:
        text = text.strip(_WHITE)
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("it goes on after its end")
    return value


def strict_json_at(text: str, start: int, most: int) -> tuple[JSON, int]:
    """The value that begins at a character of a longer text, and where it ends; white space is the caller's.

    :param most: characters that it may have; of a longer one no more is looked at.
    :raises ValueError: as :func:`strict_json`, or it is longer.
    """
    size = _GLANCE
    while True:
        try:
            value, end = _DECODER.raw_decode(text[start : start + size])
        except RecursionError:
            raise ValueError("nested too deeply") from None
        except ValueError:
            if size >= most or start + size >= len(text):
                raise
            size = min(size * _MORE, most)
        else:
            return value, start + end


def check_json(value: JSON, depth: int = limits.JSON_DEPTH) -> None:
    """Refuse what another reader could take for something else.

    :raises ValueError: nested deeper than ``depth``, an integer of more than 64 bits, a float that is not finite.
    """
    level: list[JSON] = [value]
    for remaining in range(depth, -1, -1):
        below: list[JSON] = []
        for item in level:
            if isinstance(item, str):
                continue
            if not isinstance(item, _NESTS):
                _check_number(item)
            elif remaining:
                below.extend(item.values() if isinstance(item, dict) else item)
            else:
                raise ValueError("nested too deeply")
        level = below


def _check_number(item: JSON) -> None:
    if isinstance(item, float) and not math.isfinite(item):
        raise ValueError("a number that is not finite")
    if isinstance(item, int) and abs(item) > _INTEGER:
        raise ValueError("an integer of more than 64 bits")


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is not JSON")


def _pairs(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)
