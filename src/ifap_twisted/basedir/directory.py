"""A private directory: its files are read and replaced whole, through a descriptor.

Every name is looked up relative to the open directory and no symbolic link is ever followed, so nothing outside it can
be read or changed by way of it. Everything here blocks: call it at start, or in a worker.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, IFAPError, NoRoom

__all__ = ["Directory", "as_local_error"]

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
OPEN_TO_OTHERS: Final = 0o077
TEMPORARY: Final = re.compile(r"\..+\.[0-9]+-[0-9]+\.tmp")
LINKS: Final = {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
FULL: Final = {errno.ENOSPC, errno.EDQUOT}
REFUSALS: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EISDIR, errno.EEXIST}

_counter = itertools.count()


@contextmanager
def as_local_error(doing: str, path: Path) -> Iterator[None]:
    """Tell an ``OSError`` of this machine as an :class:`IFAPError` that names the path and the reason.

    :raises NoRoom: the disk is full, or this user's part of it. :raises BadSettings: the user has to put it right.
    """
    try:
        yield
    except OSError as error:
        if error.errno in LINKS:
            raise BadSettings(
                f"Cannot {doing} {path}: a symbolic link, or not a directory, is in its place."
            ) from error
        if error.errno in FULL:
            raise NoRoom(f"Cannot {doing} {path}: {os.strerror(error.errno)}. Make room on the disk.") from error
        kind = BadSettings if error.errno in REFUSALS else IFAPError
        raise kind(f"Cannot {doing} {path}: {os.strerror(error.errno or 0)}.") from error


class Directory:
    """A directory of this user that nobody else can enter, held open by a descriptor.

    :ivar path: where it was when it was opened; for people and for programs that need a path.
    :ivar changing: held by whoever reads a file, changes it and writes it back; threads of this process only.
    """

    def __init__(self, descriptor: int, path: Path, uid: int) -> None:
        self.path = path
        self.changing = threading.RLock()
        self._descriptor = descriptor
        self._uid = uid
        self._unfinished: set[str] = set()
        try:
            with as_local_error("open the directory", path):
                self._require_private()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path, uid: int) -> Directory:
        """Open a directory, making it (0700) when it is absent and its parent is there.

        :param path: absolute; its last component may be a symbolic link, when that is this user's own.
        :param uid: the user whose it has to be.
        :raises BadSettings: it is another user's, or open to others and cannot be closed, or no directory.
        """
        with as_local_error("open the directory", path):
            with suppress(FileExistsError):
                path.mkdir(PRIVATE_DIRECTORY)
            if path.is_symlink() and path.lstat().st_uid not in {uid, 0}:
                raise BadSettings(f"{path} is a symbolic link that another user made; it is not followed.")
            real = path.resolve(strict=True)
            descriptor = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        return cls(descriptor, real, uid)

    def _require_private(self) -> None:
        found = os.fstat(self._descriptor)
        if found.st_uid != self._uid:
            raise BadSettings(f"{self.path} belongs to another user (uid {found.st_uid}): use a directory of your own.")
        if found.st_mode & OPEN_TO_OTHERS:
            self._tighten()
            if os.fstat(self._descriptor).st_mode & OPEN_TO_OTHERS:
                raise BadSettings(f"{self.path} is open to other users and cannot be closed: use another directory.")

    def _tighten(self) -> None:
        with suppress(OSError):  # judged by its effect
            os.fchmod(self._descriptor, PRIVATE_DIRECTORY)

    def descriptor(self) -> int:
        """The open descriptor; it stays this object's to close."""
        return self._descriptor

    def close(self) -> None:
        """Let go of the descriptor; harmless when done before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def subdirectory(self, name: str) -> Directory:
        """Open a directory in this one, making it (0700) when it is absent.

        :raises BadSettings: as :meth:`open`; a symbolic link is refused here whoever made it.
        """
        path = self._place(name)
        with as_local_error("open the directory", path):
            with suppress(FileExistsError):
                os.mkdir(name, PRIVATE_DIRECTORY, dir_fd=self._descriptor)
                os.fsync(self._descriptor)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
        return Directory(descriptor, path, self._uid)

    def open_file(self, name: str, flags: int) -> int | None:
        """Open a regular file of this user and close it to others; None when there is none and none is made.

        :param flags: ``os.O_RDWR | os.O_CREAT`` and their like.
        :raises BadSettings: it is a link, another user's, or not a regular file.
        """
        path = self._place(name)
        with as_local_error("open", path):
            safe = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            try:
                descriptor = os.open(name, safe, PRIVATE_FILE, dir_fd=self._descriptor)
            except FileNotFoundError:
                return None
            try:
                self._require_own_file(descriptor, path)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def _require_own_file(self, descriptor: int, path: Path) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadSettings(f"{path} is not a regular file.")
        if found.st_uid != self._uid:
            raise BadSettings(f"{path} belongs to another user (uid {found.st_uid}).")
        if found.st_mode & OPEN_TO_OTHERS:
            os.fchmod(descriptor, PRIVATE_FILE)

    def read(self, name: str, limit: int = limits.LOCAL_FILE) -> bytes | None:
        """The content of a file, or None when there is none.

        :raises BadSettings: it is longer than ``limit`` bytes, or refused as by :meth:`open_file`.
        """
        descriptor = self.open_file(name, os.O_RDONLY)
        if descriptor is None:
            return None
        with as_local_error("read", self._place(name)), os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise BadSettings(f"{self._place(name)} is longer than {limit} bytes.")
        return content

    def read_part(self, name: str, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes of a file from an offset on; none of a file that is not there."""
        descriptor = self.open_file(name, os.O_RDONLY)
        if descriptor is None:
            return b""
        with as_local_error("read", self._place(name)), os.fdopen(descriptor, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def write(self, name: str, *content: bytes) -> None:
        """Replace a file (0600) by new content in any number of pieces, which is on the disk when this returns.

        A cut at any moment leaves the old content or the new; a symbolic link of that name is replaced, not followed.
        """
        with as_local_error("write", self._place(name)):
            while not self._replace(name, f".{name}.{os.getpid()}-{next(_counter)}.tmp", content):
                pass  # the other name was taken by what a process of the same number left behind
            os.fsync(self._descriptor)

    def _replace(self, name: str, temporary: str, content: Sequence[bytes]) -> bool:
        """By way of another name; False, and nothing was done, when something has that."""
        self._unfinished.add(temporary)
        try:
            try:
                self._create(temporary, *content)
            except FileExistsError:
                return False
            try:
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except BaseException:
                os.unlink(temporary, dir_fd=self._descriptor)
                raise
        finally:
            self._unfinished.discard(temporary)
        return True

    def write_new(self, name: str, content: bytes) -> bool:
        """Make a file (0600) that is not there yet; False, and nothing changed, when something has that name."""
        with as_local_error("write", self._place(name)):
            try:
                self._create(name, content)
            except FileExistsError:
                return False
            os.fsync(self._descriptor)
        return True

    def _create(self, name: str, *content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(name, flags, PRIVATE_FILE, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            os.unlink(name, dir_fd=self._descriptor)
            raise

    def remove(self, name: str) -> bool:
        """Remove a file, or a link itself, for good; False when there was none."""
        with as_local_error("remove", self._place(name)):
            try:
                os.unlink(name, dir_fd=self._descriptor)
            except FileNotFoundError:
                found = False
            else:
                found = True
            os.fsync(self._descriptor)  # also of none: it may have been removed, and that not kept
        return found

    def rename(self, name: str, new: str) -> None:
        """Give another name to whatever has this one; a symbolic link is not followed.

        :raises BadSettings: the new name is taken.
        """
        if self.identity(new) is not None:
            raise BadSettings(f"{self._place(new)} is there already.")
        with as_local_error("rename", self._place(name)):
            os.rename(name, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            os.fsync(self._descriptor)

    def identity(self, name: str) -> tuple[int, int] | None:
        """What no copy of a file has in common with it while nobody writes to it: its inode and change time."""
        with as_local_error("look at", self._place(name)):
            try:
                found = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None
        return found.st_ino, found.st_ctime_ns

    def is_link(self, name: str) -> bool:
        """Whether a symbolic link has this name."""
        with as_local_error("look at", self._place(name)):
            try:
                return stat.S_ISLNK(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode)
            except FileNotFoundError:
                return False

    def is_anothers(self, name: str) -> bool:
        """Whether what has this name belongs to another user: left by a run under sudo, for example."""
        with as_local_error("look at", self._place(name)):
            try:
                return os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_uid != self._uid
            except FileNotFoundError:
                return False

    def names(self) -> list[str]:
        """The names of everything in it, in no order."""
        with as_local_error("look through", self.path):
            return os.listdir(self._descriptor)  # noqa: PTH208 -- the open directory, wherever it is now

    def sweep(self) -> None:
        """Remove what a write that was cut left behind; only while the basedir is held.

        What another thread is writing with this object stays.
        """
        for name in self.names():
            if TEMPORARY.fullmatch(name) and name not in self._unfinished:
                with suppress(OSError):  # what cannot be removed (a directory, say) is of no use, and in nobody's way
                    os.unlink(name, dir_fd=self._descriptor)

    def _place(self, name: str) -> Path:
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise ValueError(f"not the name of a file in a directory: {name!r}")
        return self.path / name
