"""The ground moves: nothing vanishes, nothing is taken for deleted (FORMAT 2.5, 2.6, 5.5; bars R6, R7, R8)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import MessageGone, ProtocolViolation, Refused, TimedOut, Unavailable
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.refreshing import RUNS
from ifap_twisted.store.memory import MemoryShelf, MemoryStore
from tests.campaigns.reference import newest_versions, unlike_reference
from tests.filesystem.folders import KEY, Folder, result

FILES = 60


class Ground(SynchronousTestCase):
    """A folder of some files, with versions, a removal and a snapshot."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.store = self.folder.store()
        self.device = self.folder.device(store=self.store)
        for number in range(FILES):
            result(self.device.put(f"d{number % 7}/f{number}", b"first %d" % number))
            if number % 3 == 0:
                result(self.device.put(f"d{number % 7}/f{number}", b"second %d" % number))
        result(self.device.remove("d0/f0"))
        result(self.device.snapshot())
        self.before = self.seen(self.device)

    def seen(self, device: Filesystem) -> dict[str, Any]:
        """All files with their content and versions, and what was removed."""
        found: dict[str, Any] = {}
        for entry in result(device.list("/", recursive=True, everything=True)):
            if entry.type == "file" and not entry.path.startswith("IFAP"):
                content = None if entry.deleted else result(device.get(entry.path))
                versions = {one.version for one in result(device.versions(entry.path))}
                found[entry.path] = (content, versions, entry.conflict)
        return found

    def files(self) -> dict[str, bytes]:
        """What is current, by path."""
        return {path: content for path, (content, _versions, _conflict) in self.before.items() if content is not None}

    def unlike_reference(self, files: dict[str, bytes]) -> list[str]:
        """What the reference reads otherwise."""
        return unlike_reference(self.folder.shelf.messages, KEY.text, files)

    def fresh(self) -> Filesystem:
        """A device that knows nothing."""
        return self.folder.device()

    def settle(self, seconds: int = 40) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.folder.clock.advance(1.0)


class RenumberingTests(Ground):
    """UIDVALIDITY changes; the folder is re-created or migrated (R6)."""

    @settings(max_examples=25, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_in_any_order(self, order: random.Random) -> None:
        """Everything is readable, with all its versions, by the device that saw it happen and by a fresh one."""
        uids = list(self.folder.shelf.messages)
        order.shuffle(uids)
        self.folder.shelf.renumber(uids)
        result(self.device.refresh())
        self.assertEqual(self.seen(self.device), self.before)
        self.assertEqual(self.seen(self.fresh()), self.before)

    def test_the_reference_reads_a_folder_in_the_same_order(self) -> None:
        """It sees what we see."""
        self.folder.shelf.renumber()
        self.assertEqual(self.unlike_reference(self.files()), [])

    def test_the_reference_reads_a_folder_in_another_order(self) -> None:
        """It goes by the highest UID: what was stored before may be above what was written, or removed, later.

        And it believes a snapshot that names other UIDs, until a device of ours that saw the folder wrote one.
        """
        uids = list(self.folder.shelf.messages)
        random.Random(6).shuffle(uids)
        self.folder.shelf.renumber(uids)
        (dead,) = self.unlike_reference(self.files())
        self.assertIn("The message is of another path", dead)
        result(self.device.refresh())
        result(self.device.snapshot())
        self.assertEqual(self.unlike_reference(self.newest()), [])
        self.assertNotEqual(self.newest(), self.files())

    def newest(self) -> dict[str, bytes]:
        """The content of the newest message of each path."""
        found = {}
        for path, (vid, _manifest) in newest_versions(self.folder.shelf.messages, KEY.text).items():
            if not path.startswith("IFAP/"):
                entry = next(one for one in result(self.device.versions(path)) if one.version == vid)
                if not entry.deleted:
                    found[path] = result(self.device.get(path, version=vid))
        return found

    def test_while_the_device_was_away(self) -> None:
        """It finds everything again when it comes back."""
        self.store.go_offline()
        uids = list(self.folder.shelf.messages)
        self.folder.shelf.renumber(uids[::-1])
        self.store.go_online()
        result(self.device.refresh())
        self.assertEqual(self.seen(self.device), self.before)

    def test_a_copy_of_the_folder_beside_a_stale_snapshot(self) -> None:
        """A migration that leaves the newest messages out at first: what comes later is there later."""
        messages = list(self.folder.shelf.messages.values())
        shelf = MemoryShelf(uidvalidity=99)
        for message in messages[: len(messages) // 2]:
            shelf.add(message)
        moved = Folder(shelf=shelf, seed=5)
        device = moved.device()
        for message in messages[len(messages) // 2 :]:
            shelf.add(message)
        result(device.refresh())
        self.assertEqual(self.seen(device), self.before)

    def test_nothing_is_deleted(self) -> None:
        """Reading a renumbered folder removes and adds no message."""
        self.folder.shelf.renumber()
        before = dict(self.folder.shelf.messages)
        result(self.device.refresh())
        self.settle(5)
        self.assertEqual(dict(self.folder.shelf.messages), before)


class TemporaryErrorTests(Ground):
    """A message that cannot be fetched now (R7)."""

    def test_each_message_in_turn(self) -> None:
        """Whatever the error, the file is listed all the time, is no missing file, and can be read afterwards."""
        errors = [Refused("no", status="NO"), Unavailable(), TimedOut("late"), ProtocolViolation("half"), MessageGone()]
        tried = 0
        for number, path in enumerate(sorted(self.before)):
            if self.before[path][0] is None:
                continue
            self.store.fail_next("message", errors[number % len(errors)])
            self.failureResultOf(self.device.get(path))
            self.settle(3)
            self.assertEqual(set(self.seen(self.device)), set(self.before))
            tried += 1
        self.assertEqual(tried, FILES - 1)
        self.assertEqual(self.unlike_reference(self.files()), [])
        self.assertEqual(self.seen(self.device), self.before)
        self.assertEqual(self.seen(self.fresh()), self.before)

    def test_headers_that_cannot_be_read_when_the_folder_is_opened(self) -> None:
        """A device that is opened meanwhile sees the rest, says so, and sees all after a refresh."""
        uids = list(self.folder.shelf.messages)[2:]
        for uid in uids[:: len(uids) // 20]:
            store = self.folder.store()
            store.hide(uid)
            device = self.folder.device(store=store)
            self.assertIn("listing-incomplete", [one.code for one in result(device.status()).warnings])
            store.reveal()
            result(device.refresh())
            self.assertEqual(self.seen(device), self.before)
            self.assertNotIn("listing-incomplete", [one.code for one in result(device.status()).warnings])

    def test_a_refused_listing(self) -> None:
        """The device goes on with what it knows."""
        for method in ("headers", "uids", "poll"):
            self.store.fail_next(method, Refused("no", status="NO"), 3)
            self.device.refresh().addErrback(lambda failure: failure.trap(Refused))
            self.settle()
            self.assertEqual(self.seen(self.device), self.before)


class GapTests(SynchronousTestCase):
    """Messages whose headers the server never gives, scattered among others."""

    def test_they_hold_up_nothing_that_comes_later(self) -> None:
        """However many they are: one that was withheld for a moment is shown after a few more looks."""
        folder = Folder()
        writer = folder.device()
        for number in range(2 * RUNS + 20):
            result(writer.put(f"old{number:03}", b"x"))
        broken = set(sorted(folder.shelf.messages)[1::2])
        store = Withholding(folder.shelf, clock=folder.clock)
        store.withheld = set(broken)
        device = folder.device(store=store)
        store.withheld |= {folder.shelf.uidnext}
        for name in ("withheld", "not withheld"):
            result(writer.put(name, b"the only copy"))
            result(device.refresh())
        store.withheld = broken
        for _ in range(3):
            folder.clock.advance(600.0)
            result(device.refresh())
        self.assertEqual(result(device.get("withheld")), b"the only copy")
        self.assertIn("listing-incomplete", [one.code for one in result(device.status()).warnings])


class Withholding(MemoryStore):
    """A session that is not given the headers of some messages."""

    withheld: AbstractSet[int] = frozenset()

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        """Without those."""
        blocks = await super().headers(first, last)
        return {uid: block for uid, block in blocks.items() if uid not in self.withheld}


class ShrunkenListingTests(SynchronousTestCase):
    """A server that shows only the newest messages (R8)."""

    def test_the_newest_thousand_of_five_thousand(self) -> None:
        """One warning; nothing is deleted, no tombstone written, and no snapshot narrowed."""
        folder = Folder()
        device = folder.device()
        for number in range(5000):
            result(device.put(f"old{number % 50}", b"%d" % number, expect=None))
        result(device.close())
        shelf = folder.shelf
        before = dict(shelf.messages)
        store = folder.store()
        store.hide(*list(shelf.messages)[1:-1000])
        narrow = folder.device(store=store)
        warnings = [one.code for one in result(narrow.status()).warnings]
        self.assertEqual(warnings, ["listing-incomplete"])
        self.failureResultOf(narrow.snapshot())
        for _ in range(200):
            folder.clock.advance(1.0)
        result(narrow.put("new", b"1"))
        self.assertEqual([uid for uid in before if uid not in shelf.messages], [])
        added = [message for uid, message in shelf.messages.items() if uid not in before]
        self.assertEqual(len(added), 1)
        store.reveal()
        result(narrow.refresh())
        self.assertEqual(len(result(narrow.list("/"))), 51)
        files = {f"old{number % 50}": b"%d" % number for number in range(5000)}
        self.assertEqual(unlike_reference(shelf.messages, KEY.text, {**files, "new": b"1"}), [])
        self.assertEqual(result(narrow.status()).warnings, ())
