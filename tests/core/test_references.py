"""Which chunks manifests need, and what is lost of files: FORMAT 5.3, 7.2."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.manifests import Manifest, Piece
from ifap_twisted.core.references import RANGES, Loss, Losses, Part, Row, named, parts
from tests.core.manifests import manifests

NAMES = [f"{number:042d}A" for number in range(24)]

_Known = tuple[Row, dict[Part, Row | None]]


def tree(pieces: list[Piece], width: int, depth: int) -> tuple[Row, dict[Part, Row | None], set[str]]:
    """A file of these pieces, with manifests of so many: the uppermost, those below, and the names of these."""
    below: dict[Part, Row | None] = {}
    rows = [Manifest(tuple(pieces))]
    for level in range(depth):
        groups = [pieces[start : start + width] for start in range(0, len(pieces), width)]
        rows = [Manifest(tuple(group), level) for group in groups]
        pieces = []
        for row in rows:
            name = f"{abs(hash(row)) % 10**41:041d}{level}A"
            below[Part(name, row.size, level)] = Row.of(row)
            pieces.append(Piece(name, row.size))
        rows = [Manifest(tuple(pieces), level + 1)]
    return Row.of(rows[0]), below, {part.name for part in below}


def flattened(row: Row, below: dict[Part, Row | None]) -> Iterator[Piece]:
    """The chunks of content of a file, in order."""
    for piece in row.pieces():
        inner = below.get(Part(piece.name, piece.length, row.depth - 1))
        if inner is None:
            yield piece
        else:
            yield from flattened(inner, below)


files = st.builds(
    tree,
    st.lists(st.builds(Piece, st.sampled_from(NAMES), st.integers(1, 9)), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(0, 3),
)


class RowTests(SynchronousTestCase):
    """A manifest as it is kept."""

    @given(manifests)
    def test_nothing_is_lost(self, manifest: Manifest) -> None:
        """Its names, lengths and depth are those of the manifest."""
        row = Row.of(manifest)
        self.assertEqual((manifest.pieces, manifest.depth), (tuple(row.pieces()), row.depth))

    @given(files)
    def test_all_that_is_named(self, file: tuple[Row, dict[Part, Row | None], set[str]]) -> None:
        """The mark has each chunk of content and each manifest below, and nothing else."""
        row, below, lower = file
        rows = [row, *(one for one in below.values() if one is not None)]
        self.assertEqual({piece.name for piece in flattened(row, below)} | lower, named(rows))

    @given(files)
    def test_parts_are_what_is_below(self, file: tuple[Row, dict[Part, Row | None], set[str]]) -> None:
        """From the uppermost manifest all others are found."""
        row, below, _lower = file
        found, level = set[Part](), [row]
        while level:
            new = {part for one in level for part in parts(one)}
            found |= new
            level = [one for part in new if (one := below[part]) is not None]
        self.assertEqual(below.keys(), found)


class LossesTests(SynchronousTestCase):
    """What is lost of a file."""

    @given(files, st.sets(st.sampled_from(NAMES)))
    def test_the_ranges_are_those_of_lost_chunks(
        self, file: tuple[Row, dict[Part, Row | None], set[str]], lost: set[str]
    ) -> None:
        """A byte is told as lost when its chunk is, as far as ranges are told one by one."""
        row, below, lower = file
        expected, offset = list[int](), 0
        for piece in flattened(row, below):
            if piece.name in lost:
                expected += range(offset, offset + piece.length)
            offset += piece.length
        found = Losses(below, (set(NAMES) - lost) | lower).of(row)
        told = [byte for one in found for byte in range(one.start, one.stop)]
        if len(found) < RANGES:
            self.assertEqual(expected, told)
        self.assertEqual(expected[:1], told[:1])
        self.assertEqual(expected[-1:], told[-1:])

    @given(files, st.data())
    def test_a_lost_manifest_loses_all_that_it_names(
        self, file: tuple[Row, dict[Part, Row | None], set[str]], data: st.DataObject
    ) -> None:
        """As many bytes as it stands for, wherever it is named."""
        row, below, lower = file
        if below:
            part = data.draw(st.sampled_from(sorted(below)))
            found = Losses({**below, part: None}, {*NAMES, *lower} - {part.name}).of(row)
            self.assertGreaterEqual(sum(one.stop - one.start for one in found), part.length)

    def test_at_most_so_many_ranges(self) -> None:
        """Of a file with a thousand holes the last range goes to the end of the last hole."""
        pieces = tuple(Piece(NAMES[number % 2], 10) for number in range(200))
        found = Losses({}, {NAMES[0]}).of(Row.of(Manifest(pieces)))
        self.assertEqual(RANGES, len(found))
        self.assertEqual((Loss(10, 20), 2000), (found[0], found[-1].stop))

    def test_a_manifest_that_names_one_below_it_again_and_again(self) -> None:
        """Sixteen million pieces made of three small manifests take no time worth telling."""
        level, below, size = Row.of(Manifest((Piece(NAMES[0], 1),) * 256)), dict[Part, Row | None](), 256
        for depth in (1, 2):
            below[Part(NAMES[depth], size, depth - 1)] = level
            level = Row.of(Manifest((Piece(NAMES[depth], size),) * 256, depth))
            size *= 256
        self.assertEqual((), Losses(below, set(NAMES)).of(level))
        self.assertEqual(0, Losses(below, set(NAMES[1:])).of(level)[0].start)
