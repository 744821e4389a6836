"""Simulated runs over the wire: the same again in every process, and bugs of the driver that are found."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.device import Plant
from ifap_twisted.testing.judgement import judge
from ifap_twisted.testing.scenario import Place, Scenario, Step, draw
from ifap_twisted.testing.simulation import simulate
from tests.testing.plants import PLANTS, loses_what_it_acknowledged
from tests.testing.processes import printed_under_hash_seeds
from tests.testing.wire_plants import WIRE_PLANTS

WIRE = ("wire",)
SEEDS = 60


class RepeatTests(SynchronousTestCase):
    """A seed decides everything, every byte on every wire included."""

    def test_the_same_seed_gives_the_same_bytes_at_the_same_moments(self) -> None:
        """Twice in one process."""
        for seed in range(3):
            first, second = (simulate(draw(seed, WIRE)) for _ in range(2))
            self.assertEqual((first.wires, first.digest()), (second.wires, second.digest()))
            self.assertTrue(first.wires)

    def test_the_same_in_every_process(self) -> None:
        """Under any hash seed."""
        code = (
            "from ifap_twisted.testing.scenario import draw; from ifap_twisted.testing.simulation import simulate\n"
            "print([simulate(draw(seed, ('wire',))).digest() for seed in range(4)])"
        )
        self.assertEqual(len(printed_under_hash_seeds(code)), 1)

    def test_a_latency_that_differs_is_seen(self) -> None:
        """Or the digest would tell nothing of the wires."""
        steps = (Step(0.0, 0, "open"), Step(1.0, 0, "put", "a"))
        runs = [simulate(Scenario(1, "wire", (Place(latency=mean),), steps)) for mean in (0.0, 0.1)]
        self.assertNotEqual(runs[0].wires, runs[1].wires)


class PlantedTests(SynchronousTestCase):
    """A judgement that cannot fail is worth nothing: each planted bug is found, and without it there is none."""

    def found(self, plant: Plant) -> None:
        failing = next((s for s in map(self.drawn, range(SEEDS)) if judge(simulate(s, plant))), None)
        assert failing is not None, f"{plant} was not found"
        self.assertEqual(judge(simulate(failing)), [], "it is the plant that is found")

    def drawn(self, seed: int) -> Scenario:
        return draw(seed, WIRE)


def _name(plant: Plant) -> str:
    return f"test_one_that_{plant.__name__}"


for planted in [plant for plant in PLANTS if plant is not loses_what_it_acknowledged] + WIRE_PLANTS:

    def _test(self: PlantedTests, planted: Plant = planted) -> None:
        self.found(planted)

    _test.__doc__ = planted.__doc__
    setattr(PlantedTests, _name(planted), _test)


class FoundTests(SynchronousTestCase):
    """What campaigns found, in its shortest form."""

    def holds(self, *steps: Step, places: tuple[Place, ...] = (Place(),), quirks: tuple[str, ...] = ()) -> None:
        self.assertEqual(judge(simulate(Scenario(1, "wire", places, steps, quirks))), [])

    def test_a_copy_of_the_mailbox_that_is_behind(self) -> None:
        """A new connection leads to a copy that has not got our own message yet: it is not taken for removed."""
        self.holds(
            Step(0.0, 0, "open"),
            Step(1.2, 0, "put", "a"),
            Step(8.6, 0, "answer-lost", number=1),
            Step(30.9, 0, "lag", number=189),
            Step(32.5, 0, "snapshot"),
            Step(33.7, 0, "put", "a"),
        )
