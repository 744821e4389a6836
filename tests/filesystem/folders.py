"""Filesystems in memory, for tests: everything synchronous, on a clock that the test moves."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.core.keys import Key
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Opened, Surroundings, open_folder
from ifap_twisted.store.memory import MemoryShelf, MemoryStore
from ifap_twisted.workers import InlineWorker

KEY = Key.from_text("correct horse battery staple")
START = 1_800_000_000.0
BOOT = START - 1000.0
"""When the machines of the devices were started: they count what elapses from there, and know dates besides."""


def result(work: Deferred[Any]) -> Any:
    """The result of a Deferred that has fired; raises its failure."""
    outcome: list[Any] = []
    work.addBoth(outcome.append)
    if not outcome:
        raise AssertionError("the Deferred has not fired")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


class Folder:
    """One folder in memory and the devices on it."""

    def __init__(self, *, seed: int = 0, shelf: MemoryShelf | None = None) -> None:
        self.shelf = shelf or MemoryShelf()
        self.clock = Clock()
        self.clock.advance(START)
        self.random = random.Random(seed).randbytes

    def store(self, **traits: Any) -> MemoryStore:
        """Another session on the shelf."""
        return MemoryStore(self.shelf, clock=self.clock, **traits)

    def opening(
        self,
        membership: Membership | None = None,
        *,
        store: MemoryStore | None = None,
        options: Options | None = None,
        make_key: bool = False,
        identity: Any = None,
        remember: Any = None,
        worker: Any = None,
        journal: Any = None,
        clock: Any = None,
        elapsed: Any = None,
        locks: Any = None,
        marks: Any = None,
        account: str = "",
    ) -> Deferred[Opened]:
        """Open it on another device."""
        surroundings = Surroundings(
            clock=clock or self.clock,
            elapsed=elapsed or (lambda: (clock or self.clock).seconds() - BOOT),
            locks=locks,
            marks=marks,
            worker=worker or InlineWorker(),
            random=self.random,
            identity=identity or MemoryWriter(self.random),
            journal=journal,
        )
        return Deferred.fromCoroutine(
            open_folder(
                store or self.store(),
                membership or Membership(keys=(KEY,)),
                surroundings,
                options=options,
                make_key=make_key,
                remember=remember,
                account_key=account,
            )
        )

    def device(self, *args: Any, **kwargs: Any) -> Filesystem:
        """The filesystem of another device."""
        opened: Opened = result(self.opening(*args, **kwargs))
        return opened.filesystem
