"""Server-sent events."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry, Event
from tests.control.wire import Node, parse, request


class EventCase(SynchronousTestCase):
    """With a node whose events are told by the test."""

    def setUp(self):
        """A node."""
        self.node = Node()
        self.tell = self.node.filesystem._watchers.tell
        self.number = 0

    def listen(self, last=None):
        """A client; gives its connection."""
        wire = self.node.connect()
        wire.send(request("GET", "/v1/events", None if last is None else {"Last-Event-ID": last}))
        return wire

    def change(self, count=1):
        """Something happens."""
        for _ in range(count):
            self.number += 1
            self.tell(Event(kind="changed", entry=Entry(path=f"f{self.number}", version="v")))

    def heard(self, wire):
        """(id, event, data) of all events so far."""
        text = parse(wire.value() + b"0\r\n\r\n").body.decode()
        events = []
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in fields:
                events.append((fields["id"], fields["event"], json.loads(fields["data"])))
        return events

    def names(self, wire):
        """The paths of changes, and the kinds of other events."""
        return [data.get("path", kind) for _id, kind, data in self.heard(wire)]


class StreamTests(EventCase):
    """/v1/events."""

    def test_events(self):
        """Everybody who listens is told what happens, with id, event and data."""
        first, second = self.listen(), self.listen()
        self.change()
        for wire in (first, second):
            ((number, kind, data),) = self.heard(wire)
            self.assertEqual((number, kind), ("0000-1", "changed"))
            self.assertEqual(data, Entry(path="f1", version="v").to_json())

    def test_header(self):
        """It is an event stream that nobody keeps."""
        reply = parse(self.listen().value() + b"0\r\n\r\n")
        self.assertEqual((reply.status, reply["Content-Type"]), (200, "text/event-stream"))
        self.assertEqual(reply["Cache-Control"], "no-store")

    def test_head(self):
        """HEAD does not listen."""
        reply = self.node.ask("HEAD", "/v1/events")
        self.assertEqual((reply.status, reply["Content-Type"]), (200, "text/event-stream"))

    def test_real_put(self):
        """A put is told with its entry."""
        wire = self.listen()
        entry = self.node.ask("PUT", "/v1/files/a", None, b"x").json()
        self.assertIn(("changed", entry), [(kind, data) for _id, kind, data in self.heard(wire)])

    def test_jobs(self):
        """A job is told when it ends."""
        wire = self.listen()
        job = self.node.post("/v1/snapshot", {}).json()
        self.assertIn(("job", job), [(kind, data) for _id, kind, data in self.heard(wire)])

    def test_first_id(self):
        """Who has not heard any event yet knows where to go on, too."""
        self.change(3)
        wire = self.listen()
        self.assertIn(b"id: 0000-3\n\n", wire.value())
        self.change()
        self.assertEqual(self.names(self.listen("0000-3")), ["/f4"])

    def test_come_back(self):
        """Who comes back gets what was missed, and nothing twice."""
        self.change(5)
        self.assertEqual(self.names(self.listen("0000-2")), ["/f3", "/f4", "/f5"])
        self.assertEqual(self.names(self.listen("0000-5")), [])

    def test_gap(self):
        """Who was away too long, or knows another run of the node, is told ``renewed``, with where to go on."""
        self.change(limits.EVENTS_KEPT + 10)
        newest = f"0000-{limits.EVENTS_KEPT + 10}"
        for last in ("0000-3", "9999-3", "0000-99999", "nonsense", "", "0000--1", "0000-x", "0000-" + "9" * 30):
            ((number, kind, data),) = self.heard(self.listen(last))
            self.assertEqual((number, kind, data), (newest, "renewed", {}), last)
        self.assertEqual(len(self.heard(self.listen("0000-10"))), limits.EVENTS_KEPT)

    def test_gap_before_any(self):
        """A fresh node knows its own beginning and no other."""
        self.assertEqual(self.names(self.listen("0000-0")), [])
        self.assertEqual(self.names(self.listen("0001-0")), ["renewed"])

    def test_heartbeat(self):
        """A comment every now and then shows that the line is alive."""
        wire = self.listen()
        before = len(wire.value())
        self.node.clock.advance(limits.HEARTBEAT_SECONDS)
        self.assertIn(b": ", wire.value()[before:])
        self.assertEqual(self.heard(wire), [])

    def test_slow_client(self):
        """What a slow client has not read waits, up to a bound."""
        wire = self.listen()
        wire.producer.pauseProducing()
        self.change(limits.EVENTS_QUEUED)
        self.assertEqual(self.names(wire), [])
        wire.producer.resumeProducing()
        self.assertEqual(len(self.names(wire)), limits.EVENTS_QUEUED)

    def test_too_slow(self):
        """Beyond the bound it is told ``renewed`` in their place, and then what happens next."""
        wire = self.listen()
        wire.producer.pauseProducing()
        self.change(limits.EVENTS_QUEUED + 50)
        wire.producer.resumeProducing()
        self.change()
        self.assertEqual(self.names(wire), ["renewed", f"/f{self.number}"])

    def test_stuck(self):
        """A client that reads nothing for long is cut off, and the others are not."""
        other, wire = self.listen(), self.listen()
        wire.producer.pauseProducing()
        wire.producer.pauseProducing()
        self.node.clock.advance(limits.CONTROL_STALL_SECONDS + 1)
        self.assertTrue(wire.aborted)
        self.change()
        self.assertEqual(self.names(other), ["/f1"])

    def test_gone(self):
        """A client that is gone is forgotten, with its clocks."""
        wire = self.listen()
        wire.lose()
        self.change()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_not_too_many(self):
        """Only so many may listen; a place is free when one goes."""
        wires = [self.listen() for _ in range(limits.EVENT_CLIENTS)]
        self.assertEqual(parse(self.listen().value()).status, 503)
        wires[0].lose()
        self.change()
        self.assertEqual(self.names(self.listen("0000-0")), ["/f1"])

    def test_stop(self):
        """Stopping the resource ends the streams, and it listens to the filesystem no more."""
        wire = self.listen()
        self.node.resource.stop()
        self.assertTrue(wire.value().endswith(b"0\r\n\r\n"))
        self.change()
        self.assertNotIn(b"f1", wire.value())
