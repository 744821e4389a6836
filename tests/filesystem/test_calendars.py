"""The date of a device is set, forward or back: what it decides by time goes by what has passed (FORMAT 5.5, 10.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import StoredAsConflict
from ifap_twisted.filesystem.freshness import STALE_SECONDS
from ifap_twisted.store.memory import FULL_TRAITS, Turnstile
from tests.filesystem.folders import START, Folder, result
from tests.filesystem.test_locking import HOUR, Device

DAY = 24 * HOUR
JUMPS = (-365 * DAY, -HOUR, HOUR, 365 * DAY)


class Counting:
    """A clock that counts from nought, and knows the date besides (``count_steadily``)."""

    def __init__(self, clock: Clock) -> None:
        self.callLater = clock.callLater
        self.getDelayedCalls = clock.getDelayedCalls
        self.date = clock.seconds

    def seconds(self) -> float:
        """What has passed."""
        return self.date() - START


class JumpTests(SynchronousTestCase):
    """One device, of which the date jumps, and others."""

    def test_what_others_write_is_seen_where_the_server_does_not_push(self) -> None:
        """As soon as ever: a date that was put back does not make knowledge fresh."""
        for jump in JUMPS:
            with self.subTest(jump=jump):
                folder = Folder()
                other = folder.device()
                result(other.put("a", b"old"))
                device = Device(folder, store=folder.store(traits=replace(FULL_TRAITS, pushes=False)))
                self.assertEqual(result(device.fs.get("a")), b"old")
                device.offset = jump
                result(other.put("a", b"new"))
                folder.clock.advance(STALE_SECONDS)
                self.assertEqual(result(device.fs.get("a")), b"new")
                result(device.fs.put("a", b"newer"))
                self.assertEqual(result(other.conflicts()), [])

    def test_a_side_of_a_conflict_that_vanishes_is_missed(self) -> None:
        """It was there for an hour: nobody takes back a write after that, whatever the date says."""
        for jump in (0.0, *JUMPS):
            with self.subTest(jump=jump):
                folder = Folder()
                one, two = folder.device(), folder.device()
                watcher = Device(folder)
                result(one.put("f", b"base"))
                two.desk.view.store.go_offline()
                result(one.put("f", b"one"))
                two.put("f", b"two")
                two.desk.view.store.go_online()
                folder.clock.pump([1.0] * 20)
                result(watcher.fs.refresh())
                last = watcher.fs.desk.view.index.history("f").heads[-1]
                folder.clock.advance(HOUR)
                watcher.offset = jump
                folder.shelf.remove([last.places[0]])
                result(watcher.fs.refresh())
                self.assertIn(last.version.vid, [head.version for head in result(watcher.fs.conflicts())])
                self.assertEqual(["vanished"], [notice.code for notice in result(watcher.fs.status()).warnings])

    def test_a_write_is_not_taken_back_after_a_sleep(self) -> None:
        """The machine slept while it was stored, and its date was put back: what it lost against may be gone."""
        folder = Folder()
        device, other = Device(folder), folder.device()
        result(other.refresh())
        device.store.gate = gate = Turnstile("append")
        put = device.fs.put("a", b"mine", expect=ABSENT)
        self.assertNoResult(put)
        result(other.put("a", b"theirs"))
        device.offset = -DAY
        folder.clock.advance(HOUR)
        gate.release()
        self.failureResultOf(put, StoredAsConflict)

    def test_dates_are_dates(self) -> None:
        """On a clock that counts from nought: those in a message, and that of the last look."""
        folder = Folder()
        clock: Any = Counting(folder.clock)
        device = folder.device(clock=clock, elapsed=clock.seconds)
        folder.clock.advance(HOUR)
        entry = result(device.put("a", b"1"))
        self.assertEqual(entry.modified, START + HOUR)
        index = device.desk.view.index
        written = [index.at(uid).written for uid in sorted(index.uids())]
        self.assertEqual(written, [START, START + HOUR])
        result(device.refresh())
        self.assertEqual(result(device.status()).last_refresh, START + HOUR)
