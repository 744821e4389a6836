"""What a caller was told of a write that was not stored is final: no later process sends it (FORMAT 4.1, 4.2, 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.errors import Conflict, NoRoom, OutcomeUnknown, QuotaExceeded, StoredAsConflict
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.recovery import AGAIN_SECONDS
from ifap_twisted.filesystem.sending import SENDINGS
from ifap_twisted.store.memory import Fate, MemoryStore, Turnstile
from ifap_twisted.testing.disk import Disk, PowerCutError
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Switching, never
from tests.filesystem.folders import Folder, result
from tests.filesystem.test_queueing import Mortal, Queueing


def together(worker: Switching, device: Filesystem, *begin: Callable[[], Deferred[Any]]) -> list[Deferred[Any]]:
    """Begin writes so that the journal keeps them in one file, behind one that has a file of its own."""
    worker.holds = True
    first = device.put("first", b"x")
    works = [one() for one in begin]
    worker.run()  # the file of the first
    worker.holds = False
    first.addErrback(lambda _failure: None)
    return works


class Together(Queueing):
    """Writes that share a file of the journal."""

    def together(self, *begin: Callable[[], Deferred[Any]]) -> list[Deferred[Any]]:
        """They are about to be journalled."""
        return together(self.worker, self.mine, *begin)

    def refuse(self) -> None:
        """The first is refused, of the second nothing is known."""
        self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
        self.store.doom_next(Fate.CUT_BEFORE, SENDINGS)
        self.worker.run_all()
        self.pass_time(30)

    def check_current(self, path: str, content: bytes) -> None:
        """It is, for everybody, also after the next process has sent what was left to it."""
        self.assertEqual(result(self.others().get(path)), content)
        self.restarted()
        result(self.mine.refresh())
        self.assertEqual(result(self.others().get(path)), content)
        self.assertEqual(result(self.others().conflicts()), [])
        self.assertEqual((self.pending(), self.status(self.mine).pending), (0, 0))


class SharedFileTests(Together):
    """Whatever else lies in the same file of the journal, and stays there."""

    def test_a_removal_that_was_refused(self) -> None:
        """The file stays."""
        result(self.mine.put("a", b"only copy"))
        removing, putting = self.together(lambda: self.mine.remove("a"), lambda: self.mine.put("b", b"1"))
        self.refuse()
        self.failureResultOf(removing, QuotaExceeded)
        self.failureResultOf(putting, OutcomeUnknown)
        self.check_current("a", b"only copy")
        self.assertEqual(self.contents("b"), [b"1"])

    def test_a_put_that_was_refused(self) -> None:
        """What was written after it stays current, and it is no version."""
        result(self.mine.put("a", b"0"))
        refused, putting = self.together(lambda: self.mine.put("a", b"refused"), lambda: self.mine.put("b", b"1"))
        self.refuse()
        self.failureResultOf(refused, QuotaExceeded)
        self.failureResultOf(putting, OutcomeUnknown)
        result(self.mine.put("a", b"newest"))
        self.check_current("a", b"newest")
        self.assertEqual(self.contents("a"), [b"0", b"newest"])

    def test_a_put_that_was_withdrawn(self) -> None:
        """Of what was taken back nothing stays."""
        version = result(self.mine.put("a", b"0")).version
        losing, putting = self.together(
            lambda: self.mine.put("a", b"mine", expect=version), lambda: self.mine.put("b", b"1")
        )
        result(self.others().put("a", b"theirs"))
        self.store._fates.extend([None, *[Fate.CUT_BEFORE] * SENDINGS])
        self.worker.run_all()
        self.pass_time(30)
        self.failureResultOf(losing, Conflict)
        self.failureResultOf(putting, OutcomeUnknown)
        self.check_current("a", b"theirs")
        self.assertEqual(self.contents("a"), [b"0", b"theirs"])

    def test_a_put_that_was_cancelled(self) -> None:
        """Before anything was sent, whether its file is written already or not: nothing of it is left."""
        result(self.mine.put("a", b"0"))
        for done in range(2):
            self.store.gate = Turnstile("append")
            self.worker.holds = True
            self.mine.put("x", b"x")
            cancelled = self.mine.put("a", b"cancelled")
            self.mine.put("b", b"%d" % done)
            if done:
                self.worker.run()  # the file of the first; now that of the others is being written
            cancelled.cancel()
            self.failureResultOf(cancelled, CancelledError)
            self.worker.holds = False
            self.worker.run_all()
            self.restarted()
            self.assertEqual((self.contents("a"), self.contents("b")[-1]), ([b"0"], b"%d" % done))


class DiskTests(Together):
    """The disk of the journal does not take the end of a write: then nobody is told that it was not stored."""

    def refusing(self) -> None:
        """From now on the journal cannot be changed."""

        def full(*_anything: object) -> None:
            raise NoRoom("Cannot write: No space left on device.")

        for change in ("write", "remove"):
            self.patch(self.base.journal, change, full)

    def undurable(self, change: str) -> None:
        """From now on such a change of the journal is made, and nobody knows whether it outlasts a cut."""
        changing = getattr(self.base.journal, change)

        def changed(*what: Any) -> None:
            changing(*what)
            raise NoRoom("Cannot sync: Disk quota exceeded.")

        self.patch(self.base.journal, change, changed)

    def works_again(self) -> None:
        """There is room."""
        for change in ("write", "remove"):
            del self.base.journal.__dict__[change]

    def refused(self, path: str, stuck: Callable[[], None] | None = None, **more: Any) -> Deferred[Any]:
        """A put that the server refuses while the journal is stuck."""
        keep = self.store.append

        def append(message: bytes) -> Any:
            (stuck or self.refusing)()
            self.store.append = keep  # type: ignore[method-assign]
            self.store.fail_next("append", QuotaExceeded("The mailbox is full."))
            return keep(message)

        self.store.append = append  # type: ignore[method-assign]
        return self.mine.put(path, b"refused", **more)

    def told_to_wait(self) -> list[str]:
        """The codes under which the status tells of writes that are kept."""
        return [one.code for one in self.status(self.mine).warnings if one.code == "write-pending"]

    def test_refused(self) -> None:
        """The outcome is unknown, it waits, and is sent when there is room: as one that may be there."""
        before = result(self.mine.put("b", b"0")).writer
        self.failureResultOf(self.refused("a"), OutcomeUnknown)
        self.assertEqual(len(self.flushLoggedErrors(NoRoom)), 1)
        self.assertEqual(self.status(self.mine).pending, 1)
        self.works_again()
        self.assertNotEqual(result(self.mine.put("b", b"1")).writer, before)
        result(self.mine.refresh())
        self.assertEqual(self.contents("a"), [b"refused"])
        self.assertEqual((self.status(self.mine).pending, self.pending()), (0, 0))

    def test_refused_and_restarted(self) -> None:
        """The next process sends it."""
        self.failureResultOf(self.refused("a"), OutcomeUnknown)
        self.flushLoggedErrors(NoRoom)
        self.works_again()
        self.restarted()
        self.assertEqual(self.contents("a"), [b"refused"])

    def test_refused_and_removed_but_not_for_good(self) -> None:
        """The outcome is unknown; as soon as it is certain that its file is gone it has ended, and is not sent."""
        error = self.failureResultOf(self.refused("a", lambda: self.undurable("remove")), OutcomeUnknown)
        self.assertIn("may be stored later", str(error.value))
        self.pass_time(2 * AGAIN_SECONDS)
        self.assertGreaterEqual(len(self.flushLoggedErrors(NoRoom)), 2)
        self.assertEqual((self.status(self.mine).pending, self.pending()), (1, 0))
        del self.base.journal.__dict__["remove"]
        self.pass_time(4 * AGAIN_SECONDS)
        self.assertEqual((self.status(self.mine).pending, self.told_to_wait()), (0, []))
        result(self.mine.put("a", b"1"))
        self.check_current("a", b"1")
        self.assertEqual(self.contents("a"), [b"1"])

    def cancelled(self) -> None:
        """A put that is given up while its file is written; that is there, and cannot be synced nor taken back."""
        result(self.mine.put("a", b"0"))
        self.worker.holds = True
        cancelled = self.mine.put("a", b"cancelled")
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.refusing()
        del self.base.journal.__dict__["write"]
        self.undurable("write")
        self.worker.run()
        self.assertEqual(self.pending(), 1)

    def test_cancelled_while_it_is_written(self) -> None:
        """What is there all the same is removed as soon as the disk takes that: nobody sends it."""
        self.cancelled()
        self.works_again()
        self.worker.holds = False
        self.worker.run_all()
        self.assertEqual((self.status(self.mine).pending, self.pending()), (0, 0))
        self.check_current("a", b"0")
        self.assertEqual(self.contents("a"), [b"0"])

    def test_cancelled_while_it_is_written_and_stays(self) -> None:
        """Where the disk does not take the removal either, it is told as one that waits, and is sent as such."""
        for restarts in (False, True):
            self.setUp()
            self.cancelled()
            before = result(self.mine.stat("a")).writer
            self.worker.holds = False
            self.worker.run_all()
            self.assertEqual(len(self.flushLoggedErrors(NoRoom)), 1)
            self.assertEqual((self.status(self.mine).pending, self.told_to_wait()), (1, ["write-pending"]))
            self.works_again()
            if restarts:
                self.restarted()
            self.assertNotEqual(result(self.mine.put("b", b"1")).writer, before)
            self.pass_time(2 * AGAIN_SECONDS)
            self.assertEqual(self.contents("a"), [b"0", b"cancelled"])
            self.assertEqual((self.status(self.mine).pending, self.pending()), (0, 0))

    def test_overtaken(self) -> None:
        """It is not taken back: both stay, as a conflict that is told."""
        version = result(self.mine.put("a", b"0")).version
        keep = self.store.append

        def append(message: bytes) -> Any:
            self.store.append = keep  # type: ignore[method-assign]
            result(self.others().put("a", b"theirs"))
            self.refusing()
            return keep(message)

        self.store.append = append  # type: ignore[method-assign]
        self.failureResultOf(self.mine.put("a", b"mine", expect=version), StoredAsConflict)
        self.flushLoggedErrors(NoRoom)
        self.works_again()
        self.restarted()
        self.assertEqual(self.contents("a"), [b"0", b"theirs", b"mine"])
        self.assertEqual(len(result(self.others().conflicts())), 2)


class MortalSwitching(Switching):
    """A worker whose machine loses its power: then nothing ends any more.

    :ivar mortal: does what is done at once; ``mortal.alive``: there is power.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mortal = Mortal()

    def __call__(self, work: Any) -> Any:
        """Do it at once, or keep it."""
        return super().__call__(work) if self.holds else self.mortal(work)

    def run(self, number: int = 0) -> None:
        """Run one piece of work, if there is power."""
        _work, answer = self.waiting[number]
        try:
            super().run(number)
        except PowerCutError:
            self.mortal.alive = False
            never(answer)


class PowerTests(SynchronousTestCase):
    """The power is cut at each change of the disk around an end without success."""

    def setUp(self) -> None:
        """A folder, and the disk of a device."""
        self.folder, self.disk, self.sent = Folder(), Disk("one"), 0

    def device(self, store: MemoryStore, worker: Any) -> Filesystem:
        """The device, started."""
        base: Any = self.disk
        identity = result(FileWriter.open(base, self.folder.random, InlineWorker()))
        return self.folder.device(
            store=store,
            identity=identity,
            journal=lambda keys: FileJournal(base, keys, random=self.folder.random, worker=worker),
        )

    def lived(self, changes: int, *, conflict: bool) -> tuple[bool, bool]:
        """A life of so many changes of the disk: whether it had as many; and that a write was told as not stored."""
        self.setUp()
        store, worker = self.folder.store(), MortalSwitching()
        device = self.device(store, worker)
        version = result(device.put("a", b"0")).version
        self.disk.cut_after(changes)
        more = {"expect": version} if conflict else {}
        begin = [lambda: device.put("b", b"1"), lambda: device.put("a", b"mine", **more), lambda: device.put("c", b"2")]
        works = together(worker, device, *begin)
        if conflict:
            result(self.folder.device().put("a", b"theirs"))
        else:
            keep = store.append
            store.append = lambda message: self.refused(store, keep, message)  # type: ignore[method-assign]
        worker.run_all()
        told: dict[int, type] = {}
        for number, work in enumerate(works):
            work.addErrback(lambda failure, number=number: told.update({number: failure.type}))
        self.assertIn(told, ({}, {1: Conflict}, {1: QuotaExceeded}), changes)
        store.gate = lambda _method: never(self.folder)
        self.folder.shelf.detach(store)
        self.disk.cut_after(None)
        return worker.mortal.alive, bool(told)

    def refused(self, store: MemoryStore, keep: Any, message: bytes) -> Any:
        """The second of those that were together is refused."""
        self.sent += 1
        if self.sent == 2:
            store.fail_next("append", QuotaExceeded("The mailbox is full."))
        return keep(message)

    def check_at_each_change(self, *, conflict: bool) -> None:
        """What was told is so, for the next process and the one after it; both ways to die were tried."""
        seen = set()
        for changes in range(100):
            alive, told = self.lived(changes, conflict=conflict)
            seen.add(told)
            for _again in range(2):
                device = self.device(self.folder.store(), InlineWorker())
                result(device.refresh())
                fresh = self.folder.device()
                contents = {result(fresh.get("a", version=one.version)) for one in result(fresh.versions("a"))}
                if told:
                    self.assertNotIn(b"mine", contents, changes)
                self.assertEqual(result(device.status()).pending, 0, changes)
                result(device.close())
            if alive:
                self.assertEqual(seen, {True, False})
                return
        self.fail("the life has no end")

    def test_refused(self) -> None:
        """By the server."""
        self.check_at_each_change(conflict=False)

    def test_withdrawn(self) -> None:
        """As somebody was faster."""
        self.check_at_each_change(conflict=True)
