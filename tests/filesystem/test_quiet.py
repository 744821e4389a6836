"""Snapshots that are written by themselves, at a quiet moment (FORMAT 6.2)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.planning import SNAPSHOT_AFTER
from ifap_twisted.errors import Unavailable
from ifap_twisted.filesystem.snapshots import QUIET_SECONDS
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result
from tests.messages import mail


class QuietTests(SynchronousTestCase):
    """Enough is new, and nobody writes."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.device = self.folder.device(store=self.store)
        for number in range(SNAPSHOT_AFTER + 2):
            result(self.device.put(f"f{number}", b"1"))

    def snapshots(self) -> int:
        """How many there are."""
        listed = result(self.device.list("/", recursive=True, everything=True))
        return sum(entry.path == "IFAP/metadata" for entry in listed)

    def test_written(self) -> None:
        """One."""
        self.assertEqual(self.snapshots(), 0)
        self.folder.clock.advance(QUIET_SECONDS)
        self.assertEqual(self.snapshots(), 1)

    def test_a_server_that_is_away_just_then(self) -> None:
        """Nothing is reported as a failure of the program; it is written after the next write, or at the end."""
        self.store.go_offline()
        for _ in range(100):
            self.folder.clock.advance(1.0)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.store.go_online()
        result(self.device.close())
        listed = result(self.folder.device().list("/", recursive=True, everything=True))
        self.assertEqual(sum(entry.path == "IFAP/metadata" for entry in listed), 1)

    def test_a_connection_that_breaks_at_the_end(self) -> None:
        """The filesystem closes, and no failure of the program is reported: a snapshot is disposable (P8)."""
        self.store.fail_next("append", Unavailable("The server is away."), 10)
        closed = self.device.close()
        for _ in range(100):
            self.folder.clock.advance(1.0)
        result(closed)
        self.assertEqual(self.flushLoggedErrors(), [])


class RenumberedTests(SynchronousTestCase):
    """What a snapshot says of places is not true any more, and the reference believes it (WIRE-FORMAT 4)."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.letter = self.folder.shelf.add(mail())
        self.device = self.folder.device()
        for number in range(3 * SNAPSHOT_AFTER):
            result(self.device.put(f"f{number % 7}", b"%d" % number))
        self.folder.clock.advance(QUIET_SECONDS)
        others = [uid for uid in self.folder.shelf.messages if uid != self.letter]
        self.folder.shelf.renumber([*others, self.letter])
        result(self.device.refresh())

    def check_the_reference(self) -> None:
        """A fresh client of the reference reads what we read."""
        fresh = self.folder.device()
        contents = {entry.path: result(fresh.get(entry.path)) for entry in result(fresh.list("/", recursive=True))}
        self.assertEqual(unlike_reference(self.folder.shelf.messages, KEY.text, contents), [])

    def test_after_the_next_write(self) -> None:
        """One is enough for another snapshot."""
        result(self.device.put("g", b"1"))
        self.folder.clock.advance(QUIET_SECONDS)
        self.check_the_reference()

    def test_at_the_end(self) -> None:
        """Also of a device that wrote nothing since."""
        result(self.device.close())
        self.check_the_reference()

    def test_once(self) -> None:
        """The next writes need none."""
        for number in range(3):
            result(self.device.put("g", b"%d" % number))
            self.folder.clock.advance(QUIET_SECONDS)
        before = len(self.folder.shelf.messages)
        result(self.device.close())
        self.assertEqual(len(self.folder.shelf.messages), before)
        self.check_the_reference()
