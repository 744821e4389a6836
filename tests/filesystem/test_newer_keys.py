"""Following a change of the key, whatever the server shows of it, and when (FORMAT 8.4, 8.5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Event, FolderState
from ifap_twisted.errors import Damaged, IFAPError, Refused, Unavailable, WrongKey
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.store.memory import MemoryStore
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_rekeying import Disk, RekeyingCase

CHANGES = limits.SLOTS_TRIED // 2 + 1
"""As many as leave more slots than are tried of other types."""


class Withholding(MemoryStore):
    """Knows nothing of some messages, or does not give them."""

    hidden: Collection[int] = ()
    refused: Collection[int] = ()
    error: IFAPError = Refused("NO")

    def _range(self, first: int, last: int | None) -> list[tuple[int, bytes]]:
        return [(uid, message) for uid, message in super()._range(first, last) if uid not in self.hidden]

    def _state(self) -> FolderState:
        state = super()._state()
        return replace(state, exists=state.exists - len(self.shelf.messages.keys() & set(self.hidden)))

    def message(self, uid: int) -> Any:
        return fail(self.error) if uid in self.refused else super().message(uid)


class NewerKeysCase(RekeyingCase):
    """A folder of which the key is changed."""

    def slots(self) -> list[int]:
        return sorted(self.first.filesystem.desk.view.index.key_slots())

    def write_next(self, key: Key) -> int:
        uid: int = result(Deferred.fromCoroutine(self.first.slots.write_next(key)))
        return uid

    def withholding(self) -> Withholding:
        return Withholding(self.folder.shelf, clock=self.folder.clock)

    def assert_reads(self, fs: Filesystem, path: str, content: bytes) -> None:
        result(fs.refresh())
        self.assertEqual(result(fs.get(path)), content)


class OthersTests(NewerKeysCase):
    """What is written under a key is read by all others."""

    def test_two_changes_of_which_neither_saw_the_other(self) -> None:
        """Two replicas of a mailbox that come together again: each device reads what the other one wrote."""
        last = max(self.folder.shelf.messages)
        disk, store = Disk(Membership(keys=(KEY,))), self.withholding()
        self.rekey()
        result(self.first.filesystem.put("here", b"here"))
        store.hidden = {uid for uid in self.folder.shelf.messages if uid > last}
        there = self.opened(disk, store)
        self.rekey(there)
        self.assertNotEqual(disk.membership.keys[0], self.disk.membership.keys[0])
        result(there.filesystem.put("there", b"there"))
        store.hidden = ()
        self.assert_reads(there.filesystem, "here", b"here")
        self.assert_reads(self.first.filesystem, "there", b"there")
        self.assertEqual(set(disk.membership.keys), set(self.disk.membership.keys))
        for keys in ((KEY,), disk.membership.keys[:1], self.disk.membership.keys[:1]):
            device = self.folder.device(Membership(keys=keys))
            self.assert_reads(device, "here", b"here")
            self.assert_reads(device, "there", b"there")

    def test_the_slot_of_who_was_first_is_lost(self) -> None:
        """A device that was away follows the other one then; all read what it writes."""
        other = self.opened(Disk(Membership(keys=(KEY,))))
        following = other.filesystem.desk.view.newer_keys
        following.remember, remember = None, following.remember  # it does not hear of the first one yet
        first = self.write_next(Key.from_text("mine"))
        result(self.first.filesystem.refresh())
        result(Deferred.fromCoroutine(other.slots.write_next(Key.from_text("theirs"))))
        following.remember = remember
        result(other.filesystem.refresh())
        self.folder.shelf.remove([first])
        away = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        result(away.put("new", b"new"))
        self.assertEqual(away.desk.view.keys[0].text, "theirs")
        for opened in (self.first, other):
            self.assertEqual(opened.filesystem.desk.view.keys[0].text, "mine")
            self.assert_reads(opened.filesystem, "new", b"new")

    def test_a_slot_of_another_folder(self) -> None:
        """A folder with the same key has it: who is new here does not take the key of that one for ours."""
        elsewhere = Folder(seed=1)
        disk = Disk(Membership(keys=(KEY,)))
        other = result(elsewhere.opening(disk.membership, remember=disk.remember))
        result(other.filesystem.put("x", b"x"))
        self.rekey(other)
        store = self.folder.store()
        result(store.open())
        for uid in sorted(other.filesystem.desk.view.index.key_slots()):
            result(store.append(elsewhere.shelf.messages[uid]))
        self.rekey()
        new = Disk(Membership(keys=(KEY,)))
        result(self.opened(new).filesystem.put("new", b"new"))
        self.assert_reads(self.first.filesystem, "new", b"new")
        self.assertEqual(new.membership.keys[0], self.disk.membership.keys[0])

    def test_many_changes(self) -> None:
        """Who was away during all of them follows, whatever somebody has put on top."""
        for number in range(CHANGES):
            self.write_next(Key.from_text(f"key {number}"))
            result(self.first.filesystem.refresh())
        store = self.folder.store()
        result(store.open())
        junk = self.folder.shelf.messages[self.slots()[-1]].replace(b"4", b"5")
        for _ in range(limits.EARLIER_SLOTS):
            result(store.append(junk))
        disk = Disk(Membership(keys=(KEY,)))
        self.opened(disk)
        self.assertEqual(disk.membership.keys[0].text, f"key {CHANGES - 1}")


class ServerTests(NewerKeysCase):
    """The server does not give a slot."""

    def test_who_knows_the_key_goes_on(self) -> None:
        """One slot that cannot be read keeps no device from opening the folder, nor from seeing what is new."""
        running = self.withholding()
        device = self.opened(Disk(Membership(keys=(KEY,))), running).filesystem
        self.rekey()
        for error in (Refused("NO"), Unavailable("Not now.")):
            for uid in self.slots():
                running.refused, running.error = (uid,), error
                result(self.first.filesystem.put("new", str(error).encode()))
                self.assert_reads(device, "new", str(error).encode())
                store = self.withholding()
                store.refused, store.error = (uid,), error
                self.assert_reads(self.opened(Disk(self.disk.membership), store).filesystem, "a", b"2")

    def test_it_is_read_later(self) -> None:
        """The next refresh tries again, and the device follows then."""
        disk, store = Disk(Membership(keys=(KEY,))), self.withholding()
        device = self.opened(disk, store).filesystem
        store.refused = range(max(self.folder.shelf.messages) + 1, 1000)
        self.rekey()
        result(device.refresh())
        self.assertEqual(disk.membership.keys, (KEY,))
        store.refused = ()
        result(device.refresh())
        self.assertEqual(disk.membership.keys, self.disk.membership.keys)

    def test_no_other_key_meanwhile(self) -> None:
        """It may hold a newer key: no other one is drawn."""
        self.rekey()
        self.over()
        store = self.withholding()
        store.refused = self.slots()
        opened = self.opened(self.disk, store)
        there = dict(self.folder.shelf.messages)
        with self.assertRaises(Refused):
            self.rekey(opened)
        self.assertEqual(dict(self.folder.shelf.messages), there)

    def test_it_is_told_that_the_server_is_why(self) -> None:
        """Who has the former key alone hears that, not that its key is the wrong one."""
        self.rekey()
        self.over()
        store = self.withholding()
        store.refused = self.slots()
        with self.assertRaises(Refused):
            self.opened(Disk(Membership(keys=(KEY,))), store)
        with self.assertRaises(WrongKey):
            self.opened(Disk(Membership(keys=(Key.from_text("another"),))))

    def test_a_slot_that_was_garbled_once(self) -> None:
        """It is read anew after some minutes."""
        disk, store = Disk(Membership(keys=(KEY,))), self.withholding()
        device = self.opened(disk, store).filesystem
        store.refused, store.error = range(max(self.folder.shelf.messages) + 1, 1000), Damaged("CORRUPTION")
        self.rekey()
        result(device.refresh())
        store.refused = ()
        result(device.refresh())
        self.assertEqual(disk.membership.keys, (KEY,))
        self.folder.clock.advance(600)
        result(device.refresh())
        self.assertEqual(disk.membership.keys, self.disk.membership.keys)


class AlarmTests(NewerKeysCase):
    """Nobody is alarmed because the copies under the former key are gone."""

    def away(self, *, renumbered: bool) -> list[str]:
        """What a device is told that had no connection during the whole change."""
        disk, store = Disk(Membership(keys=(KEY,))), self.folder.store()
        device = self.opened(disk, store).filesystem
        before = self.seen(device)
        events: list[Event] = []
        device.watch(events.append)
        store.go_offline()
        self.rekey()
        self.over()
        if renumbered:
            self.folder.shelf.renumber()
        store.go_online()
        self.assertEqual(self.seen(device), before)
        self.assertEqual(result(device.status()).warnings, ())
        return [event.kind for event in events]

    def test_away(self) -> None:
        """A device that was away sees no file vanish, change or come back."""
        self.assertEqual(set(self.away(renumbered=False)), {"connection"})

    def test_away_and_renumbered(self) -> None:
        """Nor when the server gave new numbers meanwhile."""
        self.assertEqual(set(self.away(renumbered=True)) - {"connection", "renewed"}, set())


class KeepingTests(NewerKeysCase):
    """What a device writes with is what it keeps."""

    def test_a_full_disk_at_opening(self) -> None:
        """A device that was away and cannot keep the newer key reads with it, and writes with the one that it has."""
        disk = Disk(Membership(keys=(KEY,)))
        result(self.opened(disk).filesystem.close())
        self.rekey()
        self.over()
        result(self.first.filesystem.put("new", b"new"))
        disk.full = True
        device = self.opened(disk).filesystem
        self.assertEqual((result(device.get("new")), result(device.get("a"))), (b"new", b"2"))
        result(device.put("there", b"there"))
        self.assertEqual((device.desk.view.keys[0], disk.membership.keys), (KEY, (KEY,)))
        self.assert_reads(self.first.filesystem, "there", b"there")
        disk.full = False
        result(device.refresh())
        self.assertEqual(disk.membership.keys, self.disk.membership.keys)

    def test_a_key_that_opens_nothing(self) -> None:
        """Given to a device that has the right one, it is refused: nobody else would read what is written with it."""
        there = dict(self.folder.shelf.messages)
        for keys in ((Key.from_text("another"), KEY), (Key.from_text("another"),)):
            disk = Disk(Membership(keys=keys, given=True))
            with self.assertRaises(WrongKey):
                self.opened(disk)
            self.assertEqual(disk.membership.keys, keys)
        self.assertEqual(dict(self.folder.shelf.messages), there)

    def test_a_key_that_is_given(self) -> None:
        """The former one, the newest, and one that opens some files only are taken, whatever else the device has."""
        self.rekey()
        self.over()
        newest = self.disk.membership.keys[0]
        self.write("other", b"other")
        for keys in ((KEY, Key.from_text("another")), (newest, Key.from_text("another"))):
            device = self.opened(Disk(Membership(keys=keys, given=True))).filesystem
            self.assertEqual((result(device.get("a")), result(device.get("other"))), (b"2", b"other"))
            self.assertEqual(device.desk.view.keys[0], newest)


class LostTests(NewerKeysCase):
    """A key slot is gone."""

    def lose(self, *uids: int) -> None:
        self.folder.shelf.remove(uids)
        result(self.first.filesystem.refresh())

    def told(self) -> list[str]:
        found = result(self.first.filesystem.check()).findings
        return [one.severity for one in found if one.code == "key-slot"]

    def test_either(self) -> None:
        """A check tells it, a further run writes it anew, and whoever has one key only reads everything."""
        before = self.seen(self.first.filesystem)
        self.rekey()
        self.assertEqual(self.told(), [])
        newest = self.disk.membership.keys[0]
        for some in (slice(1), slice(1, None), slice(None)):
            self.lose(*self.slots()[some])
            self.assertEqual(self.told(), ["damage"])
            done = self.rekey()
            self.assertEqual((done.drawn, done.sealed, self.told()), (False, 0, []))
            self.over()
            for key in (KEY, newest):
                disk = Disk(Membership(keys=(key,)))
                self.assertEqual(self.seen(self.opened(disk).filesystem), before)
                self.assertEqual((disk.membership.keys, disk.membership.generation), ((newest, KEY), 2))

    def test_the_copies_stay(self) -> None:
        """Nothing under the former key goes while that does not lead to the newest."""
        before = self.seen(self.first.filesystem)
        self.rekey()
        self.collect(self.first.filesystem)
        self.lose(*self.slots())
        self.later()
        there = dict(self.folder.shelf.messages)
        self.assertIn("key-slot", {one.code for one in self.collect(self.first.filesystem).messages})
        self.assertLessEqual(there.keys(), self.folder.shelf.messages.keys())
        self.assertEqual(self.seen(self.alone(KEY)), before)
        self.rekey()
        self.over()
        self.assertLess(len(self.folder.shelf.messages), len(there))
        self.assertEqual(self.seen(self.alone(KEY)), before)

    def test_a_mailbox_put_back_from_before(self) -> None:
        """The slots are not in it: a further run writes them, and what was written meanwhile is read by all."""
        put_back = self.folder.shelf.back_up()
        self.rekey()
        result(self.first.filesystem.close())
        put_back()
        self.first = self.opened(self.disk)
        away = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        result(self.first.filesystem.put("new", b"new"))
        done = self.rekey()
        self.assertEqual((done.drawn, done.left), (False, 0))
        for fs in (away, self.alone(KEY), self.alone()):
            self.assert_reads(fs, "new", b"new")
            self.assert_reads(fs, "a", b"2")

    def test_a_key_that_is_none_of_the_folder(self) -> None:
        """It was given once by mistake, and is kept: nothing is written for whoever has it."""
        wrong = Key.from_text("another")
        opened = self.opened(Disk(Membership(keys=(KEY, wrong))))
        self.rekey(opened)
        self.lose(*self.slots())
        self.rekey(opened)
        with self.assertRaises(WrongKey):
            self.opened(Disk(Membership(keys=(wrong,))))
