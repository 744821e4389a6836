"""Simulated runs: the same again, judged, shrunk, and many of them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Version
from ifap_twisted.filesystem.drafting import Drafting
from ifap_twisted.testing import scenario, simulation
from ifap_twisted.testing.ancestry import Family
from ifap_twisted.testing.campaign import Campaign
from ifap_twisted.testing.device import Plant
from ifap_twisted.testing.disk import Disk
from ifap_twisted.testing.judgement import judge
from ifap_twisted.testing.scenario import Place, Scenario, Step, draw
from ifap_twisted.testing.shrinking import shrink
from ifap_twisted.testing.simulate import replay, run_campaign
from ifap_twisted.testing.simulation import Simulation, simulate
from ifap_twisted.testing.trace import SITUATIONS
from ifap_twisted.testing.worlds import WORLDS
from tests.campaigns.reference import unread_by_reference
from tests.testing.plants import (
    ABOVE_THE_SHELF,
    PLANTS,
    collects_needed_chunks,
    collects_what_hides_an_older_one,
    gives_a_lock_to_two,
    lets_no_lock_end,
    loses_what_is_numbered_anew,
    loses_what_it_acknowledged,
    serves_another_file,
    writes_through_locks,
)
from tests.testing.processes import printed_under_hash_seeds

CI_SEEDS = 300
"""At least 200 in each CI run (bar R5); more are run by the command."""
PLANTED_SEEDS = 80


class CampaignTests(SynchronousTestCase):
    """Many seeds."""

    def test_no_promise_is_broken(self) -> None:
        """And everything that can be done, and every fault, was met: a campaign that covers nothing shows nothing."""
        campaign = Campaign(worlds=("memory", "wire"))
        out = io.StringIO()
        kept = run_campaign(campaign, CI_SEEDS, None, lambda: 0.0, out)
        print(out.getvalue())
        self.assertTrue(kept, out.getvalue())
        done = {name.removesuffix(" done") for name in campaign.coverage.actions if name.endswith(" done")}
        lives = {"crash", "cancel", "backup", *scenario.REPLACING}
        self.assertEqual(scenario.ACTIONS - done - lives, set())
        met = scenario.FAULTS | {*scenario.QUIRKS, *scenario.PROFILE, scenario.SPARSE} | lives
        self.assertEqual(met - set(campaign.coverage.faults), set())
        self.assertEqual([name for name in SITUATIONS if not campaign.coverage.situations[name]], [])
        self.assertTrue(campaign.coverage.conflicts)
        self.assertGreaterEqual(min(campaign.coverage.worlds[name] for name in WORLDS), CI_SEEDS / 3)

    def test_it_can_be_continued(self) -> None:
        """From a state file: the seeds after those that were run."""
        campaign = Campaign()
        campaign.run(3)
        again = Campaign.from_json(campaign.to_json())
        again.run(2)
        self.assertEqual((again.following, again.coverage.seeds), (5, 5))

    def test_it_ends_when_its_time_is_up(self) -> None:
        """Looked at before each seed."""
        moments = iter(range(100))
        campaign = Campaign()
        run_campaign(campaign, 50, 3.0, lambda: float(next(moments)), io.StringIO())
        self.assertEqual(campaign.coverage.seeds, 2)


class RepeatTests(SynchronousTestCase):
    """A seed decides everything."""

    def test_the_same_seed_gives_the_same_trace(self) -> None:
        """To the last byte of the last message."""
        for seed in range(3):
            self.assertEqual(simulate(draw(seed)).digest(), simulate(draw(seed)).digest())

    def test_another_seed_gives_another(self) -> None:
        """Or the digest would tell nothing."""
        self.assertNotEqual(simulate(draw(1)).digest(), simulate(draw(2)).digest())

    def test_the_same_in_every_process(self) -> None:
        """Under any hash seed."""
        code = (
            "from ifap_twisted.testing.scenario import draw; from ifap_twisted.testing.simulation import simulate\n"
            "print([simulate(draw(seed)).digest() for seed in range(4)])"
        )
        self.assertEqual(len(printed_under_hash_seeds(code)), 1)

    def test_a_script_is_the_scenario(self) -> None:
        """Printed and read again."""
        drawn = draw(7)
        self.assertEqual(Scenario.from_json(drawn.to_json()), drawn)

    def test_what_is_no_script_is_refused(self) -> None:
        """A verb that there is not, a device that there is not."""
        for step in (Step(0.0, 0, "dance"), Step(0.0, 9, "put")):
            text = Scenario(0, "memory", (Place(),), (step,)).to_json()
            self.assertRaises(ValueError, Scenario.from_json, text)


class LifeTests(SynchronousTestCase):
    """How devices of a run live and die."""

    def test_a_device_started_again_while_it_still_closes_is_a_crash(self) -> None:
        """What it had accepted ends with its process, and is not waited for."""
        steps = (
            Step(0.0, 0, "open"),
            Step(5.0, 0, "offline", number=39),
            Step(6.0, 0, "mkdir", "a"),
            Step(7.0, 0, "close"),
            Step(8.0, 0, "cancel", number=1),
            Step(30.0, 0, "list"),
        )
        trace = simulate(Scenario(0, "memory", (Place(),), steps))
        self.assertEqual([call.outcome for call in trace.calls], ["done", "crashed", "cancelled", "done", "done"])
        self.assertEqual(judge(trace), [])

    def test_a_device_whose_opening_was_given_up_is_started_again(self) -> None:
        """However early: what its journal holds is finished."""
        for early in (0.0, 0.001, 0.02, 0.05, 0.1, 0.2):
            steps = (Step(0.0, 0, "open"), Step(5.0, 0, "crash", number=1), Step(6.1 + early, 0, "cancel"))
            trace = simulate(Scenario(0, "memory", (Place(),), steps))
            self.assertEqual(trace.calls[-1].outcome, "done", f"{early}: {[call.outcome for call in trace.calls]}")

    def test_a_move_that_is_finished_while_its_device_opens_the_folder(self) -> None:
        """The new name was journalled when the device died: it is there in the end, and nothing failed unheard."""
        verbs = [(12.1, 1, "put", "d/e/a", 0), (13.1, 0, "edit", "d/e/a", 8), (14.1, 1, "edit", "d/e/a", 8)]
        verbs += [(16.1, 1, "collect", "d/e/a", 12), (44.6, 1, "edit", "d/e/a", 0), (49.2, 0, "put", "a", 478)]
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open")]
        steps += [Step(at, who, verb, path, number=number) for at, who, verb, path, number in verbs]
        steps += [Step(49.2, 1, "move", "d", "a", 64), Step(49.2, 1, "offline", number=251)]
        steps += [Step(56.8, 1, "crash", number=17)]
        places = (Place(latency=0.02, skew=-600.0), Place())
        trace = simulate(Scenario(21808, "memory", places, tuple(steps), ("no-key",)))
        self.assertIn(("move", "crashed"), [(call.verb, call.outcome) for call in trace.calls])
        self.assertEqual({path for path, _vid in trace.journalled}, {"a/e/a"})
        self.assertEqual(judge(trace), [])

    def test_a_device_that_cannot_start_is_told_with_its_reason(self) -> None:
        """It tries again and again, and that ends with the run."""
        simulation = Simulation(Scenario(0, "memory", (Place(), Place()), (Step(0.0, 0, "open"), Step(1.0, 1, "open"))))
        simulation.devices[0].disk = Unreadable("broken")
        told = judge(simulation.run())
        self.assertEqual(
            {violation.promise for violation in told}, {"callers meet only errors that they can understand"}
        )
        self.assertIn("bug: AssertionError: nothing can be read", str(told[0]))

    def test_a_write_that_is_taken_back_while_everybody_sleeps(self) -> None:
        """Who saw it before and has it missing days later reports it as vanished: that is right (FORMAT 5.5)."""
        away, near = Place(latency=0.5), Place(latency=0.02)
        changes = [(11.9, 1, "put", "d", 192), (11.9, 2, "put", "d", 976), (12.0, 2, "put", "a", 638)]
        changes += [(17.9, 1, "late", "a", 16), (17.9, 1, "put", "a", 10), (22.9, 0, "edit", "a", 2)]
        changes += [(23.9, 1, "edit", "a", 4), (24.9, 0, "append", "a", 4), (25.9, 1, "edit", "a", 4)]
        changes += [(26.9, 2, "put", "a", 0), (29.9, 0, "days", "a", 16)]
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open"), Step(0.01, 2, "open"), Step(1.4, 1, "put", "d")]
        steps += [Step(at, who, verb, path, number=number) for at, who, verb, path, number in changes]
        trace = simulate(Scenario(50287, "memory", (Place(), away, near), tuple(steps)))
        self.assertIn("conflict", {trace.calls[number].outcome for number in trace.slept})
        self.assertEqual(judge(trace), [])

    def test_what_a_backup_of_the_journal_brings_back(self) -> None:
        """Its caller was told that it is not stored: that it comes to stand behind what he wrote then is right."""
        late = Place(latency=0.5, skew=-600.0, late=True)
        verbs = [(6.2, 0, "put", "b", 6), (9.5, 1, "put", "d/b", 757), (9.6, 1, "put", "d/b", 596)]
        verbs += [(8.3, 1, "create", "b", 102), (15.7, 1, "put", "a", 0), (16.7, 1, "lock", "a", 0)]
        verbs += [(19.4, 1, "put", "d/b", 282), (19.6, 1, "late", "b", 6), (19.6, 1, "put", "b", 16)]
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open")]
        steps += [Step(at, who, verb, path, number=number) for at, who, verb, path, number in verbs]
        steps.append(Step(49.7, 1, "restored", "d", number=781))
        trace = simulate(Scenario(6663, "memory", (Place(), late), tuple(steps)))
        (back,) = [place for place in trace.restored if trace.calls[trace.sent[place].call or 0].outcome == "conflict"]
        self.assertIn(back[1], {one.vid for one in trace.observations[0].versions["b"]})
        self.assertEqual(judge(trace), [])
        trace.restored.clear()
        self.assertIn("no write hides one that it did not know", {one.promise for one in judge(trace)})

    def test_what_was_told_as_not_stored_is_in_no_journal(self) -> None:
        """A device that dies with it there would send it again."""
        steps = (Step(0.0, 0, "open"), Step(5.0, 0, "put", "a"))
        trace = simulate(Scenario(0, "memory", (Place(),), steps))
        (place,) = [place for place, sent in trace.sent.items() if sent.call == 1]
        trace.kept.add(place)
        self.assertEqual(judge(trace), [])
        trace.calls[1].outcome = "quota-exceeded"
        promise = "what was told as not stored is forgotten"
        self.assertIn(promise, {violation.promise for violation in judge(trace)})
        trace.restored.add(place)
        self.assertNotIn(promise, {violation.promise for violation in judge(trace)})

    def test_what_never_comes_to_rest_is_told_with_its_name(self) -> None:
        """A clock that goes on for ever is no trace."""
        simulation = Simulation(Scenario(0, "memory", (Place(),), ()))

        def go_on() -> None:
            simulation.clock.callLater(1.0, go_on)

        go_on()
        told = [str(violation) for violation in judge(simulation.run())]
        self.assertEqual(len(told), 1)
        self.assertIn("it waits for LifeTests", told[0])


class Unreadable(Disk):
    """A disk of which nothing can be read."""

    def read(self, name: str, limit: int = 0) -> bytes | None:
        """Fail."""
        del name, limit
        raise AssertionError("nothing can be read")


async def _kept(drafting: Drafting) -> None:
    """A device that goes on under the name of its earlier process, whatever that wrote."""
    drafting._backlog.unclean = False


class JudgementTests(SynchronousTestCase):
    """A judgement that cannot fail is worth nothing: each planted bug is found within the seeds of every CI run."""

    def found(self, plant: Plant) -> None:
        drawn = (draw(seed) for seed in range(PLANTED_SEEDS))
        found = next((scenario for scenario in drawn if judge(simulate(scenario, plant))), None)
        assert found is not None, f"{plant} was not found"
        self.assertEqual(judge(simulate(found)), [], "it is the plant that is found")

    def test_what_is_found_is_made_small(self) -> None:
        """A person can read the script, and it breaks one of the same promises."""
        found = Campaign(plant=serves_another_file).run(PLANTED_SEEDS)
        assert found is not None
        self.assertLessEqual(len(found.scenario.steps), 12)
        again = judge(simulate(found.scenario, serves_another_file))
        self.assertTrue({one.promise for one in again} & {one.promise for one in found.violations})

    def test_sparse_retention(self) -> None:
        """Of several versions of a day some go, out of the middle of a history; a collector that is wrong is found."""
        verbs = ("open", "put", "days", *["put"] * 4, "collect", "days", "collect")
        steps = tuple(Step(4.0 * number, 0, verb, "a") for number, verb in enumerate(verbs))
        drawn = Scenario(1, "memory", (Place(),), steps, (scenario.SPARSE,))
        trace = simulate(drawn)
        self.assertEqual(trace.situations["collected in the middle of a history"], 2)
        self.assertEqual(judge(trace), [])
        self.patch(simulation, "SPARSELY", simulation.OPTIONS)
        broken = simulate(drawn)
        self.assertEqual(broken.situations["collected in the middle of a history"], 0)
        self.assertIn("what the policy keeps is not collected", [one.promise for one in judge(broken)])

    def test_a_name_that_is_kept(self) -> None:
        """A process that goes on under the name of one that was killed, and whose last version it is not shown."""
        steps = (
            Step(0.0, 0, "open"),
            Step(1.0, 0, "put", "a"),
            Step(10.0, 0, "put", "a"),
            Step(10.4, 0, "hide", "", "", 41),
            Step(10.5, 0, "crash", "", "", 2),
            Step(16.0, 0, "put", "a"),
        )
        for world in WORLDS:
            script = Scenario(1, world, (Place(),), steps)
            self.assertEqual([], judge(simulate(script)))
            with patch.object(Drafting, "draw_name", _kept):
                broken = judge(simulate(script))
            self.assertEqual(["no write hides one that it did not know"], [one.promise for one in broken])

    def test_what_others_delivered_is_watched(self) -> None:
        """A foreign message that goes is told."""
        trace = simulate(draw(3))
        trace.touched = 1
        self.assertIn("mail of others is untouched", [violation.promise for violation in judge(trace)])

    def test_an_alarm_without_a_cause_is_told(self) -> None:
        """No server of these worlds shows an older state for good; a reference program may have removed something."""
        trace = simulate(draw(3))
        seen = trace.observations[-1]
        trace.observations[-1] = replace(seen, recalled=frozenset({("a", "accused"), ("b", "destroyed")}))
        trace.destroyed.add(("b", "destroyed"))
        (violation,) = judge(trace)
        self.assertEqual(violation.promise, "nobody is told of a rollback that is none")
        self.assertIn("accused", violation.evidence)

    def test_a_directory_that_is_there_for_what_is_missed_only(self) -> None:
        """Who was running when a reference program removed the file in it goes on to show both."""
        steps = (
            Step(0.0, 0, "open"),
            Step(1.9, 1, "open", "d/e/a", "", 151),
            Step(2.2, 0, "put", "d/b"),
            Step(16.7, 1, "remove-tree", "d", "", 148),
            Step(16.7, 0, "put", "d/b", "", 296),
            Step(45.0, 0, "reference-cleanup", "d/b", "", 887),
        )
        trace = simulate(Scenario(501170, "memory", (Place(), Place()), steps))
        shown = [{found[0] for found in seen.listing} for seen in trace.observations]
        self.assertIn({"d", "d/b"}, shown)
        self.assertIn(set(), shown)
        self.assertEqual(judge(trace), [])

    def test_a_device_that_starts_again_remembers_what_it_saw(self) -> None:
        """What is judged happens: the next process believes the disk, and a copy of it."""
        steps = [Step(0.0, 0, "open"), Step(1.0, 0, "put", "a"), Step(5.0, 0, "close"), Step(30.0, 0, "open")]
        simulation = Simulation(Scenario(0, "memory", (Place(), Place()), tuple(steps)))
        simulation.run()
        kept = json.loads(simulation.devices[0].disk.files["seen.json"])
        self.assertEqual([len(rows) for rows in kept.values()], [2])

    def test_a_call_that_never_ends_is_told(self) -> None:
        """And one that fails as no caller should see."""
        trace = simulate(draw(3))
        trace.calls[0].outcome, trace.calls[1].outcome = "unended", "bug: KeyError: 'a'"
        promises = [violation.promise for violation in judge(trace)]
        self.assertEqual(promises, ["everything ends", "callers meet only errors that they can understand"])

    def test_a_mixed_read_is_told(self) -> None:
        """Half of one content and half of another."""
        trace = next(t for t in map(simulate, map(draw, range(20))) if any(call.data for call in t.calls))
        read = next(call for call in trace.calls if call.data)
        read.data = b"half and " + (read.data or b"")
        self.assertEqual([violation.promise for violation in judge(trace)], ["a read gives what was put there"])


class ScriptedTests(SynchronousTestCase):
    """Planted bugs that need more than one thing to go wrong, each with the script that meets it."""

    def assertFound(
        self, plant: Plant, promise: str, steps: Sequence[Step], *places: Place, quirks: tuple[str, ...] = ()
    ) -> None:
        scenario = Scenario(0, "memory", (*places, Place(), Place())[:2], tuple(steps), quirks)
        self.assertEqual(judge(simulate(scenario)), [], "it is the plant that is found")
        self.assertIn(promise, {violation.promise for violation in judge(simulate(scenario, plant))})

    def test_numbers_that_change_while_a_large_file_begins(self) -> None:
        """The secret by which chunks are named is looked for again, where it is now."""
        openings = [Step(0.0, who, "open") for who in (1, 3, 2)]
        steps = [Step(24.6, 1, "put", "d/a", number=28), Step(24.7, 2, "put", "d/a", number=994)]
        steps = [*openings, *steps, Step(25.4, 0, "renumber", "d", number=675)]
        places = (Place(), Place(), Place(latency=3.0, skew=-600.0), Place(poor=True, late=True, skew=600.0), Place())
        trace = simulate(Scenario(2383, "memory", places, tuple(steps), (scenario.CHUNKED,)))
        self.assertEqual(judge(trace), [])

    def test_one_that_collects_needed_chunks(self) -> None:
        """They are planned when they are old enough, and gone a grace later."""
        verbs = ("open", "put", "days", "collect", "days", "collect")
        steps = [Step(4.0 * number, 0, verb, "a") for number, verb in enumerate(verbs)]
        self.assertFound(collects_needed_chunks, "every version can be read", steps, quirks=(scenario.CHUNKED,))

    def test_one_that_collects_what_hides_an_older_one(self) -> None:
        """Of what the reference wrote the newest went first."""
        saves = [Step(1.0 + n, 0, "reference-save", "a", number=n) for n in range(4)]
        puts = [Step(10.0 + n, 0, "put", "a") for n in range(7)]
        collecting = [Step(20.0, 0, "collect"), Step(21.0, 0, "days"), Step(22.0, 0, "collect")]
        steps = [Step(0.0, 0, "open"), *saves, *puts, *collecting]
        self.assertFound(collects_what_hides_an_older_one, "a collection makes no head", steps)

    def test_one_that_writes_through_locks(self) -> None:
        """Somebody else's file is changed under its lock."""
        steps = [
            Step(0.0, 0, "open"),
            Step(0.0, 1, "open"),
            Step(1.0, 0, "put", "a"),
            Step(2.0, 0, "lock", "a", number=1),
        ]
        self.assertFound(writes_through_locks, "a lock is heeded", [*steps, Step(8.0, 1, "edit", "a")])

    def test_one_that_gives_a_lock_to_two(self) -> None:
        """The second asks while the first has it."""
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open"), Step(1.0, 0, "put", "a")]
        steps += [Step(2.0, 0, "lock", "a", number=1), Step(6.0, 1, "lock", "a", number=1)]
        self.assertFound(gives_a_lock_to_two, "a lock has one holder", steps)

    def test_one_that_lets_no_lock_end(self) -> None:
        """Its holder has gone; half a minute later somebody else may write."""
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open"), Step(1.0, 0, "put", "a"), Step(2.0, 0, "lock", "a")]
        steps += [Step(3.0, 0, "close"), Step(35.0, 1, "put", "a")]
        self.assertFound(lets_no_lock_end, "no lock outlives its lease", steps)

    def test_a_lock_that_a_write_took_and_left(self) -> None:
        """It took it because of a lock that nobody was told of, and died: that may keep others out for its 300 s."""
        far, wrong = Place(latency=3.0), Place(latency=3.0, skew=600.0)
        verbs = [(23.6, 1, "queue", 0), (23.8, 1, "hold", 0), (27.8, 0, "slow", 38), (28.5, 0, "put", 370)]
        verbs += [(29.8, 1, "lock", 0), (30.0, 0, "put", 0), (52.9, 0, "crash", 657)]
        steps = [Step(0.0, 1, "open"), Step(0.0, 0, "open"), Step(14.3, 1, "crash", "b", number=3)]
        steps += [Step(at, who, verb, "b", number=number) for at, who, verb, number in verbs]
        trace = simulate(Scenario(3259, "memory", (wrong, far), tuple(steps)))
        self.assertIn(("hold", "locked"), [(call.verb, call.outcome) for call in trace.calls])
        self.assertEqual(judge(trace), [])

    def test_one_that_loses_what_has_to_be_numbered_anew(self) -> None:
        """It was accepted before its device died, and met a removal of which that had not known."""
        verbs = [(2.6, 1, "put", 0), (29.1, 1, "queue", 993), (36.6, 1, "lose", 755), (37.2, 1, "hide", 725)]
        verbs += [(38.0, 0, "remove", 130), (39.6, 1, "queue", 0), (41.6, 1, "offline", 16), (46.1, 1, "crash", 1)]
        verbs += [(52.6, 1, "queue", 0)]
        steps = [Step(0.0, 0, "open"), Step(0.0, 1, "open")]
        steps += [Step(at, who, verb, "d", number=number) for at, who, verb, number in verbs]
        scenario = Scenario(20307, "memory", (Place(), Place(late=True, skew=600.0)), tuple(steps))
        self.assertEqual(judge(simulate(scenario)), [])
        broken = judge(simulate(scenario, loses_what_is_numbered_anew))
        self.assertEqual({one.promise for one in broken}, {"what was journalled is finished"})


for planted in PLANTS + ABOVE_THE_SHELF:
    name = planted.__name__

    def _test(self: JudgementTests, planted: Plant = planted) -> None:
        self.found(planted)

    _test.__doc__ = planted.__doc__
    setattr(JudgementTests, f"test_one_that_{name}", _test)


class AncestryTests(SynchronousTestCase):
    """The rules, told a second time."""

    def version(self, vid: str, **values: object) -> Version:
        base = Version("a", vid, vid, ours=True, encrypted=True, length=0, size=0, modified=0.0)
        return base._replace(**values)

    def test_clocks(self) -> None:
        """FORMAT 3.1."""
        one = self.version("1", writer="x", clock={"x": 1}, sha256="1")
        two = self.version("2", writer="y", clock={"x": 1, "y": 1}, sha256="2")
        other = self.version("3", writer="z", clock={"z": 1}, sha256="3")
        family = Family({v.vid: v for v in (one, two, other)}, {"1": 1, "2": 2, "3": 3})
        self.assertEqual((family.heads(), family.current(), family.in_conflict()), (["2", "3"], "3", True))

    def test_two_saves_of_the_reference_are_one_line(self) -> None:
        """FORMAT 3.3."""
        ours = self.version("1", writer="x", clock={"x": 1}, sha256="1")
        saves = [self.version(v, ours=False, clock={"x": 1}, inherits="1") for v in ("2", "3")]
        family = Family({v.vid: v for v in (ours, *saves)}, {"1": 1, "2": 2, "3": 3})
        self.assertEqual((family.heads(), family.in_conflict()), (["3"], False))


class ShrinkingTests(SynchronousTestCase):
    """What does not matter is left out."""

    def test_only_what_fails_stays(self) -> None:
        """One step of forty, and no bad network."""
        drawn = draw(4)
        step = drawn.steps[len(drawn.steps) // 2]

        def fails(candidate: Scenario) -> bool:
            return any((one.verb, one.who, one.path) == (step.verb, step.who, step.path) for one in candidate.steps)

        small = shrink(drawn, fails)
        self.assertEqual([one.verb for one in small.steps], [step.verb])
        self.assertEqual(set(small.places), {Place()})

    def test_it_gives_up_after_so_many_runs(self) -> None:
        """What was found by then is given."""
        runs: list[Scenario] = []
        shrink(draw(4), lambda candidate: bool(runs.append(candidate)) or True, tries=10)
        self.assertLessEqual(len(runs), 10)


class CommandTests(SynchronousTestCase):
    """``python -m ifap_twisted.testing.simulate``."""

    def run_command(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ifap_twisted.testing.simulate", *options], capture_output=True, text=True
        )

    def test_it_prints_what_it_covered_and_keeps_its_place(self) -> None:
        """Run twice with a state file."""
        with tempfile.TemporaryDirectory() as directory:
            state = str(Path(directory) / "state.json")
            first = self.run_command("--count", "2", "--seed", "5", "--state", state)
            second = self.run_command("--count", "1", "--state", state)
        self.assertEqual((first.returncode, second.returncode), (0, 0), first.stderr + second.stderr)
        self.assertIn("2 seeds", first.stdout)
        self.assertIn("the next is 8", second.stdout)

    def test_one_that_is_killed_keeps_its_place(self) -> None:
        """It is saved before each seed."""
        places: list[int] = []
        campaign = Campaign(following=7)
        run_campaign(campaign, 2, None, lambda: 0.0, io.StringIO(), lambda: places.append(campaign.following))
        self.assertEqual(places, [7, 8, 9])

    def test_a_replay_says_what_happened(self) -> None:
        """Every call, the digest, and the judgement."""
        out = io.StringIO()
        self.assertTrue(replay(draw(3), out))
        self.assertIn(f"digest {simulate(draw(3)).digest()}", out.getvalue())

    def test_a_violation_is_printed_as_a_script(self) -> None:
        """That can be run again."""
        out = io.StringIO()
        self.assertFalse(run_campaign(Campaign(plant=loses_what_it_acknowledged), 50, None, lambda: 0.0, out))
        script = out.getvalue().partition("(for --script):\n")[2]
        self.assertTrue(judge(simulate(Scenario.from_json(script), loses_what_it_acknowledged)))

    def test_what_is_no_state_is_refused(self) -> None:
        """With the status of wrong usage."""
        with tempfile.TemporaryDirectory() as directory:
            state = Path(directory) / "state.json"
            state.write_text("{}")
            self.assertEqual(self.run_command("--state", str(state)).returncode, 2)


class ReferenceTests(SynchronousTestCase):
    """What is there in the end the reference reads, too (P11)."""

    def test_the_reference_sees_what_is_not_in_conflict(self) -> None:
        """Where the newest message of a path is its current version."""
        for seed in range(15):
            self.assertEqual(unread_by_reference(simulate(draw(seed))), [], f"seed {seed}")
