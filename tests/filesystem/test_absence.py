"""What is gone without a word of who removed it is told, and never taken for a deletion (FORMAT 5.5)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.collection import KEPT, Collection
from ifap_twisted.core.values import ABSENT, Event, Traits
from ifap_twisted.errors import CallerError, Conflict, MessageGone, NotFound, StoredAsConflict
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Turnstile
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_marking import Ledger

DAY = 86_400.0


class Absence(SynchronousTestCase):
    """A device that looks on, and a server that loses messages."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.writer = self.folder.device()
        self.store = self.folder.store()
        self.device = self.folder.device(store=self.store)

    def put(self, path: str, content: bytes) -> int:
        """Store a version; its UID."""
        result(self.writer.put(path, content))
        return self.shelf.uidnext - 1

    def conflict(self, path: str) -> tuple[int, int]:
        """Two devices write at the same time: the UIDs of both versions, the current one last."""
        self.store.gate = turnstile = Turnstile("append")
        putting = self.device.put(path, b"mine")
        theirs = self.put(path, b"theirs")
        turnstile.release()
        result(putting)
        return theirs, self.shelf.uidnext - 1

    def lose(self, *uids: int) -> None:
        """They go, and everybody is told so."""
        self.shelf.remove(uids)

    def told(self, device: Any = None) -> list[tuple[str, str | None]]:
        """The warnings, with the paths they are about."""
        return [(one.code, one.path) for one in result((device or self.device).status()).warnings]

    def listed(self) -> dict[str, bool]:
        """What is listed, and whether it is missing."""
        return {entry.path: entry.missing for entry in result(self.device.list("/", recursive=True))}

    def reference(self, path: str, content: bytes, **metadata: Any) -> int:
        """A reference program saves a file."""
        stamps = (Stamp(iv=self.folder.random(16)), Stamp(iv=self.folder.random(16)))
        message = encode(path, content, {"ts": 1_573_400_000, **metadata}, key=KEY.text, stamps=stamps)
        return self.shelf.add(message)


class VanishedTests(Absence):
    """A head that is gone."""

    def test_a_file_that_is_gone_stays_listed_and_is_told(self) -> None:
        """Reading it is a temporary failure, never "not found"."""
        version = result(self.writer.put("d/a", b"1")).version
        self.lose(self.shelf.uidnext - 1)
        self.assertEqual(self.listed(), {"d": False, "d/a": True})
        entry = result(self.device.stat("d/a"))
        self.assertEqual((entry.version, entry.versions, entry.missing), (version, 0, True))
        self.assertRaises(MessageGone, result, self.device.get("d/a"))
        self.assertRaises(MessageGone, result, self.device.get("d/a", version=version))
        self.assertEqual(self.told(), [("vanished", "d/a")])
        self.assertIn(version[:8], result(self.device.status()).warnings[0].text)

    def test_what_it_replaced_does_not_become_current(self) -> None:
        """It can be read as the old version that it is."""
        old = result(self.writer.put("a", b"old")).version
        new = result(self.writer.put("a", b"new")).version
        self.lose(self.shelf.uidnext - 1)
        self.assertRaises(MessageGone, result, self.device.get("a"))
        self.assertEqual(result(self.device.get("a", version=old)), b"old")
        self.assertEqual([one.version for one in result(self.device.versions("a"))], [new, old])
        self.assertEqual(self.told(), [("vanished", "a")])

    def test_a_removal_that_is_gone_brings_nothing_back(self) -> None:
        """The file stays removed until somebody says otherwise."""
        self.put("a", b"1")
        result(self.writer.remove("a"))
        self.lose(self.shelf.uidnext - 1)
        self.assertRaises(NotFound, result, self.device.get("a"))
        self.assertEqual(self.told(), [("vanished", "a")])
        result(self.device.undelete("a"))
        self.assertEqual((result(self.device.get("a")), self.told()), (b"1", []))

    def test_one_side_of_a_conflict_that_is_gone_does_not_end_it(self) -> None:
        """It is reported until a version descends from all heads (FORMAT 3.4)."""
        self.lose(self.conflict("a")[1])
        self.assertEqual(self.told(), [("vanished", "a")])
        self.assertEqual([one.missing for one in result(self.device.conflicts())], [True, False])
        self.assertRaises(MessageGone, result, self.device.get("a"))
        self.assertRaises(MessageGone, result, self.device.resolve("a"))
        kept = result(self.device.conflicts())[-1].version
        result(self.device.resolve("a", version=kept))
        self.assertEqual((result(self.device.get("a")), result(self.device.conflicts())), (b"theirs", []))
        self.assertEqual(self.told(), [])

    def test_a_new_version_settles_it(self) -> None:
        """It descends from what is gone: should that come back, it is history."""
        uid = self.put("a", b"1")
        message = self.shelf.messages[uid]
        self.lose(uid)
        result(self.device.put("a", b"2"))
        self.assertEqual((self.listed(), self.told()), ({"a": False}, []))
        self.shelf.add(message)
        self.assertEqual((result(self.device.get("a")), self.told()), (b"2", []))
        self.assertEqual(result(self.folder.device().get("a")), b"2")
        self.assertEqual(result(self.device.conflicts()), [])

    def test_a_removal_settles_it(self) -> None:
        """The user accepts that it is gone."""
        self.lose(self.put("a", b"1"))
        result(self.device.remove("a"))
        self.assertEqual(self.listed(), {})
        self.assertEqual(self.told(), [])
        self.assertRaises(NotFound, result, self.device.get("a"))

    def test_a_restored_version_settles_it(self) -> None:
        """The user takes what is left."""
        old = result(self.writer.put("a", b"old")).version
        self.lose(self.put("a", b"new"))
        result(self.device.restore("a", old))
        self.assertEqual(result(self.device.get("a")), b"old")
        self.assertEqual(self.told(), [])

    def test_the_write_of_another_device_that_descends_from_it_settles_it(self) -> None:
        """Whoever knew it, or wrote under the name that its writer has now."""
        uid = self.put("a", b"1")
        self.lose(uid)
        self.put("a", b"2")
        self.assertEqual(result(self.device.get("a")), b"2")
        self.assertEqual(self.told(), [])

    def test_the_write_of_a_device_that_never_saw_it_is_in_conflict_with_it(self) -> None:
        """Nothing of it descends from what is gone."""
        self.lose(self.put("a", b"1"))
        result(self.folder.device().put("a", b"2"))
        self.assertEqual([one.missing for one in result(self.device.conflicts())], [False, True])
        self.assertEqual(result(self.device.get("a")), b"2")
        result(self.device.resolve("a"))
        self.assertEqual(result(self.device.conflicts()), [])
        self.assertEqual(self.told(), [])

    def test_a_message_that_comes_back_heals_it(self) -> None:
        """Under whatever number; and watchers are told of both."""
        events: list[Event] = []
        self.device.watch(events.append)
        uid = self.put("a", b"1")
        message = self.shelf.messages[uid]
        self.lose(uid)
        self.shelf.add(message)
        self.assertEqual((self.listed(), self.told()), ({"a": False}, []))
        self.assertEqual(result(self.device.get("a")), b"1")
        self.assertEqual([event.kind for event in events], ["changed", "vanished", "changed"])

    def test_expectations_hold_for_it(self) -> None:
        """What is gone is no free name, and can be named as what is replaced (FORMAT 4.4)."""
        version = result(self.writer.put("a", b"1")).version
        self.lose(self.shelf.uidnext - 1)
        self.assertRaises(Conflict, result, self.device.put("a", b"2", expect=ABSENT))
        result(self.device.put("a", b"2", expect=version))

    def test_no_snapshot_is_written_meanwhile(self) -> None:
        """It would hide from others that something is missing (FORMAT 6.2)."""
        self.lose(self.put("a", b"1"))
        before = dict(self.shelf.messages)
        self.assertRaises(CallerError, result, self.device.snapshot())
        self.assertEqual(dict(self.shelf.messages), before)
        result(self.device.remove("a"))
        result(self.device.snapshot())

    def test_a_reserved_object_that_is_gone_is_no_missing_file(self) -> None:
        """Snapshots are replaced, and worth nothing (P8)."""
        self.put("a", b"1")
        result(self.writer.snapshot())
        self.lose(self.shelf.uidnext - 1)
        self.assertEqual(self.told(), [])

    def test_a_thousand_are_told_in_a_few_lines(self) -> None:
        """With how many they are."""
        uids = [self.put(f"f{number}", b"1") for number in range(30)]
        self.lose(*uids)
        warnings = result(self.device.status()).warnings
        self.assertEqual({one.code for one in warnings}, {"vanished"})
        self.assertEqual(len(warnings), 21)
        self.assertIn("10 more", warnings[-1].text)


class ListingTests(Absence):
    """Absence that a listing shows."""

    def away(self, *uids: int) -> None:
        """Messages go while the device is not connected."""
        self.store.go_offline()
        self.shelf.forget(*uids)
        self.store.go_online()
        result(self.device.refresh())

    def test_a_complete_listing_without_it_tells_it(self) -> None:
        """Its count agrees with EXISTS."""
        uid = self.put("a", b"1")
        self.put("b", b"1")
        self.away(uid)
        self.assertEqual((self.listed(), self.told()), ({"a": True, "b": False}, [("vanished", "a")]))

    def test_an_incomplete_listing_is_one_condition(self) -> None:
        """Not one for each file that is not in it."""
        uids = [self.put(name, b"1") for name in "abc"]
        self.store.go_offline()
        self.store.hide(*uids)
        self.store.go_online()
        result(self.device.refresh())
        self.assertEqual(self.told(), [("listing-incomplete", None)])
        self.assertEqual(self.listed(), dict.fromkeys("abc", False))

    def test_new_numbers_without_a_message(self) -> None:
        """It is missing under them, too."""
        uid = self.put("a", b"1")
        self.put("b", b"1")
        self.shelf.forget(uid)
        self.shelf.renumber()
        result(self.device.refresh())
        self.assertEqual((self.listed(), self.told()), ({"a": True, "b": False}, [("vanished", "a")]))

    def test_new_numbers_and_an_incomplete_listing(self) -> None:
        """What is not listed is unknown: it stays, is one condition, and heals."""
        for name in "abc":
            self.put(name, name.encode())
        self.store.gate = turnstile = Turnstile("poll")
        self.shelf.renumber()
        self.store.hide(3, 4)
        turnstile.release()
        self.assertEqual(self.told(), [("listing-incomplete", None)])
        self.assertEqual(set(self.listed()), set("abc"))
        self.store.reveal()
        result(self.device.refresh())
        self.assertEqual((self.told(), self.listed()), ([], dict.fromkeys("abc", False)))
        self.assertEqual([result(self.device.get(name)) for name in "abc"], [b"a", b"b", b"c"])

    def test_a_new_version_under_new_numbers_replaces_what_is_missing(self) -> None:
        """Of a reference program, too, whose order is that of the numbers (FORMAT 3.3)."""
        for number in range(10):
            self.reference("a", b"%d" % number)
        self.shelf.forget(*range(8, 12))
        self.shelf.renumber()
        result(self.device.refresh())
        self.assertEqual(self.listed(), {"a": True})
        self.reference("a", b"new")
        self.assertEqual(result(self.device.get("a")), b"new")
        self.assertEqual(result(self.device.conflicts()), [])


class RemovedByOtherTests(Absence):
    """What the reference programs remove (WIRE-FORMAT 5.2)."""

    def test_old_versions_that_a_cleanup_removed(self) -> None:
        """Are told once for all; nothing that is current is missing."""
        uids = [self.put("a", b"%d" % number) for number in range(4)]
        uids += [self.put("b", b"%d" % number) for number in range(2)]
        gone = result(self.device.versions("a"))[-1].version
        self.lose(*uids[:3], uids[4])
        self.assertEqual(self.told(), [("removed-by-other", None)])
        self.assertEqual(self.listed(), {"a": False, "b": False})
        self.assertRaises(MessageGone, result, self.device.get("a", version=gone))

    def test_a_file_of_which_the_reference_keeps_one_version(self) -> None:
        """Its ``rm`` takes all there is; the user says that it shall be gone."""
        self.lose(self.reference("a", b"1"))
        self.assertEqual((self.listed(), self.told()), ({"a": True}, [("removed-by-other", "a")]))
        result(self.device.snapshot())
        result(self.device.remove("a"))
        self.assertEqual(self.listed(), {})

    def test_a_side_of_a_conflict_that_a_cleanup_removed(self) -> None:
        """The cleanup keeps the newest messages, whoever descends from whom; the conflict stays."""
        uid = self.put("a", b"mine")
        self.reference("a", b"theirs")
        self.assertEqual(len(result(self.device.conflicts())), 2)
        self.lose(uid)
        self.assertEqual(self.told(), [("removed-by-other", "a")])
        self.assertEqual([one.missing for one in result(self.device.conflicts())], [False, True])


class WithdrawnTests(Absence):
    """What we remove ourselves."""

    def test_a_write_that_was_taken_back_is_not_missing(self) -> None:
        """The loser of a race removed its own message (FORMAT 4.4)."""
        self.put("a", b"base")
        version = result(self.device.stat("a")).version
        self.store.gate = turnstile = Turnstile("append")
        putting = self.device.put("a", b"loser", expect=version)
        self.put("a", b"winner")
        turnstile.release()
        self.assertRaises(Conflict, result, putting)
        self.assertEqual((self.told(), result(self.device.get("a"))), ([], b"winner"))

    def test_nor_is_one_that_was_taken_back_while_the_folder_was_renumbered(self) -> None:
        """Under the old numbers it was seen, under the new ones it is not there."""
        self.put("a", b"base")
        version = result(self.device.stat("a")).version
        self.store.gate = turnstile = Turnstile("append", "remove")
        putting = self.device.put("a", b"loser", expect=version)
        self.put("a", b"winner")
        turnstile.release(1)
        looking = self.folder.device()
        self.shelf.forget(self.shelf.uidnext - 1)
        self.shelf.renumber()
        result(looking.refresh())
        self.assertEqual((self.told(looking), result(looking.get("a"))), ([], b"winner"))
        turnstile.release()
        self.assertRaises(Conflict, result, putting)

    def test_an_old_version_is_not_one_that_was_taken_back(self) -> None:
        """Not even just after the start of a process: it was written long ago, whatever has elapsed since the boot."""
        _theirs, newest = self.conflict("a")
        self.folder.clock.advance(400 * DAY)
        since = self.folder.clock.seconds() - 60.0
        fresh = self.folder.device(elapsed=lambda: self.folder.clock.seconds() - since)
        self.assertEqual(len(list(result(fresh.conflicts()))), 2)
        self.lose(newest)
        result(fresh.refresh())
        self.assertEqual(self.told(fresh), [("vanished", "a")])

    def test_nor_for_a_device_that_has_seen_it_for_long(self) -> None:
        """It goes on saying so after its next start."""
        ledger = Ledger()
        _theirs, newest = self.conflict("a")

        def start() -> Filesystem:
            since = self.folder.clock.seconds() - 60.0
            elapsed = lambda: self.folder.clock.seconds() - since  # noqa: E731
            return self.folder.device(elapsed=elapsed, marks=lambda *_folder: ledger)

        device = start()
        self.folder.clock.advance(365 * DAY)
        result(device.close())
        device = start()
        self.folder.clock.advance(2.0)
        self.assertEqual(result(device.get("a")), b"mine")
        self.lose(newest)
        result(device.refresh())
        self.folder.clock.advance(2.0)
        self.assertEqual(self.told(device), [("vanished", "a")])
        result(device.close())
        self.assertEqual(self.told(start()), [("rolled-back", "a")])

    def test_nor_for_the_device_that_stored_it_however_short_a_while_ago(self) -> None:
        """Its caller was told that it is stored: that is remembered over the end of the process."""
        ledger = Ledger()
        self.device = self.folder.device(store=self.store, marks=lambda *_folder: ledger)
        _theirs, mine = self.conflict("a")
        self.folder.clock.advance(2.0)
        result(self.device.close())
        device = self.folder.device(marks=lambda *_folder: ledger)
        self.lose(mine)
        result(device.refresh())
        self.assertEqual(self.told(device), [("vanished", "a")])

    def test_nor_is_one_whose_caller_was_told_that_it_is_kept(self) -> None:
        """A conditional write that could not be taken back: both were kept, and the loss of one is told at once."""
        base = result(self.writer.put("a", b"base")).version
        store = self.folder.store(traits=Traits(reports_uid=False, expunges_by_uid=False, pushes=True))
        device = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        putting = device.put("a", b"mine", expect=base)
        self.put("a", b"theirs")
        turnstile.release()
        for _ in range(50):
            self.folder.clock.advance(0.1)
        self.assertRaises(StoredAsConflict, result, putting)
        heads = result(device.conflicts())
        mine = next(one.version for one in heads if result(device.get("a", version=one.version)) == b"mine")
        (placed,) = device.desk.view.index.history("a").find(mine)
        self.lose(*placed.places)
        result(device.refresh())
        self.assertIn(("vanished", "a"), self.told(device))

    def test_what_was_acknowledged_is_missing_after_a_renumbering_too(self) -> None:
        """Its writer was told that it is stored, and knows that under any numbers."""
        _theirs, mine = self.conflict("a")
        self.shelf.renumber()
        result(self.device.refresh())
        self.lose(mine)
        self.assertEqual(self.told(), [("vanished", "a")])


class CollectedTests(Absence):
    """What a device of ours collected is on record (FORMAT 5.3)."""

    def setUp(self) -> None:
        super().setUp()
        self.writer = self.folder.device(options=Options(keep=1))
        self.device = self.folder.device(store=self.folder.store(), options=Options(keep=1))

    def collect(self, device: Any = None) -> Collection:
        """Collect."""
        found: Collection = result((device or self.device).collect())
        return found

    def collect_all(self, days: float = 8) -> None:
        """Plan, wait, remove."""
        self.collect()
        self.folder.clock.advance(days * 86400.0)
        self.collect()

    def test_nothing_is_missing_after_a_collection(self) -> None:
        """On the device that collected, and on those that looked on."""
        for number in range(4):
            self.put("a", b"%d" % number)
        watchers: list[str] = []
        self.writer.watch(lambda event: watchers.append(event.kind))
        self.collect_all()
        self.assertEqual(len(result(self.writer.versions("a"))), 1)
        for device in (self.device, self.writer):
            result(device.refresh())
            self.assertEqual((self.told(device), result(device.get("a"))), ([], b"3"))
        self.assertNotIn("vanished", watchers)

    def test_nor_after_the_end_of_a_file_was_collected(self) -> None:
        """The tombstone was its head."""
        self.put("a", b"1")
        result(self.writer.remove("a"))
        for _ in range(3):
            self.collect_all(400)
        result(self.writer.refresh())
        self.assertEqual((self.told(self.writer), self.told()), ([], []))
        self.assertRaises(NotFound, result, self.writer.versions("a"))

    def test_nothing_of_a_file_is_collected_while_its_newest_version_is_missing(self) -> None:
        """What is left may be all that there is; settled, it goes on."""
        uids = [self.put("a", b"%d" % number) for number in range(3)]
        self.collect()
        self.folder.clock.advance(8 * 86400.0)
        self.lose(uids[-1])
        self.assertEqual([(one.fate, one.reason) for one in self.collect().verdicts], [(KEPT, "missing")] * 2)
        self.assertEqual(len(result(self.device.versions("a"))), 3)
        result(self.device.put("a", b"new"))
        self.collect_all()
        self.assertEqual(len(result(self.device.versions("a"))), 1)

    def test_nothing_of_a_tombstone_that_is_missing(self) -> None:
        """It is no end of a file."""
        self.put("a", b"1")
        result(self.writer.remove("a"))
        self.lose(self.shelf.uidnext - 1)
        self.collect_all(400)
        self.assertEqual(len(result(self.device.versions("a"))), 2)
