"""A server that shows only the newest messages, and counts no others (Gmail's folder cap; FORMAT 5.5; bar R8)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import FolderState
from ifap_twisted.errors import CallerError
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryStore
from tests.campaigns.reference import unlike_reference
from tests.filesystem.folders import KEY, Folder, result

FILES = 50
DAY = 86400.0


class CappedStore(MemoryStore):
    """A session in which EXISTS, listings and UID ranges agree on the newest messages.

    :ivar cap: how many are shown; None: all.
    """

    cap: int | None = None

    def _state(self) -> FolderState:
        state = super()._state()
        return state if self.cap is None else replace(state, exists=min(state.exists, self.cap))

    def _range(self, first: int, last: int | None) -> list[tuple[int, bytes]]:
        found = super()._range(first, last)
        lowest = 1 if self.cap is None else list(self.shelf.messages)[-self.cap :][0]
        return [pair for pair in found if pair[0] >= lowest]


class CappedListingTests(SynchronousTestCase):
    """Some files were last written long ago, others again and again, and only the newest messages are shown."""

    def fill(self, puts: int) -> None:
        """Write so many messages, and at last the snapshot."""
        self.folder = Folder()
        self.store = CappedStore(self.folder.shelf, clock=self.folder.clock)
        self.device = self.folder.device(store=self.store, options=Options(keep=1))
        for number in range(FILES):
            result(self.device.put(f"old{number}", b"old %d" % number))
        for number in range(puts - FILES):
            result(self.device.put(f"d/new{number % FILES}", b"%d" % number))
        result(self.device.snapshot())
        self.listed = self.names(self.device)
        self.before = dict(self.folder.shelf.messages)

    def names(self, device: Filesystem) -> list[str]:
        """All that a device lists."""
        return [entry.path for entry in result(device.list("/", recursive=True))]

    def warnings(self, device: Filesystem) -> Counter[str]:
        """The codes of what the status warns of, and how often."""
        return Counter(notice.code for notice in result(device.status()).warnings)

    def cap(self, cap: int | None) -> None:
        """Show so many, from the next connection on."""
        self.store.cap = cap
        self.store.go_offline()
        self.store.go_online()
        result(self.device.refresh())
        self.settle()

    def settle(self) -> None:
        """Let everything come that comes by itself."""
        for _ in range(200):
            self.folder.clock.advance(1.0)

    def unlike_reference(self, cap: int, puts: int, *, old: bool) -> list[str]:
        """What the reference reads otherwise, when the newest messages are shown to it, than these files."""
        files = {f"d/new{number % FILES}": b"%d" % number for number in range(puts - FILES)}
        files |= {f"old{number}": b"old %d" % number for number in range(FILES if old else 0)}
        return unlike_reference(dict(list(self.folder.shelf.messages.items())[-cap:]), KEY.text, files)

    def assert_untouched(self) -> None:
        """Nothing was removed, and nothing written."""
        self.assertEqual(self.before, dict(self.folder.shelf.messages))

    def test_the_newest_thousand_of_five_thousand(self) -> None:
        """A running device lists all as before, warns of what it misses, removes, writes and narrows nothing."""
        self.fill(5000)
        self.cap(1000)
        self.assertEqual(self.listed, self.names(self.device))
        self.assertEqual({"vanished", "removed-by-other"}, set(self.warnings(self.device)))
        self.assertRaises(CallerError, result, self.device.snapshot())
        self.assert_untouched()
        self.cap(None)
        self.assertEqual({}, self.warnings(self.device))
        self.assertEqual(b"old 7", result(self.device.get("old7")))
        self.assert_untouched()
        self.assertEqual([], self.unlike_reference(len(self.before), 5000, old=True))

    def test_the_reference_believes_what_it_is_shown(self) -> None:
        """It lists what is among the newest messages, and takes the rest for gone, whatever the snapshot names."""
        self.fill(500)
        self.assertEqual([], self.unlike_reference(150, 500, old=False))
        self.assertEqual([], self.unlike_reference(len(self.before), 500, old=True))

    def test_collecting_meanwhile(self) -> None:
        """What goes has a newer version that is shown; when everything is shown again, every file is there."""
        self.fill(500)
        self.cap(150)
        for _ in range(3):
            self.folder.clock.advance(8 * DAY)
            result(self.device.collect())
        self.assertLess(50, len(self.before.keys() - self.folder.shelf.messages.keys()))
        self.cap(None)
        fresh = self.folder.device()
        self.assertEqual(self.listed, self.names(fresh))
        self.assertEqual({}, self.warnings(fresh))
        for number in range(FILES):
            self.assertEqual(b"old %d" % number, result(fresh.get(f"old{number}")))
            self.assertEqual(b"%d" % (400 + number), result(fresh.get(f"d/new{number}")))
        self.assertEqual([], self.unlike_reference(len(self.folder.shelf.messages), 500, old=True))

    def test_a_device_that_starts(self) -> None:
        """It cannot know of the rest; what it writes and collects harms none of it: later all devices agree."""
        self.fill(500)
        store = CappedStore(self.folder.shelf, clock=self.folder.clock)
        store.cap = 100
        fresh = self.folder.device(store=store, options=Options(keep=1))
        self.assertLess(len(self.names(fresh)), len(self.listed))
        self.assertEqual(fresh.desk.view.home, self.device.desk.view.home)
        result(fresh.put("new", b"1"))
        self.settle()
        shown = list(self.before)[-100:]
        for _ in range(3):
            self.folder.clock.advance(8 * DAY)
            result(fresh.collect())
        self.assertLessEqual(self.before.keys() - self.folder.shelf.messages.keys(), set(shown))
        store.cap = None
        store.go_offline()
        store.go_online()
        result(fresh.refresh())
        for device in (fresh, self.device, self.folder.device()):
            self.assertEqual(sorted([*self.listed, "new"]), sorted(self.names(device)))
            self.assertEqual({}, self.warnings(device))
            self.assertEqual(b"old 7", result(device.get("old7")))
