"""Simulated runs over the wire: the same again in every process, and bugs of the driver that are found."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.testing.scenario import Place, Scenario, Step, draw
from ifap_twisted.testing.simulation import simulate

WIRE = ("wire",)


class RepeatTests(SynchronousTestCase):
    """A seed decides everything, every byte on every wire included."""

    def test_the_same_seed_gives_the_same_bytes_at_the_same_moments(self) -> None:
        """Twice in one process."""
        for seed in range(5):
            first, second = (simulate(draw(seed, WIRE)) for _ in range(2))
            self.assertEqual((first.wires, first.digest()), (second.wires, second.digest()))
            self.assertTrue(first.wires)

    def test_the_same_in_every_process(self) -> None:
        """Under any hash seed."""
        code = (
            "from ifap_twisted.testing.scenario import draw; from ifap_twisted.testing.simulation import simulate\n"
            "print([simulate(draw(seed, ('wire',))).digest() for seed in range(12)])"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "77")
        }
        self.assertEqual(len(found), 1)

    def test_a_latency_that_differs_is_seen(self) -> None:
        """Or the digest would tell nothing of the wires."""
        steps = (Step(0.0, 0, "open"), Step(1.0, 0, "put", "a"))
        runs = [simulate(Scenario(1, "wire", (Place(latency=mean),), steps)) for mean in (0.0, 0.1)]
        self.assertNotEqual(runs[0].wires, runs[1].wires)
