"""Lost answers through the real driver: each put is one version, in each way of sending it (FORMAT 4.2; bar R3).

``LOST_ANSWERS=1000 python -m pytest tests/promises/test_lost_answers_on_wires.py`` runs the whole of the bar.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Entry
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Fate
from ifap_twisted.testing.scenario import Place
from ifap_twisted.testing.wire_world import Session, WireWorld
from tests.filesystem.folders import Folder, result

ANSWERS = int(os.environ.get("LOST_ANSWERS", "60"))
"""Lost answers in each way of sending."""
FATES = (Fate.CUT_AFTER, Fate.CUT_BEFORE, Fate.CUT_LATE)
FILES = 40
LONGEST = 120
"""Seconds after which a put has ended."""
QUIET = 90
"""Seconds between one case and the next: what is late has come, and the connection is back."""


class LostAnswersTests(SynchronousTestCase):
    """The connection breaks before the answer; the message was stored, was not, or comes up to a minute later."""

    def check(self, *quirks: str, place: Place = Place(latency=0.05), together: int = 1) -> None:
        """As many lost answers as shall be, on a server with these quirks.

        :param together: so many puts leave at once.
        """
        self.folder = Folder(seed=len(quirks) + together)
        self.draw = random.Random(f"{quirks} {place} {together}")
        self.world = WireWorld(1, self.folder.clock, quirks)
        self.addCleanup(self.world.end)
        device = self.device(0, place)
        stored: dict[str, int] = {}
        for first in range(0, ANSWERS * together, together):
            numbers = range(first, first + together)
            for number, outcome in zip(numbers, self.lose(device, numbers), strict=True):
                if isinstance(outcome, Entry):
                    stored[outcome.version] = number
                else:  # it was still waiting to be sent, and the server was away
                    self.assertIsInstance(outcome.value, Unavailable)
        self.assertGreaterEqual(len(stored), ANSWERS)
        self.world.heal()
        self.pass_until(device.refresh())
        self.check_folder(stored)
        self.pass_until(device.close())

    def device(self, number: int, place: Place) -> Filesystem:
        """One that has opened the folder over a wire of its own."""
        store = self.world.connect(number, place, self.folder.clock)
        return self.pass_until(self.folder.opening(store=store)).filesystem

    def pass_until(self, work: Deferred[Any]) -> Any:
        """Its result, in whatever time it takes."""
        outcome: list[Any] = []
        work.addBoth(outcome.append)
        for _ in range(LONGEST * 20):
            if outcome:
                break
            self.folder.clock.advance(0.05)
        self.assertTrue(outcome, "everything ends")
        return outcome[0]

    def lose(self, device: Filesystem, numbers: Collection[int]) -> list[Any]:
        """What puts end with whose answers are lost; then the server is away for a while."""
        session = self.session
        session.treatment.fates.append(self.draw.choice(FATES))
        putting = [device.put(f"d/{number % FILES}", b"%d" % number) for number in numbers]
        for one in putting:
            one.addErrback(lambda failure: failure)
        self.folder.clock.callLater(self.draw.uniform(0.1, 60.0), self.world.server.deliver_late)
        if self.draw.random() < 0.3:
            self.folder.clock.callLater(1.0, session.cut_off, self.draw.uniform(0.1, 20.0), greets=False)
        found = [self.pass_until(one) for one in putting]
        self.assertFalse(session.treatment.fates, "an answer was lost")
        for _ in range(QUIET):
            self.folder.clock.advance(1.0)
        return found

    @property
    def session(self) -> Session:
        """The way of the device to the server."""
        return self.world._sessions[0]

    def check_folder(self, stored: Mapping[str, int]) -> None:
        """What a fresh device sees: one version for each put that was told as stored, no other, and no conflict."""
        fresh = self.device(1, Place())
        found: list[tuple[str, int]] = []
        for entry in self.pass_until(fresh.list("/", recursive=True)):
            if entry.type == "file":
                for one in self.pass_until(fresh.versions(entry.path)):
                    found.append((one.version, int(self.pass_until(fresh.get(entry.path, version=one.version)))))
        self.assertEqual(sorted(found), sorted(stored.items()))
        self.assertEqual(result(fresh.conflicts()), [])
        self.pass_until(fresh.close())

    def test_with_synchronising_literals(self) -> None:
        """A server that has to agree before a message is sent."""
        self.check("synchronising")

    def test_with_literals_that_do_not_wait(self) -> None:
        """LITERAL+, three puts in a pipeline."""
        self.check(together=3)

    def test_several_in_one_command(self) -> None:
        """MULTIAPPEND: three messages and one answer."""
        self.check("multiappend", together=3)

    def test_without_uidplus(self) -> None:
        """No answer names a place, and SEARCH is up to a minute late."""
        self.check("slow-search", place=Place(poor=True, late=True, latency=0.05))

    def test_on_a_server_that_takes_no_message_twice(self) -> None:
        """What is sent again is dropped, and success is answered."""
        self.check("drops-known")
        self.assertTrue(self.world.dropped)
