"""A temporary place for a test that touches files, and randomness that can be foretold."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir import Basedir
from ifap_twisted.workers import InlineWorker

CANARY = "hunter2-canary-Zq9"


_FOR_EVER: list[object] = []


def never(*kept: object) -> Deferred[Any]:
    """What a killed process waits for: it does not fire.

    It is not collected either, and neither is what else is named: a coroutine that is collected is closed, does what
    its ``finally`` says, and so lets others go on, as nobody does who was killed.
    """
    waiting: Deferred[Any] = Deferred()
    _FOR_EVER.extend((waiting, *kept))
    return waiting


class Drawing:
    """Random bytes that are the same in every run, and different at every draw."""

    def __init__(self, seed: str = "") -> None:
        self.seed = seed
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        """So many bytes."""
        self.drawn += 1
        return hashlib.shake_128(f"{self.seed} {self.drawn}".encode()).digest(count)


class LaterWorker:
    """Keeps work until it is told to run it, in any order."""

    def __init__(self) -> None:
        self.waiting: list[tuple[object, Deferred]] = []

    def __call__(self, work):
        """Take work in."""
        answer = Deferred()
        self.waiting.append((work, answer))
        return answer

    def run(self, number: int = 0) -> None:
        """Run one piece of work; its answer is lost when nobody waits for it any more, as with a thread."""
        work, answer = self.waiting.pop(number)
        try:
            result = work()
        except Exception:
            result = Failure()
        if not answer.called:
            answer.callback(result)

    def run_all(self) -> None:
        """Run all work, and what is brought meanwhile, in its order."""
        while self.waiting:
            self.run()

    def fail(self, error: Exception) -> None:
        """Let the oldest piece of work fail without running it."""
        self.waiting.pop(0)[1].errback(error)


class Switching(LaterWorker):
    """A worker that works at once, until it holds what comes."""

    holds = False

    def __call__(self, work: Any) -> Any:
        """Do it, or keep it."""
        return super().__call__(work) if self.holds else InlineWorker()(work)


class PlacedTestCase(SynchronousTestCase):
    """A test case with a directory of its own in ``self.place``, and a basedir that it holds on request."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="ifap-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def basedir(self, name: str = "node", **more) -> Basedir:
        """A basedir that is closed after the test."""
        basedir = Basedir(self.place / name, **more)
        self.addCleanup(basedir.close)
        return basedir

    def held_basedir(self, name: str = "node") -> Basedir:
        """A basedir that this test holds."""
        basedir = self.basedir(name)
        self.successResultOf(basedir.hold(0, Clock()))
        return basedir


def mode_of(path: Path) -> int:
    """The permission bits of a file, directory or link itself."""
    return stat.S_IMODE(os.lstat(path).st_mode)


def tree_of(path: Path) -> dict[str, bytes]:
    """Every file below a directory with its content."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}
