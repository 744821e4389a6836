"""Several ranges of a file in one answer, and files that are longer than what is held of them (RFC 9110 14)."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.problems import RequestProblem
from ifap_twisted.control.ranges import Multipart, Span, spans
from ifap_twisted.core import limits
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import ChunkLost, Unavailable
from tests.control.scripted import Scripted
from tests.control.wire import Node, memory_filesystem, parse, request


class Stream:
    """A long file, made up as it is read.

    :ivar asked: the ranges that were asked for.
    :ivar lost: from this byte on nothing can be read.
    """

    def __init__(self, size: int, lost: int | None = None) -> None:
        self.entry = Entry(path="a", size=size, version="v", mime="text/plain")
        self.asked: list[tuple[int, int]] = []
        self.lost = lost
        self.held: Deferred[bytes] | None = None
        self.cancelled = 0

    def data(self, start: int, stop: int) -> bytes:
        """What is there."""
        return bytes(position * position % 251 for position in range(start, min(stop, self.entry.size)))

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """A part."""
        self.asked.append((start, stop))
        if self.lost is not None and stop > self.lost:
            return fail(ChunkLost("It is lost.", path="a", offset=self.lost, length=7))
        if self.held is not None:
            return self.held
        return succeed(self.data(start, stop))


class StreamedCase(SynchronousTestCase):
    """A node that serves one stream."""

    def serve(self, stream: Stream) -> Node:
        """The node."""
        clock_node = Node()
        there = Scripted(clock_node.filesystem, stream=lambda *_a, **_k: succeed(stream))
        return Node(filesystem=there, clock=clock_node.clock)


class LongFileTests(StreamedCase):
    """Files of which only a part is held at a time."""

    size = 3 * limits.READ_TOGETHER + 5

    def test_all_of_it_arrives(self):
        """With its length before it."""
        stream = Stream(self.size)
        reply = self.serve(stream).ask("GET", "/v1/files/a")
        self.assertEqual((reply.status, reply["Content-Length"]), (200, str(self.size)))
        self.assertEqual(reply.body, stream.data(0, self.size))

    def test_only_what_is_asked_for_is_read(self):
        """One range."""
        stream = Stream(self.size)
        reply = self.serve(stream).ask("GET", "/v1/files/a", {"Range": "bytes=100-199"})
        self.assertEqual((reply.status, reply.body, stream.asked), (206, stream.data(100, 200), [(100, 200)]))

    def test_no_more_is_read_than_the_client_takes(self):
        """A client that stops reading stops the node."""
        stream = Stream(self.size)
        wire = self.serve(stream).connect()
        write = wire.write

        def one_piece(data):
            write(data)
            if wire.producer is not None:
                wire.producer.pauseProducing()

        wire.write = one_piece
        wire.send(request("GET", "/v1/files/a"))
        self.assertEqual(len(stream.asked), 1)
        wire.write = write
        wire.producer.resumeProducing()
        self.assertEqual(parse(wire.value()).body, stream.data(0, self.size))

    def test_a_client_that_takes_nothing_is_cut_off(self):
        """After a while."""
        node = self.serve(Stream(self.size))
        wire = node.connect()
        write = wire.write

        def one_piece(data):
            write(data)
            if wire.producer is not None:
                wire.producer.pauseProducing()

        wire.write = one_piece
        wire.send(request("GET", "/v1/files/a"))
        node.clock.advance(limits.CONTROL_STALL_SECONDS - 1)
        self.assertFalse(wire.aborted)
        node.clock.advance(2)
        self.assertTrue(wire.aborted)

    def test_a_client_that_goes_stops_the_reading(self):
        """In the middle of the file."""
        stream = Stream(self.size)
        wire = self.serve(stream).connect()
        write = wire.write

        def then_hold(data):
            stream.held = Deferred(lambda _: setattr(stream, "cancelled", 1))
            write(data)

        wire.write = then_hold
        wire.send(request("GET", "/v1/files/a"))
        wire.lose()
        self.assertEqual(stream.cancelled, 1)

    def test_a_failure_in_the_middle_cuts_the_connection(self):
        """What arrived cannot be taken for all of it."""
        wire = self.serve(Stream(self.size, lost=limits.READ_TOGETHER + 1)).connect()
        wire.send(request("GET", "/v1/files/a"))
        self.assertTrue(wire.aborted)
        head, _, body = wire.value().partition(b"\r\n\r\n")
        self.assertIn(f"Content-Length: {self.size}".encode(), head)
        self.assertEqual(len(body), limits.READ_TOGETHER)

    def test_a_failure_at_the_beginning_is_told(self):
        """Which part of the file is lost, too."""
        reply = self.serve(Stream(self.size, lost=3)).ask("GET", "/v1/files/a")
        found = reply.json()
        self.assertEqual((reply.status, found["code"], found["path"]), (502, "chunk-lost", "/a"))
        self.assertEqual(found["about"], {"offset": 3, "length": 7})

    def test_one_that_is_shorter_than_it_says_is_cut(self):
        """Whoever gives it is at fault; the client is not told that it has all."""
        stream = Stream(self.size)
        stream.entry, real = Entry(path="a", size=self.size, version="v"), stream.data
        stream.data = lambda start, stop: real(start, min(stop, self.size - 1))
        wire = self.serve(stream).connect()
        wire.send(request("GET", "/v1/files/a"))
        self.assertTrue(wire.aborted)

    def test_away_is_temporary(self):
        """503 when the mail server cannot be reached."""
        stream = Stream(self.size)
        stream.read = lambda *_a: fail(Unavailable())
        self.assertEqual(self.serve(stream).ask("GET", "/v1/files/a").status, 503)


class SeveralRangesTests(StreamedCase):
    """``multipart/byteranges``."""

    def parts(self, reply) -> list[tuple[str, bytes]]:
        """Range and content of each part."""
        head = f"Content-Type: {reply['Content-Type']}\r\n\r\n".encode()
        found = message_from_bytes(head + reply.body, policy=HTTP)
        return [(part["Content-Range"], part.get_payload(decode=True)) for part in found.iter_parts()]

    def test_each_range_is_a_part(self):
        """In their order in the file, with their places; and nothing else is read."""
        stream = Stream(1000)
        reply = self.serve(stream).ask("GET", "/v1/files/a", {"Range": "bytes=500-509, 0-4,,-3"})
        self.assertEqual(reply.status, 206)
        self.assertRegex(reply["Content-Type"], "^multipart/byteranges; boundary=")
        expected = [(0, 5), (500, 510), (997, 1000)]
        told = [(f"bytes {start}-{stop - 1}/1000", stream.data(start, stop)) for start, stop in expected]
        self.assertEqual((self.parts(reply), stream.asked), (told, expected))

    def test_long_parts_are_read_as_they_go(self):
        """A part longer than what is held, and another."""
        stream = Stream(3 * limits.READ_TOGETHER)
        text = f"bytes=0-9,100-{2 * limits.READ_TOGETHER}"
        reply = self.serve(stream).ask("GET", "/v1/files/a", {"Range": text})
        self.assertEqual(len(reply.body), int(reply["Content-Length"]))
        for start, stop in ((0, 10), (100, 2 * limits.READ_TOGETHER + 1)):
            self.assertIn(stream.data(start, stop), reply.body)

    def test_ranges_that_overlap_are_one(self):
        """An answer with one part is no multipart one."""
        reply = self.serve(Stream(1000)).ask("GET", "/v1/files/a", {"Range": "bytes=10-19,0-9,5-12"})
        self.assertEqual((reply.status, reply["Content-Range"], len(reply.body)), (206, "bytes 0-19/1000", 20))

    def test_too_many_are_refused(self):
        """And the file is not sent instead."""
        text = "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(limits.RANGES + 1))
        stream = Stream(1000)
        reply = self.serve(stream).ask("GET", "/v1/files/a", {"Range": text})
        self.assertEqual((reply.status, reply["Content-Range"], stream.asked), (416, "bytes */1000", []))

    def test_if_range_of_another_version_gives_the_whole(self):
        """Of several ranges, too; a date is no version."""
        for other in ('"x"', 'W/"v"', "Thu, 01 Jan 1970 00:00:00 GMT"):
            headers = {"Range": "bytes=0-1,5-6", "If-Range": other}
            reply = self.serve(Stream(1000)).ask("GET", "/v1/files/a", headers)
            self.assertEqual((reply.status, len(reply.body)), (200, 1000))
        reply = self.serve(Stream(1000)).ask("GET", "/v1/files/a", {"Range": "bytes=0-1,5-6", "If-Range": '"v"'})
        self.assertEqual(reply.status, 206)

    def test_head_has_no_range(self):
        """It tells of the whole file (RFC 9110 14.2)."""
        node = Node(filesystem=memory_filesystem(Node().clock))
        node.ask("PUT", "/v1/files/a", {}, b"0123456789")
        reply = node.ask("HEAD", "/v1/files/a", {"Range": "bytes=0-1,5-6"})
        self.assertEqual((reply.status, reply["Content-Length"]), (200, "10"))


class SpansTests(SynchronousTestCase):
    """What a ``Range`` says."""

    @given(st.text(alphabet="bytes=0123456789-, \t", max_size=60), st.integers(0, 50))
    def test_whatever_it_says_nothing_outside_the_file_is_read(self, text: str, size: int) -> None:
        """And what is read is in order, without overlap."""
        try:
            found = spans(text, size)
        except RequestProblem as problem:
            self.assertEqual((problem.status, problem.headers["Content-Range"]), (416, f"bytes */{size}"))
            return
        before = -1
        for one in found or []:
            self.assertTrue(before < one.start < one.stop <= size)
            before = one.stop

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=16), st.integers(1, 30))
    def test_it_is_what_was_asked_for(self, wanted: list[tuple[int, int]], size: int) -> None:
        """Byte for byte."""
        pairs = [(min(one), max(one)) for one in wanted]
        expected = {place for first, last in pairs for place in range(first, last + 1) if place < size}
        text = "bytes=" + ", ".join(f"{first}-{last}" for first, last in pairs)
        if not expected:
            self.assertRaises(RequestProblem, spans, text, size)
            return
        found = spans(text, size)
        assert found is not None
        self.assertEqual({place for one in found for place in range(one.start, one.stop)}, expected)

    def test_numbers_that_are_too_long_count_for_nothing(self) -> None:
        """As anything else that is no range."""
        self.assertIsNone(spans("bytes=" + "9" * 5000 + "-", 10))

    @given(st.sets(st.integers(0, 100), min_size=4, max_size=12))
    def test_a_multipart_body_is_as_long_as_it_says(self, places: set[int]) -> None:
        """Whatever its parts are."""
        ordered = sorted(places)
        found = [Span(*pair) for pair in zip(ordered[::2], ordered[1::2], strict=False)]
        several = Multipart(found, 1000, "text/plain", "abc")
        body = b"".join(several.before(one) + bytes(one.stop - one.start) for one in found) + several.end
        self.assertEqual(len(body), several.length)
