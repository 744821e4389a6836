"""What a device keeps of what it saw, and when (FORMAT 9.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ifap_twisted.core.marks import Facts, Kept, Mark
from ifap_twisted.errors import MessageGone, NewerVersionNeeded, NoRoom
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.marking import Marking
from ifap_twisted.interfaces import IMarks
from ifap_twisted.store.memory import Turnstile
from tests.filesystem.folders import Folder, result
from tests.filesystem.machines import Machine

DAY = 86400.0


@implementer(IMarks)
class Ledger:
    """Keeps marks in memory, and notes each time.

    :ivar error: what happens instead.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Sequence[Mark]] = {}
        self.facts: Facts | None = None
        self.damaged = 0
        self.error: Exception | None = None
        self.noted: list[list[str]] = []
        self.closed = 0

    def load(self) -> Deferred[Kept | None]:
        """What was kept."""
        if self.error is not None:
            return fail(self.error)
        return succeed(None if self.facts is None else Kept(facts=self.facts, marks=self.kept, damaged=self.damaged))

    def keep(self, changes: Mapping[str, Sequence[Mark]], facts: Facts) -> Deferred[None]:
        """Keep and note."""
        if self.error is not None:
            return fail(self.error)
        self.noted.append(sorted(changes))
        self.kept = {path: marks for path, marks in {**self.kept, **changes}.items() if marks}
        self.facts = facts
        return succeed(None)

    def close(self) -> Deferred[None]:
        """Count it."""
        self.closed += 1
        return succeed(None)


class MarkingTests(SynchronousTestCase):
    """A device that keeps marks in a ledger, and another one that writes."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.ledger = Ledger()
        self.machine = Machine(self.folder)
        self.other = self.folder.device()
        result(self.other.put("a", b"1"))

    def start(self) -> Filesystem:
        """The next process of the device."""
        return self.machine.start(marks=lambda *_folder: self.ledger)

    def later(self, seconds: float) -> None:
        """Let time go by."""
        self.folder.clock.advance(seconds)

    def codes(self, filesystem: Filesystem) -> list[str]:
        """What the status warns of."""
        return [notice.code for notice in result(filesystem.status()).warnings]

    def test_a_second_later(self) -> None:
        """What was seen is kept, once, and nothing when nothing is new."""
        self.start()
        self.assertEqual(self.ledger.noted, [])
        self.later(1.0)
        self.assertEqual(self.ledger.noted, [["a"]])
        result(self.other.put("b", b"1"))
        result(self.other.put("c", b"1"))
        self.later(1.0)
        self.later(5.0)
        self.assertEqual(self.ledger.noted, [["a"], ["b", "c"]])

    def test_at_the_end(self) -> None:
        """Before it lets go of the folder."""
        device = self.start()
        result(device.put("mine", b"1"))
        result(device.close())
        self.assertEqual((self.ledger.noted, self.ledger.closed), ([["a", "mine"]], 1))
        result(self.start().close())
        self.assertEqual(len(self.ledger.noted), 1)

    def test_heads_only(self) -> None:
        """Not what they descend from, and nothing below the reserved names."""
        result(self.other.put("a", b"2"))
        result(self.other.snapshot())
        device = self.start()
        result(device.close())
        self.assertEqual(sorted(self.ledger.kept), ["a"])
        (mark,) = self.ledger.kept["a"]
        self.assertEqual(mark.version.vid, result(self.other.stat("a")).version)

    def test_what_was_collected_is_forgotten(self) -> None:
        """There is nothing left to miss."""
        device = self.start()
        result(self.other.remove("a"))
        for days in (1, 8, 366, 8, 8, 8):
            self.later(days * DAY)
            result(self.other.collect())
        result(device.refresh())
        self.later(1.0)
        self.assertEqual(dict(self.ledger.kept), {})

    def test_when_its_writer_cannot_take_it_back_any_more(self) -> None:
        """What was seen for ten minutes was no race that was lost (FORMAT 4.4)."""
        self.start()
        self.later(1.0)
        self.assertGreater(self.ledger.kept["a"][0].since, 0)
        self.later(600.0)
        self.assertEqual(self.ledger.kept["a"][0].since, -float("inf"))

    def test_seen_by_one_process_and_by_another_one_later(self) -> None:
        """It was there all the time."""
        result(self.start().close())
        self.later(700.0)
        result(self.start().close())
        self.assertEqual(self.ledger.kept["a"][0].since, -float("inf"))

    def test_ones_own_write_is_certain_at_once(self) -> None:
        """Its writer was told that it is stored."""
        device = self.start()
        result(device.put("mine", b"1"))
        self.later(1.0)
        self.assertEqual(self.ledger.kept["mine"][0].since, -float("inf"))

    def test_a_mistake(self) -> None:
        """Of ours, when what was seen is kept or looked at: nothing that was seen is forgotten because of it."""
        filesystem = self.start()
        self.ledger.error = ZeroDivisionError()
        self.later(1.0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.ledger.error = None
        wrong = self.patch(Marking, "_look_for_replay", lambda *_path: 1 // 0)
        result(self.other.put("b", b"1"))
        self.later(1.0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        wrong.restore()
        result(self.other.put("c", b"1"))
        self.later(1.0)
        self.assertEqual(self.ledger.noted, [["a", "b", "c"]])
        result(filesystem.close())

    def test_what_cannot_be_kept_is_told_and_tried_again(self) -> None:
        """The folder is used as before."""
        device = self.start()
        self.ledger.error = NoRoom("The disk is full.")
        self.later(1.0)
        self.assertEqual(self.codes(device), ["marks-unkept"])
        self.assertEqual(result(device.get("a")), b"1")
        self.ledger.error = None
        self.later(600.0)
        self.assertEqual((self.codes(device), self.ledger.noted), ([], [["a"]]))

    def test_what_cannot_be_kept_at_the_end(self) -> None:
        """It keeps nobody from ending."""
        device = self.start()
        self.ledger.error = NoRoom("The disk is full.")
        result(device.close())
        self.assertEqual((self.ledger.noted, self.ledger.closed), ([], 1))

    def test_what_cannot_be_read_is_told_and_stays(self) -> None:
        """Nothing is kept in its place."""
        result(self.start().close())
        noted = list(self.ledger.noted)
        self.ledger.error = NoRoom("The disk fails.")
        device = self.start()
        self.assertEqual(self.codes(device), ["marks-unkept"])
        self.ledger.error = None
        result(self.other.put("b", b"1"))
        self.later(2.0)
        result(device.close())
        self.assertEqual(self.ledger.noted, noted)

    def test_a_newer_version_of_this_program_kept_them(self) -> None:
        """It does not go on without."""
        self.ledger.error = NewerVersionNeeded("The file is newer.")
        self.assertRaises(NewerVersionNeeded, self.start)
        self.assertEqual(self.ledger.closed, 1)
        self.later(5.0)
        self.assertEqual(self.ledger.noted, [])

    def test_lost_marks_are_told_for_a_week(self) -> None:
        """A device that kept some before and finds none; one that never did is told nothing."""
        device = self.start()
        self.assertEqual(self.codes(device), [])
        result(device.close())
        self.ledger = Ledger()
        for _ in range(2):
            device = self.start()
            self.assertEqual(self.codes(device), ["marks-lost"])
            result(device.close())
        self.later(7 * DAY)
        self.assertEqual(self.codes(self.start()), [])

    def test_damaged_marks_are_told(self) -> None:
        """The others count."""
        result(self.start().close())
        self.ledger.damaged = 2
        self.assertEqual(self.codes(self.start()), ["marks-lost"])

    def test_marks_that_are_two_years_old(self) -> None:
        """Records of what was collected since are gone, so nobody is accused."""
        result(self.other.put("b", b"1"))
        result(self.start().close())
        self.folder.shelf.forget(self.folder.shelf.uidnext - 1)
        self.later(701 * DAY)
        device = self.start()
        self.assertEqual(self.codes(device), ["marks-old"])
        result(device.close())
        self.assertEqual(sorted(self.ledger.kept), ["a"])
        self.assertEqual(self.codes(self.start()), [])

    def test_marks_that_are_confirmed_now_and_then_do_not_grow_old(self) -> None:
        """Though nothing changes for years."""
        for _ in range(8):
            result(self.start().close())
            self.later(100 * DAY)
        self.folder.shelf.forget(self.folder.shelf.uidnext - 1)
        self.assertEqual(self.codes(self.start()), ["rolled-back"])

    def test_a_file_whose_message_is_damaged_in_its_place(self) -> None:
        """It is known whose it was: that is told, and not that an older state is shown."""
        result(self.other.put("b", b"1"))
        result(self.start().close())
        uid = self.folder.shelf.uidnext - 1
        message = self.folder.shelf.messages[uid]
        self.folder.shelf.tamper(uid, message.replace(b"gAAAAA", b"gAAAAB", 1))
        device = self.start()
        told = [(notice.code, notice.path) for notice in result(device.status()).warnings]
        self.assertIn("b", [path for _code, path in told])
        self.assertNotIn("rolled-back", [code for code, _path in told])
        error = self.failureResultOf(device.get("b")).value
        self.assertEqual([(error.code, error.path)], [one for one in told if one[1] is not None])
        self.assertNotIsInstance(error, MessageGone)

    def test_renumbered_while_the_marks_are_read(self) -> None:
        """They are compared with what is there under the new numbers, whenever that is read."""
        result(self.other.put("b", b"1"))
        result(self.start().close())
        self.folder.shelf.forget(self.folder.shelf.uidnext - 1)
        for late in (False, True):
            reading: Deferred[None] = Deferred()
            self.ledger.load = lambda reading=reading: reading.addCallback(lambda _: Ledger.load(self.ledger))
            store = self.folder.store()
            opening = self.machine.opening(store=store, marks=lambda *_folder: self.ledger)
            store.gate = turnstile = Turnstile("headers")
            self.folder.shelf.renumber()
            if not late:
                turnstile.release()
            reading.callback(None)
            device = self.successResultOf(opening).filesystem
            turnstile.release()
            self.later(1.0)
            self.assertEqual(self.codes(device), ["rolled-back"])
            self.assertEqual(sorted(self.ledger.kept), ["a", "b"])
            result(device.close())

    def test_without_anything_to_keep_them_in(self) -> None:
        """As before: what goes while a process looks on is told, and no more."""
        result(self.machine.start(marks=None).close())
        self.folder.shelf.forget(self.folder.shelf.uidnext - 1)
        self.assertEqual(self.codes(self.machine.start(marks=None)), [])

    def test_no_timer_is_left(self) -> None:
        """Of a process that has ended."""
        device: Any = self.start()
        self.later(1.0)
        waiting = len(self.folder.clock.getDelayedCalls())
        result(device.close())
        self.assertLess(len(self.folder.clock.getDelayedCalls()), waiting)
        self.later(2000.0)
        self.assertEqual(len(self.ledger.noted), 1)
