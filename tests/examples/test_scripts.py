"""The scripts of ``docs/examples``: each runs to its end, twice, and says what it did."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.examples.line import Line
from tests.examples.programs import EXAMPLES, ifap, run
from tests.live.servers import fresh_folder, server


class EmbeddedTests(SynchronousTestCase):
    """On a mail server of their own, as when a newcomer runs them."""

    def check(self, name, *lines):
        """The script ends well, prints these lines among others, and does so again on what it left."""
        basedir = str(Path(self.mktemp()).absolute())
        for _time in range(2):
            ended = run(name, IFAP_BASEDIR=basedir)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            for line in lines:
                self.assertIn(line, ended.stdout)

    def test_task_react(self):
        """``task.react`` with ``async def`` stores, reads, appends, and finds the version before."""
        self.check("task_react.py", "now it is b'hello world, once more'\nbefore it was b'hello world'\n")

    def test_callbacks(self):
        """The same with callbacks; a missing file comes to the errback that traps it."""
        self.check("callbacks.py", "read b'hello world'\nas expected: There is no file /callbacks/absent.txt.\n")

    def test_inline_callbacks(self):
        """``inlineCallbacks``: a write on top of a version that is not current any more is refused."""
        self.check("inline_callbacks.py", "refused: ", "read b'second draft'\n")

    def test_deferred_list(self):
        """A hundred puts in a ``DeferredList``."""
        self.check("deferred_list.py", "stored 100 of 100 files\nthere are 100 files in /many\n")

    def test_cancelling(self):
        """What was cancelled or timed out left nothing half written, and the rest works."""
        self.check(
            "cancelling.py",
            "put: cancelled\nput with a limit: timed out\nnothing was half written\n",
            "get: cancelled\nget with a limit: done\nread 1000000 bytes\n",
            "watch: cancelled\nwatch with a limit: timed out\nwatch while it changes: done\n",
            "the connection still works: b'something new'\n",
        )

    def test_asyncio(self):
        """On the asyncio reactor ``asyncio.gather``, ``asyncio.timeout`` and cancelling go through ``asFuture``."""
        self.check(
            "asyncio_reactor.py",
            "stored 10 files\nread b'7'\nthe put that never ends was cancelled\nthere are 10 files in /asyncio\n",
        )

    def test_all(self):
        """No script is without a test; that of ``by_hand`` is beside those of the documents."""
        tested = {"task_react", "callbacks", "inline_callbacks", "deferred_list", "cancelling", "asyncio_reactor"}
        tested |= {"by_hand"}
        self.assertEqual({path.stem for path in EXAMPLES.glob("*.py")}, tested)


class WireTests(SynchronousTestCase):
    """On a real account, over a line that is slow."""

    def setUp(self):
        """A folder on Dovecot behind a line."""
        live = server("dovecot")
        self.line = Line(live.host, live.port)
        self.addCleanup(self.line.close)
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        password = base / "password"
        password.write_text(live.password)
        password.chmod(0o600)
        self.variables = {
            "IFAP_BASEDIR": str(base / "basedir"),
            "IFAP_ACCOUNT": f"imap://{live.user}@127.0.0.1:{self.line.port}",
            "IFAP_FOLDER": fresh_folder(),
        }
        self.login("--password-file", str(password))

    def login(self, *words):
        """Make the folder, and remember password and key."""
        basedir, account, folder = self.variables.values()
        ifap("--basedir", basedir, "login", "--account", account, "--folder", folder, *words)
        self.line.appends = self.line.answered = self.line.most = self.line.connections = 0

    def test_in_one_go(self):
        """The hundred files go out together: the first answer comes when nearly all are on their way."""
        self.line.delay = 0.2
        ended = run("deferred_list.py", **self.variables)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertGreaterEqual(self.line.most, 50)
        self.assertLessEqual(self.line.appends, 101)  # the last is a snapshot, written on closing

    def test_a_get_that_takes_too_long(self):
        """A get is given up in the middle of its message; the same connection goes on."""
        self.line.rate = 500_000
        ended = run("cancelling.py", IFAP_SECONDS="0.5", **self.variables)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertIn("get with a limit: timed out\nwatch: cancelled\n", ended.stdout)
        self.assertIn("the connection still works: b'something new'\n", ended.stdout)
        self.assertEqual(self.line.connections, 1)
