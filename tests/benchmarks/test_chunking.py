"""The measurements that need no server measure what they say."""

from __future__ import annotations

import contextlib
import io
import random

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import chunking

DATA = random.Random(1).randbytes(3 * chunking.MIB)


class ChunkingTests(SynchronousTestCase):
    """``python -m benchmarks.chunking``."""

    def test_equal_versions(self) -> None:
        """A version that is equal to the one before sends no chunk, and its manifest."""
        for name, cut in chunking.ways().items():
            (first, again), _seconds = chunking.measure([DATA, DATA], cut)
            self.assertEqual((first.new, again.new, again.content), (first.chunks, 0, 0), name)
            self.assertTrue(0 < again.manifests == first.manifests < 10_000, name)
            self.assertTrue(len(DATA) <= first.content <= 1.032 * len(DATA), name)

    def test_one_byte_more_at_the_beginning(self) -> None:
        """With chunks of one length everything is new then, with ours one chunk."""
        (_, fixed), _seconds = chunking.measure([DATA, b"x" + DATA], chunking.fixed(chunking.MIB // 8))
        (_, keyed), _seconds = chunking.measure([DATA, b"x" + DATA], chunking.keyed(chunking.MIB // 8))
        self.assertEqual(fixed.new, fixed.chunks)
        self.assertEqual(keyed.new, 1)

    def test_manifests_of_manifests(self) -> None:
        """Of a file of very many chunks only those manifests are new in which something changed."""
        pieces = [chunking.Piece(f"{number:043d}", 1) for number in range(1000)]
        there: set[str] = set()
        whole = chunking._manifests(pieces, there)
        changed = chunking._manifests([*pieces[:-1], chunking.Piece("x" * 43, 1)], there)
        self.assertTrue(3 * changed < whole < 100_000)

    def test_versions_differ(self) -> None:
        """Each case is a row of versions of which none is the one before."""
        for name, make in chunking.CASES.items():
            if make is not chunking.sources:
                versions = list(make(chunking.MIB))
                self.assertEqual(len(versions), chunking.VERSIONS, name)
                self.assertEqual(len(set(versions)), chunking.VERSIONS, name)

    def test_without_the_library(self) -> None:
        """Where fastcdc is not there it is said, and the rest is measured."""
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            found = set(chunking.ways())
        self.assertEqual("pip install" in told.getvalue(), "fastcdc 512-2048 KiB" not in found)
        self.assertIn(chunking.OURS, found)
