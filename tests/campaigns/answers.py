"""``python -m tests.campaigns.answers``: answers to an APPEND get lost; each put is one version (FORMAT 4.2; bar R3).

Devices with the real driver put files over simulated wires. The connection breaks before the answer; the message was
stored, was not, or comes up to a minute later; then the server is away for a while. Each case is a folder, in which
:data:`ANSWERS` answers are lost in one of the ways of sending, each way in turn. A fresh device and the model of the
reference read what is left. Exit status: 1 when a put is not one version.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ifap_twisted.core.values import Entry
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Fate
from ifap_twisted.testing.scenario import Place
from ifap_twisted.testing.wire_world import Session, WireWorld
from tests.campaigns.reference import unlike_reference
from tests.campaigns.seeded import command
from tests.filesystem.folders import KEY, Folder

ANSWERS = 50
"""Lost answers in one case."""
FATES = {
    Fate.CUT_AFTER: "the message was stored",
    Fate.CUT_BEFORE: "the message was not stored",
    Fate.CUT_LATE: "the message came later",
}
FILES = 40
LONGEST = 120
"""Seconds after which a put has ended."""
QUIET = 90
"""Seconds between one lost answer and the next: what is late has come, and the connection is back."""

NEAR = Place(latency=0.05)


@dataclass(frozen=True, slots=True)
class Way:
    """A way of sending.

    :ivar quirks: of the server, see :class:`~ifap_twisted.testing.wire_world.WireWorld`.
    :ivar together: so many puts leave at once.
    """

    quirks: tuple[str, ...] = ()
    place: Place = NEAR
    together: int = 1


WAYS = {
    "synchronising literals": Way(("synchronising",)),
    "LITERAL+, three in a pipeline": Way(together=3),
    "MULTIAPPEND of three": Way(("multiappend",), together=3),
    "no UIDPLUS, SEARCH a minute late": Way(("slow-search",), Place(poor=True, late=True, latency=0.05)),
    "known messages are dropped": Way(("drops-known",)),
}
SYNCHRONISING, PIPELINE, MULTIAPPEND, POOR, DROPS_KNOWN = WAYS


class Losing:
    """One folder, and a device whose answers get lost.

    :ivar counts: what there was; ``wrong``: what was not as it should be.
    """

    def __init__(self, way: str, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._name = way
        self._way = WAYS[way]
        self._folder = Folder(seed=seed)
        self._draw = random.Random(f"{way} {seed}")
        self._world = WireWorld(seed, self._folder.clock, self._way.quirks)
        self._stored: dict[str, int] = {}

    def run(self, answers: int) -> None:
        """Lose so many answers, and look at what is left."""
        try:
            device = self._device(0, self._way.place)
            for first in range(0, answers * self._way.together, self._way.together):
                self._lose(device, range(first, first + self._way.together))
            self._world.heal()
            self._pass_until(device.refresh())
            self._judge()
            self._pass_until(device.close())
        finally:
            self._world.end()
        self.counts["known messages dropped"] += self._world.dropped

    def _device(self, number: int, place: Place) -> Filesystem:
        """One that has opened the folder over a wire of its own."""
        store: Any = self._world.connect(number, place, self._folder.clock)
        opened = self._pass_until(self._folder.opening(store=store))
        return opened.filesystem  # type: ignore[no-any-return]

    def _pass_until(self, work: Deferred[Any]) -> Any:
        """Its result, in whatever time it takes.

        :raises IFAPError: its failure. :raises AssertionError: it does not end.
        """
        outcome = self._ended(work)
        if isinstance(outcome, Failure):
            outcome.raiseException()
        return outcome

    def _ended(self, work: Deferred[Any]) -> Any:
        outcome: list[Any] = []
        work.addBoth(outcome.append)
        for _ in range(LONGEST * 20):
            if outcome:
                return outcome[0]
            self._folder.clock.advance(0.05)
        raise AssertionError(f"{self._name}: something does not end in {LONGEST} seconds")

    def _lose(self, device: Filesystem, numbers: Collection[int]) -> None:
        """Put, and lose the answer; then the server is away for a while."""
        session, clock, draw = self._session, self._folder.clock, self._draw
        fate = draw.choice(list(FATES))
        session.treatment.fates.append(fate)
        putting = [device.put(f"d/{number % FILES}", b"%d" % number) for number in numbers]
        for one in putting:
            one.addErrback(lambda failure: failure)
        clock.callLater(draw.uniform(0.1, 60.0), self._world.server.deliver_late)
        if draw.random() < 0.3:
            clock.callLater(1.0, session.cut_off, draw.uniform(0.1, 20.0), greets=False)
        for number, one in zip(numbers, putting, strict=True):
            self._note(number, self._ended(one))
        if session.treatment.fates:
            self.wrong.append(f"{numbers}: no answer was lost")
        self.counts[f"answers lost: {self._name}"] += 1
        self.counts[f"answers lost, and {FATES[fate]}"] += 1
        for _ in range(QUIET):
            clock.advance(1.0)

    def _note(self, number: int, outcome: Any) -> None:
        """How a put ended; one that was still waiting to be sent may find the server away."""
        if isinstance(outcome, Entry):
            self._stored[outcome.version] = number
            self.counts["puts stored"] += 1
        elif outcome.check(Unavailable):
            self.counts["puts not sent"] += 1
        else:
            self.wrong.append(f"put {number} ended with {outcome.value!r}")

    @property
    def _session(self) -> Session:
        """The way of the device to the server."""
        return self._world._sessions[0]

    def _judge(self) -> None:
        """One version for each put that was told as stored, no other, no conflict, and the reference reads the same."""
        fresh = self._device(1, Place())
        found, current = self._seen(fresh)
        if sorted(found) != sorted(self._stored.items()):
            self.wrong.append(f"there is {sorted(set(found) ^ set(self._stored.items()))}, or something twice")
        if conflicts := self._pass_until(fresh.conflicts()):
            self.wrong.append(f"there are conflicts: {conflicts}")
        self.wrong += unlike_reference(self._world.messages, KEY.text, current)
        self._pass_until(fresh.close())

    def _seen(self, fresh: Filesystem) -> tuple[list[tuple[str, int]], Mapping[str, bytes]]:
        """All versions with what is in them, and what is current."""
        found: list[tuple[str, int]] = []
        current: dict[str, bytes] = {}
        for entry in self._pass_until(fresh.list("/", recursive=True)):
            if entry.type != "file":
                continue
            current[entry.path] = self._pass_until(fresh.get(entry.path))
            for one in self._pass_until(fresh.versions(entry.path)):
                content = self._pass_until(fresh.get(entry.path, version=one.version))
                found.append((one.version, int(content)))
        return found, current


def case(number: int) -> tuple[Counter[str], list[str]]:
    """One folder."""
    losing = Losing([*WAYS][number % len(WAYS)], number)
    losing.run(ANSWERS)
    return losing.counts, losing.wrong


main = command(case, f"Lose answers to puts, {ANSWERS} in each case, in each way of sending in turn.")


if __name__ == "__main__":
    main()
