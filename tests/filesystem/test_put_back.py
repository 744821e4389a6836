"""A mailbox is put back from a backup, under the same UIDVALIDITY, while devices work with it (FORMAT 2.1, 2.5).

Numbers that were given since the backup are given again: what lies at a number is not what was known by it, and is
neither removed nor hidden.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import (
    Conflict,
    IFAPError,
    LeaseLost,
    Locked,
    MessageGone,
    OutcomeUnknown,
    StoredAsConflict,
    Unavailable,
)
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result
from tests.messages import mail


class PutBack(SynchronousTestCase):
    """A device with a file, whose mailbox is put back to the state of then."""

    def setUp(self) -> None:
        """Write the file, and make the backup."""
        self.folder = Folder()
        self.shelf = self.folder.shelf
        self.store = self.folder.store()
        self.device: Filesystem = self.folder.device(store=self.store)
        result(self.device.put("a", b"1"))
        self.put_back = self.shelf.back_up()
        self.folder.clock.advance(100)

    def write(self, path: str = "e") -> bytes:
        """Another device writes a file; the message at the number that it got."""
        result(self.folder.device().put(path, b"the only copy"))
        return self.shelf.messages[self.shelf.uidnext - 1]

    def assert_there(self, message: bytes) -> None:
        """It was not removed, and nobody's EXPUNGE will remove it."""
        self.assertIn(message, self.shelf.messages.values())
        self.assertEqual(self.shelf.marked, set())


class RemovingTests(PutBack):
    """While the device was connected: it has not looked again."""

    def lock(self, seconds: int = 3600) -> int:
        """Lock the file; the number of the lock object."""
        result(self.device.lock("a", seconds=seconds))
        return self.shelf.uidnext - 1

    def fails_or_not(self, work: Deferred[Any]) -> None:
        """What becomes of it does not matter here."""
        work.addErrback(lambda failure: failure.trap(IFAPError) and None)
        self.successResultOf(work)

    def test_ending_a_lock(self) -> None:
        """The file that got the number of the lock object stays, and is seen by the device that ended the lock."""
        uid = self.lock()
        self.put_back()
        file = self.write()
        self.assertIs(self.shelf.messages[uid], file)
        self.fails_or_not(self.device.unlock("a"))
        self.assert_there(file)
        self.assertEqual(result(self.device.get("e")), b"the only copy")

    def test_ending_a_lock_where_foreign_mail_is(self) -> None:
        """So does somebody's mail."""
        uid = self.lock()
        self.put_back()
        self.shelf.add(mail())
        self.fails_or_not(self.device.unlock("a"))
        self.assertEqual(self.shelf.messages[uid], mail())
        self.assert_there(mail())

    def test_breaking_a_lock(self) -> None:
        """A lock of another device that is broken by force."""
        self.lock()
        other = self.folder.device()
        self.put_back()
        file = self.write()
        self.fails_or_not(other.unlock("a", force=True))
        self.assert_there(file)

    def test_renewing_a_lock(self) -> None:
        """A held lock, which is renewed by itself, removes its former messages, and nothing else."""
        done: Deferred[None] = Deferred()

        async def hold() -> None:
            async with self.device.lock("a", seconds=300):
                await done

        holding = Deferred.fromCoroutine(hold())
        self.put_back()
        files = [self.write(), self.write("f")]
        for _ in range(60):
            self.folder.clock.advance(10)
        done.callback(None)
        self.folder.clock.advance(1)
        self.fails_or_not(holding)
        for file in files:
            self.assert_there(file)

    def test_a_removal_on_its_way(self) -> None:
        """The look comes after whatever the removal waited for: its turn, or the connection."""
        uid = self.lock()
        self.store.gate = gate = Turnstile("remove")
        ending = self.device.unlock("a")
        self.store.go_offline()
        self.put_back()
        file = self.write()
        self.store.go_online()
        gate.release()
        self.fails_or_not(ending)
        self.assertIs(self.shelf.messages[uid], file)
        self.assert_there(file)

    def test_withdrawing(self) -> None:
        """A write that came too late is taken back only if it is still what lies there."""
        version = result(self.device.stat("a")).version
        self.store.gate = gate = Turnstile("append", "remove")
        putting = self.device.put("a", b"late", expect=version)
        other = self.folder.device()
        result(other.put("a", b"2"))
        gate.release(1)
        self.assertEqual(gate.held, ["remove"])
        self.put_back()
        files = [self.write(), self.write("f")]
        gate.release()
        error = self.failureResultOf(putting, Conflict).value
        self.assertNotIsInstance(error, StoredAsConflict)
        for file in files:
            self.assert_there(file)
        self.assertEqual({entry.path for entry in result(self.device.list("/"))}, {"a", "e", "f"})

    def test_founding(self) -> None:
        """A folder object that lost is withdrawn only if it is still what lies there."""
        self.folder = Folder(seed=1)
        self.shelf = self.folder.shelf
        self.store = self.folder.store()
        self.store.gate = gate = Turnstile("append", "remove")
        opening = self.folder.opening(store=self.store)
        self.folder.device()
        put_back = self.shelf.back_up()
        gate.release(1)
        self.assertEqual(gate.held, ["remove"])
        put_back()
        file = self.write()
        gate.release()
        self.fails_or_not(opening)
        self.assert_there(file)

    def test_collecting(self) -> None:
        """Nothing is collected at numbers of other messages; it is begun anew."""
        for content in (b"2", b"3", b"4"):
            result(self.device.put("a", content))
        result(self.device.keep("a", 1))
        result(self.device.collect())
        self.folder.clock.advance(8 * 86_400)
        self.store.gate = gate = Turnstile("remove")
        collecting = self.device.collect()
        self.assertEqual(gate.held, ["remove"])
        self.put_back()
        files = [self.write(name) for name in "cdefghijk"]
        gate.release()
        self.fails_or_not(collecting)
        for file in files:
            self.assert_there(file)


class UnmarkingTests(PutBack):
    """A mark as deleted belongs to whoever set it, unless it is on a message of ours (FORMAT 5.4)."""

    def marked_mail(self) -> int:
        """Somebody's mail gets the number of a version of ours, and its owner marks it."""
        self.put_back()
        uid = self.shelf.add(mail())
        self.shelf.marked.add(uid)
        return uid

    def test_collecting(self) -> None:
        """A device that did not notice leaves the mark of the mail, and sees that the version is missing."""
        result(self.device.put("a", b"2"))
        uid = self.marked_mail()
        result(self.device.collect())
        self.assertEqual((self.shelf.messages[uid], self.shelf.marked), (mail(), {uid}))
        self.failureResultOf(self.device.get("a"), MessageGone)

    def test_connecting(self) -> None:
        """Nor is it taken off by one that looks for marks when it is connected again, at the same moment."""
        result(self.device.put("a", b"2"))
        self.store.gate = gate = Turnstile("unmark")
        self.store.go_offline()
        self.shelf.marked.add(self.shelf.uidnext - 1)
        self.store.go_online()
        self.assertEqual(gate.held, ["unmark"])
        uid = self.marked_mail()
        gate.release()
        self.folder.clock.advance(60)
        self.assertEqual((self.shelf.messages[uid], self.shelf.marked), (mail(), {uid}))
        self.failureResultOf(self.device.get("a"), MessageGone)

    def test_withdrawing(self) -> None:
        """A write that could not be taken back is not unmarked where it is not: nobody knows what became of it."""
        version = result(self.device.stat("a")).version
        self.store.gate = gate = Turnstile("append")
        putting = self.device.put("a", b"late", expect=version)
        result(self.folder.device().put("a", b"2"))
        self.store.fail_next("expunge", Unavailable("cut"))
        self.store.gate = unmarking = Turnstile("unmark")
        gate.release()
        self.assertEqual(unmarking.held, ["unmark"])
        self.put_back()
        self.write()
        uid = self.shelf.add(mail())
        self.shelf.marked.add(uid)
        unmarking.release()
        self.failureResultOf(putting, OutcomeUnknown)
        self.assertEqual((self.shelf.messages[uid], self.shelf.marked), (mail(), {uid}))


class RefreshingTests(PutBack):
    """The device notices by itself, when it is connected again or is shown lower numbers, and knows what is there."""

    def restore(self, *files: bytes | str) -> None:
        """The mailbox is put back while the device is away; then these come, and the device is connected again."""
        self.store.go_offline()
        self.put_back()
        for file in files:
            if isinstance(file, str):
                self.write(file)
            else:
                self.shelf.add(file)
        self.store.go_online()

    def assert_same_as_a_new_device(self, *lost: str) -> None:
        """All that a device sees that knew nothing before; what was lost is told, and never taken for removed."""
        fresh = result(self.folder.device().list("/"))
        result(self.device.refresh())
        self.assertLessEqual({entry.path for entry in fresh}, {entry.path for entry in result(self.device.list("/"))})
        for entry in fresh:
            content = b"1" if entry.path == "a" else b"the only copy"
            self.assertEqual(result(self.device.get(entry.path)), content)
        told = {warning.path for warning in result(self.device.status()).warnings if warning.code == "vanished"}
        self.assertEqual(told, set(lost))

    def test_a_file_at_the_number_of_another(self) -> None:
        """It is listed; the one that was there is told to be missing; nothing is written for it."""
        result(self.folder.device().put("c", b"lost"))
        result(self.device.refresh())
        self.restore("e")
        messages = dict(self.shelf.messages)
        self.assert_same_as_a_new_device("c")
        self.assertEqual(self.shelf.messages, messages)

    def test_more_files_than_were_lost(self) -> None:
        """Those at new numbers and those at numbers that were given before."""
        result(self.device.put("c", b"lost"))
        result(self.device.put("d", b"lost"))
        self.restore("e", "f", "g", "h")
        self.assert_same_as_a_new_device("c", "d")

    def test_fewer_files_than_were_lost(self) -> None:
        """What is not shown may come; what is at its number is seen."""
        result(self.device.put("c", b"lost"))
        result(self.device.put("d", b"lost"))
        self.restore("e")
        result(self.device.refresh())
        self.assertEqual(result(self.device.get("e")), b"the only copy")
        self.write("f")
        self.write("g")
        self.assert_same_as_a_new_device("c", "d")

    def test_a_file_at_the_number_of_mail(self) -> None:
        """Nothing was known of a message there but that it was nobody's file."""
        self.shelf.add(mail())
        result(self.device.refresh())
        self.restore("e")
        self.assert_same_as_a_new_device()

    def test_mail_at_the_number_of_a_file(self) -> None:
        """The file is missing."""
        result(self.device.put("c", b"lost"))
        self.restore(mail())
        self.assert_same_as_a_new_device("c")

    def test_without_a_new_connection(self) -> None:
        """The server goes on from an older state while the device is connected: UIDNEXT is lower than it was."""
        result(self.device.put("c", b"lost"))
        result(self.device.put("d", b"lost"))
        self.put_back()
        self.write("e")
        result(self.device.refresh())
        self.write("f")
        self.write("g")
        self.assert_same_as_a_new_device("c", "d")

    def test_a_lock_that_was_lost(self) -> None:
        """It is over, and its device is told so; the file at its number stays."""
        result(self.device.lock("a", seconds=3600))
        self.restore("e")
        self.failureResultOf(self.device.unlock("a"), LeaseLost)
        self.assert_same_as_a_new_device()

    def assert_respected(self) -> None:
        """A lock that another device takes now, at a number that was that of another lock, is not taken over."""
        other = self.folder.device()
        lock = result(other.lock("a", seconds=300))
        self.folder.clock.advance(5)
        result(self.device.refresh())
        self.assertEqual([one.id for one in result(self.device.locks())], [lock.id])
        self.failureResultOf(self.device.lock("a", seconds=60), Locked)
        self.failureResultOf(self.device.put("a", b"2"), Locked)
        result(other.put("a", b"2"))
        self.folder.clock.advance(300)
        result(self.device.lock("a", seconds=60))

    def test_a_lock_at_the_number_of_a_lock(self) -> None:
        """What was known of the time of the one that was lost says nothing of the new one (FORMAT 10.1)."""
        result(self.folder.device().lock("a", seconds=300))
        self.failureResultOf(self.device.lock("a", seconds=60), Locked)
        self.folder.clock.advance(1000)
        self.restore()
        self.assert_respected()

    def test_a_lock_at_the_number_of_a_lock_that_was_ended(self) -> None:
        """Nothing that is there tells that the mailbox was put back."""
        for connected in (True, False):
            other = self.folder.device()
            result(other.lock("a", seconds=300))
            self.failureResultOf(self.device.lock("a", seconds=60), Locked)
            result(other.unlock("a"))
            self.assertEqual(result(self.device.locks()), [])
            self.folder.clock.advance(1000)
            if connected:
                self.put_back()
            else:
                self.restore()
            self.assert_respected()
            result(self.device.unlock("a"))
            self.put_back = self.shelf.back_up()

    def test_what_it_costs(self) -> None:
        """One header for a connection where nothing was put back, and nothing after that."""
        result(self.device.refresh())
        asked: list[tuple[int, int | None]] = []
        headers = self.store.headers

        def counted(first: int, last: int | None = None) -> Any:
            asked.append((first, last))
            return headers(first, last)

        self.store.headers = counted  # type: ignore[method-assign]
        highest = self.shelf.uidnext - 1
        self.store.go_offline()
        self.store.go_online()
        self.assertEqual(asked, [(highest, highest)])
        result(self.device.refresh())
        self.assertEqual(len(asked), 1)
