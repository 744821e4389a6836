"""The numbers of a Maildir folder, and the file beside it in which they are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ifap_twisted.errors import NewerVersionNeeded

_FORMAT: Final = 1

Identity: TypeAlias = tuple[int, int, int]
"""Inode, time of the last change in nanoseconds, size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What was there at one moment.

    :ivar last: the greatest number given so far; ``anchor`` the highest of the files when that was written.
    :ivar pending: numbers of files that others may be writing still, of those that were given.
    :ivar young: how many files there were that others may be writing still, and that are not shown for that.
    :ivar names: the messages that are shown: ``cur/eml-…`` by ascending UID.
    :ivar moment: greater than that of every look at the folder before, by the same object.
    """

    uidvalidity: int
    last: int = 0
    anchor: tuple[int, Identity] | None = None
    pending: frozenset[int] = frozenset()
    names: Mapping[int, str]
    young: int = field(default=0, compare=False)
    moment: int = field(default=0, compare=False)


def load(folder: Path) -> View | None:
    """The stored numbers; None when there are none, or none that can be used: then all is numbered anew."""
    try:
        value = json.loads((folder / ".ifap-uids").read_bytes())
        if value["format"] > _FORMAT:
            raise NewerVersionNeeded("The numbers of this Maildir folder were written by a newer version.")
        anchor, uidvalidity = value["anchor"], int(value["uidvalidity"])
        if not 0 < uidvalidity < 2**32:
            return None
        return View(
            uidvalidity=uidvalidity,
            last=int(value["last"]),
            anchor=None if anchor is None else (int(anchor[0]), (int(anchor[1]), int(anchor[2]), int(anchor[3]))),
            pending=frozenset(map(int, value["pending"])),
            names={},
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, IndexError):
        return None


def save(folder: Path, view: View) -> None:
    """Store the numbers durably."""
    anchor = None if view.anchor is None else [view.anchor[0], *view.anchor[1]]
    value = {
        "format": _FORMAT,
        "uidvalidity": view.uidvalidity,
        "last": view.last,
        "anchor": anchor,
        "pending": sorted(view.pending),
    }
    path = folder / ".ifap-uids.new"
    with open(path, "w", encoding="ascii", opener=_private) as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    path.rename(folder / ".ifap-uids")
    sync(folder)


def sync(directory: Path) -> None:
    """Put the entries of a directory on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
