"""A UNIX socket that only its owner can use, at a path of any length."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from ifap_twisted.deferreds import deferred

__all__ = ["UnixListener"]

_SUN_PATH = 100
"""Shorter than ``sun_path`` of any system (104 to 108 with its final NUL)."""


class UnixListener:
    """Listens at a path until ``stop``, in the place of a socket that an earlier run left there.

    A longer path than an address can hold is reached through a descriptor of its directory, held until the end.

    :param reactor: what has ``listenUNIX``. It binds, sets the mode and only then listens: nobody else gets in between.
    :raises FileExistsError: something that is no socket lies there.
    :raises OSError: the system refuses, or cannot have paths this long.
    :raises CannotListenError: the system refuses to bind.
    """

    def __init__(self, reactor: Any, path: Path, factory: IProtocolFactory) -> None:
        _remove_socket(path)
        self._directory: int | None = None
        address = str(path)
        if len(os.fsencode(path)) > _SUN_PATH:
            self._directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            address = f"/proc/self/fd/{self._directory}/{path.name}"
        try:
            self._port: IListeningPort = reactor.listenUNIX(address, factory, mode=0o600)
        except BaseException:
            self._release()
            raise

    @deferred
    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        try:
            await maybeDeferred(self._port.stopListening)
        finally:
            self._release()

    def _release(self) -> None:
        directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)


def _remove_socket(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is no socket.")
        path.unlink()
