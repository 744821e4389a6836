"""Where a download is written: below one local directory, through descriptors, never outside it.

Names come from the folder and are hostile. Every component below the directory is opened without following symbolic
links, relative to the one above it; a file appears whole or not at all. Everything here blocks: use a worker.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final

from ifap_twisted.cli.arriving import Arriving, nanoseconds
from ifap_twisted.cli.parts import open_part, other_parts, part_name, reliable

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems without hard links say (FAT, some network ones)."""


class Run:
    """The files that one run has written, or found to be right already, in whatever directory.

    A file system that folds case or Unicode forms (macOS, FAT) has one file for two names of the folder: the second one
    must not replace what the first one brought.
    """

    def __init__(self) -> None:
        self._files: set[tuple[int, int]] = set()
        self._new: set[tuple[int, int]] = set()
        self._naming = Lock()

    def add(self, descriptor: int) -> None:
        """Know an open file from now on."""
        self._files.add(_identity(os.fstat(descriptor)))

    def know_new(self, written: os.stat_result) -> None:
        """Know a file that was written where nothing was."""
        self._new.add(_identity(written))

    def wrote(self, found: os.stat_result) -> bool:
        """Whether this is one of them."""
        return _identity(found) in self._files | self._new

    def replace(self, temporary: str, name: str, parent: int) -> None:
        """Give a file its name, and end what had it.

        :raises FileExistsError: a file of this run has it.
        """
        with self._naming:
            try:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                found = None
            if found is not None and _identity(found) in self._files:
                raise FileExistsError(
                    errno.EEXIST, "Another file was just written here, whose name is the same for this disk"
                )
            written = os.stat(temporary, dir_fd=parent, follow_symlinks=False)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            self._files.add(_identity(written))


class Target:
    """A local directory that files are written below.

    :param directory: as the user named it; symbolic links up to and including it are followed.
    :param create: make it, and what is missing above it.
    :param link: ``os.link``, which some file systems refuse.
    :param run: what was written already.
    :ivar identity: equal for two names of one directory.
    """

    def __init__(
        self, directory: str, *, create: bool = False, link: Callable[..., None] = os.link, run: Run | None = None
    ) -> None:
        self._link = link
        self._run = run or Run()
        self._name = directory or "."
        if create:
            os.makedirs(self._name, exist_ok=True)  # noqa: PTH103 -- text in, text out
        self._descriptor = os.open(self._name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.identity = _identity(os.fstat(self._descriptor))

    def close(self) -> None:
        """Let go of the directory."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def shown(self, parts: Sequence[str]) -> str:
        """The local name, for people."""
        return os.path.join(self._name, *parts)  # noqa: PTH118 -- for people

    def make_directory(self, parts: Sequence[str]) -> None:
        """Make a directory and those above it; one that exists is fine.

        :raises OSError: something else is in its place, be it a symbolic link to a directory.
        """
        with self._below(parts, create=True):
            pass

    def find(self, parts: Sequence[str]) -> os.stat_result | None:
        """What is at a name, a symbolic link as itself; None when nothing is."""
        try:
            with self._below(parts[:-1], create=False) as parent, self._naming(parts):
                return os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, parts: Sequence[str]) -> int:
        """A descriptor of a regular file, to read; the caller closes it."""
        with self._below(parts[:-1], create=False) as parent, self._naming(parts):
            return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)

    def write(self, parts: Sequence[str], data: bytes, *, mode: int, modified: float, replace: bool) -> None:
        """Write a small file: beside its name first, to the disk, then under its name (DESIGN 4.2).

        :param mode: only the permission bits are taken, never setuid, setgid or sticky.
        :raises FileExistsError: there is something, and ``replace`` is not set; or a file of this run is there.
        """
        arriving = self.begin(parts, replace=replace)
        try:
            arriving.write(data)
            arriving.finish(mode, modified)
        finally:
            arriving.close()

    def begin(self, parts: Sequence[str], *, replace: bool) -> Arriving:
        """Begin to write a file beside its name; the caller closes it. It fails as :meth:`write` does."""
        temporary = f".ifap-{secrets.token_hex(8)}"
        with self._below(parts[:-1], create=True) as parent, self._naming(parts):
            descriptor = os.open(temporary, _NEW, 0o600, dir_fd=parent)
            return self._arriving(parts, parent, temporary, descriptor, replace=replace)

    def take_up(self, parts: Sequence[str], version: str, size: int, *, replace: bool) -> Arriving:
        """Go on with what a cut left of a version, or begin; what comes is kept.

        :raises OSError: something else has the name of the part, or another process writes to it.
        """
        temporary = part_name(parts[-1], version)
        with self._below(parts[:-1], create=True) as parent, self._naming([*parts[:-1], temporary]):
            descriptor = open_part(parent, temporary)
            return self._arriving(
                parts, parent, temporary, descriptor, replace=replace, start=reliable(descriptor, size), kept=True
            )

    def other_parts(self, parts: Sequence[str], version: str) -> list[str]:
        """The names, for people, of what cuts left of other versions of a file."""
        try:
            with self._below(parts[:-1], create=False) as parent:
                found = other_parts(parent, parts[-1], version)
        except FileNotFoundError:
            return []
        return [self.shown([*parts[:-1], one]) for one in found]

    def _arriving(
        self,
        parts: Sequence[str],
        parent: int,
        temporary: str,
        descriptor: int,
        *,
        replace: bool,
        start: int = 0,
        kept: bool = False,
    ) -> Arriving:
        try:
            os.ftruncate(descriptor, start)
            own = os.dup(parent)
        except BaseException:
            os.close(descriptor)
            raise

        def settle(written: os.stat_result) -> None:
            with self._naming(parts):
                if not replace and self._linked(temporary, parts[-1], own):
                    self._run.know_new(written)
                else:
                    self._run.replace(temporary, parts[-1], own)

        return Arriving(own, temporary, descriptor, settle, start=start, kept=kept)

    def touch(self, parts: Sequence[str], modified: float) -> None:
        """Set the time of a regular file that is right already."""
        descriptor = self.open(parts)
        try:
            self._run.add(descriptor)
            os.utime(descriptor, ns=nanoseconds(modified))
        finally:
            os.close(descriptor)

    def _linked(self, temporary: str, name: str, parent: int) -> bool:
        """Give the file its name if that is free, in one step; False where the file system cannot."""
        try:
            self._link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            os.unlink(temporary, dir_fd=parent)
            return True
        try:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    @contextmanager
    def _naming(self, parts: Sequence[str]) -> Iterator[None]:
        """Let errors name what the user knows instead of a name relative to a descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.shown(parts)) from error

    @contextmanager
    def _below(self, parts: Sequence[str], *, create: bool) -> Iterator[int]:
        descriptor = os.dup(self._descriptor)
        try:
            for count, part in enumerate(parts, 1):
                with self._naming(parts[:count]):
                    below = _enter(part, descriptor, create=create)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


def is_local_directory(name: str) -> bool:
    """Whether a name on the command line is that of a directory that exists."""
    return os.path.isdir(name)  # noqa: PTH112 -- a final slash has a meaning that Path forgets


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _enter(name: str, parent: int, *, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR} and _is_link(name, parent):
            raise OSError(errno.ELOOP, "A symbolic link is in the way, which is not followed", name) from error
        raise


def _is_link(name: str, parent: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
