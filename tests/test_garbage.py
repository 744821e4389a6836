"""Garbage collection is put off while thousands of objects are made, and goes on as it was."""

from __future__ import annotations

import gc
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.garbage import collected_later, made_to_stay


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


PROGRAM = """
import gc, weakref
from ifap_twisted.garbage import care_for_program, made_to_stay

class Thing:
    pass

def ring():
    one = Thing()
    one.itself = one
    return one

care_for_program()
lost = weakref.ref(ring())
with made_to_stay():
    index = ring()
assert lost() is None, "garbage is collected before what is there is spared"
assert gc.isenabled()
assert not any(one is index for one in gc.get_objects()), "what was made is looked at again"
known, index = weakref.ref(index), None
assert known() is not None
with made_to_stay():
    other = ring()
assert known() is None, "what is there no more stays for ever"
"""


class ProgramTests(SynchronousTestCase):
    """Programs of ours, and those of others."""

    def test_ours(self) -> None:
        """What was made to stay is spared, until the next is made: nothing is kept for ever."""
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")

    def test_of_others(self) -> None:
        """The settings of a process that is not ours stay, and nothing in it is spared."""
        before = gc.get_threshold(), gc.get_freeze_count()
        with made_to_stay():
            self.assertFalse(gc.isenabled())
        self.assertTrue(gc.isenabled())
        self.assertEqual((gc.get_threshold(), gc.get_freeze_count()), before)
