"""The journal of pending writes on the disk (FORMAT 4.1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from ifap_twisted.basedir import Basedir, pending
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.core.frozen import Frozen
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import IFAPError, Malformed, OutcomeUnknown
from ifap_twisted.interfaces import IJournal
from ifap_twisted.workers import InlineWorker
from tests.basedir.places import Drawing, LaterWorker, PlacedTestCase, Switching

KEY, OTHER = Key.from_text("correct horse"), Key.from_text("battery staple")


def entry(name: str) -> Frozen:
    """A message."""
    return Frozen(
        account="embedded", folder="F", home="AAAAAAAA", dialect="ifap", sealed_id=name, message=f"to {name}".encode()
    )


class FileJournalTests(PlacedTestCase):
    """A journal, and those of the processes after it."""

    def setUp(self) -> None:
        """A basedir that is held."""
        super().setUp()
        self.base = self.held_basedir()

    def journal(self, *keys: Key, worker: Any = None) -> FileJournal:
        """As a process opens it."""
        return FileJournal(self.base, keys or (KEY,), random=Drawing(), worker=worker or InlineWorker())

    def begin_four(self) -> FileJournal:
        """Of one process: x has a file of its own, and a, b and c share the next."""
        self.worker = Switching()
        self.worker.holds = True
        journal = self.journal(worker=self.worker)
        for name in "xabc":
            journal.begin(entry(name))
        self.worker.run_all()
        self.worker.holds = False
        return journal

    def left(self, *keys: Key) -> Any:
        """What the next process finds."""
        return self.successResultOf(self.journal(*keys).left())

    def files(self, ending: str = ".pending") -> list[Path]:
        """The files in the journal."""
        return sorted(path for path in self.base.journal.path.iterdir() if path.name.endswith(ending))

    def test_interface(self) -> None:
        """It provides IJournal."""
        self.assertTrue(verifyObject(IJournal, self.journal()))

    def test_what_was_begun_is_found_by_the_next(self) -> None:
        """In its order, under its key."""
        journal = self.journal()
        for name in "abc":
            self.successResultOf(journal.begin(entry(name)))
        self.assertEqual(self.left().frozen, (entry("a"), entry("b"), entry("c")))
        self.assertNotIn(b"embedded", b"".join(path.read_bytes() for path in self.files()))

    def test_what_was_settled_is_gone(self) -> None:
        """The others stay."""
        journal = self.journal()
        for name in "ab":
            self.successResultOf(journal.begin(entry(name)))
        journal.settle(entry("a"))
        self.successResultOf(journal.close())
        self.assertEqual(self.left().frozen, (entry("b"),))
        journal.settle(entry("b"))
        self.assertEqual(self.files(), [])

    def test_many_at_once_are_one_file(self) -> None:
        """One sync for all that came while the one before was written."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        begun = [journal.begin(entry(str(number))) for number in range(50)]
        worker.run_all()
        for one in begun:
            self.successResultOf(one)
        self.assertEqual(len(self.files()), 2)
        for number in range(49):
            journal.settle(entry(str(number)))
        worker.run_all()
        self.assertEqual(len(self.left().frozen), 49)  # the file goes as a whole, when the last has ended
        journal.settle(entry("49"))
        worker.run_all()
        self.assertEqual(self.files(), [])

    def test_not_begun_before_it_is_on_the_disk(self) -> None:
        """And a failure of the disk is told."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        first, second = journal.begin(entry("a")), journal.begin(entry("b"))
        worker.run()
        self.assertNoResult(first)
        worker.run()
        self.successResultOf(first)
        worker.fail(IFAPError("The disk is full."))
        self.failureResultOf(second, IFAPError)
        third = journal.begin(entry("c"))
        worker.run()
        self.successResultOf(third)

    def test_a_file_that_cannot_be_removed(self) -> None:
        """It is logged, and holds nobody up."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        first = journal.begin(entry("a"))
        while not first.called:
            worker.run()
        journal.settle(entry("a"))
        second = journal.begin(entry("b"))
        worker.fail(IFAPError("The disk is broken."))
        worker.run()
        self.successResultOf(second)
        self.assertEqual(len(self.flushLoggedErrors(IFAPError)), 1)

    def test_discarded_while_it_is_written(self) -> None:
        """Whoever gave up leaves nothing behind, also of what was to be written next."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        for name in "ab":
            begun = journal.begin(entry(name))
            begun.cancel()
            self.failureResultOf(begun, CancelledError)
        worker.run()
        gone = [journal.discard(entry(name)) for name in "ab"]
        closing: Deferred[None] = journal.close()
        self.assertNoResult(gone[0])
        worker.run_all()
        for one in (*gone, closing):
            self.successResultOf(one)
        self.assertEqual(self.files(), [])

    def test_discarded(self) -> None:
        """When that fires no process finds it; the others of its file stay, in their order, whole and to be loaded."""
        for name in "abc":
            journal = self.begin_four()
            self.successResultOf(journal.discard(entry(name)))
            others = [entry(one) for one in "xabc" if one != name]
            self.assertEqual(list(self.left().frozen), others)
            for one in others:
                self.assertEqual(self.successResultOf(journal.load(one)), one)
                self.assertTrue(journal.keeps(one))
            self.assertFalse(journal.keeps(entry(name)))
            self.failureResultOf(journal.load(entry(name)), Malformed)
            for one in others:
                self.successResultOf(journal.discard(one))
            self.assertEqual(self.files(), [])

    def test_discarded_with_what_has_ended(self) -> None:
        """That goes, too; what was settled can be discarded, and what is not known at all is not there."""
        journal = self.begin_four()
        for name in "ab":
            journal.settle(entry(name))
        self.assertEqual(len(self.left().frozen), 4)
        for name in ("b", "b", "unknown"):
            self.successResultOf(journal.discard(entry(name)))
        self.assertEqual(self.left().frozen, (entry("x"), entry("c")))

    def test_discarded_while_others_end(self) -> None:
        """The file goes with the last of them."""
        journal = self.begin_four()
        self.worker.holds = True
        gone = journal.discard(entry("b"))
        for name in "ac":
            journal.settle(entry(name))
        self.worker.run_all()
        self.successResultOf(gone)
        self.assertEqual(self.left().frozen, (entry("x"),))

    def test_loaded_while_others_are_discarded(self) -> None:
        """It is found where it is by then."""
        journal = self.begin_four()
        self.worker.holds = True
        loading = journal.load(entry("c"))
        gone = journal.discard(entry("a"))
        self.worker.run(1)
        self.successResultOf(gone)
        self.worker.run()
        self.assertEqual(self.successResultOf(loading), entry("c"))

    def test_a_full_disk_when_one_is_discarded(self) -> None:
        """Who wants that is told, and everything is as it was."""
        journal = self.begin_four()
        self.patch(self.base.journal, "write", self.full)
        self.failureResultOf(journal.discard(entry("b")), IFAPError)
        self.assertEqual(len(self.flushLoggedErrors(IFAPError)), 1)
        self.assertEqual(len(self.left().frozen), 4)
        self.assertTrue(journal.keeps(entry("b")))
        self.successResultOf(journal.discard(entry("x")))  # to remove a file takes no room
        self.assertEqual(self.left().frozen, tuple(map(entry, "abc")))

    def test_discarded_beside_entries_of_another_key(self) -> None:
        """They stay; where they may be what is to go, that is told."""
        journal = self.begin_four()
        file = self.files()[-1]
        for name in "op":
            self.successResultOf(self.journal(OTHER).begin(entry(name)))
            file.write_bytes(file.read_bytes() + self.files()[-1].read_bytes())
            self.files()[-1].unlink()
        self.assertEqual(self.successResultOf(journal.left()).foreign, 2)
        for name in "abc":
            self.successResultOf(journal.discard(entry(name)))
        self.assertEqual(self.left(OTHER).frozen, (entry("o"), entry("p")))
        other = self.journal(OTHER)
        self.successResultOf(other.left())
        other.use([KEY])
        self.failureResultOf(other.discard(entry("o")), IFAPError)
        self.assertEqual(len(self.flushLoggedErrors(IFAPError)), 1)
        self.assertEqual(self.left(OTHER).frozen, (entry("o"), entry("p")))

    def test_a_write_that_was_not_made_durable(self) -> None:
        """Its file may be there all the same: it is removed, or else the outcome is not known."""
        write = self.base.journal.write

        def undurable(name: str, *content: bytes) -> None:
            write(name, *content)
            raise IFAPError("Cannot write: Input/output error.")

        self.patch(self.base.journal, "write", undurable)
        journal = self.journal()
        error = self.failureResultOf(journal.begin(entry("a"))).value
        self.assertNotIsInstance(error, OutcomeUnknown)
        self.assertEqual(self.files(), [])
        self.patch(self.base.journal, "remove", self.full)
        self.failureResultOf(journal.begin(entry("b")), OutcomeUnknown)

    def undurable(self, change: str) -> Any:
        """From now on this kind of change is made, and cannot be made durable; what ends that."""
        changing = getattr(self.base.journal, change)

        def changed(name: str, *content: bytes) -> None:
            changing(name, *content)
            raise IFAPError("Input/output error.")

        return self.patch(self.base.journal, change, changed)

    def begun_in_vain(self, *names: str) -> FileJournal:
        """Written in one file that is there, though nobody knows that, for callers who gave up meanwhile."""
        self.worker = Switching()
        journal = self.journal(worker=self.worker)
        self.successResultOf(journal.begin(entry("x")))
        journal.settle(entry("x"))
        self.worker.holds = True
        looking = journal.left()
        begun = [journal.begin(entry(name)) for name in names]
        self.worker.run()
        self.successResultOf(looking)
        for one in begun:
            one.cancel()
            self.failureResultOf(one, CancelledError)
        writing, removing = self.undurable("write"), self.patch(self.base.journal, "remove", self.full)
        self.worker.run_all()
        self.worker.holds = False
        writing.restore()
        removing.restore()
        self.assertEqual(len(self.files()), 1)
        return journal

    def test_discarded_when_it_may_be_there(self) -> None:
        """Nobody waited for the answer that this is not known: it is removed all the same, and only it."""
        journal = self.begun_in_vain("a", "b")
        self.successResultOf(journal.discard(entry("a")))
        self.assertEqual(self.left().frozen, (entry("b"),))
        self.assertEqual(self.successResultOf(journal.load(entry("b"))), entry("b"))
        self.successResultOf(journal.discard(entry("b")))
        self.assertEqual(self.files(), [])

    def test_not_discarded_when_it_may_be_there(self) -> None:
        """Who wants that is told, as long as it is so; it is kept, to be loaded and settled."""
        for end in (FileJournal.discard, FileJournal.settle):
            journal = self.begun_in_vain("a")
            stuck = self.patch(self.base.journal, "remove", self.full)
            self.failureResultOf(journal.discard(entry("a")), IFAPError)
            self.assertEqual(len(self.flushLoggedErrors(IFAPError)), 1)
            self.assertTrue(journal.keeps(entry("a")))
            self.assertEqual(self.successResultOf(journal.load(entry("a"))), entry("a"))
            stuck.restore()
            end(journal, entry("a"))
            self.assertEqual(self.files(), [])

    def test_discarded_but_not_for_good(self) -> None:
        """What is gone, though perhaps not after a cut, has ended as soon as that is certain; the others stay."""
        for change, name in (("remove", "x"), ("write", "b")):
            journal = self.begin_four()
            undurable = self.undurable(change)
            self.failureResultOf(journal.discard(entry(name)), IFAPError)
            self.failureResultOf(journal.load(entry(name)), IFAPError)
            self.assertEqual(len(self.flushLoggedErrors(IFAPError)), 2)
            self.assertTrue(journal.keeps(entry(name)))
            undurable.restore()
            self.assertIsNone(self.successResultOf(journal.load(entry(name))))
            self.assertFalse(journal.keeps(entry(name)))
            others = [entry(one) for one in "xabc" if one != name]
            self.assertEqual(list(self.left().frozen), others)
            for one in others:
                self.assertEqual(self.successResultOf(journal.load(one)), one)
                self.successResultOf(journal.discard(one))

    def test_lost_without_having_been_discarded(self) -> None:
        """That somebody took its file away does not end it: this is told."""
        journal = self.begin_four()
        self.files()[0].unlink()
        self.failureResultOf(journal.load(entry("x")), Malformed)
        self.assertTrue(journal.keeps(entry("x")))

    def test_settled_while_it_is_looked_at(self) -> None:
        """What ends while the journal is read is not taken for left, and its file goes."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        begun = journal.begin(entry("a"))
        while not begun.called:
            worker.run()
        looking = journal.left()
        work, answer = worker.waiting.pop()
        found = work()
        journal.settle(entry("a"))
        answer.callback(found)
        worker.run_all()
        self.assertEqual(self.successResultOf(looking).frozen, ())
        self.assertEqual(self.files(), [])

    def test_the_whole_of_what_is_kept(self) -> None:
        """A message is given back by its head, and whole when it is asked for; not when it was settled."""
        long = replace(entry("b"), message=b"Subject: x\r\n\r\n" + b"body" * 1000)
        self.successResultOf(self.journal().begin(long))
        journal = self.journal()
        (left,) = self.successResultOf(journal.left()).frozen
        self.assertLess(len(left.message), 20)
        self.assertEqual(self.successResultOf(journal.load(left)), long)
        journal.settle(left)
        self.failureResultOf(journal.load(left), Malformed)

    def test_damaged_after_it_was_found(self) -> None:
        """It is not taken for another message."""
        journal = self.journal()
        self.successResultOf(journal.begin(entry("a")))
        (file,) = self.files()
        file.write_bytes(file.read_bytes()[:-1] + b"!")
        self.failureResultOf(journal.load(entry("a")), Malformed)

    def test_what_is_left_in_the_same_process(self) -> None:
        """What was not settled, in its order; what has ended and waits for others of its file is not found again."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        for name in "abcd":
            journal.begin(entry(name))
        worker.run_all()
        for name in "ac":
            journal.settle(entry(name))
        left = journal.left()
        worker.run_all()
        self.assertEqual(self.successResultOf(left).frozen, (entry("b"), entry("d")))

    def test_read_while_it_is_written(self) -> None:
        """One after the other, so that nothing that is half written is taken for a remainder."""
        worker = LaterWorker()
        journal = self.journal(worker=worker)
        begun = journal.begin(entry("a"))
        left = journal.left()
        while not begun.called:
            self.assertEqual(len(worker.waiting), 1)
            worker.run()
        other = journal.begin(entry("b"))
        self.assertEqual(len(worker.waiting), 1)
        worker.run()
        self.assertEqual(self.successResultOf(left).frozen, (entry("a"),))
        worker.run_all()
        self.successResultOf(other)

    def test_an_entry_of_a_later_release_stays(self) -> None:
        """It is counted, and not touched."""
        self.successResultOf(self.journal().begin(entry("a")))
        (file,) = self.files()
        data = file.read_bytes().replace(b"IFAPJ2", b"IFAPJ7")
        file.write_bytes(data)
        left = self.left()
        self.assertEqual((left.frozen, left.foreign, left.damaged), ((), 1, 0))
        self.assertEqual(file.read_bytes(), data)

    def test_a_damaged_entry_is_set_aside(self) -> None:
        """It is counted until somebody takes it away, and the others in the same file are found."""
        self.begin_four()
        file = self.files()[-1]
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        for _time in range(2):
            left = self.left()
            self.assertEqual(left.frozen, (entry("x"), entry("a"), entry("c")))
            self.assertEqual(left.damaged, 1)
        (aside,) = self.files(".damaged")
        aside.unlink()
        self.assertEqual(self.left().damaged, 0)

    def test_damaged_once_more(self) -> None:
        """What was set aside of a file before is not replaced by what is set aside of it later."""
        self.begin_four()
        bad = []
        for name in "bc":
            data = self.files()[-1].read_bytes()
            bad.append(f"to {name}".encode())
            self.files()[-1].write_bytes(data.replace(bad[-1], bad[-1].upper()))
            self.left()
        (aside,) = self.files(".damaged")
        self.assertEqual([aside.read_bytes().count(one.upper()) for one in bad], [1, 1])
        self.assertEqual(self.left().frozen, (entry("x"), entry("a")))

    def odd(self) -> Path:
        """The place of a file that is none of ours, between an entry and the next."""
        journal = self.journal()
        self.successResultOf(journal.begin(entry("a")))
        self.successResultOf(journal.begin(entry("b")))
        first, second = self.files()
        second.rename(second.with_name("000000000009.pending"))
        return first.with_name("000000000005.pending")

    def check_odd(self, *, damaged: int = 1) -> None:
        """It is counted at each start, and holds nobody up; whoever comes later writes behind it."""
        for unread in (1, 0):
            left = self.left()
            self.assertEqual((left.frozen, left.damaged), ((entry("a"), entry("b")), damaged))
            self.assertEqual(left.unread, unread)
        self.successResultOf(self.journal().begin(entry("c")))
        self.assertEqual(self.left().frozen, (entry("a"), entry("b"), entry("c")))

    def test_a_directory_among_the_entries(self) -> None:
        """It is set aside."""
        self.odd().mkdir()
        self.check_odd()
        self.assertEqual([path.name for path in self.files(".damaged")], ["000000000005.damaged"])

    def test_a_file_that_is_too_long(self) -> None:
        """It is set aside as it is."""
        self.patch(pending, "_LARGEST", 1000)
        self.odd().write_bytes(bytes(1001))
        self.check_odd()
        self.assertEqual([path.stat().st_size for path in self.files(".damaged")], [1001])

    def test_what_cannot_be_set_aside(self) -> None:
        """It stays where it is, and is counted; the others are found all the same."""
        odd = self.odd()
        odd.mkdir()
        odd.with_name("000000000005.damaged").mkdir()
        for _time in range(2):
            left = self.left()
            self.assertEqual((left.frozen, left.damaged, left.unread), ((entry("a"), entry("b")), 2, 1))

    def test_a_file_that_cannot_be_read_now(self) -> None:
        """It stays where it is, and is counted; the others are found, and it is when it can be read again."""
        odd = self.odd()
        odd.symlink_to("000000000009.pending")
        left = self.left()
        self.assertEqual((left.frozen, left.damaged, left.unread), ((entry("a"), entry("b")), 1, 1))
        odd.unlink()
        journal = self.journal(OTHER)
        self.successResultOf(journal.begin(entry("c")))
        self.files()[-1].rename(odd)
        left = self.left(KEY, OTHER)
        self.assertEqual((left.frozen, left.damaged), ((entry("a"), entry("c"), entry("b")), 0))

    def test_an_entry_that_belongs_to_another_user(self) -> None:
        """Left by a run under sudo: it stays where it is, is told, and is found when it was given back."""
        self.successResultOf(self.journal().begin(entry("a")))
        self.base.journal._uid += 1
        for _ in range(2):
            left = self.left()
            self.assertEqual((left.frozen, left.damaged, left.unread), ((), 1, 1))
        self.base.journal._uid -= 1
        left = self.left()
        self.assertEqual((left.frozen, left.damaged, left.unread), ((entry("a"),), 0, 0))

    def test_a_full_disk_when_a_damaged_entry_is_set_aside(self) -> None:
        """The file stays as it was, and the others in it are found, and can be sent."""
        self.begin_four()
        file = self.files()[-1]
        damaged = file.read_bytes().replace(b"to b", b"TO B")
        file.write_bytes(damaged)
        self.patch(self.base.journal, "write", self.full)
        journal = self.journal()
        left = self.successResultOf(journal.left())
        self.assertEqual((left.frozen, left.damaged, left.unread), ((entry("x"), entry("a"), entry("c")), 1, 1))
        self.assertEqual(file.read_bytes(), damaged)
        self.assertEqual(self.successResultOf(journal.load(entry("c"))), entry("c"))

    def full(self, _name: str, *_content: bytes) -> None:
        """A disk without room."""
        raise IFAPError("Cannot write: No space left on device.")

    def test_after_the_last_number_of_twelve_digits(self) -> None:
        """What is written then is found, in its order."""
        self.odd().with_name("999999999999.pending").mkdir()
        self.successResultOf(self.journal().begin(entry("c")))
        self.assertEqual(self.left().frozen, (entry("a"), entry("b"), entry("c")))

    def test_an_entry_of_another_key_stays(self) -> None:
        """It is counted and found again when the key is known."""
        self.successResultOf(self.journal(OTHER).begin(entry("a")))
        left = self.left(KEY)
        self.assertEqual((left.frozen, left.foreign, left.damaged), ((), 1, 0))
        self.assertEqual(self.left(KEY, OTHER).frozen, (entry("a"),))

    def test_without_a_key(self) -> None:
        """Where encryption is off the journal is as open as the folder is."""
        journal = FileJournal(self.base, (), random=Drawing(), worker=InlineWorker())
        self.successResultOf(journal.begin(entry("a")))
        self.assertEqual(self.left().frozen, (entry("a"),))

    def test_a_write_that_was_cut(self) -> None:
        """What it left behind is no entry, and is cleaned up: it may be as large as the message was."""
        self.successResultOf(self.journal().begin(entry("a")))
        (file,) = self.files()
        cut = file.with_name(".000000000002.pending.4711-3.tmp")
        cut.write_bytes(file.read_bytes()[:-1])
        self.assertEqual(self.left().frozen, (entry("a"),))
        self.assertFalse(cut.exists())

    def test_numbers_go_on(self) -> None:
        """No file that an earlier process left is overwritten, damaged ones included."""
        self.successResultOf(self.journal().begin(entry("a")))
        (file,) = self.files()
        file.write_bytes(b"damaged")
        journal = self.journal()
        self.assertEqual(self.successResultOf(journal.left()).damaged, 1)
        self.successResultOf(journal.begin(entry("b")))
        self.assertEqual(self.left().frozen, (entry("b"),))
        self.assertEqual(len(self.files(".damaged")), 1)

    def test_held_only(self) -> None:
        """Only the process that holds the basedir may keep a journal in it."""
        with self.assertRaises(RuntimeError):
            FileJournal(Basedir(self.place / "other"), (KEY,), random=Drawing(), worker=InlineWorker())
