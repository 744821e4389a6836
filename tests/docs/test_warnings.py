"""Every warning of the status is described."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"Notice\(\s*code=\"([a-z-]+)\"")


class WarningTests(SynchronousTestCase):
    """``docs/reference/errors.rst``, the table of warnings."""

    def test_each_has_a_meaning(self) -> None:
        """What the code can say is in the table, and nothing else."""
        sources = [path.read_text("utf-8") for path in (ROOT / "src/ifap_twisted").rglob("*.py")]
        told = {code for text in sources for code in CODE.findall(text)}
        page = (ROOT / "docs/reference/errors.rst").read_text("utf-8")
        table = page.partition("Warnings\n----")[2].partition("Classes\n----")[0]
        self.assertEqual(set(re.findall(r"^   \* - ``([a-z-]+)``$", table, re.MULTILINE)), told)
