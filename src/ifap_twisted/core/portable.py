"""Which names of the folder other systems take for names of files, and which two they take for one.

Nothing is renamed because of it (FORMAT 11.1): it says why a disk refused a name, and to a person what to rename.
Sources: Microsoft, "Naming Files, Paths, and Namespaces"; Apple, "APFS FAQ"; on a disk of Linux every name is a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["LINUX", "MACOS", "SYSTEMS", "WINDOWS", "folded", "portable", "twins"]

LINUX: Final = "linux"
MACOS: Final = "macos"
WINDOWS: Final = "windows"
SYSTEMS: Final = (LINUX, MACOS, WINDOWS)

_DEVICE: Final = re.compile(
    "(?:con|prn|aux|nul|conin\\$|conout\\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:[.:].*)?", re.IGNORECASE
)
_RESERVED: Final = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_UNITS: Final = 255
"""Of UTF-16, in a segment of NTFS."""


def portable(name: str, system: str) -> str | None:
    """Why a path cannot have this very name on a system; None where it can.

    :param name: a canonical path of the folder.
    :param system: one of :data:`SYSTEMS`.
    :return: what is wrong with the first bad segment, to follow "because".
    """
    if system == WINDOWS:
        return next((why for segment in name.split("/") if (why := _windows(segment)) is not None), None)
    return None


def _windows(segment: str) -> str | None:
    if _DEVICE.fullmatch(segment):
        return f"{segment!a} is the name of a device"
    if found := _RESERVED.search(segment):
        return f"it holds {found[0]!a}"
    if segment.endswith((".", " ")):
        return f"{segment!a} ends with a dot or a blank, which is left out"
    if len(segment.encode("utf-16-le", "surrogatepass")) // 2 > _UNITS:
        return f"a part of it has more than {_UNITS} characters"
    return None


def folded(name: str, system: str) -> str:
    """Equal for two paths that are one file on a usual disk of the system: NTFS, APFS as macOS makes it, ext4.

    :param system: one of :data:`SYSTEMS`.
    """
    if system == LINUX:
        return name
    if system == WINDOWS:
        return "/".join(_upper(segment.rstrip(". ")) for segment in name.split("/"))
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _upper(segment: str) -> str:
    """Each character by itself, as the table of NTFS has it: the German sharp s stays one character."""
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in segment)


def twins(names: Iterable[str], system: str) -> Iterator[tuple[str, str]]:
    """Names that are one file with an earlier one: that one, and they."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(folded(name, system), name)
        if other != name:
            yield other, name
