"""Large files over HTTP, in chunks below: only what is asked for is fetched, and what is lost is told at both ends."""

from __future__ import annotations

import random

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.control.client import HttpFilesystem
from ifap_twisted.core import limits
from ifap_twisted.errors import ChunkLost
from ifap_twisted.store.memory import MemoryShelf
from tests.control.pipes import PipeEndpoint
from tests.control.wire import TOKEN, Node, memory_filesystem, request
from tests.filesystem.chunked import Chunked, CountingStore

LENGTH = 100_000
DATA = random.Random(4).randbytes(7 * LENGTH)


class ChunkedCase(SynchronousTestCase):
    """A node on a folder with one file of seven chunks."""

    def setUp(self):
        """Nothing of it was read yet."""
        self.clock = MemoryReactorClock()
        self.shelf = MemoryShelf()
        writer = memory_filesystem(self.clock, CountingStore(self.shelf, clock=self.clock), seed="writer")
        self.chunked = Chunked(writer, length=LENGTH)
        self.pieces = self.chunked.pieces(DATA)
        self.chunked.file("large", self.chunked.manifest(self.pieces))
        self.store = CountingStore(self.shelf, clock=self.clock)
        self.node = Node(filesystem=memory_filesystem(self.clock, self.store, seed="reader"), clock=self.clock)
        self.store.asked.clear()

    def fetched(self):
        """Which chunks were fetched, by their numbers in the file."""
        names = [piece.name for piece in self.pieces]
        return [names.index(name) for name in self.chunked.fetched(self.store.asked)]

    def remove(self, number):
        """Lose a chunk."""
        self.shelf.remove(self.chunked.places(self.pieces[number]))


class GetTests(ChunkedCase):
    """What goes over the wire."""

    def test_the_whole_file_arrives(self):
        """Each chunk is fetched once."""
        reply = self.node.ask("GET", "/v1/files/large")
        self.assertEqual((reply["Content-Length"], reply.body), (str(len(DATA)), DATA))
        self.assertEqual(sorted(self.fetched()), list(range(7)))

    def test_a_range_fetches_the_chunks_that_it_needs(self):
        """Those at both its ends, too."""
        reply = self.node.ask("GET", "/v1/files/large", {"Range": f"bytes={2 * LENGTH - 1}-{2 * LENGTH}"})
        self.assertEqual((reply.status, reply.body), (206, DATA[2 * LENGTH - 1 : 2 * LENGTH + 1]))
        self.assertEqual(self.fetched(), [1, 2])

    def test_several_ranges_fetch_the_chunks_that_they_need(self):
        """And none between them."""
        text = f"bytes=5-9,{6 * LENGTH}-{6 * LENGTH + 9}"
        reply = self.node.ask("GET", "/v1/files/large", {"Range": text})
        self.assertEqual(reply.status, 206)
        self.assertEqual(self.fetched(), [0, 6])

    def test_head_fetches_nothing(self):
        """The length is that of the file."""
        reply = self.node.ask("HEAD", "/v1/files/large")
        self.assertEqual((reply["Content-Length"], self.store.asked), (str(len(DATA)), []))

    def test_a_chunk_that_is_lost_cuts_the_answer_before_it(self):
        """All that was sent is right."""
        self.remove(5)
        wire = self.node.connect()
        wire.send(request("GET", "/v1/files/large"))
        self.assertTrue(wire.aborted)
        body = wire.value().partition(b"\r\n\r\n")[2]
        self.assertEqual(body, DATA[: len(body)])
        self.assertLessEqual(len(body), 5 * LENGTH)
        self.assertGreaterEqual(len(body), limits.READ_TOGETHER)

    def test_a_range_that_is_lost_says_which_bytes(self):
        """Of the file, not of the range."""
        self.remove(5)
        reply = self.node.ask("GET", "/v1/files/large", {"Range": f"bytes={5 * LENGTH + 10}-{5 * LENGTH + 20}"})
        found = reply.json()
        self.assertEqual((reply.status, found["code"], found["path"]), (502, "chunk-lost", "/large"))
        self.assertEqual(found["about"], {"offset": 5 * LENGTH, "length": LENGTH})


class ClientTests(ChunkedCase):
    """Our client at the other end."""

    def settle(self, work):
        """Let bytes move until it has ended."""
        endpoint = PipeEndpoint(self.node.site)
        there = HttpFilesystem(self.clock, endpoint, TOKEN)
        asked = work(there)
        for _ in range(500):
            endpoint.pump.run()
            self.clock.advance(0)
            if asked.called:
                break
        return asked

    def test_get_gives_the_whole_file(self):
        """Byte for byte."""
        self.assertEqual(self.successResultOf(self.settle(lambda there: there.get("large"))), DATA)

    def test_a_stream_that_meets_a_loss_tells_which_bytes(self):
        """As in the process of the node."""
        self.remove(5)
        work = self.settle(lambda there: there.stream("large").addCallback(lambda one: one.read(0, len(DATA))))
        error = self.failureResultOf(work, ChunkLost).value
        self.assertEqual((error.offset, error.length, error.path), (5 * LENGTH, LENGTH, "large"))
