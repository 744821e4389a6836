"""What the reference programs wrote is bound to its contents: ``check --bind`` (FORMAT 1.5, 2.2, 8.5)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.core.collection import COLLECTED
from ifap_twisted.core.findings import NOTE, WARNING, Checkup, Finding
from ifap_twisted.core.plans import PLANS
from ifap_twisted.core.retention import Policy
from ifap_twisted.errors import Conflict, NotSupported, Spliced, StoreError, Unavailable
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership
from ifap_twisted.store.memory import MemoryStore, Turnstile
from ifap_twisted.testing.reference_writer import Stamp, encode
from tests.filesystem.folders import KEY, START, Folder, result
from tests.reference_reader import ReferenceReader

DAY = 86400.0


class Failing(MemoryStore):
    """Loses its connection with the call of this number."""

    left = 10**9

    def _count(self) -> None:
        type(self).left -= 1
        if type(self).left < 0:
            raise Unavailable("gone")

    def append(self, message: bytes) -> Any:
        self._count()
        return super().append(message)

    def message(self, uid: int) -> Any:
        self._count()
        return super().message(uid)

    def remove(self, *args: Any) -> Any:
        self._count()
        return super().remove(*args)


class BindingCase(SynchronousTestCase):
    """A folder with files of a reference program and one device."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.device = self.folder.device()

    def write(self, path: str, content: bytes, ts: int = 1_573_400_000, **facts: Any) -> bytes:
        """What a reference program appends."""
        stamps = (Stamp(time=ts, iv=self.folder.random(16)), Stamp(time=ts, iv=self.folder.random(16)))
        message = encode(path, content, {"ts": ts, **facts}, dialect="ifaplib", key=KEY.text, stamps=stamps)
        self.append(message)
        return message

    def append(self, message: bytes) -> None:
        store = self.folder.store()
        result(store.open())
        result(store.append(message))
        result(self.device.refresh())

    def check(self, device: Filesystem | None = None, *, bind: bool = True) -> Checkup:
        found: Checkup = result((device or self.device).check(read_data=100, bind=bind))
        return found

    def findings(self, found: Checkup, code: str) -> list[Finding]:
        return [one for one in found.findings if one.code == code]

    def collect(self, device: Filesystem | None = None) -> Any:
        return result((device or self.device).collect())

    def later(self, days: float = 8) -> None:
        self.folder.clock.advance(days * DAY)

    def seen(self, path: str = "a") -> list[tuple[Any, ...]]:
        """What a new device sees of a path."""
        device = self.folder.device()
        found = [
            (one.version, one.size, one.deleted, one.conflict, tuple(one.parents))
            for one in result(device.versions(path))
        ]
        result(device.close())
        return found

    def reader(self) -> ReferenceReader:
        """A new client of the reference program."""
        store = self.folder.store()
        result(store.open())
        messages = {uid: result(store.message(uid)) for uid in result(store.uids(1))}
        reader = ReferenceReader(messages, "ifaplib", KEY.text)
        reader.synchronize()
        return reader

    def left_over(self, path: str = "a") -> bytes:
        """What is left of a path when a reference program has cleaned up."""
        store = self.folder.store()
        result(store.open())
        messages = {uid: result(store.message(uid)) for uid in result(store.uids(1))}
        gone = ReferenceReader(messages, "ifaplib", KEY.text).synchronize(cleanup=True)
        reader = ReferenceReader({uid: messages[uid] for uid in messages if uid not in gone}, "ifaplib", KEY.text)
        reader.synchronize()
        return reader.read(path)


class During(MemoryStore):
    """Lets something happen when a message is asked for, or before one is stored."""

    fetched: Any = None
    stored: Any = None

    def message(self, uid: int) -> Any:
        found = super().message(uid)
        if self.fetched is not None:
            found.addCallback(self.fetched, uid)
        return found

    def append(self, message: bytes) -> Any:
        happens, self.stored = self.stored, None
        if happens is not None:
            happens()
        return super().append(message)


class NewestTests(BindingCase):
    """What the reference programs take for the newest is never an older one."""

    def during(self, **what: Any) -> Filesystem:
        store = During(self.folder.shelf, clock=self.folder.clock)
        device = self.folder.device(store=store)
        vars(store).update(what)
        return device

    def test_the_newest_cannot_be_bound(self) -> None:
        """Its text would be too long for the reference programs: the older ones are left alone, too."""
        self.write("a", b"old", ts=1_573_400_000)
        self.write("a", b"newest", ts=1_573_400_001, note="x" * 450)
        found = self.check()
        self.assertEqual([one.path for one in self.findings(found, "not-bound")], ["a"])
        self.assertEqual(self.findings(found, "bound"), [])
        self.assertEqual((self.left_over(), result(self.device.get("a"))), (b"newest", b"newest"))

    def test_the_newest_cannot_be_opened(self) -> None:
        """Its content comes garbled: nothing of the file is written."""
        self.write("a", b"old")
        self.write("a", b"newest")
        newest = max(self.folder.shelf.messages)
        device = self.during(fetched=lambda text, uid: text if uid != newest else text[:-40] + b"A" * 38 + b"\r\n")
        found = self.check(device)
        self.assertEqual([one.path for one in self.findings(found, "not-bound")], ["a"])
        self.assertEqual(self.left_over(), b"newest")

    def test_a_message_above_that_is_closed(self) -> None:
        """It may be a newer version of the file: what is below it is not bound until a repair has set it aside."""
        self.write("a", b"old")
        whole = self.write("b", b"closed")
        closed = max(self.folder.shelf.messages)
        at = whole.index(b"!gAAA") + 60
        self.folder.shelf.tamper(closed, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        device = self.folder.device()
        self.assertIn(closed, device.desk.view.index.rejected())
        found = self.check(device)
        self.assertEqual([one.path for one in self.findings(found, "not-bound")], ["a"])
        self.assertFalse(result(device.stat("a")).bound)
        result(device.check(repair=True))
        self.check(device)
        self.assertTrue(result(device.stat("a")).bound)

    def test_a_newer_one_while_it_is_read(self) -> None:
        """It is seen before anything is written: the newer one is bound."""
        self.write("a", b"old", versions=1)
        written: list[bytes] = []

        def writes(text: bytes, _uid: int) -> bytes:
            if not written:
                written.append(b"")
                self.write("a", b"newest", versions=1)
            return text

        device = self.during(fetched=writes)
        self.check(device)
        self.assertEqual((self.left_over(), result(device.get("a"))), (b"newest", b"newest"))
        self.assertTrue(result(device.stat("a")).bound)
        self.assertEqual([len(one.places) for one in device.desk.view.index.history("a").versions], [1, 2])

    def test_a_newer_one_before_the_copy(self) -> None:
        """What came in the last moment comes to stand above the copy of the older one, be it ours or not."""
        for path, write in (("a", self.write), ("b", lambda name, content: result(self.device.put(name, content)))):
            self.write(path, b"old")
            device = self.during(stored=lambda path=path, write=write: write(path, b"newest"))
            self.check(device)
            self.assertEqual((self.left_over(path), result(device.get(path))), (b"newest", b"newest"))
            self.assertFalse(result(device.stat(path)).conflict)

    def test_cut_after_such_a_copy(self) -> None:
        """The next run brings the newest to stand above it."""
        self.write("a", b"old")
        device = self.during(stored=lambda: result(self.device.put("a", b"newest")))
        keep = device.desk.view.store.append
        device.desk.view.store.append = lambda message: keep(message).addCallback(
            lambda _place: device.desk.view.store.go_offline()
        )
        work = device.check(bind=True)
        self.folder.clock.pump([1.0] * 100)
        self.assertIsNotNone(self.failureResultOf(work))
        self.assertEqual(self.reader().read("a"), b"old")
        self.check(self.folder.device())
        self.assertEqual(self.left_over(), b"newest")

    def test_removed_while_it_is_read(self) -> None:
        """What is gone before it was written anew stays gone."""
        self.write("a", b"old")
        (uid,) = (one for one in self.folder.shelf.messages if one == max(self.folder.shelf.messages))

        def removes(text: bytes, read: int) -> bytes:
            if read == uid:
                self.folder.shelf.remove([uid])
            return text

        self.check(self.during(fetched=removes))
        self.assertNotIn("a", self.reader().listing())

    def test_a_write_that_is_taken_back(self) -> None:
        """One that lost a race is not brought back: while there are two heads nothing is written anew."""
        self.write("a", b"one")
        base = result(self.device.stat("a")).version
        store = self.folder.store()
        slow = self.folder.device(store=store)
        store.gate = gate = Turnstile("append", "remove")
        losing = slow.put("a", b"loses", expect=base)
        failed: list[Any] = []
        losing.addErrback(failed.append)
        result(self.device.put("a", b"wins", expect=base))
        gate.release(1)
        self.folder.clock.pump([1.0] * 5)
        self.assertFalse(failed)

        lost = max(self.folder.shelf.messages)

        def takes_back(text: bytes, uid: int) -> bytes:
            if uid == lost:
                gate.release()
                self.folder.clock.pump([1.0] * 3)
            return text

        binding = self.during(fetched=takes_back).check(bind=True)
        self.folder.clock.pump([1.0] * 60)
        result(binding)
        gate.release()
        self.folder.clock.pump([1.0] * 60)
        self.assertIsInstance(failed[0].value, Conflict)
        self.assertEqual([one[3] for one in self.seen()], [False, False])
        self.assertEqual(result(self.folder.device().get("a")), b"wins")


class BindingTests(BindingCase):
    """What becomes of the files."""

    def test_the_newest_is_bound(self) -> None:
        """With its id, content and place in history; its unbound copy goes when a grace is over, the others stay."""
        for number in range(3):
            self.write("a", b"%d" % number)
        before = self.seen()
        found = self.check()
        self.assertEqual((found.damaged, [one.severity for one in self.findings(found, "bound")]), (0, [NOTE]))
        self.assertEqual(self.seen(), before)
        self.assertTrue(result(self.device.stat("a")).bound)
        self.collect()
        self.later()
        verdicts = [one for one in self.collect().verdicts if one.reason == "resealed"]
        self.assertEqual([(one.fate, one.path) for one in verdicts], [(COLLECTED, "a")])
        self.assertEqual(self.seen(), before)
        fresh = self.folder.device()
        contents = [result(fresh.get("a", version=one[0])) for one in before]
        self.assertEqual(contents, [b"2", b"1", b"0"])
        found = self.check(fresh, bind=False)
        self.assertFalse(self.findings(found, "doubled"))
        self.assertEqual([one.places for one in self.findings(found, "unbound")], [2])
        strict = self.folder.device(options=Options(require_bound=True))
        self.assertEqual(result(strict.get("a")), b"2")

    def test_nothing_goes_before_its_time(self) -> None:
        """Collecting at once, or when a day is left of the grace, removes nothing."""
        self.write("a", b"1")
        self.check()
        there = set(self.folder.shelf.messages)
        self.collect()
        self.later(6)
        self.collect()
        self.assertLessEqual(there, set(self.folder.shelf.messages))

    def test_a_second_time_does_nothing(self) -> None:
        """What is bound is bound, and what is planned is planned."""
        self.write("a", b"0")
        self.write("a", b"1")
        self.check()
        before = dict(self.folder.shelf.messages)
        self.assertEqual(self.findings(self.check(), "bound"), [])
        self.assertEqual(dict(self.folder.shelf.messages), before)

    def test_another_content_is_refused_then(self) -> None:
        """The old header, appended again with the body of another message, is served no more."""
        first = self.write("a", b"good")
        other = self.write("b", b"evil")
        self.check()
        spliced = first.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + other.partition(b"\r\n\r\n")[2]
        self.append(spliced)
        current = self.device.desk.view.index.history("a").current
        reading = self.device.desk.reader.verify(max(self.folder.shelf.messages), current.version)
        damage = result(Deferred.fromCoroutine(reading))
        self.assertIsInstance(damage, Spliced)
        self.assertEqual(result(self.device.get("a")), b"good")

    def test_two_contents_are_bound_to_none(self) -> None:
        """Where copies of one message hold different contents nobody can tell which is right: it is left alone."""
        first = self.write("a", b"good")
        other = self.write("b", b"evil")
        self.append(first.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + other.partition(b"\r\n\r\n")[2])
        found = self.check()
        (failed,) = self.findings(found, "not-bound")
        self.assertEqual((failed.severity, failed.path), (WARNING, "a"))
        self.assertFalse(result(self.device.stat("a")).bound)
        self.assertTrue(result(self.device.stat("b")).bound)

    def test_ours_above_stay_above(self) -> None:
        """The order of all versions of a path stays for the reference programs, too."""
        self.write("a", b"1")
        result(self.device.put("a", b"2"))
        before = self.seen()
        self.check()
        self.assertEqual(self.reader().read("a"), b"2")
        self.collect()
        self.later()
        self.collect()
        self.assertEqual(self.reader().read("a"), b"2")
        self.assertEqual(self.seen(), before)

    def test_a_reference_program_goes_on(self) -> None:
        """It reads what was bound, and what it writes over it is the next version, no conflict."""
        self.write("a", b"1")
        self.write("a", b"2")
        self.check()
        reader = self.reader()
        self.assertEqual(reader.read("a"), b"2")
        inherited = {name: value for name, value in reader.tree["a"].metadata.items() if name not in {"bytes", "_"}}
        self.write("a", b"3", **inherited)
        self.assertEqual(result(self.device.get("a")), b"3")
        self.assertFalse(result(self.device.stat("a")).conflict)
        self.assertEqual(len(result(self.device.versions("a"))), 3)
        self.assertFalse(result(self.device.stat("a")).bound)
        self.later()
        self.collect()
        self.assertEqual(result(self.device.get("a")), b"3")
        self.assertEqual(len(result(self.device.versions("a"))), 3)

    def test_a_conflict_stays_one(self) -> None:
        """With the same version in front."""
        vid = result(self.device.put("a", b"1")).version
        result(self.device.put("a", b"2"))
        self.write("a", b"3", vid=vid)
        before = self.seen()
        self.assertTrue(before[0][3])
        self.check()
        self.assertEqual(self.seen(), before)
        self.later()
        self.collect()
        self.assertEqual(self.seen(), before)

    def test_without_encryption(self) -> None:
        """A hash that everybody can write proves nothing."""
        folder = Folder()
        device = folder.device(Membership(encrypted=False))
        with self.assertRaises(NotSupported):
            result(device.check(bind=True))

    def test_a_name_too_long(self) -> None:
        """What the reference programs would not see any more is left as it is."""
        path = "x" * 245 + "/" + "y" * 240
        self.write(path, b"1")
        found = self.check()
        self.assertEqual([one.path for one in self.findings(found, "not-bound")], [path])
        self.assertEqual(self.reader().read(path), b"1")

    def test_removals_and_kept_numbers(self) -> None:
        """A tombstone stays one, and what the metadata says is the same."""
        self.write("a", b"1", versions=7, mode=0o600, mime="text/x-a", other=["kept"])
        self.write("b", b"1")
        self.write("b", b"", deleted=True)
        before = result(self.device.stat("a"))
        self.check()
        self.later()
        self.collect()
        device = self.folder.device()
        found = result(device.stat("a"))
        self.assertEqual(
            (found.version, found.keep, found.mode, found.mime, found.modified),
            (before.version, 7, 0o600, "text/x-a", before.modified),
        )
        self.assertEqual(dict(device.desk.view.index.history("a").current.version.extra), {"other": ["kept"]})
        self.assertTrue(result(device.versions("b"))[0].deleted)


class RetentionTests(BindingCase):
    """Which versions are kept by their age."""

    def test_days_stay_days(self) -> None:
        """Versions of different days are kept as those, though all were received anew on one day."""
        day = int(DAY)
        now = int(START)
        for number in range(6):
            stamp = now - (12 - number) * day
            self.write("a", b"%d" % number, ts=stamp)
        options = Options(keep=1, retention=Policy(daily=30))
        device = self.folder.device(options=options)
        result(device.check(bind=True))
        for _ in range(4):
            self.collect(device)
            self.later(2)
        self.collect(device)
        self.assertEqual(len(result(device.versions("a"))), 6)
        self.later(20)
        self.collect(device)
        self.assertEqual(len(result(device.versions("a"))), 6)


class CutTests(BindingCase):
    """Cut short, and gone on with."""

    def test_at_every_moment_readable(self) -> None:
        """Whatever call fails, binding or collecting, a new device reads everything; a further run comes to its end."""
        for number in range(3):
            self.write("a", b"%d" % number)
        self.write("b", b"other")
        before = self.seen("a"), self.seen("b")
        for left in range(60):
            Failing.left = left
            store = Failing(self.folder.shelf, clock=self.folder.clock)
            try:
                device = self.folder.device(store=store)
                work = device.check(bind=True)
                self.folder.clock.pump([1.0] * 100)
                result(work)
                self.later()
                result(device.collect())
            except (StoreError, AssertionError):
                pass
            self.assertEqual((self.seen("a"), self.seen("b")), before)
            fresh = self.folder.device()
            self.assertEqual([result(fresh.get("a", version=one[0])) for one in before[0]], [b"2", b"1", b"0"])
        Failing.left = 10**9
        result(self.device.refresh())
        self.check()
        self.collect()
        self.later()
        self.collect()
        self.assertEqual((self.seen("a"), self.seen("b")), before)
        last = self.folder.device()
        self.assertTrue(result(last.stat("a")).bound)
        self.assertTrue(result(last.stat("b")).bound)

    def test_cut_anywhere_the_newest_stays(self) -> None:
        """Whatever call fails, what a cleanup of the reference programs then leaves is the newest content."""
        self.write("a", b"old", versions=1)
        self.write("a", b"newest", versions=1)
        done = False
        for left in range(60):
            Failing.left = left
            try:
                work = self.folder.device(store=Failing(self.folder.shelf, clock=self.folder.clock)).check(bind=True)
                self.folder.clock.pump([1.0] * 100)
                result(work)
                done = True
            except (StoreError, AssertionError):
                pass
            Failing.left = 10**9
            self.assertEqual(self.left_over(), b"newest")
        self.assertTrue(done)

    def test_a_damaged_copy_takes_nothing_over(self) -> None:
        """Where the new copy cannot be read any more, the old one stays."""
        self.write("a", b"1")
        self.check()
        view = self.device.desk.view
        (placed,) = view.index.history("a").versions
        old, new = placed.places
        message = self.folder.shelf.messages[new]
        at = message.index(b"\r\n\r\n") + 100
        self.folder.shelf.tamper(new, message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :])
        self.collect()
        self.later()
        self.collect()
        self.assertIn(old, self.folder.shelf.messages)
        self.assertEqual(result(self.folder.device().get("a")), b"1")

    def test_a_copy_that_is_gone_takes_nothing_over(self) -> None:
        """Nor one that somebody removed."""
        self.write("a", b"1")
        self.check()
        (placed,) = self.device.desk.view.index.history("a").versions
        old, new = placed.places
        self.folder.shelf.remove([new])
        device = self.folder.device()
        self.collect(device)
        self.later()
        self.collect(device)
        self.assertIn(old, self.folder.shelf.messages)

    def test_a_server_that_changes_messages(self) -> None:
        """What is not read back as it was written ends it; nothing is planned."""
        self.write("a", b"1")
        plans = len(self.device.desk.view.index.objects(PLANS))

        class Changing(MemoryStore):
            def message(self, uid: int) -> Any:
                found = super().message(uid)
                return found.addCallback(
                    lambda text: text if b"X-IFAP" not in text or uid < 3 else text[:-40] + b"\r\n"
                )

        device = self.folder.device(store=Changing(self.folder.shelf, clock=self.folder.clock))
        with self.assertRaises(StoreError):
            result(device.check(bind=True))
        self.assertEqual(len(device.desk.view.index.objects(PLANS)), plans)
        self.assertEqual(result(self.folder.device().get("a")), b"1")
        self.assertEqual(self.left_over(), b"1")
