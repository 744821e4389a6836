"""``ifap`` as a process: pipes, signals, terminals, and the lock on the basedir."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess

from ifap_twisted.cli.nodes import pause
from tests.cli.processes import ProcessTestCase


class PipeTests(ProcessTestCase):
    """stdin and stdout."""

    def test_bytes(self) -> None:
        """What goes in through stdin comes out through stdout, byte for byte, by the next process."""
        data = os.urandom(1_000_000)
        shown = self.succeeds("put", "-", "/x/big", given=data)
        self.assertRegex(shown, rb"\A/x/big [\w-]{22}\n\Z")
        self.assertEqual(data, self.succeeds("cat", "x/big"))
        self.assertEqual(b"", self.succeeds("put", "-q", "-", "empty"))
        self.assertEqual(b"", self.succeeds("cat", "empty"))

    def test_stdin_needs_a_name(self) -> None:
        """A stdin has no name: a DEST that is a directory is 2."""
        self.assertEqual(2, self.ifap("put", "-", "/x/", given=b"x").returncode)

    def test_reader_gone(self) -> None:
        """When the reader of stdout goes away the verb ends, with 1 and without a word."""
        self.succeeds("put", "-", "big", given=os.urandom(3_000_000))
        for verb in (["cat", "big"], ["ls"], ["help"]):
            process = self.begin(*verb)
            assert process.stdout is not None
            process.stdout.read(1 if verb == ["cat", "big"] else 0)
            process.stdout.close()
            self.assertEqual((1, b""), (process.wait(60), process.stderr.read() if process.stderr else None), verb)

    def test_full(self) -> None:
        """When stdout cannot be written to that is a failure, in one line."""
        self.succeeds("put", "-", "big", given=os.urandom(100_000))
        for verb in (["ls"], ["cat", "big"], ["help"], ["--version"]):
            with open("/dev/full", "wb") as full:
                process = self.begin(*verb, stdout=full.fileno())
                _out, err = process.communicate(timeout=60)
            self.assertEqual(6, process.returncode, verb)
            self.assertRegex(err, rb"\Aifap: .*No space left on device\n\Z")

    def test_closed(self) -> None:
        """A stdout that is closed is a failure in one line, a closed stderr or stdin is none; nothing hangs."""
        self.succeeds("put", "-", "x", given=b"data")
        problem = rb"\Aifap: (standard output: )?Bad file descriptor\n\Z"
        for closed, status, said in ((">&-", 1, problem), ("2>&- <&-", 0, rb"\A\Z")):
            for verb in ("ls", "cat x", "help", "--version"):
                line = " ".join(shlex.quote(word) for word in self.command(*verb.split()))
                done = subprocess.run(
                    f"{line} {closed}",
                    shell=True,
                    capture_output=True,
                    env=self.environment(),
                    cwd=self.home,
                    timeout=60,
                )
                self.assertEqual(status, done.returncode, (verb, closed, done.stderr))
                self.assertRegex(done.stderr, said)
                self.assertEqual(status == 0, bool(done.stdout))


class SignalTests(ProcessTestCase):
    """Ctrl-C."""

    def interrupted(self, *arguments: str, number: int = signal.SIGINT) -> subprocess.Popen[bytes]:
        """A verb that opens the account and then gets a signal."""
        process = self.begin("-v", *arguments)
        for _glance in range(600):
            held = self.basedir / "node.pid"
            if held.exists() and held.read_text() == f"{process.pid}\n":
                process.send_signal(number)
                return process
            pause(0.1)
        raise AssertionError("the basedir is not held")

    def test_watch(self) -> None:
        """`watch` ends with 130 on Ctrl-C, and on a request to end, without a traceback."""
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.interrupted("watch", number=number)
            _out, err = process.communicate(timeout=60)
            self.assertEqual(130, process.returncode)
            self.assertNotIn(b"Traceback", err)

    def test_stdin_that_never_ends(self) -> None:
        """A put that waits for stdin ends with 130 too, and nothing is stored."""
        process = self.interrupted("put", "-", "x")
        self.assertEqual(130, process.wait(60))
        self.assertEqual(b"", self.succeeds("ls"))


class LockTests(ProcessTestCase):
    """One process at a time has the account open."""

    def test_held(self) -> None:
        """Somebody who holds the basedir and does not answer is waited for; then it is 8, naming the pid."""
        self.basedir.mkdir(0o700)
        with open(self.basedir / "node.pid", "w") as pid:
            fcntl.flock(pid, fcntl.LOCK_EX)
            pid.write(f"{os.getpid()}\n")
            pid.flush()
            done = self.ifap("--json", "--wait", "0.3", "ls")
        found = json.loads(done.stderr)
        self.assertEqual((8, "basedir-in-use"), (done.returncode, found["code"]))
        self.assertIn(str(os.getpid()), found["detail"])

    def test_one_after_the_other(self) -> None:
        """Several verbs at the same time wait for each other, and all succeed."""
        processes = [self.begin("put", "-", f"x{number}") for number in range(3)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"data")
            process.stdin.close()
        for process in processes:
            process.wait(60)
        self.assertEqual([0, 0, 0], [process.returncode for process in processes])
        self.assertEqual(b"/x0\n/x1\n/x2\n", self.succeeds("ls"))


class TerminalTests(ProcessTestCase):
    """What is drawn."""

    def test_waiting(self) -> None:
        """A verb that waits shows how long already."""
        status, screen = self.at_terminal("put", "-", "x", says=[(b"Storing: 0.00B [00:02", b"hello\n\x04")])
        self.assertEqual(0, status, screen)
        self.assertEqual(b"hello\n", self.succeeds("cat", "x"))

    def test_interrupted(self) -> None:
        """Ctrl-C typed at the terminal is 130."""
        status, screen = self.at_terminal("watch", says=[(b"Ctrl-C ends it", b"\x03")])
        self.assertEqual((130, False), (status, b"Traceback" in screen))
