"""Manifests: what is read is what was written, and no lie is believed (FORMAT 7.1)."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core import limits
from ifap_twisted.core.chunks import padded
from ifap_twisted.core.manifests import Manifest, Piece, grouped
from ifap_twisted.errors import DataError, Malformed, NewerVersionNeeded
from tests.core.manifests import manifests, pieces
from tests.core.strategies import json_values, texts

A, B = "A" * 43, "B" * 42 + "A"
GOOD: Final[dict[str, Any]] = {"depth": 0, "pieces": [[A, 0, 3], [B, 3, 4]], "scheme": 1, "size": 7, "v": 1}
GONE: Final[Any] = object()
HUGE: Final = 10**400
ODD: Final = (None, True, False, -1, 1.0, 0.5, "1", [], {}, HUGE, -HUGE, 2**63, float("inf"))
"""No integer that could be right stands here."""


def text(**changes: Any) -> bytes:
    """A manifest with other values, or without some."""
    values = {name: value for name, value in (GOOD | changes).items() if value is not GONE}
    return json.dumps(values).encode()


def of(*rows: Any, size: int = 7, **changes: Any) -> bytes:
    """A manifest with other pieces."""
    return text(pieces=list(rows), size=size, **changes)


class WrittenTests(SynchronousTestCase):
    """What we write."""

    def test_canonical(self) -> None:
        """Keys are sorted, without blanks; each piece says its name, offset and length."""
        expected = f'{{"depth":0,"pieces":[["{A}",0,3],["{B}",3,4]],"scheme":1,"size":7,"v":1}}'
        self.assertEqual(Manifest((Piece(A, 3), Piece(B, 4))).encode(), expected.encode())
        self.assertEqual(Manifest().encode(), b'{"depth":0,"pieces":[],"scheme":1,"size":0,"v":1}')

    @given(manifests)
    def test_there_and_back(self, manifest: Manifest) -> None:
        """It comes back as it was."""
        content = manifest.encode()
        self.assertEqual(Manifest.decode(content, size=manifest.size), manifest)
        self.assertEqual(Manifest.decode(content, size=manifest.size, depth=manifest.depth), manifest)

    @given(manifests)
    def test_padding(self, manifest: Manifest) -> None:
        """One that is stored as a chunk comes back from its padding; the body of a file has none."""
        content = padded(manifest.encode())
        self.assertEqual(Manifest.decode(content, size=manifest.size, depth=manifest.depth), manifest)
        self.assertRaises(Malformed, Manifest.decode, content + b"\0", size=manifest.size)

    def test_longest(self) -> None:
        """The longest that we write is far from being too long."""
        for depth in range(limits.MANIFEST_DEPTH + 1):
            length = limits.CHUNKED_SIZE // limits.MANIFEST_PIECES if depth == limits.MANIFEST_DEPTH else 2**20
            manifest = Manifest((Piece(A, length),) * limits.MANIFEST_PIECES, depth)
            content = manifest.encode()
            self.assertLess(3 * len(content), limits.MANIFEST_BYTES)
            self.assertEqual(Manifest.decode(content, size=manifest.size), manifest)


class LieTests(SynchronousTestCase):
    """What is refused, whoever wrote it."""

    def refused(self, content: bytes, reason: str, *, size: int = 7, depth: int | None = None) -> None:
        error = self.assertRaises(Malformed, Manifest.decode, content, size=size, depth=depth, path="a")
        self.assertIn(reason, str(error))
        self.assertEqual((error.path, error.section), ("a", "body"))

    def test_good(self) -> None:
        """What the lies are made of is none."""
        self.assertEqual(Manifest.decode(text(), size=7), Manifest((Piece(A, 3), Piece(B, 4))))

    def test_gap(self) -> None:
        """Between two pieces, and before the first."""
        self.refused(of([A, 0, 3], [B, 4, 3]), "gap")
        self.refused(of([A, 1, 6]), "gap")

    def test_overlap(self) -> None:
        """Two pieces for one byte."""
        self.refused(of([A, 0, 4], [B, 3, 4]), "overlap")
        self.refused(of([A, 0, 4], [B, 0, 3]), "overlap")
        self.refused(of([A, -1, 8]), "overlap")

    def test_size(self) -> None:
        """Another size than the pieces have, or than the header says."""
        self.refused(text(size=8), "length")
        self.refused(text(), "length", size=8)
        self.refused(text(size=8), "length", size=8)
        self.refused(of(size=0), "length", size=1)

    def test_depth(self) -> None:
        """Deeper than any, or another depth than the manifest above says: so none contains itself."""
        self.refused(text(depth=limits.MANIFEST_DEPTH + 1), "depth")
        self.refused(text(depth=1), "depth", depth=0)
        self.refused(text(depth=0), "depth", depth=1)
        for odd in (*ODD, GONE):
            self.refused(text(depth=odd), "")

    def test_empty_pieces(self) -> None:
        """Pieces without content, of which there could be any number."""
        self.refused(of([A, 0, 0], [B, 0, 7]), "length")
        self.refused(of([A, 0, -7], [B, -7, 14]), "length")

    def test_long_pieces(self) -> None:
        """A chunk is not longer than chunks are, a manifest not than what it can tell of."""
        most = limits.CHUNK_MOST
        self.assertEqual(Manifest.decode(of([A, 0, most], size=most), size=most).size, most)
        self.refused(of([A, 0, most + 1], size=most + 1), "length", size=most + 1)
        most *= limits.MANIFEST_PIECES
        self.assertEqual(Manifest.decode(of([A, 0, most], size=most, depth=1), size=most).size, most)
        self.refused(of([A, 0, most + 1], size=most + 1, depth=1), "length", size=most + 1)

    def test_too_large(self) -> None:
        """A file beyond every bound, even where all agree on it."""
        half = limits.CHUNKED_SIZE // 2
        right = of([A, 0, half], [B, half, half], size=2 * half, depth=3)
        self.assertEqual(Manifest.decode(right, size=2 * half).size, limits.CHUNKED_SIZE)
        wrong = of([A, 0, half], [B, half, half + 1], size=2 * half + 1, depth=3)
        self.refused(wrong, "length", size=2 * half + 1)

    def test_too_many(self) -> None:
        """More pieces than one manifest has."""
        rows = [[A, place, 1] for place in range(limits.MANIFEST_PIECES + 1)]
        self.assertEqual(Manifest.decode(of(*rows[:-1], size=len(rows) - 1), size=len(rows) - 1).size, len(rows) - 1)
        self.refused(of(*rows, size=len(rows)), "too many", size=len(rows))

    def test_too_long(self) -> None:
        """More bytes than any has are not looked at."""
        self.refused(b" " * (limits.MANIFEST_BYTES + 1), "too long")
        self.refused(text() + b" " * limits.MANIFEST_BYTES, "too long")

    def test_shapes(self) -> None:
        """Anything in the place of anything."""
        for odd in (None, True, 1, "x", {}, [A], [A, 0], [A, 0, 7, 1], [0, 0, 7], [None, 0, 7], [[A], 0, 7]):
            self.refused(of(odd), "shape")
        for name in GOOD:
            self.refused(text(**{name: GONE}), "shape")
        for odd in (None, 1, "x", {}, True):
            self.refused(text(pieces=odd), "shape")
        for content in (b"", b"[]", b"7", b"null", b"{", b'{"v":1}', "é".encode(), b"\xff", b"\0", text() * 2):
            self.refused(content, "")

    def test_numbers(self) -> None:
        """Truth values, floats, texts, huge and negative numbers where a number of bytes has to stand."""
        for odd in ODD:
            self.refused(of([A, odd, 7]), "")
            self.refused(of([A, 0, odd]), "")
            self.refused(text(size=odd), "")
        for odd in (None, True, 0, -1, 1.0, "1", [], -HUGE):
            self.refused(text(v=odd), "")
            self.refused(text(scheme=odd), "")

    def test_names(self) -> None:
        """What is no name of a chunk: a path, another length, bits that no hash has."""
        for odd in (
            "",
            A[:-1],
            A + "A",
            "A" * 42 + "B",
            "../" + A[3:],
            A[:-1] + "\n",
            A + "\n",
            "é" * 43,
            "A/" + A[2:],
        ):
            self.refused(of([odd, 0, 7]), "shape")

    def test_hostile_json(self) -> None:
        """A key twice, and nesting without end."""
        self.refused(text()[:-1] + b',"size":7}', "twice")
        self.refused(text()[:-1] + b',"x":' + b"[" * 50_000, "")
        self.refused(text(x=float("nan")), "NaN")

    def test_newer(self) -> None:
        """A newer scheme is no damage, whatever else it says (FORMAT 1.5)."""
        for changes in ({"v": 2}, {"scheme": 2}, {"scheme": 2, "pieces": GONE}, {"v": 9, "depth": "x", "size": None}):
            self.assertRaises(NewerVersionNeeded, Manifest.decode, text(**changes), size=7, path="a")

    def test_more_keys(self) -> None:
        """What a later release says besides is left out."""
        self.assertEqual(Manifest.decode(text(more={"x": [1]}), size=7), Manifest.decode(text(), size=7))

    @given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
    def test_anything(self, content: bytes) -> None:
        """Whatever it is, it ends with one of our errors."""
        self.assertRaises(DataError, Manifest.decode, content, size=7)

    @given(st.dictionaries(st.sampled_from(sorted(GOOD)) | texts, json_values, min_size=1), st.integers(0, 9))
    def test_odd_values(self, values: dict[str, Any], size: int) -> None:
        """What is accepted is what can be written, and of the size that was asked for."""
        try:
            manifest = Manifest.decode(json.dumps(GOOD | values).encode(), size=size)
        except DataError:
            return
        self.assertEqual(Manifest.decode(manifest.encode(), size=size), manifest)


class StretchTests(SynchronousTestCase):
    """Which pieces a range of bytes needs."""

    @given(st.lists(st.binary(min_size=1, max_size=9), max_size=8), st.integers(-3, 80), st.integers(-3, 80))
    def test_as_a_slice(self, parts: list[bytes], start: int, stop: int) -> None:
        """Put together they are the same range of the file."""
        manifest = Manifest(tuple(Piece(str(number), len(part)) for number, part in enumerate(parts)))
        whole = b"".join(parts)
        found = list(manifest.stretches(start, stop))
        data = b"".join(parts[int(one.piece.name)][one.start : one.stop] for one in found)
        self.assertEqual(data, whole[max(start, 0) : max(stop, 0)])
        for one in found:
            self.assertTrue(0 <= one.start < one.stop <= one.piece.length)
            self.assertEqual(whole[one.offset :][: one.piece.length], parts[int(one.piece.name)])

    def test_no_more_than_needed(self) -> None:
        """A range that ends where a piece begins does not need it."""
        manifest = Manifest((Piece(A, 3), Piece(B, 4)))
        self.assertEqual([(one.piece.name, one.start, one.stop) for one in manifest.stretches(0, 3)], [(A, 0, 3)])
        self.assertEqual([(one.piece.name, one.start, one.stop) for one in manifest.stretches(3, 99)], [(B, 0, 4)])
        self.assertEqual(list(manifest.stretches(7, 9)), [])


class GroupTests(SynchronousTestCase):
    """Manifests for any number of pieces."""

    @given(st.lists(pieces, max_size=3), st.sampled_from([0, 1, 255, 256, 257, 600]), st.integers(0, 3))
    def test_all_pieces(self, row: list[Piece], count: int, depth: int) -> None:
        """All pieces in order, in as few manifests as they fit into; of no piece there is one, too."""
        row = (row * count)[:count]
        found = list(grouped(row, depth))
        self.assertEqual([piece for manifest in found for piece in manifest.pieces], row)
        self.assertEqual(len(found), max(1, -(-len(row) // limits.MANIFEST_PIECES)))
        self.assertTrue(all(manifest.depth == depth for manifest in found))
