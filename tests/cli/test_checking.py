"""What ``ifap check`` prints, and its exit status."""

from __future__ import annotations

import io
import json

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.checking import checked, show_checkup
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.problems import DAMAGED, DONE
from ifap_twisted.core.findings import DAMAGE, NOTE, WARNING, Checkup, Finding
from tests.filesystem.folders import Folder, result

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


class CheckedTests(SynchronousTestCase):
    """What the verb asks for."""

    def test_share(self) -> None:
        """The share is handed on, and the bar follows it to its end."""
        device = Folder().device()
        result(device.put("a", b"1"))
        console = Console(stdout=io.StringIO(), stderr=io.StringIO())
        found = result(Deferred.fromCoroutine(checked(device, console, 100.0)))
        self.assertEqual((found.share, found.bodies), (100, found.headers))
