"""The keys of the metadata object, and what their values must be (FORMAT 1, table).

It knows no serialization and no defaults; it only says what is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ifap_twisted.core import limits
from ifap_twisted.core.strictjson import check_json
from ifap_twisted.core.values import JSON

__all__ = ["FORMAT_KEYS", "LATEST", "Values", "is_right", "sorted_out"]

Values: TypeAlias = dict[str, JSON]
"""A metadata object, or part of one."""

_EARLIEST: Final = -62135596800
LATEST: Final = 253402300799
"""Unix times that a calendar has: the years 1 to 9999."""

_INTEGER: Final = 2**63 - 1
_NUMBER: Final = 2**53 - 1
_VERSIONS: Final = 2**31 - 1
_MANY: Final = 256
"""Entries of a clock, parents or needs: far more than honest messages have."""
_MIME_LENGTH: Final = 127

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_WRITER: Final = re.compile(r"[A-Za-z0-9_-]{6}")
_HOME: Final = re.compile(r"[A-Za-z0-9_-]{8}")
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MIME: Final = re.compile(rf'{_ATOM}/{_ATOM}(?: ?; ?{_ATOM}=(?:{_ATOM}|"[ !#-\[\]-~]*"))*')


def _integer(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _text(pattern: re.Pattern[str], longest: int = 64) -> Callable[[Any], bool]:
    matches = pattern.fullmatch
    return lambda value: type(value) is str and len(value) <= longest and matches(value) is not None


def _is_boolean(value: Any) -> bool:
    return type(value) is bool


def _is_time(value: Any) -> bool:
    return type(value) in {int, float} and _EARLIEST <= value <= LATEST


def _is_path(value: Any) -> bool:
    return type(value) is str and value != ""


def _is_clock(value: Any) -> bool:
    if type(value) is not dict or not 0 < len(value) <= _MANY:
        return False
    for writer, number in value.items():
        if type(number) is not int or not 0 < number <= _NUMBER or _WRITER.fullmatch(writer) is None:
            return False
    return True


def _list_of(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: (
        type(value) is list
        and len(value) <= _MANY
        and all(type(item) is str and pattern.fullmatch(item) is not None for item in value)
        and len(set(value)) == len(value)
    )


_is_id: Final = _text(_ID)
_is_count: Final = _integer(1, _VERSIONS)


def _is_over(value: Any) -> bool:
    if type(value) is not dict or len(value) > limits.LOCKS_OVER:
        return False
    return all(_ID.fullmatch(lock) is not None and _is_ordinal(number) for lock, number in value.items())


_is_ordinal: Final = _integer(0, _NUMBER)

_LEASE: Final[Mapping[str, Callable[[Any], bool]]] = {
    "n": _is_ordinal,
    "of": _is_id,
    "over": _is_over,
    "path": lambda value: _is_path(value) and len(value) <= limits.PATH_BYTES,
    "seconds": _integer(0, limits.LEASE_MOST),
    "uv": _integer(1, 2**32 - 1),
    "who": lambda value: type(value) is str and len(value) <= limits.HOLDER_CHARACTERS,
}
"""Every key of ``lease``; ``path`` and ``uv`` are always there."""


def _is_lease(value: Any) -> bool:
    if type(value) is not dict or not {"path", "uv"} <= value.keys():
        return False
    return all(name in _LEASE and _LEASE[name](item) for name, item in value.items())


_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "_": lambda value: type(value) is str,
    "bytes": _integer(0, limits.LITERAL),
    "chunks": _integer(1, _VERSIONS),
    "clock": _is_clock,
    "deleted": _is_boolean,
    "dir": _is_boolean,
    "fn": _is_path,
    "from": _is_id,
    "home": _text(_HOME),
    "keep": _is_count,
    "lease": _is_lease,
    "lock": _is_id,
    "mime": _text(_MIME, _MIME_LENGTH),
    "mode": _integer(0, 0o7777),
    "needs": _list_of(_WORD),
    "parents": _list_of(_ID),
    "sha256": _text(_HASH),
    "size": _integer(0, _INTEGER),
    "t": _is_time,
    "ts": _is_time,
    "v": _integer(1, _INTEGER),
    "versions": _is_count,
    "vid": _is_id,
    "was": _is_id,
    "writer": _text(_WRITER),
}
"""Every key of the format (FORMAT 1, table), and what its value must be in our texts."""

FORMAT_KEYS: Final = frozenset(_CHECKS)
"""The names that ``extra`` never has."""


def is_right(name: str, value: JSON) -> bool:
    """Whether a value is what a key of the format must have."""
    return _CHECKS[name](value)


def sorted_out(values: Values) -> tuple[Values, Values]:
    """The keys of the format whose values are right, and the keys that are not of the format.

    :raises ValueError: a value of the latter cannot be carried along.
    """
    known: Values = {}
    extra: Values = {}
    for name, value in values.items():
        check = _CHECKS.get(name)
        if check is None:
            extra[name] = value
        elif check(value):
            known[name] = value
    if extra:
        check_json(extra)
    return known, extra
