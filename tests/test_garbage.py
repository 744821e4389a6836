"""Garbage collection is put off while thousands of objects are made, and goes on as it was."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.garbage import collected_later


class CollectedLaterTests(SynchronousTestCase):
    """The collector of the whole process is somebody else's, too."""

    def setUp(self) -> None:
        """The collector is on, before and after."""
        gc.enable()
        self.addCleanup(gc.enable)

    def test_meanwhile(self) -> None:
        """Nothing is collected inside; afterwards everything is as it was, after an error, too."""
        with self.assertRaises(ValueError), collected_later():
            self.assertFalse(gc.isenabled())
            raise ValueError
        self.assertTrue(gc.isenabled())

    def test_overlapping(self) -> None:
        """Of two that overlap, in whatever order they end, only the end of the last turns it on."""
        first, second = collected_later(), collected_later()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        self.assertFalse(gc.isenabled())
        second.__exit__(None, None, None)
        self.assertTrue(gc.isenabled())

    def test_off(self) -> None:
        """A collector that somebody turned off stays off."""
        gc.disable()
        with collected_later():
            pass
        self.assertFalse(gc.isenabled())
