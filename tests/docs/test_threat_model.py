"""Each claim of the threat model is shown by tests that exist."""

from __future__ import annotations

import re
import unittest
from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.examples import ROOT

PAGE = ROOT / "docs" / "threat-model.rst"
SHOWN = re.compile(r":shown:`([^`]+)`")
TEST = re.compile(r"((?:[a-z_]+/)?[a-z_]+)\.py::(\w+)::(test_\w+)")
ADVERSARIES = {
    "The mail server",
    "Who can append to the mailbox",
    "Who reads the mailbox",
    "The network",
    "Another user of the machine",
    "A web page in your browser",
    "A name in the folder",
    "A stolen basedir",
    "A reference program beside us",
    "A cloned machine",
}


def sections() -> dict[str, str]:
    """The text below each heading."""
    pieces = re.split(r"^(\S.*)\n-{3,}\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def rows(section: str) -> list[str]:
    """The rows of its tables, without their headings."""
    tables = section.split(".. list-table::")[1:]
    return [row for table in tables for row in re.split(r"^   \* - ", table, flags=re.MULTILINE)[2:]]


def problem(test: str) -> str | None:
    """Why a name is none of a test that is run."""
    named = TEST.fullmatch(test)
    if named is None:
        return f"{test}: no name of a test"
    path, case, method = named.groups()
    try:
        found = getattr(import_module("tests." + path.replace("/", ".")), case)
    except (ImportError, AttributeError):
        return f"{test}: there is no such class"
    if not issubclass(found, unittest.TestCase) or not callable(getattr(found, method, None)):
        return f"{test}: there is no such test"
    return None if (getattr(found, method).__doc__ or "").strip() else f"{test}: does not say what it shows"


class ThreatModelTests(SynchronousTestCase):
    """``docs/threat-model.rst``."""

    def test_every_adversary_is_there(self) -> None:
        """Each has a section with claims."""
        found = {title for title, text in sections().items() if "Shown by" in text}
        self.assertEqual(found, ADVERSARIES | {"What can be seen"})

    def test_every_claim_has_tests(self) -> None:
        """Each row says what shows it."""
        lost = [
            f"{title}: {row.splitlines()[0]}"
            for title, text in sections().items()
            if "Shown by" in text
            for row in rows(text)
            if not SHOWN.search(row)
        ]
        self.assertEqual(lost, [])

    def test_every_test_exists(self) -> None:
        """What is named is a test of this checkout that says what it shows."""
        named = SHOWN.findall(PAGE.read_text(encoding="utf-8"))
        self.assertEqual([found for found in map(problem, sorted(set(named))) if found], [])

    def test_a_wrong_name_is_found(self) -> None:
        """The look at the tests would tell."""
        for wrong in ("docs/test_threat_model.py", f"{'docs/test_threat_model.py'}::ThreatModelTests::test_nothing"):
            self.assertIsNotNone(problem(wrong))
        self.assertEqual(
            rows(".. list-table::\n\n   * - Head\n     - x\n   * - one\n     - two\n"), ["one\n     - two\n"]
        )
