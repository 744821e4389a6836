"""Bar R11, a short run of the long commands: by coverage, and by the description of the control interface."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import described
from tests.fuzz.targets import NAMES

ROOT = Path(__file__).parent.parent.parent
SECONDS = 3
FROM_A_SHELL = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
"""libFuzzer goes by ``getrusage``, which counts what the process that started it held: a shell holds little."""
METHODS = {"get", "head", "put", "post", "delete", "patch", "options"}


class RunningTests(SynchronousTestCase):
    """``python -m tests.fuzz TARGET``."""

    def test_short_runs(self) -> None:
        """Some seconds of each target break nothing, and what reached more of the program is kept."""
        for name in NAMES:
            with self.subTest(target=name):
                state = Path(self.mktemp())
                order = ["-m", "tests.fuzz", name, "--seconds", str(SECONDS), "--state", state.absolute()]
                done = subprocess.run([*FROM_A_SHELL, sys.executable, *order], capture_output=True, text=True, cwd=ROOT)
                self.assertEqual(0, done.returncode, done.stderr[-4000:])
                runs = re.search(r"Done ([0-9]+) runs", done.stderr)
                self.assertIsNotNone(runs, done.stderr[-4000:])
                self.assertEqual([], list(state.glob("broken-*")))
                self.assertNotEqual([], list((state / "inputs").iterdir()))


class DescribedTests(SynchronousTestCase):
    """``python -m tests.fuzz.described``."""

    def test_short_run(self) -> None:
        """Whatever the description allows, and what it does not, is answered as it says, at each route."""
        done = CliRunner().invoke(described.main, ["--count", "2"])
        self.assertEqual(0, done.exit_code, done.output)
        paths = described.description("fuzz")["paths"].values()
        self.assertIn(f"{sum(len(METHODS & set(path)) for path in paths)} operations, ", done.output)
        self.assertIn(" 0 wrong; ", done.output)

    def test_undescribed_answer(self) -> None:
        """An answer that the description does not have is shown, and the exit status is 1."""
        other = described.description("fuzz")
        del other["paths"]["/v1/status"]["get"]["responses"]["200"]
        with patch.object(described, "description", lambda _version: other):
            done = CliRunner().invoke(described.main, ["--count", "1"])
        self.assertEqual(1, done.exit_code)
        self.assertIn("GET /v1/status (positive): ", done.output)
