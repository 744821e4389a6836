"""Content part by part, and what is left of a file that has lost some of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.contents import PART, Lost, content_of, salvage
from ifap_twisted.errors import ChunkLost, Truncated, Unavailable
from tests.cli.large import CONTENT, FakeStream

RANGES = st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(1, 6 * 1024 * 1024)), max_size=5)


async def gathered(parts: object) -> list[bytes | Lost]:
    """All of an iterable."""
    return [part async for part in parts]  # type: ignore[attr-defined]


class ContentTests(SynchronousTestCase):
    """``content_of``."""

    def parts(self, parts: object) -> list[bytes | Lost]:
        return self.successResultOf(Deferred.fromCoroutine(gathered(parts)))

    def test_whole(self) -> None:
        """All of it in order, in parts of a bounded length, from any offset on."""
        for start in (0, 1, PART, len(CONTENT) - 1, len(CONTENT)):
            parts = self.parts(content_of(FakeStream(), start))
            self.assertTrue(b"".join(parts) == CONTENT[start:])  # type: ignore[arg-type]
            self.assertLessEqual(max(map(len, parts), default=0), PART)

    def test_short(self) -> None:
        """A part that is shorter than it should be is never content."""
        stream = FakeStream()
        stream.data = CONTENT[:-1]
        for parts in (content_of(stream), salvage(stream)):
            self.failureResultOf(Deferred.fromCoroutine(gathered(parts)), Truncated)


class SalvageTests(ContentTests):
    """``salvage``."""

    @settings(max_examples=30, deadline=None)
    @given(RANGES)
    def test_lost(self, ranges: list[tuple[int, int]]) -> None:
        """What is not lost comes as it was, and what is lost is told: exactly that, whatever is lost."""
        stream = FakeStream()
        stream.lost = [
            (offset, min(length, len(CONTENT) - offset)) for offset, length in ranges if offset < len(CONTENT)
        ]
        position, lost = 0, 0
        for part in self.parts(salvage(stream)):
            if isinstance(part, Lost):
                self.assertEqual(position, part.offset)
                position += part.length
                lost += part.length
            else:
                self.assertTrue(CONTENT.startswith(part, position))
                self.assertFalse(any(o < position + len(part) and position < o + n for o, n in stream.lost))
                position += len(part)
        self.assertEqual(len(CONTENT), position)
        self.assertEqual(_covered(stream.lost), lost)

    def test_nothing_told(self) -> None:
        """A loss of which the place is not told, or lies elsewhere, is not salvaged over: that would never end."""
        for offset, length in (
            (None, None),
            (None, 5),
            (3, None),
            (0, 0),
            (3, 0),
            (len(CONTENT) + 1, 5),
            (-5, 5),
            (PART, 9),
        ):
            stream = FakeStream()
            stream.cut, stream.error = 0, ChunkLost("Gone.", offset=offset, length=length)
            self.failureResultOf(Deferred.fromCoroutine(gathered(salvage(stream))), ChunkLost)

    def test_temporary(self) -> None:
        """A failure that may be over soon is not salvaged over."""
        stream = FakeStream()
        stream.cut, stream.error = PART, Unavailable("Away.")
        self.failureResultOf(Deferred.fromCoroutine(gathered(salvage(stream))), Unavailable)


def _covered(ranges: list[tuple[int, int]]) -> int:
    covered, reached = 0, 0
    for offset, length in sorted(ranges):
        covered += max(offset + length - max(offset, reached), 0)
        reached = max(reached, offset + length)
    return covered
