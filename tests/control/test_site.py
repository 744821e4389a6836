"""The site: bounds on what a client may send, and what gets into the log."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry
from tests.control.scripted import Held, Scripted
from tests.control.wire import TOKEN, Node, parse, request


class BoundsTests(SynchronousTestCase):
    """Hostile clients."""

    def setUp(self):
        """A node."""
        self.node = Node()

    def refused(self, data: bytes) -> None:
        wire = self.node.connect()
        wire.send(data)
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 400 "), wire.value()[:40])
        self.assertTrue(wire.disconnecting)

    def test_many_headers(self):
        """More header fields than any client sends end the connection."""
        fields = {f"X-{number}": "1" for number in range(limits.CONTROL_HEADERS + 1)}
        self.refused(request("GET", "/healthz", fields))

    def test_long_header(self):
        """A header of more than 16 KiB ends the connection."""
        self.refused(request("GET", "/healthz", {"X-Long": "x" * 10_000, "X-More": "x" * 10_000}))
        wire = self.node.connect()
        wire.send(request("GET", "/healthz", {"X-Long": "x" * 17_000}))
        self.assertTrue(wire.disconnecting)

    def test_long_target(self):
        """A target of more than 16 KiB ends the connection."""
        wire = self.node.connect()
        wire.send(request("GET", "/v1/files/" + "x" * 17_000))
        self.assertTrue(wire.disconnecting)

    def test_longest_path(self):
        """The longest path that a file may have fits into a request, escaped."""
        path = "/".join(["ä" * 127] * 16)
        escaped = path.replace("ä", "%C3%A4")
        self.assertEqual(self.node.ask("PUT", "/v1/files/" + escaped, None, b"x").status, 201)
        self.assertEqual(self.node.ask("GET", "/v1/files/" + escaped).body, b"x")

    def test_no_http(self):
        """What is not HTTP is answered with 400 and no more."""
        self.refused(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")

    def test_slow_header(self):
        """A client that does not finish its header is cut off."""
        wire = self.node.connect()
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: ")
        self.node.clock.advance(limits.CONTROL_IDLE_SECONDS + 1)
        self.assertTrue(wire.disconnecting)

    def test_many_connections(self):
        """A connection more than the bound is closed at once, and has its place when another one ends."""
        wires = [self.node.connect() for _ in range(limits.CONTROL_CLIENTS)]
        extra = self.node.connect()
        self.assertTrue(extra.disconnecting)
        extra.lose()
        wires.pop().lose()
        self.assertFalse(self.node.connect().disconnecting)


PARTS = st.lists(
    st.sampled_from(
        [
            request("GET", "/v1/status"),
            request("PUT", "/v1/files/a", None, b"body"),
            request("PUT", "/v1/files/a", {"Transfer-Encoding": "chunked"}),
            b"4\r\nbody\r\n0\r\n\r\n",
            request("DELETE", "/v1/files/a", {"Content-Length": "3"}),
            request("POST", "/v1/mkdir", {"Content-Type": "application/json"}, b'{"path":"d"}'),
            request("GET", "/healthz", {"Content-Length": "nine"}),
            b"GET * HTTP/1.1\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde",
            b"\r\n",
            b"\r\n\r\n",
            b":",
            b"Expect: 100-continue\r\n",
        ]
    )
    | st.binary(max_size=30),
    max_size=8,
)


class FuzzTests(SynchronousTestCase):
    """Anything at all."""

    @settings(max_examples=200)
    @given(PARTS, st.integers(1, 400), st.booleans())
    def test_any_bytes(self, parts, cut, lose):
        """Any bytes, cut anywhere, are answered or refused; nothing is logged as a failure and no clock is left."""
        node = Node()
        wire = node.connect()
        data = b"".join(parts)
        for start in range(0, len(data), cut):
            if not wire.disconnecting:
                wire.send(data[start : start + cut])
        if not lose:
            node.clock.advance(limits.CONTROL_IDLE_SECONDS + limits.LINGER_SECONDS)
        wire.lose()
        node.resource.stop()
        self.successResultOf(node.filesystem.close())
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(node.clock.getDelayedCalls(), [])
        self.assertEqual(node.site.channels, set())


class LogTests(SynchronousTestCase):
    """What a node writes down of its requests."""

    def logged(self, act) -> list[dict]:
        """The events that were logged meanwhile."""
        events: list[dict] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        act()
        return events

    def test_paths_at_debug_only(self):
        """Paths are logged at debug level only; tokens, contents and queries never."""
        node = Node()

        def act():
            node.site.startFactory()
            node.ask("PUT", "/v1/files/secret-name", {"X-Canary": "canary-header"}, b"canary-content")
            node.ask("GET", "/v1/files/secret-name?version=canary-query")
            node.ask("GET", "/v1/files/secret-name", {"Authorization": "Bearer canary-token"})
            wire = node.connect()
            wire.send(request("PUT", "/v1/files/secret-name", {"Content-Length": "99"}) + b"canary-content")
            wire.lose()
            node.site.stopFactory()

        events = self.logged(act)
        loud = [event for event in events if event.get("log_level") != LogLevel.debug]
        self.assertNotIn("secret-name", repr(loud))
        for canary in ("canary", TOKEN):
            self.assertNotIn(canary, repr(events))
        self.assertIn("secret-name", repr(events))

    def test_stopped_site(self):
        """A site that is stopped answers what was asked, and takes nothing more."""
        held = Held()
        node = Node()
        node = Node(filesystem=Scripted(node.filesystem, stat=held), clock=node.clock)
        idle, busy = node.connect(), node.connect()
        busy.send(request("GET", "/v1/files/a?stat=1"))
        node.site.stopFactory()
        self.assertEqual((idle.disconnecting, busy.disconnecting), (True, False))
        held.results[0].callback(Entry(path="a", version="v"))
        self.assertEqual(parse(busy.value()).status, 200)
        self.assertTrue(busy.disconnecting)

    def test_no_clock_left(self):
        """A site that is stopped leaves nothing running."""
        node = Node()
        node.site.startFactory()
        wire = node.connect()
        wire.send(request("GET", "/healthz"))
        parse(wire.value())
        wire.lose()
        node.resource.stop()
        node.site.stopFactory()
        self.assertEqual(node.clock.getDelayedCalls(), [])
