"""What is forged, damaged or old is told by its code: by a check, the status, and what Prometheus reads (R9, R10)."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from ifap_twisted.control.metrics import Metrics
from ifap_twisted.core import envelope, limits
from ifap_twisted.core.dialects import IFAP, MAILFILE
from ifap_twisted.core.values import Draft
from ifap_twisted.filesystem.filesystem import Filesystem
from tests.core.strategies import fixed_random
from tests.filesystem.folders import KEY, result
from tests.promises.test_forgery import NOW, OTHER, THERE, made, parts
from tests.promises.test_rollback import Rollback


def measured(filesystem: Filesystem) -> set[str]:
    """The codes of which Prometheus counts at least one."""
    text = Metrics().answer(result(filesystem.status()), {}).body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.labels["code"] for sample in samples if "code" in sample.labels and sample.value} | {
        "other-dialect" for sample in samples if sample.name == "ifap_other_dialect" and sample.value
    }


class CountedTests(Rollback):
    """One thing is wrong with a folder; a device that had seen it whole looks at all of it."""

    def setUp(self) -> None:
        super().setUp()
        self.a = self.put("a", b"content of a")
        self.b = self.put("b", b"content of b, and more of it")
        self.machine.look()

    def assertCounted(self, code: str) -> None:
        """By a check, and then by the status and in the metrics."""
        filesystem = self.machine.start()
        findings = result(filesystem.check(read_data=100)).findings
        self.assertIn(code, {finding.code for finding in findings})
        status = result(filesystem.status())
        told = {*status.damage, *(notice.code for notice in status.warnings)}
        self.assertIn(code, told | ({"other-dialect"} if status.other_dialect else set()))
        self.assertIn(code, measured(filesystem))
        result(filesystem.close())

    def test_whole(self) -> None:
        """Nothing is told of a folder in which nothing is wrong."""
        filesystem = self.machine.start()
        self.assertEqual(result(filesystem.check(read_data=100)).findings, ())
        self.assertEqual(measured(filesystem), set())
        result(filesystem.close())

    def test_contents(self) -> None:
        """A content that was cut, lengthened, changed, or is that of another file."""
        head, text = parts(self.shelf.messages[self.a])
        alien = parts(self.shelf.messages[self.b])[1]
        forged = {"truncated": text[:-9], "extended": text + b"AAAA", "tampered": text.swapcase(), "spliced": alien}
        for code, content in forged.items():
            self.shelf.tamper(self.a, head + content)
            self.assertCounted(code)

    def test_dates(self) -> None:
        """A date in a header that somebody changed; no more, when it is as it was."""
        message = self.shelf.messages[self.a]
        self.shelf.tamper(self.a, re.sub(rb"Date: [^\r]*", b"Date: Mon, 01 Jan 2001 00:00:00 +0000", message))
        self.assertCounted("redated")
        filesystem = self.machine.start()
        result(filesystem.check(read_data=100))
        self.shelf.tamper(self.a, message)
        result(filesystem.check(read_data=100))
        self.assertEqual(measured(filesystem), set())
        result(filesystem.close())

    def test_messages(self) -> None:
        """Messages in clear, under another key, of another folder, of the other dialect, and such as nobody writes."""
        home = self.other.desk.view.home
        assert home is not None
        head, text = parts(self.shelf.messages[self.a])
        forged = {
            "plaintext": made("c", b"forged", home=home, key=None),
            "foreign-key": made("c", b"forged", home=home, key=OTHER),
            "foreign-folder": made("c", b"forged", home=THERE),
            "other-dialect": made("c", b"forged", dialect=MAILFILE),
            "malformed": head.replace(b"X-IFAP:\r\n !", b"X-IFAP:\r\n !!") + text,
        }
        for code, message in forged.items():
            self.shelf.add(message)
            self.assertCounted(code)

    def test_too_large(self) -> None:
        """A message that is larger than any that is read."""
        self.patch(limits, "LITERAL", len(self.shelf.messages[self.a]) + 1000)
        self.put("large", bytes(9000))
        self.assertCounted("oversized")

    def test_one_vid_twice(self) -> None:
        """Another version under the id of one that is there."""
        there = result(self.other.stat("a")).version
        draft = Draft(
            path="a",
            vid=there,
            writer="zzzzzz",
            clock={"zzzzzz": 1},
            home=self.other.desk.view.home,
            modified=float(NOW),
        )
        self.shelf.add(envelope.seal(draft, b"twin", dialect=IFAP, key=KEY, now=NOW, random=fixed_random).message)
        self.assertCounted("vid-collision")

    def test_an_old_message_is_stored_again(self) -> None:
        """What was older than another one counts as the newest: so it is with messages of the reference programs."""
        uid = self.reference("r", b"1", versions=5)
        old = self.shelf.messages[uid]
        self.reference("r", b"2", versions=5)
        self.machine.look()
        self.shelf.forget(uid)
        self.shelf.add(old)
        self.assertCounted("replayed")

    def test_the_newest_is_dropped(self) -> None:
        """An older state of the folder."""
        newest = self.put("a", b"newer")
        self.machine.look()
        self.shelf.forget(newest)
        self.assertCounted("rolled-back")
