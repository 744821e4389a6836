"""What is left of a download that was cut, so that ``get --resume`` can go on: ``.NAME.VERSION.ifap-part`` beside NAME.

Only a file that this user made is taken up, and of it only what was on the disk for sure: the directory may be one that
others write to, and the computer may have stopped. Everything here blocks: use a worker.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from typing import Final

from ifap_twisted.core import limits

SYNCED: Final = 16 * limits.MIB
"""So much is written between two syncs: so much at the end of a part is not relied on."""
SUFFIX: Final = ".ifap-part"

_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_VERSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PART: Final = re.compile(r"\..+\.[A-Za-z0-9_-]{1,64}" + re.escape(SUFFIX), re.DOTALL)


def part_name(name: str, version: str) -> str:
    """The name of the part of a version, of 255 bytes at most; equal for equal names and versions only."""
    tag = version if _VERSION.fullmatch(version) else hashlib.sha256(version.encode("utf-8", "replace")).hexdigest()
    return f"{_beginning(name, len(tag))}{tag}{SUFFIX}"


def _beginning(name: str, tag_length: int) -> str:
    raw = os.fsencode(name)
    room = limits.SEGMENT_BYTES - 2 - tag_length - len(SUFFIX)
    if len(raw) > room:
        summed = hashlib.sha256(raw).hexdigest()[:32]
        name = f"{raw[: room - len(summed) - 1].decode('utf-8', 'ignore')}~{summed}"
    return f".{name}."


def is_part_name(name: str) -> bool:
    """Whether a name could be that of a part: nothing from the folder may be written under it."""
    return _PART.fullmatch(name) is not None


def other_parts(parent: int, name: str, version: str) -> list[str]:
    """The parts of other versions that lie in a directory."""
    mine = part_name(name, version)
    beginning = mine[: mine.removesuffix(SUFFIX).rindex(".") + 1]
    found = [one for one in os.listdir(parent) if one.startswith(beginning) and one != mine and is_part_name(one)]
    return sorted(one for one in found if "." not in one.removeprefix(beginning).removesuffix(SUFFIX))


def open_part(parent: int, name: str) -> int:
    """A descriptor of a part, which is made if there is none; nobody else has it open.

    :raises OSError: something else has the name, or another process writes to it.
    """
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=parent)
    except FileNotFoundError:
        descriptor = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=parent)
    try:
        _require_own(descriptor, name)
        _lock(descriptor, parent, name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, parent: int, name: str) -> None:
    """Have it alone; it may just have become whole, and have another name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = os.path.samestat(os.stat(name, dir_fd=parent, follow_symlinks=False), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        here = False
    if not here:
        raise OSError(errno.EBUSY, "Another 'ifap get --resume' writes to it now", name)


def _require_own(descriptor: int, name: str) -> None:
    found = os.fstat(descriptor)
    own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
    if not own or found.st_mode & 0o022:
        raise FileExistsError(errno.EEXIST, "It is not what 'ifap get --resume' left: remove it", name)


def reliable(descriptor: int, size: int) -> int:
    """How much of a part can be relied on, for a file of so many bytes; one that is longer is not of this file."""
    found = os.fstat(descriptor).st_size
    return max(found - SYNCED, 0) if found <= size else 0
