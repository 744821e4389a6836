"""Who holds the basedir (DESIGN 4.1)."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock

from ifap_twisted.basedir.basedir import Basedir
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, BasedirInUse
from tests.basedir.places import PlacedTestCase, mode_of

HOLDER = """
import sys
from pathlib import Path
from twisted.internet.task import Clock
from ifap_twisted.basedir import Basedir
basedir = Basedir(Path(sys.argv[1]))
basedir.hold(0, Clock()).addErrback(lambda failure: None)
print("held" if basedir.holds else "refused", flush=True)
sys.stdin.readline()
"""


class HoldingTests(PlacedTestCase):
    """One process, and its basedir."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    def refused(self, hold) -> BasedirInUse:
        """The error of a hold that was refused."""
        return self.failureResultOf(hold, BasedirInUse).value

    def test_hold_and_release(self) -> None:
        """A free basedir is held at once, its pid is told, and it can be held again after it was let go."""
        basedir = self.basedir()
        self.assertEqual((basedir.is_held(), basedir.holder(), basedir.holds), (False, None, False))
        held = self.successResultOf(basedir.hold(0, self.clock))
        self.assertEqual((basedir.is_held(), basedir.holder(), basedir.holds), (True, os.getpid(), True))
        self.assertEqual((basedir.path / "node.pid").read_text(), f"{os.getpid()}\n")
        held.release()
        held.release()
        self.assertEqual((basedir.is_held(), basedir.holder(), basedir.holds), (False, None, False))
        self.successResultOf(basedir.hold(0, self.clock))

    def test_the_pid_file_is_private(self) -> None:
        """node.pid has mode 0600."""
        self.assertEqual(mode_of(self.held_basedir().path / "node.pid"), 0o600)

    def test_a_second_node_fails_at_once(self) -> None:
        """With a wait of 0 a held basedir is refused at once, by an error that names the holder's pid."""
        first = self.held_basedir()
        error = self.refused(self.basedir().hold(0, self.clock))
        self.assertEqual(error.pid, os.getpid())
        self.assertIn(str(os.getpid()), error.detail)
        self.assertIn(str(first.path), error.detail)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_verb_waits(self) -> None:
        """A verb waits up to 30 seconds on the clock, then it is told who holds the basedir."""
        self.held_basedir()
        waiting = self.basedir().hold(limits.BASEDIR_WAIT_SECONDS, self.clock)
        self.clock.pump([0.1] * 299)
        self.assertNoResult(waiting)
        self.clock.pump([0.1] * 2)
        self.assertEqual(self.refused(waiting).pid, os.getpid())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_gets_it_when_it_is_let_go(self) -> None:
        """A verb that waits gets the basedir soon after it was let go."""
        first = self.held_basedir()
        waiting = self.basedir().hold(30, self.clock)
        self.clock.advance(5)
        self.assertNoResult(waiting)
        first.close()
        self.clock.advance(limits.BASEDIR_POLL_SECONDS)
        self.assertFalse(self.successResultOf(waiting).released)

    def test_one_of_two_waiting(self) -> None:
        """Of two that wait exactly one gets it."""
        first = self.held_basedir()
        waiting = [self.basedir().hold(30, self.clock) for _ in range(2)]
        first.close()
        self.clock.pump([0.1] * 400)
        self.successResultOf(waiting[0])
        self.refused(waiting[1])

    def test_waiting_can_be_cancelled(self) -> None:
        """A cancelled wait leaves nothing on the clock and holds nothing."""
        first = self.held_basedir()
        basedir = self.basedir()
        waiting = basedir.hold(30, self.clock)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        first.close()
        self.assertFalse(basedir.is_held())

    def test_a_pid_left_behind_is_harmless(self) -> None:
        """A number in node.pid that nobody locks does not count, even of a living process."""
        basedir = self.basedir()
        for left in (b"1\n", b"99999999\n", b"nonsense", b"", b"9" * 5000, b"\xff\xfe"):
            (basedir.path / "node.pid").write_bytes(left)
            self.assertFalse(basedir.is_held())
            self.assertIsNone(basedir.holder())
            self.successResultOf(basedir.hold(0, self.clock)).release()

    def test_a_holder_that_has_not_written_its_number(self) -> None:
        """A lock without a number counts; the holder is just not named."""
        basedir = self.basedir()
        descriptor = os.open(basedir.path / "node.pid", os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self.assertTrue(basedir.is_held())
        error = self.refused(basedir.hold(0, self.clock))
        self.assertIsNone(error.pid)
        self.assertIn("another process", error.detail)

    def test_somebody_who_only_looks(self) -> None:
        """A process that just asks whether the basedir is held does not make a node's start fail."""
        basedir = self.basedir()
        descriptor = os.open(basedir.path / "node.pid", os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        starting = basedir.hold(0, self.clock)
        self.assertNoResult(starting)
        os.close(descriptor)
        self.clock.advance(limits.BASEDIR_POLL_SECONDS)
        self.successResultOf(starting)

    def test_somebody_who_looks_for_ever(self) -> None:
        """A lock to look that is not let go ends a start without patience after a second."""
        basedir = self.basedir()
        descriptor = os.open(basedir.path / "node.pid", os.O_RDWR | os.O_CREAT)
        self.addCleanup(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        starting = basedir.hold(0, self.clock)
        self.clock.pump([0.1] * 11)
        self.refused(starting)

    def test_node_pid_removed_by_hand(self) -> None:
        """When node.pid is removed while it is held, the next holder locks a new file and both are told apart."""
        first = self.held_basedir()
        (first.path / "node.pid").unlink()
        second = self.basedir()
        self.successResultOf(second.hold(0, self.clock))
        self.assertEqual(second.holder(), os.getpid())
        self.refused(self.basedir().hold(0, self.clock))

    def test_node_pid_removed_between_opening_and_locking(self) -> None:
        """A file that was removed just before it was locked is not taken for node.pid."""
        removed = []

        def flock(descriptor: int, operation: int) -> None:
            if not removed:
                removed.append(os.fstat(descriptor).st_ino)
                (self.place / "node" / "node.pid").unlink()
                (self.place / "node" / "node.pid").write_bytes(b"")
            fcntl.flock(descriptor, operation)

        basedir = self.basedir(flock=flock)
        self.successResultOf(basedir.hold(0, self.clock))
        self.assertEqual((basedir.path / "node.pid").read_text(), f"{os.getpid()}\n")
        self.refused(self.basedir().hold(0, self.clock))

    def test_node_pid_removed_after_locking(self) -> None:
        """A file that was removed just after it was locked is not taken for node.pid either."""
        removed = []

        def flock(descriptor: int, operation: int) -> None:
            fcntl.flock(descriptor, operation)
            if not removed:
                removed.append(descriptor)
                (self.place / "node" / "node.pid").unlink()

        basedir = self.basedir(flock=flock)
        self.successResultOf(basedir.hold(0, self.clock))
        self.refused(self.basedir().hold(0, self.clock))

    def test_node_pid_removed_for_good(self) -> None:
        """A file that is gone when it is looked at again is not node.pid."""
        calls = []

        def flock(descriptor: int, operation: int) -> None:
            calls.append(operation)
            try:
                fcntl.flock(descriptor, operation)
            finally:
                if len(calls) == 2:
                    (self.place / "node" / "node.pid").unlink()

        basedir = self.basedir(flock=flock)
        self.successResultOf(basedir.hold(0, self.clock))
        self.assertEqual((basedir.path / "node.pid").read_text(), f"{os.getpid()}\n")

    def test_a_basedir_that_was_removed(self) -> None:
        """When the whole basedir was removed there is nothing to hold."""
        basedir = self.basedir()
        basedir.path.rmdir()
        error = self.failureResultOf(basedir.hold(0, self.clock), BadSettings).value
        self.assertIn("removed", error.detail)

    def test_it_shows_where_it_is(self) -> None:
        """The repr of a hold is its basedir and whether it was let go."""
        held = self.successResultOf(self.basedir().hold(0, self.clock))
        self.assertEqual(repr(held), f"<Held {self.place / 'node'}>")
        held.release()
        self.assertEqual(repr(held), f"<Held {self.place / 'node'} released>")

    def test_a_link_in_its_place(self) -> None:
        """A symbolic link named node.pid is refused, and what it points to is not changed."""
        outside = self.place / "outside"
        outside.write_bytes(b"untouched")
        basedir = self.basedir()
        (basedir.path / "node.pid").symlink_to(outside)
        self.failureResultOf(basedir.hold(0, self.clock), BadSettings)
        self.assertRaises(BadSettings, basedir.is_held)
        self.assertEqual(outside.read_bytes(), b"untouched")

    def test_a_file_system_without_locks(self) -> None:
        """Where flock is not known, the basedir is refused by name."""
        for number in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):

            def flock(_descriptor: int, _operation: int, number: int = number) -> None:
                raise OSError(number, os.strerror(number))

            basedir = self.basedir(flock=flock)
            error = self.failureResultOf(basedir.hold(0, self.clock), BadSettings).value
            self.assertIn(str(basedir.path), error.detail)
            self.assertIn("without locks", error.detail)
            self.assertFalse(basedir.holds)

    def test_a_file_system_whose_locks_do_not_hold(self) -> None:
        """Where every lock is granted, the basedir is refused by name."""
        basedir = self.basedir(flock=lambda _descriptor, _operation: None)
        error = self.failureResultOf(basedir.hold(0, self.clock), BadSettings).value
        self.assertIn(str(basedir.path), error.detail)
        self.assertIn("do not hold", error.detail)

    def test_scraps_are_swept_by_the_holder(self) -> None:
        """Who holds the basedir removes what a cut write left behind; who does not get it removes nothing."""
        basedir = self.basedir()
        scrap = basedir.path / ".key.json.4711-3.tmp"
        scrap.write_bytes(b"")
        held = self.successResultOf(basedir.hold(0, self.clock))
        self.assertFalse(scrap.exists())
        scrap.write_bytes(b"")
        self.refused(self.basedir().hold(0, self.clock))
        self.assertTrue(scrap.exists())
        held.release()

    def test_closing_lets_go(self) -> None:
        """Closing a basedir lets it go, twice is harmless."""
        basedir, other = self.held_basedir(), self.basedir()
        basedir.close()
        basedir.close()
        self.assertFalse(basedir.holds)
        self.assertFalse(other.is_held())


class TwoProcessesTests(PlacedTestCase):
    """Real processes that contend for one basedir."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()

    def start(self) -> subprocess.Popen:
        """Another process that tries to hold the basedir until it reads a line."""
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.place / "node")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen) -> None:
        """Let a process go on to its end."""
        process.stdin.close()
        process.wait(30)
        process.stdout.close()

    def test_a_process_that_holds(self) -> None:
        """What another process holds is refused with that process's pid, until that one has ended."""
        process = self.start()
        self.assertEqual(process.stdout.readline(), "held\n")
        basedir = self.basedir()
        self.assertEqual((basedir.is_held(), basedir.holder()), (True, process.pid))
        error = self.failureResultOf(basedir.hold(0, self.clock), BasedirInUse).value
        self.assertEqual(error.pid, process.pid)
        self.assertIn(str(process.pid), error.detail)
        self.end(process)
        self.successResultOf(basedir.hold(0, self.clock))

    def test_a_process_that_is_killed(self) -> None:
        """A killed holder leaves its number behind and the basedir free."""
        process = self.start()
        self.assertEqual(process.stdout.readline(), "held\n")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        basedir = self.basedir()
        self.assertEqual((basedir.path / "node.pid").read_text(), f"{process.pid}\n")
        self.assertFalse(basedir.is_held())
        self.successResultOf(basedir.hold(0, self.clock))

    def test_we_hold_and_they_do_not(self) -> None:
        """What this process holds, another one does not get; children do not inherit the hold."""
        held = self.held_basedir()
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        self.addCleanup(child.wait, 30)
        self.addCleanup(child.kill)
        self.assertEqual(self.start().stdout.readline(), "refused\n")
        held.close()
        self.assertEqual(self.start().stdout.readline(), "held\n")

    def test_of_many_one_gets_it(self) -> None:
        """Of several processes that start at the same time exactly one holds the basedir."""
        Basedir(Path(self.place / "node")).close()
        processes = [self.start() for _ in range(4)]
        answers = sorted(process.stdout.readline() for process in processes)
        self.assertEqual(answers, ["held\n", "refused\n", "refused\n", "refused\n"])
