"""Bar R11: input that grows takes no more than 256 MiB, and comes to an end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.bombs import BOMBS

MEMORY = 256
ROOT = Path(__file__).parent.parent.parent


class BombTests(SynchronousTestCase):
    """What is small, or cheap to send, and grows."""

    def test_bounded(self) -> None:
        """What is wrong is refused in our own words, what is large is taken, and memory stays within its bound."""
        done = subprocess.run([sys.executable, "-m", "tests.fuzz.bombs"], capture_output=True, text=True, cwd=ROOT)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        lines = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual(list(BOMBS), [name for name, *_ in lines])
        taken = [name for name, how, *_ in lines if how == "taken"]
        self.assertEqual(["snapshot-of-a-million", "content-blank"], taken)
        self.assertEqual([], [(name, memory) for name, _, memory, _ in lines if int(memory) > MEMORY])
