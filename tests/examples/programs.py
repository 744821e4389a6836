"""Running what is in ``docs/examples``, and the command line, as users would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
IFAP = "from ifap_twisted.cli.main import run; import sys; sys.exit(run())"
TWISTD = "from twisted.scripts.twistd import run; run()"
RESERVE = "ignore:unclosed file:ResourceWarning"
"""Twisted's listening ports keep /dev/null open to the end of the process, for when file descriptors run out."""
SECONDS = 120
"""More than anything takes; what takes longer has failed."""


def environment(**variables: str) -> dict[str, str]:
    """That of this process without settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IFAP_", "MAILPROXY_"))}
    return kept | {"PYTHONPATH": str(ROOT / "src")} | variables


def run(name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", RESERVE, str(EXAMPLES / name)],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def ifap(*words: str) -> str:
    """Run a verb of the command line; gives what it printed.

    :raises AssertionError: it failed.
    """
    ended = subprocess.run(
        [sys.executable, "-c", IFAP, *words], env=environment(), capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


class MailProxy:
    """``twistd -n -y mailproxy.tac``, until ``stop``.

    :ivar port: where it listens.
    """

    def __init__(self, directory: Path, **variables: str) -> None:
        self.lines: list[str] = []
        self.port = 0
        self._listens = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "-y", str(EXAMPLES / "mailproxy.tac")],
            env=environment(MAILPROXY_LISTEN="tcp:0:interface=127.0.0.1", **variables),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._listens.wait(SECONDS)
        if not self.port:
            self.stop()
            raise AssertionError(f"the mail proxy does not listen:\n{self.log}")

    @property
    def log(self) -> str:
        """What it has printed."""
        return "".join(self.lines)

    @property
    def runs(self) -> bool:
        """Whether it is still the same process."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop it as a user would, and wait."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if found := re.search(r"MailFactory starting on (\d+)", line):
                self.port = int(found[1])
                self._listens.set()
        self._listens.set()
