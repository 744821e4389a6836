"""The chunks of a changed file: few of them are new, and they are those of the whole file."""

from __future__ import annotations

import random
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.chunks import chunk_name
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.manifests import Piece
from ifap_twisted.core.overlay import Overlay
from ifap_twisted.core.rows import Row
from ifap_twisted.filesystem.splicing import Splicing
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import result

KEY = b"a key for chunks"
CHUNKER = Chunker(KEY, Cutting(least=64, most=512, bits=6))
CONTENT = random.Random(5).randbytes(9000)


def cut(content: bytes) -> list[bytes]:
    """The chunks of a whole file."""
    chunks = []
    while content:
        length = CHUNKER.cut(content)
        chunks.append(content[:length])
        content = content[length:]
    return chunks


def piece(data: bytes) -> Piece:
    """Its name."""
    return Piece(chunk_name(KEY, data), len(data))


class Shelf:
    """Chunks in memory."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.row = Row(map(piece, cut(content)))
        self.chunks = {piece(data).name: data for data in cut(content)}
        self.stored: list[bytes] = []

    def read(self, one: Piece) -> Deferred[bytes]:
        """One that is there."""
        return succeed(self.chunks[one.name])

    def spliced(self, overlay: Overlay, *, whole: bool = True) -> Row:
        """The row of the changed file."""
        return result(Deferred.fromCoroutine(self._spliced(overlay, whole)))

    async def _spliced(self, overlay: Overlay, whole: bool) -> Row:
        row = Row()
        async for one in Splicing(self.row, overlay, self.read).chunks(CHUNKER, InlineWorker(), whole=whole):
            if isinstance(one, bytes):
                self.stored.append(one)
                self.chunks[piece(one).name] = one
            row.add(piece(one) if isinstance(one, bytes) else one)
        return row

    def content(self, row: Row) -> bytes:
        """What the pieces of a row hold."""
        return b"".join(self.chunks[one.name] for one in row.pieces)


class SplicingTests(SynchronousTestCase):
    """Whatever is changed, what is stored is what a put of the whole file would have stored."""

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 9500), st.binary(min_size=1, max_size=700)), max_size=4),
        st.none() | st.integers(0, 12_000),
    )
    def test_as_the_whole(self, writes, size):
        """A file that was changed in some places, cut or extended has the chunks of its content put anew."""
        shelf, overlay, model = Shelf(), Overlay(len(CONTENT)), bytearray(CONTENT)
        for offset, data in writes:
            overlay.write(offset, data)
            model.extend(bytes(max(0, offset - len(model))))
            model[offset : offset + len(data)] = data
        if size is not None:
            overlay.truncate(size)
            del model[size:]
            model.extend(bytes(size - len(model)))
        row = shelf.spliced(overlay)
        self.assertEqual(shelf.content(row), bytes(model))
        self.assertEqual(row.pieces, [piece(data) for data in cut(bytes(model))])

    @given(st.integers(0, 8900))
    def test_little_is_stored(self, offset):
        """A change of a few bytes stores the chunk that they are in, and rarely some more."""
        shelf, overlay = Shelf(), Overlay(len(CONTENT))
        overlay.write(offset, b"changed")
        shelf.spliced(overlay)
        self.assertLess(sum(map(len, shelf.stored)), 8 * 512)

    def test_nothing_changed(self):
        """Without a change nothing is read or stored."""
        shelf = Shelf()
        self.assertEqual(shelf.spliced(Overlay(len(CONTENT))).pieces, shelf.row.pieces)
        self.assertEqual(shelf.stored, [])

    def test_appending(self):
        """An append stores the last chunk anew, and what follows."""
        shelf, overlay = Shelf(), Overlay(len(CONTENT))
        overlay.write(len(CONTENT), b"more")
        shelf.spliced(overlay)
        self.assertEqual(b"".join(shelf.stored), shelf.chunks[shelf.row.pieces[-1].name] + b"more")

    def test_the_end_is_left_out(self):
        """Before it is known that the file ends, what may become a longer chunk is not stored."""
        shelf = Shelf(b"")
        overlay = Overlay(0)
        overlay.write(0, CONTENT)
        row = shelf.spliced(overlay, whole=False)
        self.assertEqual(row.pieces, [piece(data) for data in cut(CONTENT)[: len(row.pieces)]])
        self.assertTrue(0 < len(CONTENT) - row.size < 512)

    def test_stretches(self):
        """A row tells of each range of bytes which parts of which pieces it needs."""
        row = Shelf().row
        ends = list(accumulate(one.length for one in row.pieces))
        found = list(row.stretches(ends[0] - 3, ends[1] + 2))
        self.assertEqual([stretch.stop - stretch.start for stretch in found], [3, row.pieces[1].length, 2])
        self.assertEqual([stretch.offset for stretch in found], [0, *ends[:2]])
        self.assertEqual(list(row.stretches(row.size, row.size + 5)), [])
