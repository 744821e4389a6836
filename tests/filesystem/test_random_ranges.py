"""Random ranges of a large file are what was put, and cost no more than the chunks that they touch."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.filesystem.chunk_reading import ChunkReader
from ifap_twisted.filesystem.naming import Naming
from ifap_twisted.filesystem.streams import ChunkedStream
from tests.filesystem.chunked import Chunked, CountingStore
from tests.filesystem.folders import Folder, result

LENGTH = 300
SIZE = 200 * LENGTH - 77
RANGES = 10_000


class RandomRangeTests(SynchronousTestCase):
    """One file of 200 chunks, in manifests of 20 pieces each; of the chunks 12 are kept."""

    @classmethod
    def setUpClass(cls) -> None:
        """Written once."""
        cls.data = random.Random(1).randbytes(SIZE)
        folder = Folder()
        writer = folder.device(make_key=True)
        cls.chunked = Chunked(writer, length=LENGTH, most=20)
        cls.chunked.put("large", cls.data)
        cls.store = CountingStore(folder.shelf, clock=folder.clock)
        cls.reader = folder.device(store=cls.store)

    def setUp(self) -> None:
        """Nothing of it is kept."""
        desk = self.reader.desk
        chunks = ChunkReader(Naming(desk.view), desk.view, desk.reader, desk.worker, kept=12 * LENGTH + 13 * 20 * 300)
        opened = result(self.reader.stream("large"))
        self.stream = ChunkedStream(opened.entry, opened.manifest, chunks)
        self.chunks = chunks
        result(self.stream.read(0, SIZE))  # the lists of chunks are small, and all kept
        self.store.asked.clear()

    def cost(self, start: int, stop: int) -> tuple[int, int]:
        """How many chunks a range touches, and how many were fetched for it."""
        touched = (min(stop, SIZE) - 1) // LENGTH - start // LENGTH + 1 if start < min(stop, SIZE) else 0
        fetched = len(self.store.asked)
        self.store.asked.clear()
        return touched, fetched

    def test_ten_thousand_random_ranges_are_what_was_put(self) -> None:
        """Each fetches at most two chunks more than it touches, and what is kept stays within its bound."""
        draw = random.Random(2)
        for _ in range(RANGES):
            start = draw.randrange(SIZE + 100)
            stop = start + draw.choice([1, 10, LENGTH, 4 * LENGTH])
            self.assertEqual(result(self.stream.read(start, stop)), self.data[start:stop])
            touched, fetched = self.cost(start, stop)
            self.assertLessEqual(fetched, touched + limits.CHUNKS_AHEAD)
        self.assertLessEqual(self.chunks.held, 12 * LENGTH + 13 * 20 * 300)

    @given(st.lists(st.tuples(st.integers(0, SIZE + 9), st.integers(0, SIZE + 9)), min_size=1, max_size=8))
    def test_any_ranges_are_what_was_put(self, ranges: list[tuple[int, int]]) -> None:
        """Whatever was read before."""
        for start, stop in ranges:
            self.assertEqual(result(self.stream.read(start, stop)), self.data[start:stop])

    def test_all_of_it_in_small_parts_fetches_each_chunk_once(self) -> None:
        """Reading on, in parts that fit no chunk."""
        found = b"".join(result(self.stream.read(at, at + 77)) for at in range(0, SIZE, 77))
        names = self.chunked.fetched(self.store.asked)
        self.assertEqual(found, self.data)
        self.assertEqual(len(names), len(set(names)))
