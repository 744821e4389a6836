"""/metrics."""

from __future__ import annotations

import dataclasses

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import Checked, Notice, Status
from tests.control.scripted import Scripted
from tests.control.wire import Node

STATUS = Status(
    state="offline",
    account="secret-account",
    folder="F",
    dialect="ifap",
    pending=1,
    failing=2,
    conflicts=3,
    damaged=4,
    damage={"tampered": 3, "oversized": 1},
    foreign=5,
    other_dialect=6,
    warnings=(Notice(code="x", text="secret-text"),),
    last_refresh=123.0,
    checked=Checked(time=120.0, damaged=7, whole=100.0),
)


def samples(node: Node) -> dict[tuple, float]:
    """(name, label values) → value."""
    reply = node.ask("GET", "/metrics")
    assert reply["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


class MetricsTests(SynchronousTestCase):
    """What Prometheus is told."""

    def node(self, info=dict):
        node = Node()
        return Node(filesystem=Scripted(node.filesystem, status=lambda: succeed(STATUS)), info=info)

    def test_status(self):
        """The numbers of the status, and the state of the connection."""
        found = samples(self.node())
        for number, name in enumerate(
            ("pending", "failing", "conflicts", "damaged", "foreign", "other_dialect"), start=1
        ):
            self.assertEqual(found[f"ifap_{name}",], number)
        self.assertEqual(found["ifap_warnings",], 1)
        self.assertEqual(found["ifap_last_refresh_timestamp_seconds",], 123)
        self.assertEqual(found["ifap_last_check_timestamp_seconds",], 120)
        self.assertEqual(found["ifap_last_check_damaged",], 7)
        self.assertEqual(found["ifap_last_whole_check_timestamp_seconds",], 100)
        self.assertEqual(found["ifap_connection_state", "offline"], 1)
        self.assertEqual(found["ifap_connection_state", "connected"], 0)

    def test_damage(self):
        """Each kind of damage has its line, and none when it is gone."""
        statuses = [STATUS, dataclasses.replace(STATUS, damage={"tampered": 2})]
        node = Node()
        node = Node(filesystem=Scripted(node.filesystem, status=lambda: succeed(statuses.pop(0))), info=dict)
        before, after = samples(node), samples(node)
        self.assertEqual(before["ifap_damaged_messages", "tampered"], 3)
        self.assertEqual(before["ifap_damaged_messages", "oversized"], 1)
        self.assertEqual(after["ifap_damaged_messages", "tampered"], 2)
        self.assertNotIn(("ifap_damaged_messages", "oversized"), after)

    def test_warnings(self):
        """Warnings are counted by their codes, too; a code of which there is none any more has no line."""
        notices = [Notice(code="rolled-back", text="t", path=path) for path in "ab"]
        told = (*notices, Notice(code="replayed", text="t"))
        statuses = [dataclasses.replace(STATUS, warnings=warnings) for warnings in (told, told[:1])]
        node = Node()
        node = Node(filesystem=Scripted(node.filesystem, status=lambda: succeed(statuses.pop(0))), info=dict)
        before, after = samples(node), samples(node)
        self.assertEqual(before["ifap_warnings_by_code", "rolled-back"], 2)
        self.assertEqual(before["ifap_warnings_by_code", "replayed"], 1)
        self.assertEqual(after["ifap_warnings_by_code", "rolled-back"], 1)
        self.assertNotIn(("ifap_warnings_by_code", "replayed"), after)

    def test_counts(self):
        """Files, versions and bytes as far as they are known; what is not is not a number, never 0."""
        found = samples(self.node(lambda: succeed({"counts": {"files": 7, "versions": 9}})))
        self.assertEqual((found["ifap_files",], found["ifap_versions",]), (7, 9))
        self.assertNotEqual(found["ifap_bytes",], found["ifap_bytes",])

    def test_requests(self):
        """Requests and bytes are counted, with methods and statuses of a bounded number."""
        node = Node()
        node.ask("PUT", "/v1/files/a", None, b"12345")
        node.ask("GET", "/v1/files/a")
        node.ask("GET", "/v1/files/b")
        node.ask("BREW", "/v1/files/a")
        found = samples(node)
        self.assertEqual(found["ifap_http_requests_total", "PUT", "201"], 1)
        self.assertEqual(found["ifap_http_requests_total", "GET", "404"], 1)
        self.assertEqual(found["ifap_http_requests_total", "other", "405"], 1)
        self.assertEqual(found["ifap_http_received_bytes_total",], 5)
        self.assertGreater(found["ifap_http_sent_bytes_total",], 5)

    def test_own_registry(self):
        """Two nodes of one process do not share numbers, and nothing is in the registry of the process."""
        first, second = Node(), Node()
        first.ask("GET", "/healthz")
        self.assertNotIn(("ifap_http_requests_total", "GET", "200"), samples(second))
        self.assertFalse([family.name for family in REGISTRY.collect() if family.name.startswith("ifap")])

    def test_no_secrets(self):
        """No name of an account or a file is a label."""
        node = self.node()
        node.ask("PUT", "/v1/files/secret-name", None, b"x")
        self.assertNotIn(b"secret", node.ask("GET", "/metrics").body)
