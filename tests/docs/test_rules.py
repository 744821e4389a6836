"""Every rule that code and tests cite is in the specification."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
RULE = re.compile(r"^\.\. rule:: ((?:WIRE-)?FORMAT [0-9.]+)$", re.MULTILINE)
CITED = re.compile(r"\b((?:WIRE-)?FORMAT) (\d+(?:\.\d+)*)")
DESIGN = re.compile(r"\bDESIGN §?(\d+(?:\.\d+)*)")


def sources() -> dict[str, str]:
    """The code and its tests, by path."""
    found = [path for room in ("src", "tests", "twisted", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


class RuleTests(SynchronousTestCase):
    """Numbers lead somewhere."""

    def test_every_cited_rule_exists(self) -> None:
        """A citation like ``FORMAT 3.4`` names a rule of the specification, or a chapter that has rules."""
        specification = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs/specification").glob("*.rst"))
        rules = set(RULE.findall(specification))
        chapters = {rule.split(".")[0] for rule in rules}
        lost = [
            f"{name}: {book} {number}"
            for name, text in sources().items()
            for book, number in CITED.findall(text)
            if f"{book} {number}" not in rules | chapters
        ]
        self.assertEqual(lost, [])

    def test_every_rule_is_said_once(self) -> None:
        """No rule has two texts."""
        found = [
            rule
            for path in (ROOT / "docs/specification").glob("*.rst")
            for rule in RULE.findall(path.read_text("utf-8"))
        ]
        self.assertEqual(sorted(set(found)), sorted(found))

    def test_every_cited_section_of_the_design_is_in_the_table(self) -> None:
        """A citation like ``DESIGN 4.5`` is in the table of the architecture, which says where that is told."""
        listed = set(re.findall(r"``DESIGN (\d+(?:\.\d+)*)``", (ROOT / "docs/architecture.rst").read_text("utf-8")))
        cited = {number for text in sources().values() for number in DESIGN.findall(text)}
        self.assertEqual(sorted(cited - listed), [])
