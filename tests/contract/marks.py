"""What whoever keeps rollback marks promises (``IMarks``)."""

from __future__ import annotations

from typing import Any

from zope.interface.verify import verifyObject

from ifap_twisted.core.marks import Facts, Mark
from ifap_twisted.core.values import Version
from ifap_twisted.interfaces import IMarks

FACTS = Facts(1_800_000_000.0)


def mark(path: str, vid: str = "v", **facts: Any) -> Mark:
    """Of a version of ours."""
    version = Version(
        path=path, vid=vid, sealed_id=vid, ours=True, encrypted=True, length=1, size=1, modified=0.0, **facts
    )
    return Mark(version, 7, 1, 1_700_000_000.0)


class MarksContract:
    """Mix-in: ``marks(home=, dialect=)`` gives what a process keeps those of a folder with, each time another one."""

    marks: Any
    assertEqual: Any
    assertIsNone: Any
    successResultOf: Any

    def kept(self, **folder: str) -> Any:
        """What the next process finds."""
        marks = self.marks(**folder)
        found = self.successResultOf(marks.load())
        self.successResultOf(marks.close())
        return found

    def keep(self, *marks: Mark, facts: Facts = FACTS, **folder: str) -> None:
        """A process keeps one mark for each of some paths."""
        keeping = self.marks(**folder)
        self.successResultOf(keeping.keep({one.version.path: [one] for one in marks}, facts))
        self.successResultOf(keeping.close())

    def test_the_interface(self) -> None:
        """It is what it says it is."""
        verifyObject(IMarks, self.marks())

    def test_nothing_is_kept_at_first(self) -> None:
        """Also after it was asked for."""
        self.assertIsNone(self.kept())
        self.assertIsNone(self.kept())

    def test_what_was_kept_is_found(self) -> None:
        """Of every path, and the facts."""
        self.keep(mark("a"), mark("d/é\ud800"))
        found = self.kept()
        self.assertEqual(dict(found.marks), {path: (mark(path),) for path in ("a", "d/é\ud800")})
        self.assertEqual((found.facts, found.damaged), (FACTS, 0))

    def test_the_later_takes_the_place_of_the_former(self) -> None:
        """Of a path; the others stay."""
        self.keep(mark("a"), mark("b"))
        self.keep(mark("a", "w"), facts=Facts(5.0, 4.0))
        found = self.kept()
        self.assertEqual(dict(found.marks), {"a": (mark("a", "w"),), "b": (mark("b"),)})
        self.assertEqual(found.facts, Facts(5.0, 4.0))

    def test_a_path_without_marks_is_forgotten(self) -> None:
        """One that was not known is no error."""
        self.keep(mark("a"), mark("b"))
        keeping = self.marks()
        self.successResultOf(keeping.keep({"a": [], "c": []}, FACTS))
        self.assertEqual(list(self.kept().marks), ["b"])

    def test_that_nothing_was_seen_is_kept(self) -> None:
        """A folder without files is another thing than one that is not known."""
        self.keep()
        found = self.kept()
        self.assertEqual((dict(found.marks), found.facts), ({}, FACTS))

    def test_folders_are_told_apart(self) -> None:
        """By home and by dialect."""
        self.keep(mark("a"))
        self.keep(mark("b"), home="BBBBBBBB")
        self.keep(mark("c"), dialect="mailfile")
        self.assertEqual(list(self.kept().marks), ["a"])
        self.assertEqual(list(self.kept(home="BBBBBBBB").marks), ["b"])
        self.assertEqual(list(self.kept(dialect="mailfile").marks), ["c"])
        self.assertIsNone(self.kept(home="CCCCCCCC"))

    def test_closing_twice(self) -> None:
        """It is no error, nor is closing what was never used."""
        marks = self.marks()
        self.successResultOf(marks.close())
        self.successResultOf(marks.close())
