"""Who holds the basedir: a ``flock`` on ``node.pid`` (DESIGN 4.1).

The lock is the truth and the number in the file only a hint for people: a process that ends, however it ends, lets go.
Nothing here waits in the reactor's thread; it asks again on the clock that it is given.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import Final, TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ifap_twisted.basedir.directory import Directory, as_local_error
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, BasedirInUse

__all__ = ["PID_FILE", "Flock", "Held", "hold", "holder", "is_held"]

PID_FILE: Final = "node.pid"
PID_BYTES: Final = 32
GLANCE_SECONDS: Final = 1.0
"""How long :func:`is_held` of another process may seem to hold the basedir while it only looks."""

Flock: TypeAlias = Callable[[int, int], None]
"""``fcntl.flock`` or what stands for it."""


class Held:
    """The basedir is held by this object until :meth:`release`, or until its process ends."""

    def __init__(self, descriptor: int, path: os.PathLike[str]) -> None:
        self._descriptor = descriptor
        self._path = path

    @property
    def released(self) -> bool:
        """It was let go."""
        return self._descriptor < 0

    def release(self) -> None:
        """Let go; harmless when done before. The file stays, empty: removing it would race with the next holder."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def __repr__(self) -> str:
        return f"<Held {self._path}{' released' if self.released else ''}>"


async def hold(directory: Directory, wait: float, clock: IReactorTime, flock: Flock = fcntl.flock) -> Held:
    """Hold the basedir, waiting up to ``wait`` seconds for whoever has it.

    :raises BasedirInUse: somebody else still has it; the error names the pid.
    :raises BadSettings: the file system has no locks, or ``node.pid`` is not a file of ours.
    """
    started = clock.seconds()
    while True:
        outcome = _attempt(directory, flock)
        if isinstance(outcome, Held):
            return outcome
        patience = wait if outcome.firm else max(wait, GLANCE_SECONDS)
        left = started + patience - clock.seconds()
        if left <= 0:
            raise _in_use(directory, outcome.pid)
        await deferLater(clock, min(limits.BASEDIR_POLL_SECONDS, left))


class _Other:
    """Somebody else has the file locked: ``firm`` when as a holder, not to look."""

    def __init__(self, pid: int | None, *, firm: bool) -> None:
        self.pid = pid
        self.firm = firm


def _in_use(directory: Directory, pid: int | None) -> BasedirInUse:
    who = "another process" if pid is None else f"process {pid}"
    return BasedirInUse(f"The basedir {directory.path} is held by {who}: wait for it, or stop it.", pid=pid)


def _attempt(directory: Directory, flock: Flock) -> Held | _Other:
    outcome = None
    while outcome is None:
        outcome = _attempt_on_one_file(directory, flock)
    return outcome


def _attempt_on_one_file(directory: Directory, flock: Flock) -> Held | _Other | None:
    """One attempt; None when ``node.pid`` was removed by hand meanwhile, so that another file has to be locked."""
    descriptor = _opened(directory)
    try:
        other = _taken(directory, descriptor, flock)
        if other is None and _is_current(directory, descriptor):
            kept, descriptor = descriptor, -1
            return Held(kept, directory.path)
        return other
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _taken(directory: Directory, descriptor: int, flock: Flock) -> _Other | None:
    """Lock the open file and write our number into it; who else has it, or None."""
    if not _locked(directory, descriptor, fcntl.LOCK_EX, flock):
        only_looks = _locked(directory, descriptor, fcntl.LOCK_SH, flock)
        return _Other(_pid(descriptor), firm=not only_looks)
    _require_locks(directory, descriptor, flock)
    with as_local_error("write", directory.path / PID_FILE):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return None


def _require_locks(directory: Directory, descriptor: int, flock: Flock) -> None:
    """Some file systems say yes to every lock: see that a second one is refused."""
    second = _opened(directory)
    try:
        same = os.path.samestat(os.fstat(descriptor), os.fstat(second))
        if same and _locked(directory, second, fcntl.LOCK_EX, flock):
            raise BadSettings(f"{directory.path} is on a file system whose locks do not hold: use another basedir.")
    finally:
        os.close(second)


def _locked(directory: Directory, descriptor: int, operation: int, flock: Flock) -> bool:
    try:
        flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise BadSettings(
            f"{directory.path} is on a file system without locks ({reason}): use another basedir."
        ) from error
    return True


def _opened(directory: Directory) -> int:
    descriptor = directory.open_file(PID_FILE, os.O_RDWR | os.O_CREAT)
    if descriptor is None:
        raise BadSettings(f"The basedir {directory.path} was removed.")
    return descriptor


def _is_current(directory: Directory, descriptor: int) -> bool:
    with as_local_error("look at", directory.path / PID_FILE):
        try:
            named = os.stat(PID_FILE, dir_fd=directory.descriptor(), follow_symlinks=False)
        except FileNotFoundError:
            return False
    return os.path.samestat(named, os.fstat(descriptor))


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, PID_BYTES, 0).strip()
    return int(text) if text.isdigit() and text.isascii() else None


def is_held(directory: Directory, flock: Flock = fcntl.flock) -> bool:
    """Whether any process holds the basedir now; a number left in ``node.pid`` does not count."""
    return _look(directory, flock)[0]


def holder(directory: Directory, flock: Flock = fcntl.flock) -> int | None:
    """The pid of the process that holds the basedir; None when nobody does, or it has not written its number yet."""
    return _look(directory, flock)[1]


def _look(directory: Directory, flock: Flock) -> tuple[bool, int | None]:
    descriptor = directory.open_file(PID_FILE, os.O_RDONLY)
    if descriptor is None:
        return False, None
    try:
        if _locked(directory, descriptor, fcntl.LOCK_SH, flock):
            return False, None
        return True, _pid(descriptor)
    finally:
        os.close(descriptor)
