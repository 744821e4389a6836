"""A file on its way onto the local disk: beside its name until it is whole, then under it (DESIGN 4.2).

Everything here blocks: use a worker. Only ``close`` may be called from elsewhere.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final

from ifap_twisted.cli.localfiles import PERMISSIONS
from ifap_twisted.cli.parts import SYNCED

_LATEST: Final = 2**40
"""Times beyond are not given to the system: no file system keeps them."""


class Arriving:
    """A file that is being written beside its name.

    :param parent: a descriptor of the directory, ``descriptor`` one of the file, ``temporary`` its name there; both
        descriptors are closed in the end.
    :param settle: gives the file its name: called with what the system says of it.
    :param start: so much of it is there already.
    :param kept: when it does not come to its end, what is there stays; it is synced as it grows.
    :ivar position: how much of it is there.
    """

    def __init__(
        self,
        parent: int,
        temporary: str,
        descriptor: int,
        settle: Callable[[os.stat_result], None],
        *,
        start: int = 0,
        kept: bool = False,
    ) -> None:
        self.position = self._synced = start
        self._parent = parent
        self._temporary = temporary
        self._descriptor = descriptor
        self._settle = settle
        self._kept = kept
        self._named = False
        self._lock = Lock()

    def write(self, data: bytes) -> None:
        """Add to it.

        :raises OSError: it was closed, among other reasons.
        """
        with self._lock:
            left = memoryview(data)
            while left:
                written = os.pwrite(self._descriptor, left, self.position)
                self.position += written
                left = left[written:]
            if self._kept and self.position - self._synced >= SYNCED:
                os.fsync(self._descriptor)
                self._synced = self.position

    def skip(self, count: int) -> None:
        """Add so many NULs; the disk need not hold them."""
        with self._lock:
            self.position += count

    def finish(self, mode: int, modified: float) -> None:
        """It is whole: it goes to the disk, and then gets its name.

        :param mode: only the permission bits are taken, never setuid, setgid or sticky.
        """
        with self._lock:
            os.ftruncate(self._descriptor, self.position)
            os.fchmod(self._descriptor, mode & PERMISSIONS)
            os.utime(self._descriptor, ns=nanoseconds(modified))
            os.fsync(self._descriptor)
            self._settle(os.fstat(self._descriptor))
            self._named = True
            os.fsync(self._parent)

    def close(self) -> bool:
        """Let go of it, when no thread is writing to it, and remove what did not become whole, unless it is kept.

        :return: whether something is kept.
        """
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor < 0:
                return False
            try:
                stays = self._kept and os.fstat(descriptor).st_size > 0
                if not self._named and not stays:
                    with suppress(FileNotFoundError):
                        os.unlink(self._temporary, dir_fd=self._parent)
            finally:
                os.close(descriptor)
                os.close(self._parent)
        return stays and not self._named


def nanoseconds(unix: float) -> tuple[int, int]:
    """A time as the system takes it, for reading and writing."""
    whole = int(min(max(unix, -_LATEST), _LATEST) * 1_000_000) * 1000 if math.isfinite(unix) else 0
    return whole, whole
