"""`open(path, "rb")` of a large file: seek and read fetch what they need."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.values import Entry
from ifap_twisted.errors import TimedOut, TooLarge
from ifap_twisted.filesystem.streamed_files import StreamedFile
from tests.filesystem.folders import result
from tests.filesystem.test_streams import DATA, LargeFile


class OpenTests(LargeFile):
    """Over a folder in memory."""

    def opened(self, path: str = "large", mode: str = "rb") -> Any:
        """An open file."""

        async def opening() -> Any:
            return await self.reader.open(path, mode)

        return result(Deferred.fromCoroutine(opening()))

    def test_a_part_is_read_where_it_lies(self) -> None:
        """After a seek."""
        file = self.opened()
        result(file.seek(12_345))
        self.assertEqual(result(file.read(1000)), DATA[12_345:13_345])

    def test_opening_fetches_no_chunk(self) -> None:
        """Nor does seeking."""
        result(self.opened().seek(5000))
        self.assertEqual(self.fetched(), [])

    def test_text_is_read_whole(self) -> None:
        """A large one too."""
        text = "größer\n" * 1000
        self.chunked.put("text", text.encode())
        self.assertEqual(result(self.opened("text", "r").read()), text)

    def test_text_that_is_too_long_to_be_held_is_refused(self) -> None:
        """What is read as a whole; a part of it can be read all the same."""
        size = limits.FILE_IN_MEMORY + 1
        pieces = [Piece("A" * 43, min(limits.CHUNK_MOST, size - start)) for start in range(0, size, limits.CHUNK_MOST)]
        pieces[0] = self.chunked.chunk(bytes(limits.CHUNK_MOST))
        self.chunked.file("huge", Manifest(tuple(pieces)))
        with self.assertRaises(TooLarge) as caught:
            result(self.opened("huge", "r").read())
        self.assertIn("stream", caught.exception.detail)
        self.assertEqual(result(self.opened("huge").read(5)), bytes(5))


class Stream:
    """Counts what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.entry = Entry(path="a", size=len(data))
        self.asked: list[tuple[int, int]] = []
        self.error: Exception | None = None
        self._data = data

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        """A part."""
        self.asked.append((start, stop))
        return succeed(self._data[start:stop]) if self.error is None else fail(self.error)


class StreamedFileTests(SynchronousTestCase):
    """Over any stream."""

    def test_many_small_reads_ask_for_the_stream_once(self) -> None:
        """As long as they are near each other."""
        stream = Stream(DATA)
        file = StreamedFile(stream)
        self.assertEqual(b"".join(result(file.read(10)) for _ in range(100)), DATA[:1000])
        self.assertEqual(len(stream.asked), 1)

    def test_reads_that_are_not_waited_for_follow_each_other(self) -> None:
        """Each gives what is behind the one before."""
        file = StreamedFile(Stream(DATA))
        works = [file.read(10), file.read(10)]
        self.assertEqual([result(work) for work in works], [DATA[:10], DATA[10:20]])

    def test_a_read_that_fails_leaves_the_position(self) -> None:
        """It can be tried again."""
        stream = Stream(DATA)
        stream.error = TimedOut()
        file = StreamedFile(stream)
        self.failureResultOf(file.read(10), TimedOut)
        stream.error = None
        self.assertEqual(result(file.read(10)), DATA[:10])

    def test_a_long_read_is_not_held(self) -> None:
        """Only so much as small reads are given from."""
        data = bytes(limits.READ_TOGETHER * 3)
        stream = Stream(data)
        file = StreamedFile(stream)
        result(file.read())
        result(file.seek(limits.READ_TOGETHER))
        result(file.read(1))
        self.assertEqual(len(stream.asked), 2)

    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("read"), st.integers(-1, 30_000)),
                st.tuples(st.just("seek"), st.integers(0, 30_000), st.just(0)),
                st.tuples(st.just("seek"), st.integers(-9000, 9000), st.sampled_from([1, 2])),
            ),
            max_size=20,
        )
    )
    def test_it_does_what_a_file_of_python_does(self, steps: list[tuple[Any, ...]]) -> None:
        """Whatever is read and wherever it is."""
        file, model = StreamedFile(Stream(DATA)), io.BytesIO(DATA)
        for name, *args in steps:
            self.assertEqual(result(getattr(file, name)(*args)), getattr(model, name)(*args))
