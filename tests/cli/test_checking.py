"""What ``ifap check`` prints, and its exit status."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli import checking, progress
from ifap_twisted.cli.checking import checked, repaired, show_checkup
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.problems import DAMAGED, DONE
from ifap_twisted.core.findings import DAMAGE, NOTE, RESTORE, WARNING, Checkup, Finding
from tests.filesystem.folders import Folder, result
from tests.filesystem.large import LargeFiles

FINDINGS = (
    Finding("truncated", DAMAGE, "The content of a message was cut off.", "a", "v1", 1),
    Finding("vanished", DAMAGE, "Gone.", "b"),
    Finding("conflict", WARNING, "In conflict.", "c"),
    Finding("foreign", NOTE, "Mail of somebody else.", places=3),
)


class ShownTests(SynchronousTestCase):
    """For people and as JSON."""

    def shown(self, found: Checkup, **options) -> tuple[list[str], list[str], int]:
        """What goes to stdout and to stderr, and the exit status."""
        out, err = io.StringIO(), io.StringIO()
        console = Console(stdout=out, stderr=err, **options)
        show_checkup(console, found)
        return out.getvalue().splitlines(), err.getvalue().splitlines(), console.status

    def test_damage(self) -> None:
        """Each finding has a line, notes have none, and the exit status is 7."""
        out, err, status = self.shown(Checkup(findings=FINDINGS, headers=9))
        self.assertEqual(
            out,
            [
                "damage   truncated  /a  v1  The content of a message was cut off.",
                "damage   vanished   /b      Gone.",
                "warning  conflict   /c      In conflict.",
            ],
        )
        self.assertEqual(err, ["9 messages looked at: 2 damaged."])
        self.assertEqual(status, DAMAGED)

    def test_notes(self) -> None:
        """With -v notes are listed, too; notes and warnings are no damage."""
        out, err, status = self.shown(
            Checkup(findings=FINDINGS[2:], headers=9, bodies=4, bytes=70, share=50), verbosity=1
        )
        self.assertEqual(out[-1].split()[:2], ["note", "foreign"])
        self.assertTrue(out[-1].endswith("Mail of somebody else. (3 messages)"))
        self.assertEqual(err, ["9 messages looked at, 4 contents read (70 bytes): no damage."])
        self.assertEqual(status, DONE)

    def test_incomplete(self) -> None:
        """What could not be looked at is a warning."""
        _out, err, _status = self.shown(Checkup(complete=False))
        self.assertEqual(err[0], "ifap: warning: Not everything could be looked at; try again later.")

    def test_json(self) -> None:
        """Each line is a Finding, notes included."""
        out, err, status = self.shown(Checkup(findings=FINDINGS), as_json=True)
        self.assertEqual([Finding.from_json(json.loads(line)) for line in out], list(FINDINGS))
        self.assertEqual((err, status), ([], DAMAGED))


class RepairedTests(SynchronousTestCase):
    """What ``--repair`` says, asks and does."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.device = self.folder.device()
        for content in (b"old", b"new"):
            result(self.device.put("a", content))
        uid = max(self.folder.shelf.messages)
        self.folder.shelf.tamper(uid, self.folder.shelf.messages[uid][:-100])

    def run_it(self, answer: bool | None = None, **options) -> tuple[list[str], str, int]:
        """What goes to stdout and to stderr, and the exit status.

        :param answer: what a person says; None: there is none.
        """
        questions: list[str] = []

        def ask_yes(question: str) -> bool:
            questions.append(question)
            return bool(answer)

        self.patch(checking, "has_person", lambda: answer is not None)
        self.patch(checking, "ask_yes", ask_yes)
        out, err = io.StringIO(), io.StringIO()
        console = Console(stdout=out, stderr=err, **options)
        result(Deferred.fromCoroutine(repaired(self.device, console, 100.0)))
        self.questions = questions
        return out.getvalue().splitlines(), err.getvalue(), console.status

    def test_without_a_person(self) -> None:
        """What is to be done is listed, done at once, and listed as mended; the status tells what is left."""
        out, err, status = self.run_it()
        self.assertEqual(
            [line.split()[:3] for line in out if "/a" in line],
            [
                ["damage", "truncated", "/a"],
                ["1.", "truncated", "/a"],
                ["mended", "truncated", "/a"],
            ],
        )
        self.assertIn("To be done; nothing is removed:", out)
        self.assertIn("1 mended, no damage left", err)
        self.assertEqual((status, self.questions), (DONE, []))
        self.assertEqual(result(self.device.get("a")), b"old")

    def test_yes(self) -> None:
        """A person is asked after the list."""
        _out, _err, status = self.run_it(answer=True)
        self.assertEqual((status, self.questions), (DONE, ["Mend 1 of 1 findings?"]))

    def test_no(self) -> None:
        """Then nothing is changed, and the damage is the exit status."""
        before = dict(self.folder.shelf.messages)
        for as_json in (False, True):
            out, err, status = self.run_it(answer=False, as_json=as_json)
            self.assertEqual((dict(self.folder.shelf.messages), status), (before, DAMAGED))
            self.assertEqual(sum("truncated" in line for line in out), 1 if as_json else 2)
            self.assertEqual("Nothing was mended." in err, not as_json)

    def test_json(self) -> None:
        """Each line is a Finding as it is afterwards."""
        out, err, _status = self.run_it(as_json=True)
        (found,) = [Finding.from_json(json.loads(line)) for line in out]
        self.assertEqual((found.code, found.remedy, found.mended, err), ("truncated", RESTORE, True, ""))

    def test_nothing_to_mend(self) -> None:
        """Nobody is asked; what a person has to decide is left."""
        result(self.device.put("b", b"only"))
        uid = max(self.folder.shelf.messages)
        self.run_it()
        self.folder.shelf.tamper(uid, self.folder.shelf.messages[uid][:-100])
        out, err, status = self.run_it(answer=True)
        self.assertEqual((len(out), self.questions, status), (1, [], DAMAGED))
        self.assertIn("There is nothing that can be mended.", err)


class RefilledTests(SynchronousTestCase):
    """What ``--repair --from`` says, asks and does."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.device = self.folder.device()
        large = LargeFiles(self.folder, self.device)
        (piece,) = large.chunks([b"content"])
        large.file("a", [piece])
        self.folder.shelf.remove(large.places(piece))
        self.local = Path(self.mktemp())
        self.local.mkdir()
        (self.local / "copy").write_bytes(b"content")

    def run_it(self, answer: bool) -> tuple[str, str, int]:
        """What goes to stdout and to stderr, and the exit status."""
        self.patch(checking, "has_person", lambda: True)
        self.patch(checking, "ask_yes", lambda _question: answer)
        out, err = io.StringIO(), io.StringIO()
        console = Console(stdout=out, stderr=err)
        result(Deferred.fromCoroutine(repaired(self.device, console, 0.0, sources=self.local)))
        return out.getvalue(), err.getvalue(), console.status

    def test_yes(self) -> None:
        """What was stored again is listed as mended."""
        out, err, status = self.run_it(answer=True)
        self.assertIn(f"Before anything else, lost chunks are looked for in {self.local}.", out)
        self.assertEqual(["mended", "chunk-lost", "/a"], out.splitlines()[-1].split()[:3])
        self.assertEqual(("1 mended, no damage left" in err, status), (True, DONE))

    def test_no(self) -> None:
        """Nothing is looked for."""
        before = dict(self.folder.shelf.messages)
        _out, err, status = self.run_it(answer=False)
        self.assertEqual((dict(self.folder.shelf.messages), status), (before, DAMAGED))
        self.assertIn("Nothing was mended.", err)


class CheckedTests(SynchronousTestCase):
    """What the verb asks for."""

    def bars(self) -> list[Bar]:
        """What is drawn from now on."""
        bars: list[Bar] = []

        @contextmanager
        def counting(_console: Console, text: str, total: int, **_options: object) -> Iterator[Bar]:
            bars.append(Bar(text, total))
            yield bars[-1]

        self.patch(progress, "counting", counting)
        return bars

    def test_more_than_expected(self) -> None:
        """A bar never goes back, when the work turns out to be more; work of nothing is as good as done."""
        bars = self.bars()
        with progress.steps(Console(stdout=io.StringIO(), stderr=io.StringIO()), "Checking") as tell:
            for done, total in ((0, 0), (1, 2), (2, 8), (8, 8)):
                tell(done, total)
        self.assertEqual([bar.advances for bar in bars], [[0, bars[0].total // 2, 0, bars[0].total // 2]])

    def test_share(self) -> None:
        """The share is handed on, and the bar follows it, step by step, to its end."""
        bars = self.bars()
        device = Folder().device()
        for name in "abc":
            result(device.put(name, b"1"))
        console = Console(stdout=io.StringIO(), stderr=io.StringIO())
        found = result(Deferred.fromCoroutine(checked(device, console, 100.0)))
        self.assertEqual((found.share, found.bodies), (100, found.headers))
        (bar,) = bars
        self.assertEqual((bar.text, sum(bar.advances)), ("Checking", bar.total))
        self.assertGreaterEqual(sum(count > 0 for count in bar.advances), 3)


class Bar:
    """A bar that notes how far it came, and in which steps."""

    def __init__(self, text: str, total: int) -> None:
        self.text = text
        self.total = total
        self.advances: list[int] = []

    def advance(self, count: int) -> None:
        self.advances.append(count)
