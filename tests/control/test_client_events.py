"""Events from afar, and what becomes of them when the connection or the node does not last."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.client_events import LONGEST_LINE, PAUSES, SILENCE_SECONDS, EventParser
from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry, Event
from ifap_twisted.errors import ProtocolViolation
from tests.control.test_client import ClientCase
from tests.control.wire import Node, request


class ParserTests(SynchronousTestCase):
    """Server-sent events out of bytes."""

    STREAM = (
        b': hello\n\nid: r-1\n\nid: r-2\nevent: changed\ndata: {"a":1}\n\ndata: x\ndata:y\r\n\r\n'
        b"event: nothing\n\nretry: 5\nnonsense\nid\nevent: last\ndata\n\n"
    )
    EVENTS = (("changed", '{"a":1}'), ("message", "x\ny"), ("last", ""))

    def parse(self, pieces):
        """What is told of some pieces, and the parser."""
        told = []
        parser = EventParser(lambda kind, data: told.append((kind, data)))
        for piece in pieces:
            parser.feed(piece)
        return told, parser

    def test_events(self):
        """Events have a kind and data; comments and what is not known are passed over."""
        told, parser = self.parse([self.STREAM])
        self.assertEqual(tuple(told), self.EVENTS)
        self.assertEqual(parser.last_id, "")

    def test_id_without_event(self):
        """An id counts without an event, too."""
        told, parser = self.parse([b"id: r-7\n\n"])
        self.assertEqual((told, parser.last_id), ([], "r-7"))

    @given(st.lists(st.integers(0, len(STREAM))))
    def test_any_pieces(self, cuts):
        """It does not matter how the bytes are cut."""
        ends = [0, *sorted(cuts), len(self.STREAM)]
        told, _parser = self.parse([self.STREAM[a:b] for a, b in pairwise(ends)])
        self.assertEqual(tuple(told), self.EVENTS)

    def test_unfinished(self):
        """An event without its empty line has not happened."""
        self.assertEqual(self.parse([b"event: x\ndata: y\n"])[0], [])

    def test_endless_line(self):
        """A line without end is not held for ever."""
        with self.assertRaises(ProtocolViolation):
            self.parse([b"data: " + b"x" * 65536 for _ in range(LONGEST_LINE // 65536 + 1)])


class FollowingTests(ClientCase):
    """A listener through breaks."""

    def setUp(self):
        """A listener on a node whose events the test tells."""
        super().setUp()
        self.heard: list[Event] = []
        self.stop = self.there.watch(self.heard.append)
        self.settle()

    def tell(self, name):
        """Something happens at the node."""
        self.here._watchers.tell(Event(kind="changed", entry=Entry(path=name, version="v")))
        self.settle()

    def names(self):
        """The paths of changes, and the kinds of other events."""
        return [event.entry.path if event.entry else event.kind for event in self.heard]

    def wait(self, seconds):
        """Let time pass."""
        self.node.clock.advance(seconds)
        self.settle()

    def test_break(self):
        """After a break nothing is missed and nothing is told twice."""
        self.tell("a")
        self.endpoint.break_all()
        self.tell("b")
        self.assertEqual(self.names(), ["a"])
        self.wait(PAUSES[1])
        self.tell("c")
        self.assertEqual(self.names(), ["a", "b", "c"])

    def test_break_before_any(self):
        """That is so even before the first event."""
        self.endpoint.break_all()
        self.tell("a")
        self.wait(PAUSES[1])
        self.assertEqual(self.names(), ["a"])

    def test_long_break(self):
        """After too long a break the listener is told ``renewed``."""
        self.endpoint.break_all()
        for number in range(limits.EVENTS_KEPT + 1):
            self.here._watchers.tell(Event(kind="changed", entry=Entry(path=str(number), version="v")))
        self.wait(PAUSES[1])
        self.tell("c")
        self.assertEqual(self.names(), ["renewed", "c"])

    def test_another_node(self):
        """After a restart of the node, too."""
        self.tell("a")
        self.endpoint.break_all()
        node = Node(filesystem=self.here, clock=self.node.clock, run="other")
        self.endpoint.site = node.site
        self.wait(PAUSES[1])
        self.tell("b")
        self.assertEqual(self.names(), ["a", "renewed", "b"])

    def test_pauses(self):
        """A node that is away is looked for less and less often."""
        self.endpoint.up = False
        self.endpoint.break_all()
        attempts = []
        self.endpoint.connect = lambda factory: attempts.append(self.node.clock.seconds()) or fail_to_connect()
        start = self.node.clock.seconds()
        for _ in range(1200):
            self.node.clock.advance(0.1)
        self.assertLessEqual(len(attempts), 9)
        self.assertGreaterEqual(len(attempts), 6)
        self.assertLess(attempts[0] - start, 2)

    def test_silence(self):
        """A connection on which not even a heartbeat comes is given up and made anew."""
        for end in self.endpoint.pump.ends:
            end._reading = False
        self.wait(SILENCE_SECONDS + 1)
        self.wait(PAUSES[-1])
        self.tell("a")
        self.assertEqual(self.names(), ["a"])
        self.assertEqual(self.endpoint.connections, 2)

    def test_heartbeats(self):
        """As long as heartbeats come the connection stays."""
        for _ in range(100):
            self.wait(limits.HEARTBEAT_SECONDS)
        self.assertEqual(self.endpoint.connections, 1)

    def test_nonsense(self):
        """Events that cannot be understood end the connection, and it is made anew."""
        self.here._watchers.tell(Event(kind="changed", entry=None, detail={"path": 1, "version": 2, "type": 3}))
        self.settle()
        self.wait(PAUSES[2])
        self.tell("a")
        self.assertEqual(self.names()[-1], "a")

    def test_questions_do_not_wait_for_ever(self):
        """When events cannot be had, other questions are answered all the same."""
        self.stop()
        self.join(Node())
        listeners = [self.node.connect() for _ in range(limits.EVENT_CLIENTS)]
        for wire in listeners:
            wire.send(request("GET", "/v1/events"))
        self.stop = self.there.watch(self.heard.append)
        self.result(self.there.put("a", b"x"))

    def test_stop_while_away(self):
        """Who stops while the node is away leaves nothing behind."""
        self.endpoint.up = False
        self.endpoint.break_all()
        self.wait(1)
        self.stop()
        self.settle()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])


def fail_to_connect():
    """An attempt that fails."""
    return fail(ConnectError())
