"""A sample of the campaign of collections, and that its umpire finds what it looks for."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import disposal
from ifap_twisted.core.disposal import Knowledge
from ifap_twisted.errors import Conflict
from ifap_twisted.filesystem.collecting import Collector
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.locking import Locking
from ifap_twisted.filesystem.surveying import _to_plan
from ifap_twisted.filesystem.withdrawing import Withdrawal
from tests.campaigns.collecting import World, run
from tests.campaigns.held import watched_device
from tests.campaigns.holders import Holders
from tests.campaigns.umpire import Tally, Umpire
from tests.filesystem.folders import Folder, result


class SampleTests(SynchronousTestCase):
    """Some seeds."""

    def test_sample(self) -> None:
        """Nothing that is live, kept, in conflict, unplanned, unrecorded or foreign is removed, and nothing is lost."""
        tally = Tally()
        for seed in range(12):
            run(tally, seed)
        self.assertEqual([], tally.wrong)
        self.assertLess(100, tally.done["versions removed"])
        self.assertLess(2, tally.done["replayed"])
        self.assertLess(10, tally.done["read by the reference"])
        least = {"move done": 8, "undelete done": 5, "restore done": 5, "ended": 3, "withdrawn": 1}
        least |= {"locks held": 25, "lock messages removed": 50}
        self.assertEqual({}, {what: tally.done[what] for what, count in least.items() if tally.done[what] < count})


class DeathTests(SynchronousTestCase):
    """Devices that die in the middle of something."""

    def dead_in_a_write(self, calls: int) -> bool:
        """A device dies after so many calls of a write under a lock that it takes; whether it had ended by then."""
        folder, tally = Folder(), Tally()
        umpire = Umpire(folder.shelf, 1, Holders(folder.clock.seconds, tally.wrong.append), tally)
        other, device = (watched_device(folder, umpire, Options()) for _ in range(2))
        other.gate.open = device.gate.open = True
        result(other.filesystem.put("a", b"first"))
        result(other.filesystem.lock("a", seconds=30))
        folder.clock.advance(100.0)  # it runs out, and who writes takes one (FORMAT 10.2)
        device.gate.open = False
        work = device.filesystem.put("a", b"second")
        work.addErrback(lambda _failure: None)
        for _ in range(calls):
            if device.gate.held:
                device.gate.held.pop(0).callback(None)
        ended = bool(work.called)
        device.die()
        folder.clock.advance(100.0)
        for one in (other, device):
            one.bury()
        folder.clock.advance(1000.0)
        return ended

    def test_nothing_is_left_half_run(self) -> None:
        """Wherever a write was, Python finds nothing of it that cannot be ended."""
        found: list[str] = []
        self.patch(sys, "unraisablehook", lambda unraisable: found.append(repr(unraisable.object)))
        calls = 0
        while not self.dead_in_a_write(calls):
            calls += 1
            gc.collect()
        self.assertLess(10, calls)
        self.assertEqual([], found)


class UmpireTests(SynchronousTestCase):
    """Collectors that break one rule each are found out."""

    def found(self, plant: Callable[[World], None]) -> set[str]:
        """What an umpire says of collectors that were changed."""
        tally = Tally()
        for seed in range(20):
            run(tally, seed, plant=plant)
            if tally.wrong:
                break
        return set(tally.wrong)

    def assert_found(self, word: str, plant: Callable[[World], None]) -> None:
        """A word of the umpire."""
        wrong = self.found(plant)
        self.assertTrue(any(word in one for one in wrong), wrong)

    def collectors(self, change: Callable[[Collector], None]) -> Callable[[World], None]:
        """Change every collector."""
        return lambda world: [change(device.filesystem._collector) for device in world.devices] and None

    def test_no_record(self) -> None:
        """Removing without a record."""

        def nothing(_found: Any) -> Deferred[None]:
            return succeed(None)

        self.assert_found("is not on record", self.collectors(lambda collector: setattr(collector, "_record", nothing)))

    def test_a_withdrawal_of_what_nobody_overtook(self) -> None:
        """Taking back a write that was no conflict, as if it had been one."""

        def change(withdrawal: Withdrawal) -> None:
            async def hasty(_sealed: Any, own: Any, *_facts: Any, **_more: Any) -> None:
                view = withdrawal._view
                await view.remove(view.index.sealed_ids(own.places), view.generation)
                raise Conflict("Somebody changed the file at the same time.")

            withdrawal.check = hasty  # type: ignore[method-assign]

        self.assert_found(
            "nobody was faster",
            lambda world: [change(device.filesystem.desk.writer._withdrawal) for device in world.devices] and None,
        )

    def test_a_lock_that_heeds_no_other(self) -> None:
        """Taking a lock as if every other one had run out."""

        def change(locking: Locking) -> None:
            book = locking._book
            book.has_ended = lambda _claim: True  # type: ignore[method-assign]
            book.holding = lambda _path: None  # type: ignore[method-assign]

        self.assert_found(
            "of another device holds",
            lambda world: [change(device.filesystem.desk.locking) for device in world.devices] and None,
        )

    def test_no_grace(self) -> None:
        """Removing what was planned just now."""

        def change(collector: Collector) -> None:
            survey = collector._surveyor.survey

            async def hasty(now: float | None) -> Any:
                found = await survey(now)
                known = replace(found.known, grace=0.0)
                disposals = tuple(disposal.survey(found.histories, known))
                due = [one for one in disposals if one.going]
                return replace(found, known=known, disposals=disposals, due=due)

            collector._surveyor.survey = hasty  # type: ignore[method-assign]

        self.assert_found("was not planned a grace ago", self.collectors(change))

    def test_another_policy(self) -> None:
        """Removing what is to be kept."""

        def change(collector: Collector) -> None:
            survey = collector._surveyor.survey

            async def greedy(now: float | None) -> Any:
                found = await survey(now)
                histories = {
                    path: history.of(one._replace(version=one.version._replace(keep=1)) for one in history.versions)
                    for path, history in found.histories.items()
                }
                known: Knowledge = replace(found.known, policy=replace(found.known.policy, keep=1))
                disposals = tuple(disposal.survey(histories, known))
                due, to_plan = [one for one in disposals if one.going], _to_plan(disposals, known)
                return replace(found, known=known, disposals=disposals, due=due, to_plan=to_plan)

            collector._surveyor.survey = greedy  # type: ignore[method-assign]

        self.assert_found("is one of the last", self.collectors(change))
