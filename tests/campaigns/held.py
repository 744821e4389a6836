"""Devices on a shelf in memory: each of their calls is held, and an umpire looks at each removal."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.deferreds import deferred
from ifap_twisted.filesystem import expunging
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryStore
from tests.campaigns.umpire import Umpire
from tests.filesystem.folders import Folder, result

EXPUNGING = expunging.__file__
"""Removals from here are a collector's; the others take back what a device wrote itself (FORMAT 4.4)."""


class Loose:
    """A gate that holds every call; whoever has it lets them go."""

    def __init__(self) -> None:
        self.held: list[Deferred[None]] = []
        self.open = True

    def __call__(self, _method: str) -> Deferred[None]:
        """Hold a call, unless it is open."""
        held: Deferred[None] = Deferred(self._forget)
        if self.open:
            held.callback(None)
        else:
            self.held.append(held)
        return held

    def _forget(self, held: Deferred[None]) -> None:
        self.held = [one for one in self.held if one is not held]


@dataclass(slots=True)
class Device:
    """One device: its session, its gate, the locks that it was given, and what it was asked for and has not ended."""

    store: MemoryStore
    gate: Loose
    filesystem: Filesystem
    names: set[str]
    locks: dict[str, str] = field(default_factory=dict)
    works: list[Deferred[Any]] = field(default_factory=list)
    dead: bool = False

    def die(self) -> None:
        """Stop in the middle: it is told nothing more, and what it has begun waits for ever."""
        self.dead = True
        self.store.shelf.detach(self.store)
        self.filesystem.desk.view.following._enter = lambda _state: None  # type: ignore[method-assign]

    def bury(self) -> None:
        """When all is over, let everything fail that it waits for: Python must find nothing half-run."""
        self.dead = True
        self.gate.open = True
        self.filesystem.desk.view.close()
        result(self.store.close())


class Named(MemoryWriter):
    """The identity of a device that knows all the names it ever had."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        super().__init__(random)
        self.names = {self.writer}

    @deferred
    async def renew(self) -> None:
        """Draw another name."""
        await super().renew()
        self.names.add(self.writer)


def watched_device(folder: Folder, umpire: Umpire, options: Options) -> Device:
    """Open a folder on another device; from then on its calls are held."""
    store = folder.store()
    gate = Loose()
    store.gate = gate
    remove = store.remove
    identity = Named(folder.random)

    def watched(uids: Any, uidvalidity: int, is_expected: Any, due: Any = None) -> Any:
        listed = sorted(uids)
        if any(frame.filename == EXPUNGING for frame in traceback.extract_stack()):
            umpire.look(listed)
        else:
            umpire.look_at_withdrawal(listed, identity.names)
        return remove(listed, uidvalidity, is_expected, due)

    store.remove = watched  # type: ignore[method-assign]
    filesystem = folder.device(store=store, options=options, identity=identity)
    gate.open = False
    return Device(store, gate, filesystem, identity.names)
