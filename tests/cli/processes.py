"""``ifap`` as a process of its own, with the embedded account in a fresh basedir."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import ifap_twisted

SOURCE = Path(ifap_twisted.__file__).parents[1]
PROGRAM = "import sys; from ifap_twisted.cli.main import run; sys.exit(run())"
RESERVED = "unclosed file <_io.TextIOWrapper name='/dev/null' mode='r'"
"""What Twisted keeps open for the day when descriptors run out."""
PATIENCE = 60
"""Seconds after which a process that should have ended is taken to hang; nothing waits so long that goes well."""


class ProcessTestCase(SynchronousTestCase):
    """A test with a home, a basedir in it that is not there yet, and ``self.ifap(...)``."""

    def setUp(self) -> None:
        """Make a home."""
        directory = tempfile.TemporaryDirectory(prefix="ifap-cli-")
        self.addCleanup(directory.cleanup)
        self.home = Path(directory.name)
        self.basedir = self.home / "node"

    def environment(self, **more: str) -> dict[str, str]:
        """What a process is given."""
        paths = [
            str(SOURCE),
            *(entry for entry in sys.path if (Path(entry) / "twisted/plugins/ifap_plugin.py").exists()),
        ]
        checkout = SOURCE.parent
        if (checkout / "twisted/plugins").exists():
            paths.append(str(checkout))
        return {
            "HOME": str(self.home),
            "IFAP_BASEDIR": str(self.basedir),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONWARNINGS": f"error,ignore:{RESERVED}:ResourceWarning",
            "TERM": "dumb",
            **more,
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of a run."""
        return [sys.executable, "-c", PROGRAM, *map(str, arguments)]

    def ifap(
        self, *arguments: str | Path, given: bytes = b"", basedir: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``ifap`` without a terminal."""
        environment = self.environment() if basedir is None else self.environment(IFAP_BASEDIR=str(basedir))
        return subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            env=environment,
            cwd=self.home,
            check=False,
        )

    def succeeds(self, *arguments: str | Path, given: bytes = b"", basedir: Path | None = None) -> bytes:
        """Run ``ifap``, which has to succeed, and give its stdout."""
        done = self.ifap(*arguments, given=given, basedir=basedir)
        self.assertEqual(0, done.returncode, done.stderr.decode())
        return done.stdout

    def begin(self, *arguments: str | Path, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start ``ifap``; whatever is left of it is ended with the test."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(),
            cwd=self.home,
        )

        def end() -> None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

        self.addCleanup(end)
        return process

    def write(self, name: str, content: bytes, mode: int = 0o600) -> Path:
        """Make a file in the home."""
        path = self.home / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def at_terminal(self, *arguments: str | Path, says: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
        """Run ``ifap`` at a terminal; after each expected text an answer is typed. Gives status and screen."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.home)
            os.execve(sys.executable, self.command(*arguments), self.environment())
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        try:
            return _talk(child, terminal, says)
        finally:
            os.close(terminal)


def _talk(child: int, terminal: int, says: list[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    screen, seen, left = b"", 0, list(says)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if left and left[0][0] in screen[seen:]:
            seen = len(screen)
            os.write(terminal, left.pop(0)[1])
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            block = os.read(terminal, 4096)
        except OSError:  # the other end was closed
            block = b""
        if not block:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen
        screen += block
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"the process hangs after {screen!r}")
