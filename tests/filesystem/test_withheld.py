"""What an earlier process of this device wrote is withheld when the next one begins (FORMAT 3.2, 9.1)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.basedir.writer import FileWriter
from ifap_twisted.core import limits
from ifap_twisted.errors import Conflict, MessageGone, NoRoom, OutcomeUnknown
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.sending import SENDINGS
from ifap_twisted.store.memory import Fate
from ifap_twisted.testing.seen import NAME, DiskMarks
from tests.filesystem.folders import Folder, result
from tests.filesystem.machines import Machine


class WithheldTests(SynchronousTestCase):
    """Two changes of one version are both there in the end, whatever the server shows meanwhile."""

    def setUp(self) -> None:
        self.folder = Folder()
        self.machine = Machine(self.folder)

    def written(self) -> Filesystem:
        """The process that wrote two versions of a file; the second is acknowledged."""
        process = self.machine.start()
        self.first = result(process.put("a", b"first")).version
        self.folder.clock.advance(60)
        self.uid = self.folder.shelf.uidnext
        result(process.put("a", b"acknowledged"))
        return process

    def killed(self, process: Filesystem) -> None:
        """It ends without a word."""
        process._marking.give_up()  # type: ignore[union-attr]
        process.desk.view.close()
        result(process.desk.view.store.close())

    def next_process(self, **more: Any) -> Filesystem:
        """One that is not shown the second version."""
        self.store = self.folder.store()
        self.store.hide(self.uid)
        return self.machine.start(store=self.store, **more)

    def check_both_stay(self, process: Filesystem) -> None:
        """A change of the first version succeeds, and when all is shown again both changes are heads."""
        result(process.put("a", b"new", expect=self.first))
        self.store.reveal()
        result(process.refresh())
        for _ in range(2):
            result(process.collect())
            self.folder.clock.advance(limits.GRACE_SECONDS + 1)
        fresh = self.folder.device()
        heads = {result(fresh.get("a", version=head.version)) for head in result(fresh.conflicts())}
        self.assertEqual(heads, {b"acknowledged", b"new"})

    def test_killed_at_once(self) -> None:
        """Before what it had seen was kept."""
        self.killed(self.written())
        self.check_both_stay(self.next_process())

    def test_marks_lost(self) -> None:
        """It ended in good order, and what it had seen was deleted since."""
        result(self.written().close())
        del self.machine.disk.files[NAME]
        self.check_both_stay(self.next_process())

    def test_nothing_is_remembered(self) -> None:
        """It begins without marks, as an older release did."""
        result(self.written().close())
        self.check_both_stay(self.next_process(marks=None))

    def test_a_look_in_between(self) -> None:
        """A process that only reads knows no more of it, and does not vouch for the name."""
        for lost in (False, True):
            self.setUp()
            process = self.written()
            if lost:
                result(process.close())
                del self.machine.disk.files[NAME]
            else:
                self.killed(process)
            look = self.next_process()
            self.folder.clock.advance(60)
            result(look.close())
            self.check_both_stay(self.next_process())

    def test_a_name_that_could_not_be_drawn(self) -> None:
        """Nothing is vouched for at the end of a process whose last message may still arrive under its name."""
        process = self.machine.start()
        base = result(process.put("a", b"0")).version
        self.store = process.desk.view.store
        self.store.doom_next(Fate.CUT_LATE, SENDINGS)
        drawing = FileWriter.renew
        self.patch(FileWriter, "renew", lambda _writer: fail(NoRoom("Cannot write: No space left on device.")))
        putting = process.put("a", b"late", expect=base)
        self.folder.clock.pump([0.5] * 60)
        self.failureResultOf(putting, OutcomeUnknown)
        before = process.desk.writer.sending._identity.writer
        result(process.close())
        self.patch(FileWriter, "renew", drawing)
        self.assertNotEqual(result(self.machine.start().put("b", b"1")).writer, before)

    def test_marks_that_could_not_be_kept(self) -> None:
        """The disk was full at its end."""
        process = self.written()
        self.patch(DiskMarks, "keep", lambda *_anything: fail(NoRoom("Cannot write: No space left on device.")))
        result(process.close())
        self.check_both_stay(self.next_process())

    def test_nothing_is_lost_in_good_order(self) -> None:
        """What was kept tells the next process, which refuses the change of an old version under its old name."""
        result(self.written().close())
        process = self.next_process()
        self.failureResultOf(process.put("a", b"new", expect=self.first), Conflict)
        self.failureResultOf(process.get("a"), MessageGone)

    def test_the_same_name_in_good_order(self) -> None:
        """Processes that end in good order are one device in the history."""
        writers = set()
        for content in (b"1", b"2", b"3"):
            process = self.machine.start()
            writers.add(result(process.put("a", content)).writer)
            result(process.close())
        self.assertEqual(len(writers), 1)
