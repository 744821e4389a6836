"""Revoking the key of a folder: who has the former one gets nothing new, and nothing is lost (FORMAT 8.5)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred

from ifap_twisted.core.findings import WARNING
from ifap_twisted.core.keys import Key
from ifap_twisted.core.revocations import NOTICES, RECORDS, notice_kind
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY, Unwrapped
from ifap_twisted.errors import CallerError, KeyChanged, NotFound, StoreError, WrongKey
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Opened
from ifap_twisted.filesystem.rekeying import Rekeyed
from ifap_twisted.filesystem.unlocking import Unlock
from ifap_twisted.secrecy import Secret
from ifap_twisted.service.wrapping import NewSecrets
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import KEY, Folder, result
from tests.filesystem.test_recovery import Recovering
from tests.filesystem.test_rekeying import Disk, Dying, RekeyingCase


class Nothing:
    """A folder without passphrase and recovery code."""

    async def check(self) -> None:
        """There is nothing to be given."""

    async def prepare(self) -> None:
        """There is nothing to do."""

    async def secure(self) -> None:
        """There is nothing to do."""


async def _nothing() -> None:
    """As a device does that does not look."""


def deaf(fs: Filesystem) -> Filesystem:
    """Of a version that knows of no notices, or of somebody who has the former key and wants to go on."""
    revoked_keys = fs.desk.view.revoked_keys
    revoked_keys.look = revoked_keys.check = _nothing  # type: ignore[method-assign,assignment]
    return fs


class RevokingCase(RekeyingCase):
    """A folder, the device that revokes its key, and others."""

    def revoke(self, opened: Opened | None = None) -> Rekeyed:
        done: Rekeyed = result(Deferred.fromCoroutine((opened or self.first).rekeying.revoke(Nothing())))
        return done

    def newest(self) -> Key:
        return self.disk.membership.keys[0]

    def codes(self, fs: Filesystem) -> list[tuple[str, str | None]]:
        return [(one.code, one.path) for one in result(fs.check()).findings if one.severity >= WARNING]

    def warned(self, fs: Filesystem) -> set[str]:
        return {one.code for one in result(fs.status()).warnings}


class RevokingTests(RevokingCase):
    """A revocation."""

    def test_everything_is_under_the_new_key(self) -> None:
        """The new key alone opens all, at once and when the copies are gone; the former one opens nothing more."""
        fs = self.first.filesystem
        before = self.seen(fs)
        done = self.revoke()
        self.assertEqual((done.drawn, dict(done.failed), done.left), (True, {}, 0))
        self.assertEqual((done.key, self.disk.membership.keys[1:]), (self.newest().fingerprint, (KEY,)))
        self.assertEqual((self.seen(fs), self.seen(self.alone())), (before, before))
        self.over()
        self.assertEqual((self.seen(fs), self.seen(self.alone())), (before, before))
        self.assertEqual(self.codes(fs), [("conflict", "c")])
        self.assertEqual(self.warned(fs) & {"rekeying", "revoked-key"}, set())
        with self.assertRaises(KeyChanged):
            self.alone(KEY)
        last = self.alone()
        for name in ("a", "dir/b", "gone", "r", "c"):
            for placed in last.desk.view.index.history(name).versions:
                self.assertEqual(len(placed.places), 1, name)

    def test_the_former_key_leads_nowhere(self) -> None:
        """No slot that it opens holds the new key."""
        self.revoke()
        view = self.first.filesystem.desk.view
        slots = self.first.slots
        self.assertTrue(result(Deferred.fromCoroutine(slots.opened(Unlock.by_earlier(self.newest())))))
        self.assertFalse(result(Deferred.fromCoroutine(slots.opened(Unlock.by_earlier(KEY)))))
        self.assertEqual(len(view.index.key_slots()), 1)

    def leads(self, key: Key) -> list[Key]:
        """Where the slots of the folder lead who has this key alone."""
        view = self.first.filesystem.desk.view
        result(self.first.filesystem.refresh())
        return list(result(Deferred.fromCoroutine(view.newer_keys.found_with(key))))

    def test_no_repair_leads_there(self) -> None:
        """A further run, a check and a collection write no slot that would; nor when the revocation is cut."""
        self.rekey()
        self.over()
        middle = self.newest()
        cut = patch.object(type(self.first.rekeying), "_come_over", side_effect=StoreError("The connection was lost."))
        with cut, self.assertRaises(StoreError):
            self.revoke()
        new = self.newest()
        for work in (self.rekey, self.revoke, self.rekey, self.over):
            work()
            result(self.first.filesystem.check(repair=True))
            for key in (KEY, middle):
                self.assertNotIn(new, self.leads(key), key)
        self.assertEqual([one for one in self.codes(self.first.filesystem) if one[0] == "key-slot"], [])
        self.assertEqual(self.seen(self.alone()), self.seen(self.first.filesystem))

    def test_other_devices_stop(self) -> None:
        """A running one reads and writes nothing more, and says so; one that is opened is refused."""
        running = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        self.revoke()
        for work in (lambda: running.put("a", b"more"), lambda: running.get("a"), running.refresh, running.check):
            self.failureResultOf(work(), KeyChanged)
        self.assertIn("key-changed", self.warned(running))
        there = dict(self.folder.shelf.messages)
        with self.assertRaises(KeyChanged):
            self.opened(Disk(Membership(keys=(KEY,))))
        result(running.close())
        self.assertEqual(dict(self.folder.shelf.messages), there)

    def test_one_that_was_away_since_an_earlier_change(self) -> None:
        """It follows the change that wrapped the key, and stops at the one that did not."""
        self.rekey()
        self.over()
        middle = self.newest()
        before = self.seen(self.first.filesystem)
        self.assertTrue(self.revoke().drawn)
        for key in (KEY, middle):
            with self.assertRaises(KeyChanged):
                self.alone(key)
        self.assertEqual(self.seen(self.alone()), before)

    def test_a_change_after_it(self) -> None:
        """Whoever has the new key follows; what was revoked stays so."""
        late = deaf(self.opened(Disk(Membership(keys=(KEY,)))).filesystem)
        self.revoke()
        revoked = self.newest()
        result(late.put("a", b"late"))
        before = self.seen(self.first.filesystem)
        self.over()
        self.assertTrue(self.rekey().drawn)
        self.assertEqual((self.seen(self.alone(revoked)), self.seen(self.alone())), (before, before))
        with self.assertRaises(KeyChanged):
            self.alone(KEY)

    def test_a_second_one(self) -> None:
        """Each run that has nothing to go on with makes a new key, and who has any former one is out."""
        before = self.seen(self.first.filesystem)
        self.revoke()
        first = self.newest()
        done = self.revoke()
        self.assertTrue(done.drawn)
        self.assertNotEqual(self.newest(), first)
        for key in (KEY, first):
            with self.assertRaises(KeyChanged):
                self.alone(key)
        self.assertEqual((self.seen(self.alone()), self.seen(self.first.filesystem)), (before, before))
        self.over()
        self.assertEqual(self.seen(self.alone()), before)

    def test_a_device_that_comes_back(self) -> None:
        """With the new key, beside the former one that it has: it sees what the others see, and remembers it."""
        late = deaf(self.opened(Disk(Membership(keys=(KEY,)))).filesystem)
        self.revoke()
        result(late.put("a", b"late"))
        disk = Disk(Membership(keys=(self.newest(), KEY)))
        back = self.opened(disk).filesystem
        self.assertEqual(self.seen(back), self.seen(self.first.filesystem))
        self.assertEqual(disk.membership.revoked, {KEY.fingerprint})
        revoked = disk.membership.revoked
        given = Disk(Membership(keys=(KEY, self.newest()), revoked=revoked))  # the former key once more
        self.assertEqual(self.seen(self.opened(given).filesystem), self.seen(back))
        self.assertEqual(given.membership.keys, disk.membership.keys)
        with self.assertRaises(KeyChanged):
            self.opened(Disk(Membership(keys=(KEY,), revoked=revoked)))

    def test_slots_of_who_has_the_former_key(self) -> None:
        """They lead nobody elsewhere: not those who have the new key, nor those who were to stop."""
        thief = self.opened(Disk(Membership(keys=(KEY,))))
        deaf(thief.filesystem)
        running = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        deaf(running)
        before = self.seen(self.first.filesystem)
        self.revoke()
        thief.filesystem.desk.view.newer_keys.remember = None
        strange = Key.from_text("strange")
        result(Deferred.fromCoroutine(thief.slots.write_next(strange)))
        thief.filesystem.desk.view.hold_key(strange)
        with patch.object(type(thief.filesystem.desk.view), "keys", (strange, KEY)):
            result(Deferred.fromCoroutine(thief.filesystem.desk.writer.write("a", b"forged", Change())))
        back = self.opened(Disk(Membership(keys=(self.newest(), KEY)))).filesystem
        for fs in (self.first.filesystem, self.alone(), self.folder.device(self.disk.membership), back):
            self.assertEqual(self.seen(fs), before)
            self.assertNotIn(strange, fs.desk.view.keys)
        with self.assertRaises(KeyChanged):
            self.opened(Disk(Membership(keys=(KEY,))))
        del running.desk.view.revoked_keys.look, running.desk.view.revoked_keys.check
        self.failureResultOf(running.refresh(), KeyChanged)

    def test_two_at_once(self) -> None:
        """The one whose notice came first goes on; the other one is told, and its notice is withdrawn."""
        other = self.opened(Disk(Membership(keys=(KEY,))))
        before = self.seen(self.first.filesystem)
        deaf(other.filesystem)
        self.revoke()
        del other.filesystem.desk.view.revoked_keys.look
        del other.filesystem.desk.view.revoked_keys.check
        with patch.object(type(other.rekeying), "_look", lambda _self: _nothing()), self.assertRaises(KeyChanged):
            self.revoke(other)
        self.assertEqual(len(self.first.filesystem.desk.view.index.objects(NOTICES)), 1)
        self.assertEqual((self.seen(self.alone()), self.revoke().drawn), (before, True))


class LateTests(RevokingCase):
    """What comes under the former key all the same."""

    def setUp(self) -> None:
        super().setUp()
        self.late = deaf(self.opened(Disk(Membership(keys=(KEY,)))).filesystem)
        self.before = self.seen(self.first.filesystem)
        self.revoke()
        self.vid = result(self.late.put("a", b"late")).version
        self.other = result(self.late.put("only/late", b"late too")).version
        result(self.late.lock("dir/b", seconds=3600))
        self.fs = self.first.filesystem
        result(self.fs.refresh())

    def test_it_is_set_aside(self) -> None:
        """Not served by anybody, but counted and listed with its path."""
        for fs in (self.fs, self.alone(), self.folder.device(self.disk.membership)):
            self.assertEqual(self.seen(fs), self.before)
            self.assertNotIn("only", [one.path for one in result(fs.list("/", recursive=True))])
            self.failureResultOf(fs.get("only/late"), NotFound)
            self.assertEqual(result(fs.locks()), [])
            self.assertEqual(result(fs.status()).damage["revoked-key"], 3)
            told = [one for one in result(fs.check()).findings if one.code == "revoked-key"]
            self.assertEqual({(one.path, one.version) for one in told}, {("a", self.vid), ("only/late", self.other)})

    def test_it_is_looked_at_and_taken_over(self) -> None:
        """By whoever names its id; it is a new version then."""
        self.assertEqual(result(self.fs.get("a", version=self.vid)), b"late")
        self.assertEqual(result(self.fs.get("only/late", version=self.other)), b"late too")
        result(self.fs.restore("a", self.vid))
        result(self.fs.restore("only/late", self.other))
        alone = self.alone()
        self.assertEqual((result(alone.get("a")), result(alone.get("only/late"))), (b"late", b"late too"))
        self.assertFalse(result(alone.stat("a")).conflict)
        result(self.fs.check(repair=True))
        self.assertNotIn("revoked-key", {code for code, _path in self.codes(self.fs)})

    def test_it_stays_so(self) -> None:
        """When the server renumbers the folder, when copies are collected, and in a later run; nothing removes it."""
        there = set(self.folder.shelf.messages.values())
        late = {self.folder.shelf.messages[uid] for uid in self.fs.desk.view.late}
        self.folder.shelf.renumber()
        for fs in (self.fs, self.alone()):
            self.assertEqual(self.seen(fs), self.before)
            self.assertEqual(len(fs.desk.view.late), 3)
        self.over()
        self.later()
        self.collect(self.fs)
        self.revoke()
        self.over()
        self.assertLess(late, there)
        self.assertLessEqual(late, set(self.folder.shelf.messages.values()))
        self.assertEqual(self.seen(self.alone()), self.before)

    def test_replays(self) -> None:
        """A message of before that is stored once more is an old version, not a newer one."""
        early = [self.folder.shelf.messages[uid] for uid in sorted(self.folder.shelf.messages)[:8]]
        self.over()
        for message in early:
            store = self.folder.store()
            result(store.open())
            result(store.append(message))
        for fs in (self.fs, self.alone()):
            result(fs.refresh())
            self.assertEqual({path: result(fs.get(path)) for path in self.before["current"]}, self.before["current"])
            self.assertEqual(len(result(fs.conflicts())), len(self.before["conflicts"]))

    def test_a_record_that_is_hidden(self) -> None:
        """Then nothing under a former key counts, for whoever saw that it was revoked, or has the new key alone."""
        records = self.fs.desk.view.index.objects(RECORDS)
        self.folder.shelf.remove([uid for one in records for uid in one.places])
        for fs in (self.fs, self.alone(), self.folder.device(self.disk.membership)):
            self.assertEqual(self.seen(fs), self.before)  # everything was sealed anew
            self.failureResultOf(fs.get("only/late"), NotFound)

    def test_a_record_that_cannot_be_read_for_a_while(self) -> None:
        """Nothing that is late counts meanwhile, and no other record is made from what is left then."""
        late = Membership(keys=(self.newest(), KEY))
        (record,) = self.fs.desk.view.index.objects(RECORDS)
        uid = record.places[0]
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message[:-40] + b"A" * 38 + message[-2:])
        opened = self.opened(Disk(late))
        self.assertEqual(self.seen(opened.filesystem), self.before)
        result(Deferred.fromCoroutine(opened.rekeying._come_over(Nothing())))
        self.assertEqual(len(opened.filesystem.desk.view.index.objects(RECORDS)), 1)
        self.folder.shelf.tamper(uid, message)
        self.assertEqual(self.seen(self.alone()), self.before)

    def test_forged_notices(self) -> None:
        """Nobody stops those who have the new key without having it, nor the others without having any."""
        new, strange = self.newest(), Key.from_text("strange")
        kind = notice_kind(new, strange)
        result(Deferred.fromCoroutine(self.late.desk.writer.add_object(kind, b"")))  # under the former key
        foreign = self.folder.store()
        result(foreign.open())
        uid = self.late.desk.view.index.objects(kind)[0].places[0]
        result(foreign.append(self.folder.shelf.messages[uid][:300] + b"A" + self.folder.shelf.messages[uid][301:]))
        for fs in (self.fs, self.alone()):
            self.assertEqual(self.seen(fs), self.before)
            result(fs.put("new", b"new"))

    def test_a_forged_notice_of_before(self) -> None:
        """A notice has to be sealed under the key that it is about."""
        self.over()
        kind = notice_kind(self.newest(), Key.from_text("strange"))
        with patch.object(type(self.fs.desk.view), "keys", (KEY,)):  # as if it had come before the record
            result(Deferred.fromCoroutine(self.fs.desk.writer.add_object(kind, b"")))
        self.assertTrue(self.fs.desk.view.index.objects(kind))
        self.assertEqual(self.seen(self.fs), self.before)


class SecretsTests(RevokingCase):
    """Passphrase and recovery code."""

    def test_former_ones_lead_to_the_former_key(self) -> None:
        """Those of before open nothing of the new key, whether or not their slots could be removed."""
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * 32))
        result(Deferred.fromCoroutine(self.first.slots.write(code)))
        self.revoke()
        with self.assertRaises(KeyChanged):
            self.opened(Disk(Membership(unlock=code)))
        with self.assertRaises((WrongKey, KeyChanged)):
            self.opened(Disk(Membership(unlock=code, generation=2)))
        new = Unlock(kind=RECOVERY, secret=Secret(b"d" * 32))
        result(Deferred.fromCoroutine(self.first.slots.write(new)))
        disk = Disk(Membership(unlock=new, keys=(KEY,), generation=1))
        back = self.opened(disk).filesystem
        self.assertEqual(self.seen(back), self.seen(self.first.filesystem))
        self.assertEqual((disk.membership.keys[0], disk.membership.revoked), (self.newest(), {KEY.fingerprint}))
        told = result(Deferred.fromCoroutine(self.first.slots.opened(new)))
        self.assertEqual([one.generation for one in told], [2])

    def test_a_record_that_is_hidden_from_a_device_that_comes_back(self) -> None:
        """The slot of the passphrase or code says itself which keys were revoked."""
        late = deaf(self.opened(Disk(Membership(keys=(KEY,)))).filesystem)
        self.revoke()
        code = Unlock(kind=RECOVERY, secret=Secret(b"c" * 32))
        result(Deferred.fromCoroutine(self.first.slots.write(code)))
        before = self.seen(self.first.filesystem)
        result(late.put("a", b"forged"))
        index = self.first.filesystem.desk.view.index
        self.folder.shelf.remove([uid for one in index.objects(RECORDS) for uid in one.places])
        back = self.opened(Disk(Membership(unlock=code, keys=(KEY,)))).filesystem
        self.assertEqual(self.seen(back), before)


NEW = "seven grey herons play chess"


class Keeping:
    """A basedir, as far as the secrets of the folder need it."""

    def __init__(self) -> None:
        self.membership: Membership | None = None

    async def keeps_keys(self) -> bool:
        """They are kept."""
        return True

    async def strong(self, passphrase: Secret) -> Unlock:
        """All are."""
        return Unlock.by_passphrase(passphrase)

    def is_in_force(self, _unlock: Unlock) -> bool:
        """None is."""
        return False

    async def wrap(self, _passphrase: Secret, membership: Membership) -> None:
        """Keep it."""
        self.membership = membership


class PassphraseTests(RevokingCase):
    """The new passphrase, and what is voided."""

    def setUp(self) -> None:
        super().setUp()
        self.keeping = Keeping()
        self.asked = 0
        self.former = Unlock.by_passphrase(Secret("vier Gurken tanzen am Kanal"))
        result(Deferred.fromCoroutine(self.first.slots.write(self.former)))
        result(Deferred.fromCoroutine(self.first.slots.write(Unlock(kind=RECOVERY, secret=Secret(b"c" * 32)))))

    def run_with(self, passphrase: str, opened: Opened | None = None) -> Rekeyed:
        async def ask() -> Secret:
            self.asked += 1
            return Secret(passphrase)

        device = opened or self.first
        secrets = NewSecrets(device, self.keeping, ask, wanted=False)  # type: ignore[arg-type]
        done: Rekeyed = result(Deferred.fromCoroutine(device.rekeying.revoke(secrets)))
        return done

    def cut_in(self, owner: Any, method: str, passphrase: str = NEW) -> None:
        """The connection is lost there."""
        cut = patch.object(owner, method, side_effect=StoreError("The connection was lost."))
        with cut, self.assertRaises(StoreError):
            self.run_with(passphrase)

    def kinds(self) -> list[str]:
        slots = self.first.slots
        return [kind for kind in (PASSPHRASE, RECOVERY) if result(Deferred.fromCoroutine(slots.has(kind)))]

    def test_the_same_one(self) -> None:
        """It leads to the former key: nothing is done."""
        there = dict(self.folder.shelf.messages)
        with self.assertRaises(CallerError):
            self.run_with("vier Gurken tanzen am Kanal")
        self.assertEqual(dict(self.folder.shelf.messages), there)

    def test_a_new_one(self) -> None:
        """It opens the folder on a new device, which remembers what was revoked; the code and the former one do not."""
        before = self.seen(self.first.filesystem)
        new = Unlock.by_passphrase(Secret("seven grey herons play chess"))
        self.assertTrue(self.run_with("seven grey herons play chess").drawn)
        assert self.keeping.membership is not None
        self.assertEqual(self.keeping.membership.keys, (self.newest(), KEY))
        self.assertEqual(self.keeping.membership.revoked, {KEY.fingerprint})
        disk = Disk(Membership(unlock=new))
        self.assertEqual(self.seen(self.opened(disk).filesystem), before)
        self.assertEqual((disk.membership.generation, disk.membership.revoked), (2, {KEY.fingerprint}))
        self.assertEqual(self.kinds(), [PASSPHRASE])
        with self.assertRaises(WrongKey):
            self.opened(Disk(Membership(unlock=self.former)))

    def test_cut_before_it_is_set(self) -> None:
        """The next run sets it, and makes no other key; a further one has nothing to go on with."""
        self.cut_in(NewSecrets, "secure")
        newest = self.newest()
        with self.assertRaises(CallerError):
            self.run_with("vier Gurken tanzen am Kanal")
        done = self.run_with(NEW)
        self.assertEqual((done.drawn, done.key, self.asked), (False, newest.fingerprint, 3))
        self.assertEqual(self.kinds(), [PASSPHRASE])
        with self.assertRaises(CallerError):
            self.run_with(NEW)
        self.assertEqual(self.newest(), newest)

    def test_a_slot_of_somebody_else_in_between(self) -> None:
        """Whoever can store a message keeps nobody from setting the new passphrase, nor from voiding the code."""
        self.cut_in(NewSecrets, "secure")
        slots = self.first.slots
        for kind in (PASSPHRASE, RECOVERY):
            keys = Unwrapped(
                keys=(Key.from_text("strange"),),
                home=self.first.filesystem.desk.view.home or "",
                generation=99,
                dialect=self.first.filesystem.desk.view.dialect.name,
            )
            unlock = Unlock(kind=kind, secret=Secret(b"s" * 32))
            forged = result(
                Deferred.fromCoroutine(slots._sealed(result(Deferred.fromCoroutine(slots._wrapped(keys, unlock)))))
            )
            store = self.folder.store()
            result(store.open())
            result(store.append(forged.message))
        before = self.seen(self.first.filesystem)
        self.assertFalse(self.run_with(NEW).drawn)
        self.assertEqual(self.kinds(), [PASSPHRASE])
        disk = Disk(Membership(unlock=Unlock.by_passphrase(Secret(NEW))))
        self.assertEqual(self.seen(self.opened(disk).filesystem), before)
        self.assertEqual(disk.membership.keys[0], self.newest())

    def test_cut_before_the_basedir_has_it(self) -> None:
        """The next run takes the same passphrase, though it opens the folder already."""
        self.cut_in(Keeping, "wrap")
        self.assertFalse(self.run_with(NEW).drawn)
        assert self.keeping.membership is not None
        self.assertEqual(self.keeping.membership.keys, (self.newest(), KEY))

    def test_the_disk_is_lost_after_the_notice(self) -> None:
        """Another device logs in with the new passphrase, sees everything, and goes on; no other passphrase does."""
        before = self.seen(self.first.filesystem)
        self.cut_in(type(self.first.rekeying), "_come_over")
        new = self.newest()
        for unlock in (None, self.former):
            keys = () if unlock else (KEY,)
            with self.assertRaises(KeyChanged):
                self.opened(Disk(Membership(keys=keys, unlock=unlock)))
        disk = Disk(Membership(unlock=Unlock.by_passphrase(Secret(NEW))))
        other = self.opened(disk)
        self.assertEqual((self.seen(other.filesystem), disk.membership.keys), (before, (new, KEY)))
        done = self.run_with(NEW, other)
        self.assertEqual((done.drawn, done.key), (False, new.fingerprint))
        self.assertEqual((self.kinds(), self.seen(self.alone(new))), ([PASSPHRASE], before))

    def test_cut_before_the_notice(self) -> None:
        """Nobody is stopped; the passphrase of before opens the folder; the next run wants yet another one."""
        before = self.seen(self.first.filesystem)
        self.cut_in(type(self.first.filesystem.desk.writer), "add_object")
        for disk in (Disk(Membership(keys=(KEY,))), Disk(Membership(unlock=self.former))):
            self.assertEqual(self.seen(self.opened(disk).filesystem), before)
        with self.assertRaises(CallerError):
            self.run_with(NEW)
        self.assertTrue(self.run_with("two brown owls juggle pears").drawn)
        self.assertEqual((self.kinds(), self.seen(self.alone())), ([PASSPHRASE], before))


class CutTests(RevokingCase):
    """Killed, and begun again."""

    def test_at_every_step(self) -> None:
        """After each, the device reads everything, and whoever has the new key does; the next run goes on."""
        before = self.seen(self.first.filesystem)
        result(self.first.filesystem.close())
        steps, finished = 0, False
        while not finished:
            steps += 1
            Dying.left = 2 * steps
            opened = None
            try:
                opened = self.opened(self.disk, Dying(self.folder.shelf, clock=self.folder.clock))
                work = Deferred.fromCoroutine(opened.rekeying.revoke(Nothing()))
                self.folder.clock.pump([1.0] * 200)
                result(work)
                finished = True
                result(opened.filesystem.close())
            except (StoreError, AssertionError):
                pass
            Dying.left = 10**9
            again = self.folder.device(self.disk.membership)
            self.assertEqual(self.seen(again), before)
            index = again.desk.view.index
            if index.objects(RECORDS) and index.key_slots():
                self.assertEqual(self.seen(self.alone()), before)
            self.assertLess(steps, 60)
        self.assertGreater(steps, 5)
        self.assertEqual(len(index.objects(NOTICES)), 1)
        self.assertEqual(len(index.objects(RECORDS)), 1)
        with self.assertRaises(KeyChanged):
            self.alone(KEY)
        last = self.opened(self.disk)
        self.first = last
        self.over()
        self.assertEqual((self.seen(last.filesystem), self.seen(self.alone())), (before, before))

    def test_a_notice_that_is_removed_by_hand(self) -> None:
        """The new key is lost with its device, nothing was under it: the error names the message that is in the way."""
        before = self.seen(self.first.filesystem)
        cut = patch.object(type(self.first.rekeying), "_come_over", side_effect=StoreError("The connection was lost."))
        with cut, self.assertRaises(StoreError):
            self.revoke()
        with self.assertRaises(KeyChanged) as caught:
            self.alone(KEY)
        uid = int(str(caught.exception).split("UID ")[1].split(")")[0])
        self.folder.shelf.remove([uid])
        device = self.alone(KEY)
        self.assertEqual(self.seen(device), before)
        self.assertEqual([one for one in self.codes(device) if one[0] != "conflict"], [])
        result(device.put("a", b"goes on"))
        self.assertEqual(result(self.alone(KEY).get("a")), b"goes on")

    def test_another_device_goes_on(self) -> None:
        """One that has the new key takes over a revocation that was cut while everything was sealed anew."""
        before = self.seen(self.first.filesystem)
        with (
            patch.object(type(self.first.rekeying), "_sealed", side_effect=StoreError("The connection was lost.")),
            self.assertRaises(StoreError),
        ):
            self.revoke()
        new = self.newest()
        disk = Disk(Membership(keys=(new,)))
        other = self.opened(disk)
        self.assertEqual(self.seen(other.filesystem), before)
        done = self.revoke(other)
        self.assertEqual((done.drawn, done.key), (False, new.fingerprint))
        self.assertGreater(done.sealed, 5)
        self.over()
        self.assertEqual(self.seen(self.alone()), before)

    def test_what_came_before_the_look(self) -> None:
        """What another device was told to be stored before the notice came is on record."""
        other = self.opened(Disk(Membership(keys=(KEY,)))).filesystem
        store = self.first.filesystem.desk.view.store
        append, early = store.append, []

        def appended(message: bytes) -> Any:
            if not early:
                early.append(result(other.put("a", b"at the last moment")))
            return append(message)

        with patch.object(store, "append", appended):
            self.revoke()
        for fs in (self.first.filesystem, self.alone()):
            result(fs.refresh())
            self.assertEqual(result(fs.get("a")), b"at the last moment")
            self.assertEqual(fs.desk.view.late, {})

    def test_a_write_at_every_moment(self) -> None:
        """Before and after each call to the server another device writes: what it was told to be stored counts."""
        outcomes, moment = [], 0
        while (told := self.written_at(moment)) is not None:
            outcomes.append(told)
            moment += 1
        self.assertEqual(outcomes, sorted(outcomes, reverse=True))  # from the notice on it is refused
        self.assertGreater(sum(outcomes), 8)
        self.assertGreater(outcomes.count(False), 20)

    def written_at(self, moment: int) -> bool | None:
        """Whether a write was told as stored that came with a call of this number; None: there are not so many."""
        folder = Folder()
        disk = Disk(Membership(keys=(KEY,)))
        opened: Opened = result(folder.opening(disk.membership, remember=disk.remember))
        result(opened.filesystem.put("a", b"a"))
        other = folder.device()
        left, told = [moment], []

        def write() -> None:
            left[0] -= 1
            if left[0] == -1:
                putting = other.put("a", b"new")
                putting.addCallbacks(
                    lambda _entry: told.append(True), lambda why: told.append(not why.check(KeyChanged))
                )

        store = opened.filesystem.desk.view.store
        with ExitStack() as stack:
            for method in ("append", "headers", "message", "uids", "poll"):
                stack.enter_context(patch.object(store, method, _around(getattr(store, method), write)))
            result(Deferred.fromCoroutine(opened.rekeying.revoke(Nothing())))
        if left[0] >= 0:
            return None
        for fs in (opened.filesystem, folder.device(Membership(keys=disk.membership.keys[:1]))):
            result(fs.refresh())
            self.assertEqual(result(fs.get("a")), b"new" if told[0] else b"a", moment)
            self.assertEqual(result(fs.conflicts()), [])
            self.assertEqual(fs.desk.view.late, {})
        return told[0]


def _around(call: Any, write: Any) -> Any:
    """A call before and after which somebody else writes."""

    def called(*args: Any, **more: Any) -> Any:
        write()
        answer = call(*args, **more)
        write()
        return answer

    return called


class JournalTests(Recovering):
    """A device that was stopped, with what it had accepted and seen."""

    def revoked(self, before: Any = lambda: None) -> Disk:
        """Another device revokes the key."""
        disk = Disk(Membership(keys=(KEY,)))
        changing: Opened = result(self.folder.opening(disk.membership, remember=disk.remember))
        before()
        result(Deferred.fromCoroutine(changing.rekeying.revoke(Nothing())))
        self.changing = changing
        return disk

    def back(self, disk: Disk) -> Filesystem:
        """The device logs in with the new key."""
        return self.device(membership=Membership(keys=(disk.membership.keys[0], KEY)))

    def test_a_write_that_came_too_late(self) -> None:
        """It is told, stays in the journal, and goes out under the new key when the device is back."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        store.gate = turnstile = Turnstile("append")
        putting = device.put("a", b"new")
        disk = self.revoked()
        turnstile.release()
        self.pass_time(200)
        self.failureResultOf(putting, KeyChanged)
        self.assertEqual((self.status(device).pending, self.pending()), (1, 1))
        self.failureResultOf(device.put("b", b"more"), KeyChanged)
        result(device.close())
        self.assertEqual(self.pending(), 1)
        with self.assertRaises(KeyChanged):
            self.device()
        self.assertEqual(self.pending(), 1)
        device = self.back(disk)
        self.pass_time(10)
        alone = self.folder.device(Membership(keys=disk.membership.keys[:1]))
        self.assertEqual((result(device.get("a")), result(alone.get("a"))), (b"new", b"new"))
        self.assertEqual((self.status(device).pending, self.pending()), (0, 0))
        self.assertEqual(result(alone.conflicts()), [])
        self.assertEqual([one.code for one in result(alone.check()).findings if one.code == "revoked-key"], [])

    def test_a_write_that_was_never_sent(self) -> None:
        """It was journalled, the device died, and the key was revoked: it goes out when the device is back."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        store.gate = Turnstile("append")
        self.assertNoResult(device.put("a", b"new"))
        self.crash(store)
        disk = self.revoked()
        device = self.back(disk)
        self.pass_time(10)
        self.assertEqual((result(device.get("a")), self.status(device).pending, self.pending()), (b"new", 0, 0))
        alone = self.folder.device(Membership(keys=disk.membership.keys[:1]))
        self.assertEqual((result(alone.get("a")), result(alone.conflicts())), (b"new", []))

    def test_a_write_that_was_in_time(self) -> None:
        """It was sent, the device died before it knew, the other one sealed it anew: it is found, and not doubled."""
        store = self.folder.store()
        device = self.device(store)
        result(device.put("a", b"old"))
        store.gate = Turnstile("answer")
        self.assertNoResult(device.put("a", b"new"))
        self.crash(store)
        disk = self.revoked()
        result(self.changing.filesystem.collect())
        self.folder.clock.advance(8 * 86400.0)
        result(self.changing.filesystem.collect())
        device = self.back(disk)
        self.pass_time(10)
        self.assertEqual((self.status(device).pending, self.pending()), (0, 0))
        self.assertEqual([len(one.places) for one in device.desk.view.index.history("a").versions], [1, 1])

    def test_what_is_remembered_was_seen(self) -> None:
        """No device that comes back takes it for a rollback, nor what it saw of late writes of others."""
        device = self.device()
        result(device.put("a", b"old"))
        other = deaf(self.folder.device())
        deaf(device)
        disk = self.revoked()
        result(other.put("a", b"late"))
        result(other.put("b", b"late"))
        result(device.refresh())
        self.assertEqual(result(device.get("a")), b"late")
        result(device.close())
        device = self.back(disk)
        self.assertEqual(result(device.get("a")), b"old")
        self.assertEqual({one.code for one in self.status(device).warnings}, {"revoked-key"})
        result(self.changing.filesystem.collect())
        self.folder.clock.advance(8 * 86400.0)
        result(self.changing.filesystem.collect())
        result(device.refresh())
        self.assertEqual({one.code for one in self.status(device).warnings}, {"revoked-key"})

    def test_the_device_that_revokes(self) -> None:
        """Its own marks stay quiet, over its end."""
        device = self.device()
        result(device.put("a", b"old"))
        result(device.close())
        memory = Disk(Membership(keys=(KEY,)))
        for number in range(2):
            opened = result(
                self.folder.opening(memory.membership, remember=memory.remember, marks=self.marks, journal=self.journal)
            )
            self.assertEqual(self.status(opened.filesystem).warnings, ())
            if not number:
                result(Deferred.fromCoroutine(opened.rekeying.revoke(Nothing())))
            self.assertEqual(self.status(opened.filesystem).warnings, ())
            result(opened.filesystem.close())
