"""Files of this machine, read for an upload: what is there, what is skipped, and that it holds still meanwhile.

Everything here blocks and belongs into a worker. Failures are the system's own ``OSError``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

BLOCK: Final = 256 * 1024
"""Read at a time, and the largest file that is read whole."""

PERMISSIONS: Final = 0o777
NOT_UTF8: Final = "The name is not UTF-8: rename it, the folder could not say it"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file as it was found.

    :ivar name: what the system opens it by; ``relative`` where it lies below its source, with slashes.
    :ivar follow: it was named on the command line: a symbolic link there is followed.
    """

    name: str
    relative: str
    size: int
    mode: int
    modified: float
    follow: bool = False


@dataclass(slots=True)
class LocalTree:
    """What was found below a directory.

    :ivar files: regular files. :ivar empty: directories, relative, with nothing below that is stored.
    :ivar skipped: a sentence for each thing that cannot be stored. :ivar failures: what could not be read.
    """

    files: list[LocalFile] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[OSError] = field(default_factory=list)


def scan(directory: str, excluded: Callable[[str], bool]) -> LocalTree:
    """Everything below a directory; symbolic links in it are not followed."""
    tree = LocalTree()
    waiting = [(directory, "")]
    found: list[str] = []
    occupied: set[str] = set()
    while waiting:
        name, relative = waiting.pop()
        children = _children(name, tree)
        if children is None:
            continue
        found.append(relative)
        if relative:
            occupied.add(relative.rpartition("/")[0])
        before = len(tree.files)
        below = [(child, f"{relative}/{child.name}" if relative else child.name) for child in children]
        directories = [pair for child, path in below if not excluded(path) and (pair := _sort(child, path, tree))]
        if len(tree.files) > before:
            occupied.add(relative)
        waiting.extend(reversed(directories))
    tree.empty = [relative for relative in found if relative not in occupied]
    return tree


def _children(directory: str, tree: LocalTree) -> list[os.DirEntry[str]] | None:
    try:
        with os.scandir(directory) as listing:
            return sorted(listing, key=lambda child: child.name)
    except OSError as error:
        tree.failures.append(error)
        return None


def _sort(child: os.DirEntry[str], relative: str, tree: LocalTree) -> tuple[str, str] | None:
    """Put what was found where it belongs; a directory is given back, to be looked into."""
    try:
        if not is_utf8(child.name):
            raise OSError(errno.EILSEQ, NOT_UTF8, child.path)
        found = child.stat(follow_symlinks=False)
    except OSError as error:
        tree.failures.append(error)
        return None
    if stat.S_ISDIR(found.st_mode):
        return child.path, relative
    if stat.S_ISREG(found.st_mode):
        tree.files.append(described(child.path, relative, found))
    else:
        tree.skipped.append(f"{child.path}: {_kind(found.st_mode)}, skipped.")
    return None


def described(name: str, relative: str, found: os.stat_result, *, follow: bool = False) -> LocalFile:
    """A regular file, by what the system says of it."""
    return LocalFile(name, relative, found.st_size, found.st_mode & PERMISSIONS, found.st_mtime, follow)


def is_utf8(name: str) -> bool:
    """Whether a name from the system is UTF-8 on disk."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device"


def exclusion(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a relative path is left out.

    A glob with a slash before its end is about the whole path, one without about the last name; ``*`` matches slashes.
    """

    def excluded(relative: str) -> bool:
        name = relative.rpartition("/")[2]
        return any(fnmatchcase(relative if "/" in glob.rstrip("/") else name, glob.strip("/")) for glob in globs)

    return excluded


class Reading:
    """A local file being read, which must hold still meanwhile."""

    def __init__(self, file: LocalFile) -> None:
        self._name = file.name
        self._lock = threading.Lock()
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if file.follow else os.O_NOFOLLOW)
        self._descriptor = os.open(file.name, flags)
        self.found = os.fstat(self._descriptor)
        if not stat.S_ISREG(self.found.st_mode):
            self.close()
            raise OSError(errno.ESTALE, "It is no longer a regular file", file.name)
        self._left = self.found.st_size

    def block(self) -> bytes:
        """The next bytes; none at the end.

        :raises OSError: it changed or vanished since it was opened.
        """
        with self._lock:
            data = os.read(self._descriptor, min(BLOCK, self._left)) if self._left else b""
            self._left -= len(data)
            if not data:
                self._require_unchanged()
        return data

    def _require_unchanged(self) -> None:
        now = os.fstat(self._descriptor)
        if now.st_nlink == 0:
            raise OSError(errno.ESTALE, "It was removed or replaced while it was being read; put it again", self._name)
        if self._left or _fingerprint(now) != _fingerprint(self.found):
            raise OSError(errno.ESTALE, "It changed while it was being read; put it again", self._name)

    def close(self) -> None:
        """Let go of the file, when no thread is reading from it; harmless when done before."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _fingerprint(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def reading(file: LocalFile) -> Iterator[Reading]:
    """Open a file for reading, and close it."""
    opened = Reading(file)
    try:
        yield opened
    finally:
        opened.close()


def content(file: LocalFile) -> tuple[bytes, os.stat_result]:
    """All of a small file, and what the system says of it."""
    with reading(file) as opened:
        return b"".join(iter(opened.block, b"")), opened.found


def digest(file: LocalFile) -> str:
    """SHA-256 of the content, as :attr:`Entry.sha256 <ifap_twisted.core.values.Entry>` has it."""
    summed = hashlib.sha256()
    with reading(file) as opened:
        for block in iter(opened.block, b""):
            summed.update(block)
    return encoded_digest(summed.digest())


def encoded_digest(raw: bytes) -> str:
    """Base64url without padding (FORMAT 1.5)."""
    return urlsafe_b64encode(raw).decode().rstrip("=")
