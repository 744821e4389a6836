"""Processes that kill themselves: each step that leaves something behind is counted, and one is not survived.

A victim is forked from a process that has no reactor and one thread; what it finds out comes back through a pipe. The
kernel does to it what it does to any process that gets a SIGKILL: threads, sockets and locks are gone at once.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

T = TypeVar("T")
SECONDS = 120.0
"""After which a process that does not end is one that hangs."""
STORING = frozenset({"append", "remove"})
CALLS = STORING | {"headers", "poll", "uids", "message", "dates"}
READING = frozenset({"SELECT", "PRAGMA"})
"""SQL that changes nothing."""
DISK = ("fsync", "rename", "replace", "unlink", "link", "mkdir", "ftruncate")


class Killed(Exception):
    """The process was killed."""


class Fate:
    """Counts the steps of this process once it is armed, and kills it at one.

    :ivar last: the step that it does not survive; None: it lives.
    :ivar steps: what was done or begun.
    """

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.steps: list[str] = []
        self._armed = False
        self._guard = threading.Lock()

    def arm(self) -> None:
        """Count from now on."""
        self._armed = True

    def step(self, name: str) -> None:
        """Something is about to happen."""
        with self._guard:
            if not self._armed:
                return
            self.steps.append(name)
            if len(self.steps) == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def disarm(self) -> list[str]:
        """Count no more; what was counted."""
        with self._guard:
            self._armed = False
            return self.steps


class Store:
    """A store whose calls are steps; those that change something are another one when they are answered."""

    def __init__(self, store: Any, fate: Fate) -> None:
        self._store = store
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return found if name not in CALLS else lambda *args, **more: self._call(name, lambda: found(*args, **more))

    def _call(self, name: str, call: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        self._fate.step(f"store {name}")
        done = maybeDeferred(call)
        if name in STORING:
            done.addCallback(self._answered, name)
        return done

    def _answered(self, answer: Any, name: str) -> Any:
        self._fate.step(f"store {name} answered")
        return answer


class File:
    """A file whose writing is two steps: before the first half, and before the second."""

    def __init__(self, file: Any, fate: Fate) -> None:
        self._file = file
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *raised: object) -> Any:
        return self._file.__exit__(*raised)

    def write(self, data: bytes) -> int:
        """Write."""
        self.writelines([data])
        return len(data)

    def writelines(self, pieces: Any) -> None:
        """Write."""
        whole = b"".join(pieces)
        for half in (whole[: len(whole) // 2], whole[len(whole) // 2 :]):
            self._fate.step("disk write")
            self._file.write(half)
            self._file.flush()


def make_steps(fate: Fate) -> None:
    """Let everything that this process does to stores, files and databases be a step."""
    for name in DISK:
        setattr(os, name, _stepping(getattr(os, name), f"disk {name}", fate))
    os.open = _stepping_open(os.open, fate)
    os.fdopen = _stepping_fdopen(os.fdopen, fate)
    from ifap_twisted.imap.removing import Removing
    from ifap_twisted.server import database
    from ifap_twisted.service import attempts

    shelf_for, open_database = attempts.shelf_for, database.open_database

    def opened(*args: Any) -> sqlite3.Connection:
        connection = open_database(*args)
        connection.set_trace_callback(stepped)
        return connection

    def stepped(statement: str) -> None:
        verb = statement.split(maxsplit=1)[0]
        if verb not in READING:
            fate.step(f"sql {verb}")

    attempts.shelf_for = lambda *args: Store(shelf_for(*args), fate)  # type: ignore[assignment,return-value]
    database.open_database = opened
    Removing._change = _stepping(Removing._change, "imap change", fate)  # type: ignore[method-assign]


def _stepping(function: Callable[..., T], name: str, fate: Fate) -> Callable[..., T]:
    def stepped(*args: Any, **more: Any) -> T:
        fate.step(name)
        return function(*args, **more)

    return stepped


def _stepping_open(function: Callable[..., int], fate: Fate) -> Callable[..., int]:
    def stepped(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            fate.step("disk create")
        return function(path, flags, *args, **more)

    return stepped


def _stepping_fdopen(function: Callable[..., Any], fate: Fate) -> Callable[..., Any]:
    def stepped(descriptor: int, mode: str = "r", *args: Any, **more: Any) -> Any:
        file = function(descriptor, mode, *args, **more)
        return File(file, fate) if "w" in mode else file

    return stepped


def in_process(work: Callable[[Any], Coroutine[Any, Any, T]], seconds: float = SECONDS) -> T:
    """Run a coroutine in a process of its own, which has a reactor; its result.

    :param seconds: after which it hangs.
    :raises Killed: it was killed. :raises RuntimeError: it failed, or it hangs.
    """
    assert "twisted.internet.reactor" not in sys.modules, "a reactor cannot be shared by two processes"
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(source)
        _live(work, sink)
    os.close(sink)
    try:
        told = _told(source, pid, seconds)
    finally:
        os.close(source)
        _pid, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not told:
        raise Killed
    if not told:
        raise RuntimeError(f"a process told nothing and ended with {status}")
    succeeded, result = pickle.loads(told)
    if not succeeded:
        raise RuntimeError(result)
    return result  # type: ignore[no-any-return]


def _told(source: int, pid: int, seconds: float) -> bytes:
    told = b""
    while select.select([source], [], [], seconds)[0]:
        piece = os.read(source, 1 << 20)
        if not piece:
            return told
        told += piece
    os.kill(pid, signal.SIGKILL)
    raise RuntimeError(f"a process did not end within {seconds} seconds")


def _live(work: Callable[[Any], Coroutine[Any, Any, Any]], sink: int) -> None:
    """The life of the other process; it never comes back."""
    outcome: tuple[bool, Any] = (False, "it ended without a result")
    try:
        from twisted.internet import reactor  # noqa: TID251 -- the one of this process

        def ended(result: Any) -> None:
            nonlocal outcome
            failed = hasattr(result, "getTraceback")
            outcome = (False, result.getTraceback()) if failed else (True, result)
            reactor.stop()

        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work(reactor)).addBoth(ended))
        reactor.run(installSignalHandlers=False)
    except BaseException:
        outcome = (False, traceback.format_exc())
    with open(sink, "wb") as file:
        file.write(pickle.dumps(outcome))
    os._exit(0)
