"""JSON files that carry the number of their format (DESIGN 4.1).

An older file is upgraded after a copy of it was made; a newer one is refused and stays as it is; a damaged one is
refused too, because what it held cannot be guessed. Everything here blocks: call it at start, or in a worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NoReturn, TypeAlias

from ifap_twisted.basedir.directory import Directory
from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import BadSettings, NewerVersionNeeded

__all__ = ["Upgrades", "read_versioned", "write_versioned"]

Upgrades: TypeAlias = Mapping[int, Callable[[dict[str, JSON]], dict[str, JSON]]]
"""For each older format the function that makes the next one of its content."""

FORMAT: Final = "format"
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_versioned(
    directory: Directory, name: str, current: int, upgrades: Upgrades, *, store: bool = True
) -> dict[str, JSON] | None:
    """The content of a file, upgraded where needed; None when there is none.

    The copy of an older file is ``NAME.format-N`` beside it, and no copy made before is overwritten.

    :param current: the format that this program writes.
    :param store: write what was upgraded; False for a process that does not hold the basedir.
    :raises NewerVersionNeeded: the file is newer.
    :raises BadSettings: it is of an unknown older format, or damaged.
    """
    raw = directory.read(name)
    if raw is None:
        return None
    content = _parsed(directory, name, raw)
    found = content.get(FORMAT)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        _refuse_damaged(directory, name)
    if found > current:
        raise NewerVersionNeeded(
            f"{directory.path / name} has format {found}, which a newer version of ifap-twisted wrote; this one knows "
            f"format {current} and leaves it alone: use the newer version, or another basedir."
        )
    if found < current:
        content = _upgraded(directory, name, content, range(found, current), upgrades)
        if store:
            _keep_copy(directory, f"{name}.format-{found}", raw)
            write_versioned(directory, name, content, current)
    return content


def write_versioned(directory: Directory, name: str, content: Mapping[str, JSON], current: int) -> None:
    """Replace a file, durably, by content under the current format."""
    text = json.dumps({**content, FORMAT: current}, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    directory.write(name, text.encode("utf-8") + b"\n")


def _upgraded(
    directory: Directory, name: str, content: dict[str, JSON], steps: range, upgrades: Upgrades
) -> dict[str, JSON]:
    for step in steps:
        if step not in upgrades:
            raise BadSettings(f"{directory.path / name} has format {step}, which this version can no longer upgrade.")
        content = {**upgrades[step](content), FORMAT: step + 1}
    return content


def _keep_copy(directory: Directory, name: str, raw: bytes) -> None:
    copy, number = name, 0
    while not directory.write_new(copy, raw) and directory.read(copy) != raw:
        number += 1
        copy = f"{name}.{number}"


def _parsed(directory: Directory, name: str, raw: bytes) -> dict[str, JSON]:
    content: JSON = None
    with suppress(ValueError, RecursionError):  # refused below: these errors carry the whole text, and it is secret
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)
    if not isinstance(content, dict) or not _is_sound(content, limits.JSON_DEPTH):
        _refuse_damaged(directory, name)
    return content


def _refuse_damaged(directory: Directory, name: str) -> NoReturn:
    raise BadSettings(
        f"{directory.path / name} is damaged: put a good copy of it back, or move it away to begin without it."
    )


def _without_doubles(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is there twice")
    return content


def _refuse_constant(_word: str) -> NoReturn:
    raise ValueError("not a number")


def _is_sound(value: JSON, depth: int) -> bool:
    """It is not nested too deeply, and every text in it can be written again."""
    if isinstance(value, str):
        return not LONE_SURROGATE.search(value)
    if not isinstance(value, (dict, list)):
        return True
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return depth > 0 and all(_is_sound(item, depth - 1) for item in inner)
