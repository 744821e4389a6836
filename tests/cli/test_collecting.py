"""What ``ifap gc`` prints."""

from __future__ import annotations

import io
import json

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.collecting import show_collection
from ifap_twisted.cli.printing import Console
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING, Collection, Verdict
from ifap_twisted.core.values import Notice

VERDICTS = (
    Verdict("a", "v1", 10, (1, 9), COLLECTED, "old", "There are newer versions."),
    Verdict("a", "v2", 200, (2,), WAITING, "old", "There are newer versions.", 3.2 * 86400),
    Verdict("a", "v3", 3000, (3,), PLANNED, "old", "There are newer versions."),
    Verdict("a", "v4", 7, (4,), KEPT, "head", "It is the current version."),
)


class ShownTests(SynchronousTestCase):
    """For people and as JSON."""

    def shown(self, found: Collection, *, as_json: bool = False) -> tuple[list[str], list[str]]:
        """What goes to stdout and to stderr."""
        out, err = io.StringIO(), io.StringIO()
        show_collection(Console(as_json=as_json, stdout=out, stderr=err), found)
        return out.getvalue().splitlines(), err.getvalue().splitlines()

    def test_what_was_done(self) -> None:
        """What stays is only counted; a version that lies there twice took its room twice."""
        out, err = self.shown(Collection(verdicts=VERDICTS))
        self.assertEqual(
            out,
            [
                "collected  v1    10  /a  There are newer versions.",
                "waiting    v2   200  /a  There are newer versions. It goes in 3 days at the earliest.",
                "planned    v3  3000  /a  There are newer versions.",
            ],
        )
        self.assertEqual(err, ["1 removed (20 bytes), 1 waiting (200 bytes), 1 planned (3000 bytes), 1 kept."])

    def test_what_would_be_done(self) -> None:
        """With --dry-run every version has its reason."""
        out, err = self.shown(Collection(verdicts=VERDICTS, dry_run=True))
        self.assertEqual(out[-1], "kept       v4     7  /a  It is the current version.")
        self.assertEqual(err[0].split(",")[0], "1 would be removed (20 bytes)")

    def test_nothing_to_do(self) -> None:
        """Why nothing could be done is a warning; nothing is counted then."""
        found = Collection(messages=(Notice(code="no-uidplus", text="The server cannot."),))
        self.assertEqual(self.shown(found), ([], ["ifap: warning: The server cannot."]))
        self.assertEqual(self.shown(Collection()), ([], ["0 kept."]))

    def test_json(self) -> None:
        """Each line is a Verdict."""
        out, err = self.shown(Collection(verdicts=VERDICTS), as_json=True)
        self.assertEqual([json.loads(line)["version"] for line in out], ["v1", "v2", "v3"])
        self.assertEqual(set(json.loads(out[0])), set(VERDICTS[0].to_json()))
        self.assertEqual(err, [])
