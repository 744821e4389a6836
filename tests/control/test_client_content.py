"""The content of a file at a node, a part at a time: only what was asked for is content."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.web.resource import Resource
from twisted.web.server import Site

from ifap_twisted import errors
from ifap_twisted.control.problems import problem
from ifap_twisted.core import limits
from ifap_twisted.core.chunks import chunk_path
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.values import Entry, Record
from ifap_twisted.filesystem.desk import Options
from tests.cli.large import FakeStream
from tests.control.pipes import PipeEndpoint
from tests.control.scripted import Held
from tests.control.test_client import ClientCase
from tests.control.wire import Node
from tests.filesystem.folders import Folder

DATA = bytes(range(256)) * 2000
VARIED = random.Random(5).randbytes(700_000)
"""No two chunks of it are equal."""


class StreamTests(ClientCase):
    """``HttpFilesystem.stream``."""

    def setUp(self):
        """A node with a file."""
        super().setUp()
        self.version = self.result(self.here.put("d/a", DATA)).version

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(-5, len(DATA) + 5), st.integers(-5, len(DATA) + 5)), max_size=5))
    def test_ranges(self, ranges):
        """Any ranges, in any order, are the bytes of the file there; what is beyond its ends is cut off."""
        stream = self.result(self.there.stream("d/a"))
        for start, stop in ranges:
            self.assertEqual(self.result(stream.read(start, stop)), DATA[max(start, 0) : max(stop, 0)])

    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, len(DATA)))
    def test_in_order(self, step):
        """Read from the beginning to the end it is the file, whatever is fetched ahead."""
        step = max(step, 20_000)
        stream = self.result(self.there.stream("d/a"))
        parts = [self.result(stream.read(start, start + step)) for start in range(0, len(DATA), step)]
        self.assertEqual(b"".join(parts), DATA)

    def test_entry(self):
        """It comes with its entry; an empty file has no part."""
        stream = self.result(self.there.stream("d/a"))
        self.assertEqual(stream.entry, self.result(self.here.stat("d/a")))
        self.result(self.here.put("e", b""))
        self.assertEqual(self.result(self.result(self.there.stream("e")).read(0, 10)), b"")

    def test_one_version(self):
        """It stays the version that it was at first, and an older one is had by its id or the beginning of it."""
        stream = self.result(self.there.stream("d/a"))
        self.result(self.here.put("d/a", b"new"))
        self.assertEqual(self.result(stream.read(1, 4)), DATA[1:4])
        self.assertEqual(self.result(self.result(self.there.stream("d/a")).read(0, 9)), b"new")
        old = self.result(self.there.stream("d/a", version=self.version[:8]))
        self.assertEqual((old.entry.version, self.result(old.read(0, 3))), (self.version, DATA[:3]))

    def test_what_is_no_file(self):
        """A directory, nothing, a removal and an unknown version are the errors that a get gives."""
        self.result(self.here.put("r", b"x"))
        self.result(self.here.remove("r"))
        (tombstone, _old) = self.result(self.here.versions("r"))
        for path, version, kind in (
            ("d", None, errors.IsADirectory),
            ("", None, errors.IsADirectory),
            ("n", None, errors.NotFound),
            ("r", None, errors.NotFound),
            ("r", tombstone.version, errors.NotFound),
            ("d/a", "zzzz", errors.UnknownVersion),
        ):
            self.error(self.there.stream(path, version=version), kind)
            self.error(self.there.get(path, version=version), kind)

    def test_cut(self):
        """A node that is gone in the middle: unavailable, never a short part."""
        stream = self.result(self.there.stream("d/a"))
        reading = stream.read(0, len(DATA))
        for _ in range(3):
            for end in list(self.endpoint.pump.ends):
                end.move()
        self.assertNoResult(reading)
        self.endpoint.up = False
        self.endpoint.break_all()
        self.error(reading, errors.Unavailable)

    def test_taken_up(self):
        """An answer that is cut while the node is there goes on where it was cut."""
        stream = self.result(self.there.stream("d/a"))
        reading = stream.read(0, len(DATA))
        for _ in range(3):
            for end in list(self.endpoint.pump.ends):
                end.move()
        self.endpoint.break_all()
        self.assertEqual(self.result(reading), DATA)

    def test_cancelled(self):
        """Cancelling a read ends it, and the next one goes on."""
        stream = self.result(self.there.stream("d/a"))
        reading = stream.read(0, 1000)
        reading.cancel()
        self.error(reading, CancelledError)
        self.assertEqual(self.result(stream.read(0, 1000)), DATA[:1000])

    def test_closed_meanwhile(self):
        """What was fetched ahead and is not wanted keeps nobody from closing."""
        stream = self.result(self.there.stream("d/a"))
        self.assertEqual(self.result(stream.read(0, 1000)), DATA[:1000])
        self.result(self.there.close())


class WholeTests(ClientCase):
    """``HttpFilesystem.get`` and ``read``."""

    def test_cut(self):
        """A reading that is cut goes on where it was cut."""
        entry = self.result(self.here.put("a", DATA))
        reading = self.there.read("a")
        for _ in range(3):
            for end in list(self.endpoint.pump.ends):
                end.move()
        self.assertNoResult(reading)
        self.endpoint.break_all()
        self.assertEqual(self.result(reading), Record(entry=entry, data=DATA))

    def test_too_long(self):
        """What is too long to be held in memory is refused, as it is here, before it comes."""
        entry = Entry(path="a", version="v", size=limits.FILE_IN_MEMORY + 1)
        stream = FakeStream(b"")
        stream.entry = entry
        asked = []

        def read(start, stop):
            asked.append((start, stop))
            return succeed(bytes(min(stop, entry.size) - start))

        stream.read = read
        self.script(stream=lambda *_path, **_version: succeed(stream), stat=lambda *_path, **_version: succeed(entry))
        error = self.error(self.there.get("a"), errors.TooLarge)
        self.assertEqual((error.limit, error.size), (limits.FILE_IN_MEMORY, entry.size))
        self.error(self.result(self.there.stream("a")).read(0, entry.size), errors.TooLarge)
        self.assertLess(sum(stop - start for start, stop in asked), 32 << 20)


class Answers(Resource):
    """A node that answers reads as it is told."""

    isLeaf = True

    def __init__(self, entry):
        super().__init__()
        self.entry = entry
        self.answer = None
        self.asked = []

    def render_GET(self, request):
        """The entry, or what ``answer`` makes of the request."""
        request.setHeader(b"Content-Type", b"application/json")
        if b"stat" in request.args:
            return json.dumps(self.entry.to_json()).encode()
        self.asked.append(request.getHeader("range"))
        return self.answer(request)


def partial(text, tag, body, code=206):
    """An answer with a part."""

    def answer(request):
        request.setResponseCode(code)
        request.setHeader(b"Content-Range", text)
        request.setHeader(b"ETag", tag)
        return body

    return answer


def problem_of(error):
    """An answer with an error."""

    def answer(request):
        request.setResponseCode(502)
        request.setHeader(b"Content-Type", b"application/problem+json")
        return json.dumps(problem(error)).encode()

    return answer


class OddTests(ClientCase):
    """Answers that are not what was asked for."""

    def setUp(self):
        """A node that says what it is told."""
        super().setUp()
        self.odd = Answers(Entry(path="a", version="v1", size=10))
        self.endpoint = PipeEndpoint(Site(self.odd, reactor=self.node.clock))
        self.there._link._address = self.endpoint
        self.stream = self.result(self.there.stream("a"))

    def test_right(self):
        """The part that was asked for is content."""
        self.odd.answer = partial(b"bytes 2-4/10", b'"v1"', b"cde")
        self.assertEqual(self.result(self.stream.read(2, 5)), b"cde")
        self.assertEqual(self.odd.asked, ["bytes=2-4"])

    def test_wrong(self):
        """Another range, another version, another length, a whole file: a violation of the protocol, never content."""
        for text, tag, body, code in (
            (b"bytes 3-5/10", b'"v1"', b"cde", 206),
            (b"bytes 2-4/11", b'"v1"', b"cde", 206),
            (b"bytes 2-4/10", b'"v2"', b"cde", 206),
            (b"bytes 2-4/10", b"", b"cde", 206),
            (b"bytes 2-4/10", b'"v1"', b"cd", 206),
            (b"bytes 2-4/10", b'"v1"', b"cdef", 206),
            (b"bytes 2-4/10", b'"v1"', b"cde", 200),
            (b"", b'"v1"', b"abcdefghij", 200),
        ):
            self.odd.answer = partial(text, tag, body, code)
            self.error(self.stream.read(2, 5), errors.ProtocolViolation)

    def test_lost(self):
        """A part that is lost is told as such, with where it is."""
        self.odd.answer = problem_of(errors.ChunkLost("Gone.", path="a", offset=3, length=4))
        error = self.error(self.stream.read(0, 10), errors.ChunkLost)
        self.assertEqual((error.offset, error.length), (3, 4))

    def test_lost_in_the_middle(self):
        """Where an answer breaks off because of it, too."""

        def break_off(request):
            if request.getHeader("range") != "bytes=0-9":
                return problem_of(errors.ChunkLost("Gone.", path="a", offset=3, length=4))(request)
            request.setResponseCode(206)
            for name, value in (("Content-Range", "bytes 0-9/10"), ("ETag", '"v1"'), ("Content-Length", "10")):
                request.responseHeaders.setRawHeaders(name, [value])
            request.write(b"abc")
            self.node.clock.callLater(0, request.loseConnection)
            return 1

        self.odd.answer = break_off
        reading = self.stream.read(0, 10)
        self.assertEqual(self.error(reading, errors.ChunkLost).offset, 3)
        self.assertEqual(self.odd.asked, ["bytes=0-9", "bytes=3-9"])


class SlowTests(ClientCase):
    """Large bodies over slow lines."""

    def test_slow_download(self):
        """As long as bytes come it is waited for them, for hours."""
        self.join(Node(max_file_size=8 << 20))
        data = DATA * 16
        self.result(self.here.put("a", data))
        reading, before = self.there.get("a"), self.node.clock.seconds()
        while not reading.called:
            for end in list(self.endpoint.pump.ends):
                end.move()
            self.node.clock.advance(0.9 * limits.CONTROL_STALL_SECONDS)
        self.assertEqual(self.result(reading), data)
        self.assertGreater(self.node.clock.seconds() - before, limits.CONTROL_ANSWER_SECONDS)

    def test_slow_upload(self):
        """As long as bytes are taken it is waited for the answer, for hours."""
        held = Held()
        taken = []

        def put(path, source, **_more):
            async def take():
                async for piece in source:
                    taken.append(len(piece))
                    pause = held()
                    await pause
                return Entry(path=path, version="v")

            return Deferred.fromCoroutine(take())

        self.script(put=put, stat=lambda *_a, **_m: succeed(Entry(path="", type="directory")))
        writing = self.there.put("a", bytes(1 << 20))
        answered = 0
        for _ in range(100):
            self.settle()
            if answered < len(held.results):
                if sum(taken) < 1 << 19:  # the last pieces are all on their way
                    self.node.clock.advance(0.4 * limits.CONTROL_ANSWER_SECONDS)
                held.results[answered].callback(None)
                answered += 1
        self.assertEqual(self.result(writing).version, "v")
        self.assertGreater(answered, 4)
        self.assertEqual(sum(taken), 1 << 20)


class ChunkedTests(ClientCase):
    """Files in chunks, through a node."""

    def setUp(self):
        """A node that cuts files above 64 KiB."""
        super().setUp()
        folder = Folder()
        options = Options(chunk_threshold=64 << 10, cutting=Cutting(8 << 10, 32 << 10, 13))
        self.shelf, filesystem = folder.shelf, folder.device(options=options)
        self.join(Node(filesystem=filesystem, clock=self.node.clock, max_file_size=1 << 44))

    def test_both_ways(self):
        """What is put there, of known and unknown length, comes back; any range of it, too."""
        for size in (None, len(DATA)):
            entry = self.result(self.there.put("a", iter([DATA[:70_000], DATA[70_000:]]), size=size))
            self.assertEqual((entry.size, entry.sha256), (len(DATA), None))
            stream = self.result(self.there.stream("a"))
            self.assertEqual(self.result(stream.read(0, len(DATA))), DATA)
            self.assertEqual(self.result(stream.read(100_000, 100_010)), DATA[100_000:100_010])

    def test_unless_equal(self):
        """Put again it is the same version, told by its content."""
        first = self.result(self.there.put("a", iter([DATA])))
        before = set(self.shelf.messages)
        again = self.result(self.there.put("a", iter([DATA[:5], DATA[5:]]), unless_equal=True))
        self.assertEqual((again.version, set(self.shelf.messages)), (first.version, before))
        other = self.result(self.there.put("a", iter([DATA[:-1], b"?"]), unless_equal=True))
        self.assertNotEqual(other.version, first.version)

    def test_lost(self):
        """A chunk that is lost is told with its range, and what comes before and after it is read."""
        self.result(self.there.put("a", iter([VARIED])))
        index = self.here.desk.view.index
        manifest = self.result(self.here.stream("a")).manifest
        behind = sum(piece.length for piece in manifest.pieces[:3])
        lost = manifest.pieces[3]
        for placed in index.history(chunk_path(lost.name)).versions:
            self.shelf.remove(placed.places)
        self.result(self.here.refresh())
        stream = self.result(self.there.stream("a"))
        error = self.error(stream.read(0, len(VARIED)), errors.ChunkLost)
        self.assertEqual((error.offset, error.length), (behind, lost.length))
        self.assertEqual(self.result(stream.read(0, behind)), VARIED[:behind])
        after = behind + lost.length
        self.assertEqual(self.result(stream.read(after, len(VARIED))), VARIED[after:])
