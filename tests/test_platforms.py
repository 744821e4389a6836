"""Where the service runs."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import NotSupported
from ifap_twisted.platforms import require_posix


class PlatformTests(SynchronousTestCase):
    """The refusal of Windows (DESIGN 4.1)."""

    def test_windows_is_refused_with_one_sentence(self) -> None:
        """On Windows the start ends with a sentence that says what to do."""
        for platform in ("win32", "cygwin", "msys"):
            error = self.assertRaises(NotSupported, require_posix, platform)
            self.assertIn("Windows", error.detail)
            self.assertEqual(error.detail.count("\n"), 0)

    def test_posix_is_taken(self) -> None:
        """Linux and macOS pass."""
        for platform in ("linux", "darwin", "freebsd14"):
            self.assertIsNone(require_posix(platform))

    def test_it_needs_nothing_that_only_posix_has(self) -> None:
        """The module can be imported where there is no fcntl, so that the sentence is seen instead of a traceback."""
        script = "import sys; sys.modules['fcntl'] = sys.modules['pwd'] = None; import ifap_twisted.platforms"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
