"""Changing the key of a folder: readable at every moment, gone on with wherever it was cut (FORMAT 8.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.keys import Key
from ifap_twisted.core.records import RECORDS
from ifap_twisted.core.recovery_codes import CODE_BYTES
from ifap_twisted.core.slots import RECOVERY
from ifap_twisted.errors import (
    IFAPError,
    Locked,
    NoRoom,
    NotSupported,
    QuotaExceeded,
    StoreError,
    Unavailable,
    WrongKey,
)
from ifap_twisted.filesystem import folder, rekeying, resealing
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Opened
from ifap_twisted.filesystem.rekeying import Rekeyed
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from ifap_twisted.store.memory import FULL_TRAITS, MemoryStore, Turnstile
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_recovery import Recovering
from tests.reference_reader import ReferenceReader

DAY = 86400.0


class Dying(MemoryStore):
    """Loses its connection with the call of this number that reads or writes messages."""

    left = 10**9

    def _step(self) -> None:
        type(self).left -= 1
        if type(self).left < 0:
            raise Unavailable("The connection was lost.")

    def append(self, message: bytes) -> Any:
        self._step()
        return super().append(message)

    def message(self, uid: int) -> Any:
        self._step()
        return super().message(uid)


class Disk:
    """What a device keeps of its folder."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.full = False

    async def remember(self, membership: Membership) -> None:
        if self.full and self._facts(membership) != self._facts(self.membership):
            raise NoRoom("The disk is full.")
        self.membership = membership

    @staticmethod
    def _facts(membership: Membership) -> tuple[Any, ...]:
        """What is in a file: as it is already, it is not written again."""
        return membership.keys, membership.home, membership.dialect, membership.generation


class RekeyingCase(SynchronousTestCase):
    """A folder with a history, a device that changes its key, and others."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.disk = Disk(Membership(keys=(KEY,)))
        self.first = self.opened(self.disk)
        fs = self.first.filesystem
        for number in range(3):
            result(fs.put("a", b"%d" % number))
        result(fs.put("dir/b", b"other", mode=0o600))
        result(fs.put("gone", b"x"))
        result(fs.remove("gone"))
        self.write("r", b"r1")
        self.write("r", b"r2")
        vid = result(fs.put("c", b"1")).version
        result(fs.put("c", b"2"))
        self.write("c", b"3", vid=vid)
        self.folder.clock.advance(3600)
        result(fs.refresh())

    def opened(self, disk: Disk, store: Any = None, **how: Any) -> Opened:
        opened: Opened = result(self.folder.opening(disk.membership, store=store, remember=disk.remember, **how))
        return opened

    def write(self, path: str, content: bytes, **facts: Any) -> None:
        """What a reference program appends."""
        stamps = (Stamp(iv=self.folder.random(16)), Stamp(iv=self.folder.random(16)))
        store = self.folder.store()
        result(store.open())
        values = {"ts": 1_573_400_000, **facts}
        result(store.append(encode(path, content, values, dialect="ifaplib", key=KEY.text, stamps=stamps)))

    def rekey(self, opened: Opened | None = None) -> Rekeyed:
        done: Rekeyed = result(Deferred.fromCoroutine((opened or self.first).rekeying.run()))
        return done

    def seen(self, fs: Filesystem) -> dict[str, Any]:
        """Everything that a device sees and reads, all versions."""
        result(fs.refresh())
        found = {}
        for path in ("a", "dir/b", "gone", "r", "c"):
            for one in result(fs.versions(path)):
                content = None if one.deleted else result(fs.get(path, version=one.version))
                found[path, one.version] = (content, one.mode, one.deleted, one.conflict, one.modified, one.parents)
        found["current"] = {path: result(fs.get(path)) for path in ("a", "dir/b", "r", "c")}
        found["conflicts"] = [one.version for one in result(fs.conflicts())]
        return found

    def later(self, days: float = 8) -> None:
        self.folder.clock.advance(days * DAY)

    def collect(self, fs: Filesystem) -> Any:
        return result(fs.collect())

    def over(self) -> None:
        """The copies under the former key go."""
        self.collect(self.first.filesystem)
        self.later()
        self.collect(self.first.filesystem)

    def alone(self, key: Key | None = None, **how: Any) -> Filesystem:
        """A device that has one key only; without any, the newest."""
        return self.folder.device(Membership(keys=(key or self.disk.membership.keys[0],)), **how)

    def left_over(self, path: str, key: Key) -> bytes:
        """What a reference program with one key reads, after it has cleaned up."""
        messages = dict(self.folder.shelf.messages)
        gone = ReferenceReader(messages, "ifaplib", key.text).synchronize(cleanup=True)
        reader = ReferenceReader({uid: messages[uid] for uid in messages if uid not in gone}, "ifaplib", key.text)
        reader.synchronize()
        return reader.read(path)


class RekeyingTests(RekeyingCase):
    """A change of the key."""

    def test_everything_is_under_the_new_key(self) -> None:
        """When the grace is over the new key alone opens all, and nothing is left that it does not open."""
        fs = self.first.filesystem
        before = self.seen(fs)
        done = self.rekey()
        self.assertEqual((done.drawn, dict(done.failed)), (True, {}))
        newest = self.disk.membership.keys[0]
        self.assertEqual((done.key, self.disk.membership.keys[1:]), (newest.fingerprint, (KEY,)))
        self.assertNotEqual(newest, KEY)
        alone = Membership(keys=(newest,))
        self.assertEqual(self.seen(self.folder.device(alone)), before)
        self.assertEqual(self.seen(fs), before)
        self.collect(fs)
        self.later()
        self.collect(fs)
        self.assertEqual(self.seen(fs), before)
        last = self.folder.device(alone)
        self.assertEqual(self.seen(last), before)
        for name in ("a", "dir/b", "gone", "r", "c"):
            for placed in last.desk.view.index.history(name).versions:
                self.assertEqual(len(placed.places), 1, name)
        self.assertEqual(last.desk.view.index.collisions(), [])
        self.assertEqual(result(fs.check(read_data=100)).damaged, 0)

    def test_others_follow(self) -> None:
        """A running device reads everything, writes under the new key, and remembers it; so does one that was away."""
        there, away = Disk(Membership(keys=(KEY,))), Disk(Membership(keys=(KEY,)))
        running = self.opened(there).filesystem
        before = self.seen(running)
        self.rekey()
        newest = self.disk.membership.keys[0]
        self.assertEqual(self.seen(running), before)
        self.assertEqual((there.membership.keys, there.membership.generation), ((newest, KEY), 2))
        result(running.put("new", b"new"))
        alone = self.folder.device(Membership(keys=(newest,)))
        self.assertEqual(result(alone.get("new")), b"new")
        self.collect(running)
        self.later()
        self.collect(running)
        late = self.opened(away).filesystem
        self.assertEqual(self.seen(late), before)
        self.assertEqual(away.membership.keys, (newest, KEY))

    def test_late_writes_come_in(self) -> None:
        """What a device that did not see it yet writes is read by all, and sealed anew by the next run."""
        late = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        late.desk.view.newer_keys.remember = None  # it does not hear of it
        done = self.rekey()
        result(late.put("late", b"late"))
        result(late.put("a", b"late too"))
        fs = self.first.filesystem
        result(fs.refresh())
        self.assertEqual((result(fs.get("late")), result(fs.get("a"))), (b"late", b"late too"))
        again = self.rekey()
        self.assertEqual((again.drawn, again.key, again.sealed), (False, done.key, 2))
        alone = self.folder.device(Membership(keys=self.disk.membership.keys[:1]))
        self.assertEqual((result(alone.get("late")), result(alone.get("a"))), (b"late", b"late too"))

    def test_a_second_change(self) -> None:
        """Devices follow over both, from whatever key they have."""
        self.rekey()
        first = self.disk.membership.keys[0]
        self.over()
        done = self.rekey()
        self.assertTrue(done.drawn)
        newest = self.disk.membership.keys[0]
        self.assertEqual(self.disk.membership.keys, (newest, first, KEY))
        for key in (KEY, first):
            disk = Disk(Membership(keys=(key,)))
            self.opened(disk)
            self.assertEqual((disk.membership.keys[0], disk.membership.generation), (newest, 3))

    def test_codes_stay_right(self) -> None:
        """A recovery code that was made before opens the folder after it, with the newest key."""
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * CODE_BYTES))
        result(Deferred.fromCoroutine(self.first.slots.write(code)))
        before = self.seen(self.first.filesystem)
        self.rekey()
        disk = Disk(Membership(unlock=code, generation=2))
        device = self.opened(disk).filesystem
        self.assertEqual(self.seen(device), before)
        self.assertEqual(disk.membership.keys, self.disk.membership.keys)

    def test_a_slot_that_is_hidden(self) -> None:
        """A device that has seen the newer key takes no older one for the newest."""
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * CODE_BYTES))
        uid = result(Deferred.fromCoroutine(self.first.slots.write(code)))
        self.rekey()
        slots = self.first.filesystem.desk.view.index.key_slots()
        self.folder.shelf.remove([one for one in slots if one != uid])
        with self.assertRaises(WrongKey):
            self.opened(Disk(Membership(unlock=code, generation=2)))

    def test_two_at_once(self) -> None:
        """Both come to the same key, and nothing is lost."""
        other_disk = Disk(Membership(keys=(KEY,)))
        other = self.opened(other_disk)
        before = self.seen(other.filesystem)
        mine, theirs = Key.from_text("mine"), Key.from_text("theirs")
        following = other.filesystem.desk.view.newer_keys
        remember, following.remember = following.remember, None  # it does not hear of the first one yet
        result(Deferred.fromCoroutine(self.first.slots.write_next(mine)))
        result(Deferred.fromCoroutine(other.slots.write_next(theirs)))
        following.remember = remember
        done = self.rekey(other)
        self.assertEqual((done.drawn, self.seen(self.first.filesystem)), (False, before))
        self.assertEqual((self.disk.membership.keys[0], other_disk.membership.keys[0]), (mine, mine))
        self.assertEqual(self.seen(self.folder.device(Membership(keys=(mine,)))), before)

    def test_what_cannot_be_read_stays(self) -> None:
        """A damaged version is told, and left where it is, with the key that opens it."""
        fs = self.first.filesystem
        (placed,) = fs.desk.view.index.history("dir/b").versions
        uid = placed.places[0]
        message = self.folder.shelf.messages[uid]
        at = message.index(b"\r\n\r\n") + 100
        self.folder.shelf.tamper(uid, message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :])
        done = self.rekey()
        self.assertEqual(list(done.failed), [("dir/b", placed.version.vid)])
        self.collect(fs)
        self.later()
        self.collect(fs)
        self.assertIn(uid, self.folder.shelf.messages)

    def test_a_full_disk(self) -> None:
        """Who cannot keep the new key reads with it, and writes with the one that it keeps, until it can."""
        disk = Disk(Membership(keys=(KEY,)))
        device = self.opened(disk).filesystem
        before = self.seen(device)
        disk.full = True
        self.rekey()
        result(self.first.filesystem.put("new", b"new"))
        self.assertEqual(self.seen(device), before)
        self.assertEqual(result(device.get("new")), b"new")
        self.assertEqual(device.desk.view.keys[0], KEY)
        disk.full = False
        result(device.refresh())
        self.assertEqual(
            (device.desk.view.keys[0], disk.membership.keys), (disk.membership.keys[0], self.disk.membership.keys)
        )

    def test_a_full_disk_here(self) -> None:
        """Nothing is written before the new key is kept."""
        before = dict(self.folder.shelf.messages)
        self.disk.full = True
        with self.assertRaises(NoRoom):
            self.rekey()
        self.assertEqual(dict(self.folder.shelf.messages), before)

    def test_without_encryption(self) -> None:
        """There is no key."""
        folder = Folder()
        opened = result(folder.opening(Membership(encrypted=False)))
        with self.assertRaises(NotSupported):
            result(Deferred.fromCoroutine(opened.rekeying.run()))

    def test_locks(self) -> None:
        """A lock that is held stays held, for whoever has any of the keys; its holder gives it up."""
        holder = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        result(holder.lock("a", seconds=3600))
        self.rekey()
        for fs in (self.alone(KEY), self.alone(), self.folder.device(self.disk.membership)):
            self.assertEqual([one.path for one in result(fs.locks())], ["a"])
            with self.assertRaises(Locked):
                result(fs.put("a", b"theirs"))
        result(holder.put("a", b"mine"))
        result(holder.unlock("a"))
        alone = self.alone()
        self.assertEqual((result(alone.locks()), result(alone.get("a"))), ([], b"mine"))
        self.assertFalse(result(alone.stat("a")).conflict)

    def objects(self) -> list[int]:
        """The generations that the folder objects tell."""
        view = self.first.filesystem.desk.view
        found = result(Deferred.fromCoroutine(folder.objects_of(view.store, view.index, view.dialect, view.keys)))
        return [one.generation for one in found]

    def test_the_object_of_the_folder_is_lost(self) -> None:
        """A repair, and a device that is new to the folder, write it anew with the generation of the newest key."""
        self.rekey()
        fs = self.first.filesystem
        self.over()
        self.assertEqual(max(self.objects()), 2)
        for mend in (lambda: result(fs.check(repair=True)), lambda: self.alone(KEY)):
            there = [uid for placed in folder.folder_objects(fs.desk.view.index) for uid in placed.places]
            self.folder.shelf.remove(there)
            result(fs.refresh())
            self.assertEqual(self.objects(), [])
            mend()
            result(fs.refresh())
            self.assertEqual(self.objects(), [2])
        self.assertEqual(self.rekey().drawn, True)
        self.assertEqual(max(self.objects()), 3)

    def test_the_newest_object_of_the_folder_is_lost(self) -> None:
        """A passphrase that is set then is told to be of the newest key all the same."""
        fs = self.first.filesystem
        self.rekey()
        newest = max(folder.folder_objects(fs.desk.view.index), key=lambda placed: placed.number)
        self.folder.shelf.remove(newest.places)
        result(fs.refresh())
        self.assertEqual(self.objects(), [1])
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * CODE_BYTES))
        result(Deferred.fromCoroutine(self.first.slots.write(code)))
        device = self.opened(Disk(Membership(unlock=code, generation=2))).filesystem
        self.assertEqual(result(device.get("a")), b"2")
        self.assertEqual([one for one in result(fs.check()).findings if one.code == "key-slot"], [])

    def test_records_and_rollback(self) -> None:
        """What is on record of what was collected stays so, under the new key alone."""
        fs = self.opened(self.disk, options=Options(keep=1)).filesystem
        for _ in range(4):
            self.collect(fs)
            self.later()
        self.assertTrue(fs.desk.view.index.objects(RECORDS))
        opened = self.opened(self.disk)
        self.rekey(opened)
        alone = self.folder.device(Membership(keys=self.disk.membership.keys[:1]))
        result(alone.refresh())
        self.assertEqual(bool(alone.desk.view.records), bool(fs.desk.view.records))


class NewestTests(RekeyingCase):
    """What the reference programs take for the newest is never an older one."""

    def late(self) -> Filesystem:
        """A device that does not hear of the new key."""
        late = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        late.desk.view.newer_keys.remember = None
        return late

    def begun(self) -> Key:
        """A change of the key that was cut right after the new key was told."""
        new = Key.from_text("new")
        result(Deferred.fromCoroutine(self.first.slots.write_next(new)))
        result(self.first.filesystem.refresh())
        return new

    def test_the_reference_programs(self) -> None:
        """With the former key or the new one, they read the newest version, and clean up no other's."""
        self.rekey()
        for key in (KEY, self.disk.membership.keys[0]):
            self.assertEqual((self.left_over("a", key), self.left_over("r", key)), (b"2", b"r2"))

    def test_older_than_one_under_the_new_key(self) -> None:
        """They stay under the former key, where everybody reads them, until a further change of the key."""
        new = self.begun()
        fs = self.first.filesystem
        result(fs.put("a", b"newest"))
        before = self.seen(fs)
        done = self.rekey()
        self.assertEqual((done.drawn, done.left), (False, 3))
        self.assertEqual((self.left_over("a", new), self.seen(self.alone())), (b"newest", before))
        self.over()
        self.assertEqual(self.seen(self.alone()), before)
        again = self.rekey()
        self.assertEqual((again.drawn, again.left), (True, 0))
        self.assertEqual(self.seen(self.alone()), before)

    def test_written_in_the_moment_before_the_copy(self) -> None:
        """What comes under the new key while an older version is sealed anew comes to stand above that copy."""
        new = self.begun()
        other = self.opened(Disk(self.disk.membership)).filesystem
        store = During(self.folder.shelf, clock=self.folder.clock)
        opened = self.opened(self.disk, store)
        store.path, store.stored = b"", lambda: result(other.put("a", b"newest"))
        self.rekey(opened)
        self.assertIsNone(store.stored)
        self.assertEqual(self.left_over("a", new), b"newest")
        self.assertEqual(self.seen(self.alone())["current"]["a"], b"newest")

    def test_late_ones(self) -> None:
        """What comes under the former key after that is sealed anew above all; until then the status tells of it."""
        late = self.late()
        self.rekey()
        fs = self.first.filesystem
        self.assertNotIn("rekeying", {one.code for one in result(fs.status()).warnings})
        result(late.put("a", b"late"))
        result(fs.refresh())
        self.assertIn("rekeying", {one.code for one in result(fs.status()).warnings})
        self.assertEqual(self.rekey().sealed, 1)
        self.assertNotIn("rekeying", {one.code for one in result(fs.status()).warnings})
        self.assertEqual(self.left_over("a", self.disk.membership.keys[0]), b"late")

    def test_the_status_tells(self) -> None:
        """Of a change that was cut, on every device, also on one that is opened then."""
        self.begun()
        for fs in (self.first.filesystem, self.alone(KEY), self.alone(), self.folder.device(self.disk.membership)):
            (told,) = [one for one in result(fs.status()).warnings if one.code == "rekeying"]
            self.assertIn(" 5 files ", told.text)

    def test_the_newest_cannot_be_read(self) -> None:
        """Then nothing of the file is sealed anew: an older version would be the newest under the new key."""
        fs = self.first.filesystem
        placed = fs.desk.view.index.history("a").versions[-1]
        uid = placed.places[0]
        message = self.folder.shelf.messages[uid]
        at = message.index(b"\r\n\r\n") + 100
        self.folder.shelf.tamper(uid, message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :])
        done = self.rekey()
        self.assertEqual((list(done.failed), done.left), ([("a", placed.version.vid)], 2))
        self.assertEqual([one.places[1:] for one in fs.desk.view.index.history("a").versions], [()] * 3)

    def test_after_binding(self) -> None:
        """The unbound copies that go are no reason to make no new key."""
        fs = self.first.filesystem
        self.assertTrue(any(one.code == "bound" for one in result(fs.check(bind=True)).findings))
        self.assertEqual((self.rekey().drawn, self.rekey().drawn), (True, False))

    def test_where_nothing_can_be_removed(self) -> None:
        """Without UIDPLUS the copies stay, and are no reason to make no further key."""
        before = self.seen(self.first.filesystem)
        store = self.folder.store(traits=replace(FULL_TRAITS, expunges_by_uid=False))
        opened = self.opened(self.disk, store)
        self.assertTrue(self.rekey(opened).drawn)
        there = dict(self.folder.shelf.messages)
        self.later()
        self.assertIn("no-uidplus", {one.code for one in self.collect(opened.filesystem).messages})
        self.assertLessEqual(there.keys(), self.folder.shelf.messages.keys())
        self.assertEqual((self.rekey(opened).drawn, self.seen(self.alone())), (True, before))

    def test_a_conflict_that_is_young(self) -> None:
        """Who lost the race may take the write back yet: it is sealed anew by a later run."""
        vid = result(self.first.filesystem.put("young", b"1")).version
        self.write("young", b"2")
        self.write("young", b"3", vid=vid)
        result(self.first.filesystem.refresh())
        self.assertTrue(result(self.first.filesystem.stat("young")).conflict)
        done = self.rekey()
        self.assertEqual((done.drawn, done.left), (True, 3))
        self.folder.clock.advance(3600)
        done = self.rekey()
        self.assertEqual((done.drawn, done.sealed, done.left), (False, 3, 0))
        self.assertTrue(result(self.alone().stat("young")).conflict)


class During(MemoryStore):
    """Lets something happen before a message of a path is stored."""

    path = b""
    stored: Any = None

    def append(self, message: bytes) -> Any:
        happens, self.stored = self.stored, None
        if happens is not None:
            happens()
        return super().append(message)


class CutTests(RekeyingCase):
    """Killed, and begun again."""

    def test_at_every_step(self) -> None:
        """After each, devices with the former key, the new one and both read everything; it is gone on with."""
        watcher = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        before = self.seen(watcher)
        steps, finished = 0, False
        drawn = set()
        while not finished:
            steps += 1
            Dying.left = 2 * steps
            try:
                opened = self.opened(self.disk, Dying(self.folder.shelf, clock=self.folder.clock))
                work = Deferred.fromCoroutine(opened.rekeying.run())
                self.folder.clock.pump([1.0] * 70)
                result(work)
                finished = True
                result(opened.filesystem.close())
            except (StoreError, AssertionError):
                pass
            drawn.add(self.disk.membership.keys[0])
            Dying.left = 10**9
            self.assertEqual(self.seen(watcher), before)
            both = self.disk.membership.keys
            for keys in ((KEY,), both[:1], both):
                device = self.folder.device(Membership(keys=keys))
                self.assertEqual(self.seen(device), before)
                result(device.close())
            self.assertLess(steps, 40)
        self.assertGreater(steps, 5)
        self.assertEqual(len(drawn), 2)  # the former and the new one
        self.assertEqual(len(watcher.desk.view.index.key_slots()), 2)
        there = dict(self.folder.shelf.messages)
        again = self.rekey()
        self.assertEqual((again.drawn, again.sealed, again.planned, again.left), (False, 0, 0, 0))
        self.assertEqual(dict(self.folder.shelf.messages), there)
        self.over()
        self.assertEqual(self.seen(watcher), before)
        self.assertEqual(self.seen(self.alone()), before)
        found = result(watcher.check(read_data=100)).findings
        self.assertEqual([(one.code, one.path) for one in found], [("conflict", "c")])  # as before

    def test_a_removal_that_is_cut(self) -> None:
        """Removing the old places, ended after each one, leaves the same files."""
        self.rekey()
        watcher = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        before = self.seen(watcher)
        self.collect(watcher)
        self.later()

        class OneByOne(MemoryStore):
            """Removes one message of many, and loses the connection."""

            def remove(self, uids: Any, *args: Any) -> Any:
                self.shelf.remove([max(uids)])
                raise Unavailable("The connection was lost.")

        for _ in range(40):
            disk = Disk(self.disk.membership)
            fs = self.opened(disk, OneByOne(self.folder.shelf, clock=self.folder.clock)).filesystem
            try:
                self.collect(fs)
            except IFAPError:
                pass
            else:
                break
            self.assertEqual(self.seen(watcher), before)
            self.assertEqual(self.seen(self.folder.device(Membership(keys=(KEY,)))), before)
        alone = self.folder.device(Membership(keys=self.disk.membership.keys[:1]))
        self.assertEqual(self.seen(alone), before)


class RenumberedTests(RekeyingCase):
    """The server gives new numbers before the grace is over, which voids plans."""

    def test_the_copies_go_all_the_same(self) -> None:
        """A collection plans them anew: a grace later they are gone."""
        before = self.seen(self.first.filesystem)
        self.rekey()
        twice = len(self.folder.shelf.messages)
        self.folder.shelf.renumber()
        result(self.first.filesystem.refresh())
        self.later()
        self.collect(self.first.filesystem)
        self.assertGreaterEqual(len(self.folder.shelf.messages), twice)
        self.over()
        self.assertEqual(self.seen(self.alone()), before)
        places = [len(one.places) for path in "arc" for one in self.history(path)]
        self.assertEqual(set(places), {1})

    def history(self, path: str) -> Any:
        return self.first.filesystem.desk.view.index.history(path).versions


class Full(MemoryStore):
    """A mailbox with room for so many bytes."""

    room = 10**9

    def append(self, message: bytes) -> Any:
        if len(message) + sum(map(len, self.shelf.messages.values())) > self.room:
            return fail(QuotaExceeded("The mailbox is full."))
        return super().append(message)


class RoomTests(RekeyingCase):
    """There is no room for everything twice."""

    def test_it_comes_to_its_end(self) -> None:
        """What was sealed anew frees its former places, and the next run goes on."""
        self.patch(resealing, "PORTION", 8)
        self.patch(rekeying, "ROOM", 10_000)
        for number in range(60):
            result(self.first.filesystem.put(f"more/{number}", self.folder.random(5000)))
        before = self.seen(self.first.filesystem)
        store = Full(self.folder.shelf, clock=self.folder.clock)
        store.room = sum(map(len, self.folder.shelf.messages.values())) * 3 // 2
        opened = self.opened(self.disk, store)
        runs = 0
        while True:
            runs += 1
            try:
                done = self.rekey(opened)
                break
            except QuotaExceeded:
                pass
            for fs in (self.alone(KEY), self.alone()):
                self.assertEqual(self.seen(fs), before)
                result(fs.close())
            self.assertLess(runs, 6)
            self.later()
            self.collect(opened.filesystem)
        self.assertGreater(runs, 1)
        self.assertEqual((done.left, done.failed), (0, {}))
        self.over()
        self.assertEqual(self.seen(self.alone()), before)


class JournalTests(Recovering):
    """What was on its way when the key was changed."""

    def test_what_was_journalled_before(self) -> None:
        """It is finished under the former key, everybody reads it, and the next run seals it anew."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        store.gate = Turnstile("append")
        self.assertNoResult(device.put("a", b"new"))
        self.crash(store)
        disk = Disk(Membership(keys=(KEY,)))
        changing = result(self.folder.opening(disk.membership, remember=disk.remember))
        result(Deferred.fromCoroutine(changing.rekeying.run()))
        device = self.device()
        self.assertEqual((result(device.get("a")), self.status(device).pending, self.pending()), (b"new", 0, 0))
        alone = self.folder.device(Membership(keys=disk.membership.keys[:1]))
        self.assertEqual((result(alone.get("a")), result(alone.conflicts())), (b"new", []))
        again = result(Deferred.fromCoroutine(changing.rekeying.run()))
        self.assertEqual((again.drawn, again.sealed, again.left), (False, 1, 0))
        self.assertEqual(self.status(device).warnings, ())

    def test_what_is_remembered_was_seen(self) -> None:
        """No device takes it for a rollback that the copies under the former key are gone."""
        device = self.device()
        result(device.put("a", b"old"))
        result(device.put("a", b"new"))
        result(device.close())
        disk = Disk(Membership(keys=(KEY,)))
        changing = result(self.folder.opening(disk.membership, remember=disk.remember))
        result(Deferred.fromCoroutine(changing.rekeying.run()))
        result(changing.filesystem.collect())
        self.folder.clock.advance(8 * DAY)
        result(changing.filesystem.collect())
        device = self.device()
        result(device.refresh())
        self.assertEqual((result(device.get("a")), self.status(device).warnings), (b"new", ()))
        self.assertEqual([len(one.places) for one in device.desk.view.index.history("a").versions], [1, 1])
