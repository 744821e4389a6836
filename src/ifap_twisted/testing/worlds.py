"""The worlds in which simulated runs can happen, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.testing.device import Network
from ifap_twisted.testing.memory_world import MemoryWorld
from ifap_twisted.testing.scenario import Step
from ifap_twisted.testing.wire_world import WireWorld


class World(Network, Protocol):
    """A server, and what can happen to it."""

    @property
    def messages(self) -> Mapping[int, bytes]:
        """What is in the folder."""

    @property
    def fingerprint(self) -> str:
        """The same for two runs in which the same happened on every wire; empty where there is none."""

    @property
    def dropped(self) -> int:
        """How many messages the server said it had stored, and did not, because it knew their Message-ID."""

    def is_hiding(self, device: int) -> bool:
        """Whether messages are left out of the listings of a device."""

    def add(self, message: bytes) -> int:
        """Somebody else stores a message."""

    def expunge(self, uid: int) -> None:
        """Somebody else removes one."""

    def strike(self, step: Step) -> bool:
        """Let a fault happen."""

    def heal(self) -> None:
        """From now on the server behaves."""

    def end(self) -> None:
        """All is over: let go of everything that waits."""


WORLDS: dict[str, Callable[[int, IReactorTime, Collection[str]], World]] = {"memory": MemoryWorld, "wire": WireWorld}
