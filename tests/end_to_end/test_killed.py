"""``ifap put`` killed while its message is on its way: the next verb finishes it (FORMAT 4.1; P1, P2)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.examples.line import Line
from tests.examples.programs import IFAP, SECONDS, environment, ifap
from tests.live.servers import fresh_folder, server


class KilledTests(SynchronousTestCase):
    """A real process, a real mail server, a slow line, and SIGKILL."""

    def setUp(self) -> None:
        """A folder behind a line."""
        live = server("dovecot")
        self.line = Line(live.host, live.port)
        self.addCleanup(self.line.close)
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        (self.base / "password").write_text(live.password)
        (self.base / "password").chmod(0o600)
        url = f"imap://{live.user}@127.0.0.1:{self.line.port}"
        words = ["--account", url, "--folder", fresh_folder(), "--password-file", str(self.base / "password")]
        self.run_ifap("-q", "login", *words)

    def run_ifap(self, *words: str) -> str:
        """A verb that ends well; what it printed."""
        return ifap("--basedir", str(self.base / "node"), *words)

    def pending(self) -> list[str]:
        """What is in the journal."""
        return [name for name in os.listdir(self.base / "node" / "journal") if name.endswith(".pending")]

    def test_the_next_verb_finishes_it(self) -> None:
        """One version with the whole content; afterwards nothing is left to be done."""
        content = os.urandom(1_000_000)
        (self.base / "large").write_bytes(content)
        self.line.delay = 1.0
        words = ["--basedir", str(self.base / "node"), "-q", "put", str(self.base / "large"), "/large"]
        putting = subprocess.Popen([sys.executable, "-c", IFAP, *words], env=environment())
        until = time.monotonic() + SECONDS
        while not self.pending():
            self.assertLess(time.monotonic(), until, "the put did not begin")
            self.assertIsNone(putting.poll())
            time.sleep(0.01)  # noqa: TID251 -- for another process
        putting.kill()
        putting.wait()
        self.line.delay = 0.0
        self.assertEqual(len(self.pending()), 1)
        self.run_ifap("sync")
        self.run_ifap("get", "/large", str(self.base / "back"))
        self.assertEqual((self.base / "back").read_bytes(), content)
        self.assertEqual(len(self.run_ifap("versions", "/large").splitlines()), 1)
        self.assertEqual(self.pending(), [])
