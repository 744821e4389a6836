"""Bodies as they arrive: streamed, braked, cut, refused early, and never in a file."""

from __future__ import annotations

import tempfile

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from ifap_twisted.control.requests import Request
from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IncompleteSource
from ifap_twisted.store.memory import MemoryStore, Turnstile
from tests.control.scripted import Scripted
from tests.control.wire import TOKEN, Node, Wire, memory_filesystem, parse, parse_all, request

PUT = "/v1/files/a.bin"


class Taker:
    """A ``put`` that takes its source only when it is told to."""

    def __init__(self) -> None:
        self.source = None
        self.size = None
        self.taken: list[bytes] = []
        self.result: Deferred | None = None
        self.cancelled = False

    def __call__(self, path, source, **options) -> Deferred:
        self.source = source
        self.size = options["size"]
        self.result = Deferred(self._cancel)
        return self.result

    def _cancel(self, _deferred) -> None:
        self.cancelled = True

    @deferred
    async def take(self) -> None:
        """Take the whole source, then end."""
        async for piece in self.source:
            self.taken.append(piece)
        self.result.callback(Entry(path="a.bin", version="V1", size=sum(map(len, self.taken))))


class StreamTests(SynchronousTestCase):
    """A PUT whose filesystem decides when it reads."""

    def setUp(self):
        """A node with a put that waits."""
        self.taker = Taker()
        self.node = Node()
        self.node = Node(filesystem=Scripted(self.node.filesystem, put=self.taker), clock=self.node.clock)
        self.wire = self.node.connect()

    def header(self, length, **headers):
        """The header of a PUT."""
        fields = {"Content-Length": str(length), **{name.replace("_", "-"): value for name, value in headers.items()}}
        return request("PUT", PUT, fields)

    def test_begins_before_the_body(self):
        """The filesystem is asked when the header has come, with the declared size."""
        self.wire.send(self.header(10))
        self.assertEqual(self.taker.size, 10)
        self.assertEqual(self.wire.value(), b"")

    def test_pieces_as_they_come(self):
        """Pieces are handed on as they come."""
        self.wire.send(self.header(6))
        taking = self.taker.take()
        self.wire.send(b"abc")
        self.assertEqual(self.taker.taken, [b"abc"])
        self.wire.send(b"def")
        self.successResultOf(taking)
        self.assertEqual(b"".join(self.taker.taken), b"abcdef")
        self.assertEqual(parse(self.wire.value()).status, 201)

    def test_brake(self):
        """A body that nobody takes is held up to a bound, then its sender has to wait."""
        self.wire.send(self.header(1 << 20))
        sent = 0
        while not self.wire.paused:
            self.wire.send(b"x" * 16384)
            sent += 16384
        self.assertLessEqual(sent, limits.BODY_AHEAD + 16384)
        self.taker.take()
        self.assertFalse(self.wire.paused)
        self.wire.send(b"x" * ((1 << 20) - sent))
        self.assertEqual(parse(self.wire.value()).status, 201)
        self.assertEqual(sum(map(len, self.taker.taken)), 1 << 20)

    def test_brake_again(self):
        """Bytes that come although we wait make us wait again: a transport may have had them already."""
        self.wire.send(self.header(1 << 20))
        self.wire.send(b"x" * (limits.BODY_AHEAD + 1))
        self.wire.producerState = "producing"
        self.wire.send(b"x")
        self.assertTrue(self.wire.paused)

    def test_waiting_is_not_idle(self):
        """A client that we make wait is not timed out."""
        self.wire.send(self.header(1 << 20))
        self.wire.send(b"x" * (limits.BODY_AHEAD + 1))
        for _ in range(100):
            self.node.clock.advance(limits.CONTROL_IDLE_SECONDS / 4)
        self.assertFalse(self.wire.disconnecting)
        self.taker.take()
        self.wire.send(b"x" * ((1 << 20) - limits.BODY_AHEAD - 1))
        self.assertEqual(parse(self.wire.value()).status, 201)

    def test_silence_is_idle(self):
        """A client that stops in the middle of a body is cut off, and the put is cancelled."""
        self.wire.send(self.header(10) + b"abc")
        self.node.clock.advance(limits.CONTROL_IDLE_SECONDS + 1)
        self.assertTrue(self.wire.disconnecting)
        self.wire.lose()
        self.assertTrue(self.taker.cancelled)

    def test_silent_source(self):
        """Our own client may read from a pipe that says nothing for most of an hour; then it is idle as anybody."""
        self.node.site.private = True
        wire = self.node.connect()
        wire.send(self.header(10) + b"abc")
        self.node.clock.advance(limits.CONTROL_ANSWER_SECONDS)
        self.assertFalse(wire.disconnecting)
        wire.send(b"d")
        self.node.clock.advance(limits.CONTROL_SOURCE_SECONDS + 1)
        self.assertTrue(wire.disconnecting)

    def test_used_again_after_a_slow_source(self):
        """When all has come, our own client's connection is an ordinary one again."""
        self.node.site.private = True
        wire = self.node.connect()
        wire.send(self.header(3) + b"abc")
        self.taker.take()
        self.assertEqual(parse(wire.value()).status, 201)
        self.node.clock.advance(limits.CONTROL_IDLE_SECONDS + 1)
        self.assertTrue(wire.disconnecting)

    def test_cut(self):
        """A client that goes away in the middle of a body cancels the put; its source never ends well."""
        self.wire.send(self.header(10) + b"abc")
        taking = self.taker.take()
        self.wire.lose()
        self.assertTrue(self.taker.cancelled)
        self.failureResultOf(taking, IncompleteSource)

    def test_gone_while_storing(self):
        """A client that goes away while we store cancels the put."""
        self.wire.send(self.header(3) + b"abc")
        self.assertFalse(self.taker.cancelled)
        self.wire.lose()
        self.assertTrue(self.taker.cancelled)

    def test_chunked(self):
        """A body without a length comes in chunks."""
        self.wire.send(request("PUT", PUT, {"Transfer-Encoding": "chunked"}))
        self.assertIsNone(self.taker.size)
        taking = self.taker.take()
        self.wire.send(b"3\r\nabc\r\n")
        self.wire.send(b"2\r\nde\r\n0\r\n\r\n")
        self.successResultOf(taking)
        self.assertEqual(b"".join(self.taker.taken), b"abcde")

    def test_chunked_cut(self):
        """Chunks without the last one are a cut body."""
        self.wire.send(request("PUT", PUT, {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n")
        taking = self.taker.take()
        self.wire.lose()
        self.failureResultOf(taking, IncompleteSource)

    def test_chunked_nonsense(self):
        """Bytes that are no chunks end the connection, and nothing is stored."""
        self.wire.send(request("PUT", PUT, {"Transfer-Encoding": "chunked"}) + b"zz\r\nabc\r\n")
        self.assertTrue(self.wire.disconnecting)
        self.wire.lose()
        self.assertTrue(self.taker.cancelled)

    def test_both_lengths(self):
        """A length and chunks together are refused: two programs could read them differently."""
        self.wire.send(self.header(3, Transfer_Encoding="chunked") + b"abc")
        self.assertTrue(self.wire.disconnecting)
        self.assertIsNone(self.taker.source)

    def test_two_lengths(self):
        """Two lengths are refused."""
        self.wire.send(self.header(3).replace(b"Content-Length", b"Content-Length: 4\r\nContent-Length") + b"abc")
        self.assertTrue(self.wire.disconnecting)
        self.assertIsNone(self.taker.source)

    def test_pipelined(self):
        """A request behind a body is answered after it, on the same connection."""
        self.wire.send(self.header(3) + b"abc" + request("GET", "/healthz"))
        self.assertEqual(self.wire.value(), b"")
        self.taker.take()
        first, second = parse_all(self.wire.value())
        self.assertEqual((first.status, second.body), (201, b"ok\n"))

    def test_connection_used_again(self):
        """After a braked body the connection is an ordinary one: it may be idle, but not for ever."""
        self.wire.send(self.header(1 << 20) + b"x" * (limits.BODY_AHEAD + 1))
        self.taker.take()
        self.wire.send(b"x" * ((1 << 20) - limits.BODY_AHEAD - 1))
        self.wire.clear()
        self.wire.send(request("GET", "/healthz"))
        self.assertEqual(parse(self.wire.value()).status, 200)
        self.node.clock.advance(limits.CONTROL_IDLE_SECONDS - 1)
        self.assertFalse(self.wire.disconnecting)
        self.node.clock.advance(2)
        self.assertTrue(self.wire.disconnecting)

    def test_two_at_a_time(self):
        """The filesystem takes two of the largest files at a time: the senders of others wait."""
        clock, gate = MemoryReactorClock(), Turnstile()
        size = limits.BODY_AHEAD + 50_000
        node = Node(
            filesystem=memory_filesystem(clock, MemoryStore(clock=clock, gate=gate), max_file_size=size),
            clock=clock,
            max_file_size=size,
        )
        gate._methods.add("append")
        wires = [node.connect() for _ in range(4)]
        for number, wire in enumerate(wires):
            wire.send(request("PUT", f"/v1/files/{number}", {"Content-Length": str(size)}))
            wire.send(b"x" * (size - 10))
        self.assertEqual([wire.paused for wire in wires], [False, False, True, True])
        for wire in wires[:2]:
            wire.send(b"x" * 10)
        gate.release()
        for wire in wires[2:]:
            self.assertFalse(wire.paused)
            wire.send(b"x" * 10)
        self.assertEqual([parse(wire.value()).status for wire in wires], [201] * 4)

    def test_no_file(self):
        """A body of a megabyte does not make a temporary file."""
        made: list[object] = []
        self.patch(tempfile, "TemporaryFile", lambda *args, **kwargs: made.append(args))
        self.wire.send(self.header(1 << 20))
        self.taker.take()
        self.wire.send(b"x" * (1 << 20))
        self.assertEqual(parse(self.wire.value()).status, 201)
        self.assertEqual(made, [])


class ContinueTests(SynchronousTestCase):
    """``Expect: 100-continue`` (RFC 9110 10.1.1)."""

    def setUp(self):
        """A node and a connection."""
        self.node = Node(max_file_size=1000)
        self.wire = self.node.connect()

    def ask(self, length, **headers):
        fields = {"Content-Length": str(length), "Expect": "100-continue", **headers}
        self.wire.send(request("PUT", PUT, fields))

    def test_continue(self):
        """100 is sent when the filesystem wants the body."""
        self.ask(3)
        self.assertEqual(self.wire.value(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.send(b"abc")
        self.assertEqual([reply.status for reply in parse_all(self.wire.value())], [100, 201])

    def test_refused(self):
        """A body that is refused is not asked for, and the connection ends: nobody knows whether it still comes."""
        for length, headers, status in (
            (1001, {}, 413),
            (3, {"Authorization": "Bearer wrong"}, 401),
            (3, {"Host": "evil"}, 403),
            (3, {"X-IFAP-Mode": "rwx"}, 400),
            (3, {"If-Match": '"nothing"'}, 412),
        ):
            self.wire = self.node.connect()
            self.ask(length, **headers)
            reply = parse(self.wire.value())
            self.assertEqual((reply.status, reply["Connection"]), (status, "close"))

    def test_not_asked_when_it_came(self):
        """Who does not wait for 100 is not told."""
        self.wire.send(request("PUT", PUT, {"Expect": "100-continue"}, b"abc"))
        statuses = [reply.status for reply in parse_all(self.wire.value())]
        self.assertIn(statuses, ([201], [100, 201]))

    def test_http_1_0(self):
        """HTTP/1.0 does not know 100."""
        fields = {"Content-Length": "3", "Expect": "100-continue"}
        self.wire.send(request("PUT", PUT, fields, version="HTTP/1.0"))
        self.assertEqual(self.wire.value(), b"")
        self.wire.send(b"abc")
        self.assertIn(b" 201 ", self.wire.value())


class EarlyTests(SynchronousTestCase):
    """Answers that come before the end of the body."""

    def setUp(self):
        """A node that takes little."""
        self.node = Node(max_file_size=100_000)
        self.wire = self.node.connect()

    def too_large(self, length=10_000_000):
        self.wire.send(request("PUT", PUT, {"Content-Length": str(length)}))

    def test_declared_too_large(self):
        """A declared length that is too large is refused before a byte of the body."""
        self.too_large()
        reply = parse(self.wire.value())
        self.assertEqual((reply.status, reply.json()["code"], reply["Connection"]), (413, "too-large", "close"))
        self.assertEqual(reply.json()["about"], {"limit": 100_000, "size": 10_000_000})

    def test_body_is_no_request(self):
        """What is left of a refused body is never read as a request."""
        smuggled = request("DELETE", "/v1/files/precious")
        self.node.ask("PUT", "/v1/files/precious", None, b"x")
        self.too_large()
        self.wire.send(smuggled)
        parse(self.wire.value())
        self.assertEqual(self.node.ask("GET", "/v1/files/precious").status, 200)

    def test_lingers(self):
        """Some of the rest is read and forgotten so that the sender sees the answer; then it is cut off."""
        self.too_large()
        for _ in range(limits.LINGER_BYTES // 65536):
            self.wire.send(b"x" * 65536)
            self.assertFalse(self.wire.disconnecting)
        self.wire.send(b"x")
        self.assertTrue(self.wire.disconnecting)
        self.wire.lose()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_lingers_not_long(self):
        """A sender that does not end is cut off after a while."""
        self.too_large()
        self.node.clock.advance(limits.LINGER_SECONDS - 0.1)
        self.assertFalse(self.wire.disconnecting)
        self.node.clock.advance(0.2)
        self.assertTrue(self.wire.disconnecting)

    def test_end_of_a_refused_body(self):
        """When the refused body ends in time the connection is closed properly."""
        self.too_large(200_000)
        self.wire.send(b"x" * 200_000)
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(parse(self.wire.value()).status, 413)

    def test_short_body_is_drained(self):
        """A short body that nobody wants is read to its end, and the connection is used again."""
        wrong = {"Authorization": "Bearer wrong"}
        self.wire.send(request("PUT", PUT, {**wrong, "Content-Length": "10"}) + b"01234")
        reply = parse(self.wire.value())
        self.assertEqual((reply.status, reply["Connection"]), (401, None))
        self.wire.send(b"56789" + request("GET", "/healthz"))
        first, second = parse_all(self.wire.value())
        self.assertEqual((first.status, second.status), (401, 200))

    def test_body_of_a_get(self):
        """A body where none belongs is forgotten."""
        self.wire.send(request("GET", "/healthz", None, b"x" * 1000) + request("GET", "/healthz"))
        self.assertEqual([reply.status for reply in parse_all(self.wire.value())], [200, 200])

    def test_too_large_without_length(self):
        """Chunks that become too large are refused when they do, and nothing is stored."""
        self.wire.send(request("PUT", PUT, {"Transfer-Encoding": "chunked"}))
        for _ in range(3):
            self.wire.send(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
        reply = parse(self.wire.value())
        self.assertEqual((reply.status, reply["Connection"]), (413, "close"))
        self.assertEqual(self.node.ask("GET", PUT).status, 404)

    def test_absolute_target(self):
        """A target with scheme and host is refused without collecting its body."""
        made: list[object] = []
        self.patch(tempfile, "TemporaryFile", lambda *args, **kwargs: made.append(args))
        self.wire.send(request("PUT", b"http://localhost/v1/files/a", {"Content-Length": "200000"}))
        self.assertEqual(parse(self.wire.value()).status, 400)
        self.assertEqual(made, [])


class ForeignTests(SynchronousTestCase):
    """The resource mounted in somebody else's site."""

    def setUp(self):
        """A site of twisted.web with the resource below /ifap."""
        self.node = Node()
        self.root = Resource()
        self.root.putChild(b"ifap", self.node.resource)

    def ask(self, data, request_factory=None):
        site = Site(self.root, requestFactory=request_factory, reactor=self.node.clock)
        wire = Wire(site)
        wire.send(data)
        self.node.clock.pump([0] * 20)
        return wire

    def test_mounted(self):
        """Paths begin below the place where it is mounted."""
        body = b"hello"
        self.assertEqual(parse(self.ask(request("PUT", "/ifap/v1/files/a/b", None, body)).value()).status, 201)
        self.assertEqual(parse(self.ask(request("GET", "/ifap/v1/files/a/b")).value()).body, body)
        self.assertEqual(parse(self.ask(request("GET", "/ifap/healthz", {"Authorization": None})).value()).status, 200)

    def test_json(self):
        """JSON bodies are taken."""
        fields = {"Content-Type": "application/json"}
        wire = self.ask(request("POST", "/ifap/v1/mkdir", fields, b'{"path":"d"}'))
        self.assertEqual(parse(wire.value()).status, 200)

    def test_collected_in_a_file(self):
        """A body that the foreign site has put into a file is refused."""
        for fields, body in (
            (None, b"x" * 100_000),
            ({"Transfer-Encoding": "chunked"}, None),
        ):
            data = request("PUT", "/ifap/v1/files/a", fields, body) + (b"" if body else b"1\r\nx\r\n0\r\n\r\n")
            reply = parse(self.ask(data).value())
            self.assertEqual((reply.status, reply.json()["code"]), (413, "too-large"))

    def test_with_our_request(self):
        """With our Request the foreign site takes bodies of any size, and other resources notice nothing."""

        class Echo(Resource):
            isLeaf = True

            def render_POST(self, asked):
                return asked.content.read()

        self.root.putChild(b"echo", Echo())
        body = b"x" * 500_000
        stored = self.ask(request("PUT", "/ifap/v1/files/a", None, body), Request)
        self.assertEqual(parse(stored.value()).status, 201)
        self.assertEqual(parse(self.ask(request("POST", "/echo", None, body), Request).value()).body, body)

    def test_failing_neighbour(self):
        """A resource that cannot be found because of a bug is a 500 of the foreign site, with our Request too."""

        class Broken(Resource):
            def getChild(self, path, asked):
                raise ZeroDivisionError

        self.root.putChild(b"broken", Broken())
        wire = self.ask(request("POST", "/broken/x", None, b"abc"), Request)
        self.assertEqual(parse(wire.value()).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_encoded_prefix(self):
        """The place where it is mounted may be written with escapes."""
        reply = parse(self.ask(request("PUT", "/%69fap/v1/files/%C3%A4", None, b"1"), Request).value())
        self.assertEqual(reply.json()["path"], "/ä")

    def test_token_of_query_is_none(self):
        """A token in the URL does not count."""
        fields = {"Authorization": None}
        reply = parse(self.ask(request("GET", f"/ifap/v1/status?token={TOKEN}", fields)).value())
        self.assertEqual(reply.status, 401)
