"""What was written over a content and is not stored yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.overlay import Overlay

BEFORE = bytes(range(1, 101))
WRITES = st.tuples(st.just("write"), st.integers(0, 140), st.binary(max_size=40))
CUTS = st.tuples(st.just("truncate"), st.integers(0, 150), st.just(b""))


def composed(overlay: Overlay, start: int = 0, stop: int = 1000) -> bytes:
    """The content that a reader would see."""
    parts = list(overlay.parts(start, stop))
    position = start
    for part in parts:
        assert part.start == position < part.stop, parts
        position = part.stop
    return b"".join(BEFORE[part.start : part.stop] if part.data is None else part.data for part in parts)


class OverlayTests(SynchronousTestCase):
    """It is as if the content itself had been written to."""

    @given(st.lists(WRITES | CUTS, max_size=12), st.integers(0, 160), st.integers(0, 160))
    def test_like_a_file(self, changes, start, stop):
        """Whatever is written and cut, wherever: each stretch reads as that of a file with the same changes."""
        overlay, model = Overlay(len(BEFORE)), bytearray(BEFORE)
        for kind, offset, data in changes:
            if kind == "write":
                overlay.write(offset, data)
                if data:
                    model.extend(bytes(max(0, offset - len(model))))
                    model[offset : offset + len(data)] = data
            else:
                overlay.truncate(offset)
                del model[offset:]
                model.extend(bytes(offset - len(model)))
        self.assertEqual(overlay.size, len(model))
        self.assertEqual(composed(overlay), bytes(model))
        self.assertEqual(composed(overlay, start, stop), bytes(model[start:stop]))

    @given(st.lists(WRITES | CUTS, max_size=8), st.integers(0, 100), st.integers(0, 100))
    def test_clean_is_unchanged(self, changes, start, stop):
        """A stretch that is called clean is what was there before."""
        overlay = Overlay(len(BEFORE))
        for kind, offset, data in changes:
            overlay.write(offset, data) if kind == "write" else overlay.truncate(offset)
        if overlay.is_clean(start, stop):
            self.assertEqual(composed(overlay, start, stop), BEFORE[start:stop])

    @given(st.lists(WRITES | CUTS, max_size=12))
    def test_counts_what_it_holds(self, changes):
        """What it says it holds is what is in its stretches: nothing is left behind where it is written over."""
        overlay = Overlay(len(BEFORE))
        for kind, offset, data in changes:
            overlay.write(offset, data) if kind == "write" else overlay.truncate(offset)
        stretches = [part for part in overlay.parts(0, 1000) if part.data is not None]
        self.assertLessEqual(sum(map(len, overlay._stretches)), overlay.held)
        self.assertLessEqual(sum(map(len, overlay._stretches)), sum(part.stop - part.start for part in stretches))

    def test_many_small_writes(self):
        """Bytes that are written one after the other take about as much memory as together."""
        overlay = Overlay(0)
        for number in range(10_000):
            overlay.write(number, b"x")
        self.assertLess(overlay.held, 11_000)

    def test_nothing(self):
        """A write of nothing changes nothing, wherever it is."""
        overlay = Overlay(10)
        overlay.write(50, b"")
        self.assertEqual((overlay.size, overlay.held, overlay.is_clean(0, 10)), (10, 0, True))
