"""A server that shows an older state is found out by whoever has seen more, also after a restart (P5; bar R10)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import CallerError, ForeignFolder, NotFound, RolledBack
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import MemoryShelf, Turnstile
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.machines import Machine

HOUR, DAY = 3600.0, 86400.0


class Rollback(SynchronousTestCase):
    """A machine whose processes see a folder now and then, and another device that works on it."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.machine = Machine(self.folder)
        self.other = self.folder.device(options=Options(keep=1))

    def put(self, path: str, content: bytes) -> int:
        """The other device stores a version; its UID."""
        result(self.other.put(path, content))
        return self.shelf.uidnext - 1

    def conflict(self, path: str) -> None:
        """Two devices write at the same time."""
        store = self.folder.store()
        device = self.folder.device(store=store)
        store.gate = turnstile = Turnstile("append")
        putting = device.put(path, b"second")
        self.put(path, b"first")
        turnstile.release()
        result(putting)

    def reference(self, path: str, content: bytes, **metadata: Any) -> int:
        """A reference program saves a file; the UID of the message."""
        stamps = (Stamp(iv=self.folder.random(16)), Stamp(iv=self.folder.random(16)))
        return self.shelf.add(encode(path, content, {"ts": 1_573_400_000, **metadata}, key=KEY.text, stamps=stamps))

    def go_back(self, messages: dict[int, bytes]) -> None:
        """The server shows an older state, while nobody looks on."""
        self.shelf.forget(*(self.shelf.messages.keys() - messages.keys()))

    def told(self, filesystem: Filesystem) -> list[tuple[str, str | None]]:
        """What the status warns of."""
        return [(notice.code, notice.path) for notice in result(filesystem.status()).warnings]

    def told_next(self) -> list[tuple[str, str | None]]:
        """What the next process of the machine is told, and the one after it."""
        told = []
        for _ in range(2):
            filesystem = self.machine.start()
            told.append(self.told(filesystem))
            result(filesystem.close())
        self.assertEqual(told[0], told[1])
        return told[0]


class NoticedTests(Rollback):
    """What is noticed: everything that a client has seen and that is not there."""

    def test_the_newest_version_was_dropped(self) -> None:
        """The older one does not become current, and reading says why."""
        old = result(self.other.put("a", b"old")).version
        uid = self.put("a", b"new")
        self.machine.look()
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])
        device = self.machine.start()
        self.assertRaises(RolledBack, result, device.get("a"))
        self.assertEqual(result(device.get("a", version=old)), b"old")
        self.assertTrue(result(device.stat("a")).missing)

    def test_a_file_was_dropped_whole(self) -> None:
        """It stays listed, and is never "not found"."""
        uid = self.put("d/a", b"1")
        self.put("b", b"1")
        self.machine.look()
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [("rolled-back", "d/a")])
        self.assertRaises(RolledBack, result, self.machine.start().get("d/a"))

    def test_a_removal_was_dropped(self) -> None:
        """The file stays removed; to remove it once more settles that."""
        self.put("a", b"1")
        result(self.other.remove("a"))
        self.machine.look()
        self.shelf.forget(self.shelf.uidnext - 1)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])
        device = self.machine.start()
        self.assertRaises(NotFound, result, device.get("a"))
        result(device.remove("a"))
        self.assertEqual(self.told(device), [])
        result(device.close())
        self.assertEqual(self.told_next(), [])
        self.assertEqual(result(self.folder.device().list()), [])

    def test_a_directory_was_dropped_and_its_removal(self) -> None:
        """Markers are heads like any other."""
        result(self.other.make_directory("d"))
        uid = self.shelf.uidnext - 1
        result(self.other.make_directory("e"))
        result(self.other.remove_directory("e"))
        gone = self.shelf.uidnext - 1
        self.machine.look()
        self.shelf.forget(uid, gone)
        self.assertEqual(self.told_next(), [("rolled-back", "d"), ("rolled-back", "e")])
        device = self.machine.start()
        result(device.remove_directory("d"))
        result(device.remove("e"))
        result(device.close())
        self.assertEqual(self.told_next(), [])

    def test_a_whole_older_state(self) -> None:
        """Each file of which something newer was seen is told, and no other."""
        self.put("same", b"1")
        self.put("changed", b"1")
        self.put("removed", b"1")
        before = dict(self.shelf.messages)
        self.put("changed", b"2")
        result(self.other.remove("removed"))
        self.put("new", b"1")
        self.machine.look()
        self.go_back(before)
        self.assertEqual(self.told_next(), [("rolled-back", path) for path in ("changed", "new", "removed")])

    def test_an_emptied_folder(self) -> None:
        """Every file is told, and nothing is taken for removed."""
        self.put("a", b"1")
        self.put("b", b"1")
        self.machine.look()
        self.go_back({})
        self.assertEqual(self.told_next(), [("rolled-back", "a"), ("rolled-back", "b")])
        listed = [(entry.path, entry.missing) for entry in result(self.machine.start().list())]
        self.assertEqual(listed, [("a", True), ("b", True)])

    def test_many_are_counted(self) -> None:
        """Twenty are told one by one."""
        for number in range(23):
            self.put(f"f{number:02}", b"1")
        self.machine.look()
        self.go_back({})
        told = self.told_next()
        self.assertEqual((len(told), told[-1]), (21, ("rolled-back", None)))

    def test_another_folder_in_its_place(self) -> None:
        """It is not opened at all."""
        self.put("a", b"1")
        self.machine.look()
        strange = Folder(seed=9)
        result(strange.device().put("b", b"1"))
        self.go_back({})
        for message in strange.shelf.messages.values():
            self.shelf.add(message)
        self.assertRaises(ForeignFolder, result, self.folder.opening(self.machine.membership))

    def test_an_older_copy_of_the_folder_under_new_numbers(self) -> None:
        """A mailbox that was put back from a backup has another UIDVALIDITY."""
        self.put("a", b"1")
        self.put("b", b"1")
        self.put("a", b"2")
        self.machine.look()
        self.shelf.forget(self.shelf.uidnext - 1)
        self.shelf.renumber()
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_the_newest_was_dropped_and_an_old_one_appended_again(self) -> None:
        """A replayed message has the place in history that its clock says, not the newest."""
        message = self.shelf.messages[self.put("a", b"old")]
        uid = self.put("a", b"new")
        self.machine.look()
        self.shelf.forget(uid)
        self.shelf.add(message)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])
        self.assertRaises(RolledBack, result, self.machine.start().get("a"))

    def test_an_older_snapshot_in_the_place_of_the_newest(self) -> None:
        """No snapshot is believed: what was seen is there, and what was not there is told."""
        self.put("a", b"1")
        result(self.other.snapshot())
        snapshot = self.shelf.messages[self.shelf.uidnext - 1]
        self.put("a", b"2")
        result(self.other.snapshot())
        uid = self.shelf.uidnext - 1
        self.machine.look()
        self.shelf.forget(uid)
        self.shelf.add(snapshot)
        self.assertEqual(self.told_next(), [])
        self.assertEqual(result(self.machine.start().get("a")), b"2")

    def test_what_a_reference_program_had_saved(self) -> None:
        """Its newest message counts as one of ours does, where it is gone and the older is not."""
        self.reference("a", b"1", versions=5)
        uid = self.reference("a", b"2", versions=5)
        self.machine.look()
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_what_a_reference_program_had_saved_under_new_numbers(self) -> None:
        """The older message comes before it all the same."""
        self.reference("a", b"1", versions=5)
        uid = self.reference("a", b"2", versions=5)
        self.machine.look()
        self.shelf.forget(uid)
        self.shelf.renumber()
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_the_newest_of_a_reference_program_was_dropped_and_an_old_one_stored_again(self) -> None:
        """The older one is taken for the newest; that it is older is known all the same, until somebody settles it."""
        message = self.shelf.messages[self.reference("a", b"1", versions=5)]
        uid = self.reference("a", b"2", versions=5)
        self.machine.look()
        self.shelf.forget(uid - 1, uid)
        self.shelf.add(message)
        self.assertEqual(self.told_next(), [("replayed", "a")])
        device = self.machine.start()
        result(device.put("a", b"3"))
        self.assertEqual(self.told(device), [])
        result(device.close())
        self.assertEqual(self.told_next(), [])

    def test_the_newest_was_dropped_and_what_it_replaced_stored_above_it(self) -> None:
        """It is no cleanup of a reference program: such a one leaves the newest."""
        uid = self.put("a", b"old")
        message = self.shelf.messages[uid]
        self.put("a", b"new")
        self.machine.look()
        self.shelf.forget(uid, uid + 1)
        self.shelf.add(message)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])
        self.assertRaises(RolledBack, result, self.machine.start().get("a"))

    def test_an_old_message_of_a_reference_program_was_stored_again(self) -> None:
        """It counts as the newest, because nothing in it says otherwise: that is told, with the file."""
        old = self.reference("a", b"1", versions=5)
        self.reference("a", b"2", versions=5)
        self.machine.look()
        message = self.shelf.messages[old]
        self.shelf.forget(old)
        self.shelf.add(message)
        self.assertEqual(self.told_next(), [("replayed", "a")])
        self.assertEqual(self.told_next(), [("replayed", "a")])
        device = self.machine.start()
        self.assertEqual(result(device.get("a")), b"1")
        newest = result(device.versions("a"))[1].version
        result(device.restore("a", newest))
        self.assertEqual((self.told(device), result(device.get("a"))), ([], b"2"))
        result(device.close())
        self.assertEqual(self.told_next(), [])

    def test_one_that_a_reference_program_had_removed_was_stored_again(self) -> None:
        """What is not there any more is remembered as well; and it is told while a process looks on."""
        old = self.reference("a", b"1", versions=2)
        message = self.shelf.messages[old]
        self.reference("a", b"2", versions=2)
        self.machine.look()
        self.reference("a", b"3", versions=2)
        self.shelf.forget(old)
        self.machine.look()
        device = self.machine.start()
        self.shelf.add(message)
        self.folder.clock.advance(1.0)
        self.assertIn(("replayed", "a"), self.told(device))
        result(device.close())
        self.assertEqual(self.told_next(), [("replayed", "a")])
        device = self.machine.start()
        result(device.put("a", b"4"))
        self.folder.clock.advance(1.0)
        self.assertEqual(self.told(device), [])

    def test_one_side_of_a_conflict(self) -> None:
        """The conflict goes on, because nobody has decided it."""
        self.conflict("a")
        self.machine.look(HOUR)
        self.shelf.forget(self.shelf.uidnext - 1)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])
        self.assertEqual([one.missing for one in result(self.machine.start().conflicts())], [True, False])

    def test_what_it_wrote_itself_a_moment_ago(self) -> None:
        """One process writes, the next does not find it."""
        device = self.machine.start()
        result(device.put("a", b"1"))
        result(device.close())
        self.shelf.forget(self.shelf.uidnext - 1)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_a_process_that_was_killed(self) -> None:
        """What was seen is kept a second later, not only at the end."""
        uid = self.put("a", b"1")
        self.machine.start()
        self.folder.clock.advance(1.0)
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_what_went_while_a_process_looked_on_is_still_told_by_the_next(self) -> None:
        """To end a process settles nothing."""
        uid = self.put("a", b"1")
        device = self.machine.start()
        self.shelf.remove([uid])
        self.assertEqual(self.told(device), [("vanished", "a")])
        result(device.close())
        self.assertEqual(self.told_next(), [("rolled-back", "a")])

    def test_it_is_told_when_the_server_renumbers_meanwhile(self) -> None:
        """What is missing is missing under any numbers."""
        uid = self.put("a", b"1")
        self.machine.look()
        self.shelf.forget(uid)
        device = self.machine.start()
        self.shelf.renumber()
        result(device.refresh())
        self.assertEqual(self.told(device), [("rolled-back", "a")])
        result(device.close())
        self.assertEqual(self.told_next(), [("rolled-back", "a")])


class ForkTests(Rollback):
    """A server that shows two devices two folders, which begin alike: bar R10, with FORMAT 9.2."""

    def setUp(self) -> None:
        super().setUp()
        self.put("common", b"1")
        self.put("same", b"0")
        self.fork = Folder(seed=1)
        self.fork.clock = self.folder.clock
        self.fork.shelf.passed(self.folder.clock.seconds())
        for message in self.shelf.messages.values():
            self.fork.shelf.add(message)
        self.common = self.shelf.uidnext
        self.stranger = self.fork.device()
        device = self.machine.start()
        for path in ("mine", "same"):
            result(device.put(path, b"mine"))
        result(device.remove("common"))
        result(device.snapshot())
        result(device.close())
        for path in ("same", "theirs"):
            result(self.stranger.put(path, b"theirs"))
        result(self.stranger.snapshot())

    def own(self) -> dict[int, bytes]:
        """What only the folder of the machine holds, by UID."""
        return {uid: message for uid, message in self.shelf.messages.items() if uid >= self.common}

    def show(self, messages: dict[int, bytes]) -> None:
        """The machine is shown the other folder from now on, and these messages of its own."""
        self.shelf.forget(*self.own())
        for uid, message in self.fork.shelf.messages.items():
            if uid >= self.common:
                self.shelf.add(message)
        for message in messages.values():
            self.shelf.add(message)

    def test_the_other_folder(self) -> None:
        """Each file that it wrote or removed is told: what the other folder says instead hides nothing."""
        self.show({})
        self.assertEqual(self.told_next(), [("rolled-back", path) for path in ("common", "mine", "same")])
        device = self.machine.start()
        self.assertEqual(result(device.get("theirs")), b"theirs")
        self.assertEqual({one.path for one in result(device.conflicts())}, {"same"})

    def test_both_together(self) -> None:
        """Nothing is missing, and what both changed is a conflict."""
        self.show(self.own())
        self.assertEqual(self.told_next(), [])
        for device in (self.machine.start(), self.folder.device()):
            self.assertEqual({one.path for one in result(device.conflicts())}, {"same"})
            self.assertEqual(self.told(device), [])

    def test_a_part_of_both(self) -> None:
        """Whichever message of its own is left out, the machine says of which file."""
        own, index = self.own(), self.folder.device().desk.view.index
        paths = {uid: version.path for uid in own if (version := index.at(uid)) is not None}
        files = {uid: path for uid, path in paths.items() if path in {"mine", "same", "common"}}
        self.assertEqual(len(files), 3)
        for uid, path in files.items():
            before = self.shelf.uidnext
            self.show({other: message for other, message in own.items() if other != uid})
            self.assertEqual(self.told_next(), [("rolled-back", path)])
            self.shelf.forget(*[other for other in self.shelf.messages if other >= before])

    def test_the_other_one(self) -> None:
        """Who wrote nothing in the first folder is told by its checkpoint."""
        for message in list(self.own().values()):
            self.fork.shelf.add(message)
        newest = max(self.fork.shelf.messages)
        device = self.fork.device()
        self.assertEqual(self.told(device), [])
        index = device.desk.view.index
        (removal,) = [uid for uid in range(newest) if (one := index.at(uid)) is not None and one.deleted]
        self.fork.shelf.forget(removal)
        self.assertEqual(self.told(self.fork.device()), [("hidden", None)])


class EveryRollbackTests(Rollback):
    """Every subset of the messages of a folder is withheld: what was seen of which file is gone is told, always."""

    def setUp(self) -> None:
        super().setUp()
        self.put("old", b"1")
        self.heads: dict[int, str] = {}
        for path, content in (("a", b"1"), ("a", b"2"), ("b", b"1"), ("c", b"1")):
            self.heads[self.put(path, content)] = path
        result(self.other.remove("b"))
        self.heads[self.shelf.uidnext - 1] = "b"
        result(self.other.make_directory("d"))
        self.heads[self.shelf.uidnext - 1] = "d"
        self.heads[self.reference("r", b"1", versions=5)] = "r"
        self.heads[self.reference("r", b"2", versions=5)] = "r"
        self.newest = {path: uid for uid, path in self.heads.items()}
        self.machine.look(HOUR)
        self.kept = dict(self.machine.disk.files)
        self.all = dict(self.shelf.messages)

    def told_of(self, gone: tuple[int, ...], *, renumber: bool, again: bool) -> list[str]:
        """The files of which the next process says that they are rolled back."""
        shelf = MemoryShelf(uidvalidity=2 if renumber else 1)
        for uid, message in self.all.items():
            added = shelf.add(message)
            if uid in gone:
                shelf.forget(added)
        if renumber:
            shelf.renumber()
        for uid, message in self.all.items() if again else ():
            if uid not in gone and uid in self.heads and self.newest[self.heads[uid]] != uid:
                shelf.forget(uid)
                shelf.add(message)
        shelf.passed(self.folder.clock.seconds())
        self.machine.disk.files = dict(self.kept)
        self.folder.shelf = shelf
        filesystem = self.machine.start()
        told = self.told(filesystem)
        result(filesystem.close())
        self.assertLessEqual({code for code, _path in told}, {"rolled-back", "replayed"})
        return sorted({path for _code, path in told if path is not None})

    def test_every_one(self) -> None:
        """100 % of the files whose newest version is gone, and no other; 765 cases."""
        cases = noticed = 0
        for count in range(1, len(self.heads) + 1):
            for gone in combinations(self.heads, count):
                rolled_back = sorted(path for path, uid in self.newest.items() if uid in gone)
                for renumber, again in ((False, False), (True, False), (False, True)):
                    told = self.told_of(gone, renumber=renumber, again=again)
                    self.assertEqual(told, self.expected(gone, rolled_back, again=again), (gone, renumber, again))
                    cases += 1
                    noticed += len(told)
        self.assertEqual(cases, 3 * 255)
        print(f"{cases} rollbacks, {noticed} files told of, none missed, none too many")

    def expected(self, gone: tuple[int, ...], rolled_back: list[str], *, again: bool) -> list[str]:
        """An old message of a reference program that was stored again is in front of the newest one."""
        first = next(uid for uid, path in self.heads.items() if path == "r")
        return sorted({*rolled_back, *(["r"] if again and first not in gone else [])})


class SettledTests(Rollback):
    """What ends it: a person's decision, or the message itself."""

    def setUp(self) -> None:
        super().setUp()
        self.old = result(self.other.put("a", b"old")).version
        self.uid = self.put("a", b"new")
        self.message = self.shelf.messages[self.uid]
        self.machine.look()
        self.shelf.forget(self.uid)
        self.device = self.machine.start()
        self.assertEqual(self.told(self.device), [("rolled-back", "a")])

    def assert_settled(self) -> None:
        """Neither this process nor the next one tells of it."""
        self.assertEqual(self.told(self.device), [])
        result(self.device.close())
        self.assertEqual(self.told_next(), [])

    def test_restore(self) -> None:
        """The user takes what is left."""
        result(self.device.restore("a", self.old))
        self.assertEqual(result(self.device.get("a")), b"old")
        self.assert_settled()

    def test_resolve(self) -> None:
        """The user says which version is to take its place; should the message come back, it is history."""
        self.assertRaises(NotFound, result, self.device.resolve("a"))
        self.assertRaises(NotFound, result, self.device.resolve("a", both=True))
        gone = result(self.device.versions("a"))[0].version
        self.assertRaises(RolledBack, result, self.device.resolve("a", version=gone))
        self.assertEqual(self.told(self.device), [("rolled-back", "a")])
        result(self.device.resolve("a", version=self.old))
        self.assertEqual(result(self.device.get("a")), b"old")
        self.assert_settled()
        self.shelf.add(self.message)
        self.assertEqual(result(self.machine.start().get("a")), b"old")

    def test_resolve_a_removal(self) -> None:
        """The user takes back a file of which the removal is gone."""
        self.shelf.add(self.message)
        result(self.device.refresh())
        result(self.other.refresh())
        result(self.other.remove("a"))
        result(self.device.refresh())
        self.shelf.forget(self.shelf.uidnext - 1)
        result(self.device.refresh())
        self.assertRaises(NotFound, result, self.device.get("a"))
        result(self.device.resolve("a", version=self.old))
        self.assertEqual(result(self.device.get("a")), b"old")
        self.assert_settled()

    def test_put(self) -> None:
        """The user writes it anew; should the message come back, it is history."""
        result(self.device.put("a", b"anew"))
        self.assert_settled()
        self.shelf.add(self.message)
        self.assertEqual(self.told_next(), [])
        self.assertEqual(result(self.machine.start().get("a")), b"anew")

    def test_remove(self) -> None:
        """The user accepts that it is gone."""
        result(self.device.remove("a"))
        self.assertRaises(NotFound, result, self.device.get("a"))
        self.assert_settled()

    def test_the_message_is_back(self) -> None:
        """Under a number of its own, if need be."""
        self.shelf.add(self.message)
        result(self.device.refresh())
        self.assertEqual(result(self.device.get("a")), b"new")
        self.assert_settled()

    def test_a_collection_removes_nothing_below_it(self) -> None:
        """What is left of the file stays, however long nobody decides."""
        result(self.device.close())
        for _ in range(3):
            self.folder.clock.advance(40 * DAY)
            device = self.machine.start(options=Options(keep=1))
            result(device.collect())
            result(device.close())
        device = self.machine.start()
        self.assertEqual(result(device.get("a", version=self.old)), b"old")

    def test_no_snapshot_hides_it_from_others(self) -> None:
        """As with what went while a process looked on (FORMAT 6.2)."""
        self.assertRaises(CallerError, result, self.device.snapshot())


class QuietTests(Rollback):
    """What is no rollback: whoever is told of one that is none stops reading."""

    def test_nothing_happened(self) -> None:
        """Files, removed ones, directories, odd names and messages of a reference program."""
        self.put("a", b"1")
        self.put("gone", b"1")
        result(self.other.remove("gone"))
        result(self.other.make_directory("d"))
        self.reference("ref", b"1")
        self.reference("ref", b"2")
        self.reference("../odd", b"2")
        self.machine.look()
        self.assertEqual(self.told_next(), [])

    def test_collected_while_it_was_away(self) -> None:
        """A record says who removed them: versions, and the last of a file."""
        self.put("a", b"1")
        self.put("b", b"1")
        self.machine.look()
        self.put("a", b"2")
        result(self.other.remove("b"))
        for days in (1, 8, 366, 8, 8, 8):
            self.folder.clock.advance(days * DAY)
            result(self.other.collect())
        self.assertEqual(len(result(self.other.versions("a"))), 1)
        self.assertRaises(NotFound, result, self.other.versions("b"))
        self.assertEqual(self.told_next(), [])

    def test_written_and_removed_by_another_device_while_it_was_away(self) -> None:
        """What descends from what was seen settles it."""
        self.put("a", b"1")
        self.put("b", b"1")
        self.machine.look()
        self.put("a", b"2")
        result(self.other.remove("b"))
        result(self.other.move("a", "c"))
        self.assertEqual(self.told_next(), [])

    def test_renumbered_while_it_was_away(self) -> None:
        """Versions are found again by their ids (FORMAT 2.5)."""
        self.put("a", b"1")
        self.put("a", b"2")
        self.reference("r", b"1", versions=5)
        self.reference("r", b"2", versions=5)
        self.machine.look()
        self.shelf.renumber()
        self.assertEqual(self.told_next(), [])
        self.reference("r", b"3", versions=5)
        self.shelf.renumber()
        self.assertEqual(self.told_next(), [])

    def test_saved_again_and_again_by_a_reference_program(self) -> None:
        """Each is newer than the one before; what went meanwhile goes on counting as older."""
        for number in range(5):
            uid = self.reference("r", b"%d" % (number % 2), versions=2)
            self.assertEqual(self.told_next(), [])
            self.shelf.forget(*([uid - 2] if number > 2 else []))
        device = self.machine.start()
        result(device.put("r", b"ours"))
        result(device.close())
        self.reference("r", b"theirs")
        self.assertEqual(self.told_next(), [])

    def test_a_write_that_was_taken_back_while_it_was_away(self) -> None:
        """It lost a race, and was seen for a moment only (FORMAT 4.4)."""
        self.conflict("a")
        self.machine.look()
        self.shelf.forget(self.shelf.uidnext - 1)
        self.assertEqual(self.told_next(), [])
        self.assertEqual(result(self.machine.start().get("a")), b"first")

    def test_taken_back_and_what_had_won_collected_while_it_was_away(self) -> None:
        """The record tells of the race."""
        self.conflict("a")
        self.machine.look()
        self.shelf.forget(self.shelf.uidnext - 1)
        result(self.other.refresh())
        self.put("a", b"third")
        for days in (1, 8, 8):
            self.folder.clock.advance(days * DAY)
            result(self.other.collect())
        self.assertEqual(len(result(self.other.versions("a"))), 1)
        self.assertEqual(self.told_next(), [])

    def test_an_incomplete_listing(self) -> None:
        """That is one condition, and not each file by itself (FORMAT 5.5)."""
        uid = self.put("a", b"1")
        self.put("b", b"1")
        self.machine.look()
        store = self.folder.store()
        store.hide(uid)
        device = self.machine.start(store=store)
        self.assertEqual(self.told(device), [("listing-incomplete", None)])

    def test_the_newest_messages_only(self) -> None:
        """A provider's cap is one condition, too."""
        for name in "abc":
            self.put(name, b"1")
        self.put("c", b"2")
        self.machine.look()
        lowest = self.shelf.uidnext - 2
        self.shelf.forget(*[uid for uid in self.shelf.messages if uid < lowest])
        self.assertEqual(self.told_next(), [("listing-window", None)])

    def test_cleaned_up_by_a_reference_program(self) -> None:
        """As while a process looks on: it is told who seems to have done it (FORMAT 5.5)."""
        uid = self.reference("a", b"1")
        self.machine.look()
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [("removed-by-other", "a")])

    def test_a_device_that_knows_nothing_yet(self) -> None:
        """What nobody here has seen, nobody can miss."""
        uid = self.put("a", b"1")
        self.put("b", b"1")
        self.shelf.forget(uid)
        self.assertEqual(self.told_next(), [])

    def test_the_other_dialect(self) -> None:
        """Two file systems may share a folder: one does not see what is in the other."""
        self.put("a", b"1")
        self.machine.look()
        self.machine.membership = replace(self.machine.membership, dialect="mailfile", found=None)
        self.shelf.forget(*self.shelf.messages)
        self.assertEqual(self.told_next(), [])
