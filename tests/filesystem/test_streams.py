"""Large files, read whole and a part at a time, over a shelf in memory (FORMAT 7.1)."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import chunk_path
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.errors import (
    IsADirectory,
    NotFound,
    TooLarge,
    UnknownVersion,
)
from tests.filesystem.chunked import Chunked, CountingStore
from tests.filesystem.folders import Folder, result

DATA = random.Random(5).randbytes(20_500)


class LargeFile(SynchronousTestCase):
    """A folder with one large file of 21 chunks, and a device that has read nothing of it yet."""

    most = 256
    depth = 0

    def setUp(self) -> None:
        """Written by one device, to be read by another."""
        self.folder = Folder()
        self.writer = self.folder.device(make_key=True)
        self.chunked = Chunked(self.writer, most=self.most)
        self.vid = self.chunked.put("large", DATA)
        self.store = CountingStore(self.folder.shelf, clock=self.folder.clock)
        self.reader = self.folder.device(store=self.store)
        self.store.asked.clear()

    def fetched(self) -> list[str]:
        """The names of the chunks that the reader fetched since this was asked last."""
        found = self.chunked.fetched(self.store.asked)
        self.store.asked.clear()
        return found

    def piece(self, number: int) -> Piece:
        """A chunk of the file, as its manifest has it."""
        return result(self.reader.stream("large")).manifest.pieces[number]

    def damage(self, number: int) -> None:
        """Let the shelf give something else in place of a chunk."""
        for uid in self.chunked.places(self.piece(number)):
            message = bytearray(self.folder.shelf.messages[uid])
            middle = len(message) - 200
            message[middle] = ord("A") if message[middle] != ord("A") else ord("B")
            self.folder.shelf.tamper(uid, bytes(message))

    def remove(self, number: int) -> None:
        """Remove a chunk from the shelf."""
        self.folder.shelf.remove(self.chunked.places(self.piece(number)))


class WholeTests(LargeFile):
    """`get` and `read`."""

    def test_get_gives_the_whole_file(self) -> None:
        """Put together from its chunks."""
        self.assertEqual(result(self.reader.get("large")), DATA)

    def test_read_says_which_version_it_is(self) -> None:
        """Its size is that of the file."""
        record = result(self.reader.read("/large"))
        self.assertEqual((record.data, record.entry.version, record.entry.size), (DATA, self.vid, len(DATA)))

    def test_an_old_version_can_be_read(self) -> None:
        """By its id, when a newer one is there."""
        result(self.writer.put("large", b"small now"))
        self.assertEqual(result(self.reader.get("large", version=self.vid)), DATA)

    def test_a_file_that_is_too_long_to_be_given_whole_is_refused(self) -> None:
        """The error says what to do instead, and nothing was fetched but the manifest."""
        size = limits.FILE_IN_MEMORY + 1
        pieces = [Piece("A" * 43, min(limits.CHUNK_MOST, size - start)) for start in range(0, size, limits.CHUNK_MOST)]
        self.chunked.file("huge", Manifest(tuple(pieces)))
        with self.assertRaises(TooLarge) as caught:
            result(self.reader.get("huge"))
        self.assertEqual((caught.exception.limit, caught.exception.size), (limits.FILE_IN_MEMORY, size))
        self.assertIn("stream", caught.exception.detail)
        self.assertEqual(self.fetched(), [])

    def test_the_chunks_themselves_can_be_read(self) -> None:
        """Under their reserved names, as files (FORMAT 6.1)."""
        self.assertEqual(result(self.reader.get("/" + chunk_path(self.piece(0).name)))[:1000], DATA[:1000])


class StreamTests(LargeFile):
    """`stream`."""

    def test_a_range_is_the_same_part_of_the_file(self) -> None:
        """Also one that begins and ends within chunks."""
        stream = result(self.reader.stream("large"))
        self.assertEqual(result(stream.read(1500, 4321)), DATA[1500:4321])

    def test_its_entry_is_that_of_the_version(self) -> None:
        """With the size of the file."""
        entry = result(self.reader.stream("large")).entry
        self.assertEqual((entry.version, entry.size, entry.path), (self.vid, len(DATA), "large"))

    def test_only_the_chunks_of_a_range_are_fetched(self) -> None:
        """One of 21 for bytes that lie in it, and the lists that lead to it."""
        stream = result(self.reader.stream("large"))
        result(stream.read(5100, 5900))
        *lists, content = self.fetched()
        self.assertEqual((len(lists), content), (self.depth, self.piece(5).name))

    def test_what_is_behind_the_end_is_left_out(self) -> None:
        """And what lies outside of the file is empty."""
        stream = result(self.reader.stream("large"))
        found = [result(stream.read(*one)) for one in ((20_400, 99_999), (20_500, 20_501), (30, 20), (-5, 3))]
        self.assertEqual(found, [DATA[20_400:], b"", b"", DATA[:3]])

    def test_a_small_file_is_a_stream_too(self) -> None:
        """Of one message."""
        result(self.writer.put("small", b"0123456789"))
        stream = result(self.reader.stream("small"))
        self.assertEqual(
            (stream.entry.size, result(stream.read(2, 5)), result(stream.read(8, 99))), (10, b"234", b"89")
        )

    def test_what_is_no_file_is_none(self) -> None:
        """As for `get`: a directory, nothing, a removal, an unknown version."""
        result(self.writer.make_directory("d"))
        result(self.writer.put("gone", b"x"))
        result(self.writer.remove("gone"))
        (tombstone, _before) = result(self.writer.versions("gone"))
        cases = [("d", None, IsADirectory), ("no", None, NotFound), ("large", "none-such", UnknownVersion)]
        for path, version, error in [*cases, ("gone", tombstone.version, NotFound)]:
            with self.assertRaises(error):
                result(self.reader.stream(path, version=version))

    def test_a_stream_goes_on_when_the_file_was_replaced(self) -> None:
        """It is of one version."""
        stream = result(self.reader.stream("large"))
        result(self.writer.put("large", b"another"))
        self.assertEqual(result(stream.read(3000, 3010)), DATA[3000:3010])

    def test_more_than_is_held_in_memory_is_not_given_at_once(self) -> None:
        """A stream is read a part at a time."""
        size = limits.FILE_IN_MEMORY + 1
        pieces = [Piece("A" * 43, min(limits.CHUNK_MOST, size - start)) for start in range(0, size, limits.CHUNK_MOST)]
        self.chunked.file("huge", Manifest(tuple(pieces)))
        stream = result(self.reader.stream("huge"))
        with self.assertRaises(TooLarge):
            result(stream.read(0, size))


class NestedStreamTests(StreamTests):
    """The same with manifests of manifests: 3 pieces each."""

    most = 3
    depth = 2

    def piece(self, number: int) -> Piece:
        stream = result(self.reader.stream("large"))
        wanted = number * 1000

        async def first() -> Piece:
            async for stretch in stream.stretches(wanted, wanted + 1):
                return stretch.piece
            raise AssertionError(number)

        return result(Deferred.fromCoroutine(first()))
