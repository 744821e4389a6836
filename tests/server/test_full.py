"""What the server does when the disk is full: it refuses, loses nothing, goes on reading, and works again."""

from __future__ import annotations

import contextlib
import random
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.errors import Unavailable
from ifap_twisted.server.database import Database
from ifap_twisted.workers import InlineWorker
from tests.campaigns.leftovers import NAME, differences
from tests.server.conversation import ConversationTestCase
from tests.server.sending import Sender, Sent, start_server

FULL = b"NO [OVERQUOTA] The disk is full"
FAILING = b"NO [UNAVAILABLE] The disk cannot be written to or read now"


class FullTests(ConversationTestCase):
    """SQLite finds no room."""

    def limit(self, pages: int) -> None:
        self.successResultOf(self.database.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchone()))

    def pages(self) -> int:
        return self.successResultOf(self.database.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0]))

    def test_refused_and_taken_again(self) -> None:
        """What finds no room is refused, the small one behind it is stored, and all is read as before."""
        me = self.client(b"box")
        me.append(b"box", b"A: b\r\n\r\nbefore")
        self.limit(self.pages() + 2)
        me.send(b"a APPEND box {50000+}\r\n%b\r\nb APPEND box {1+}\r\nx\r\n" % bytes(50_000))
        refused, stored = (line for line in me.lines() if line[:1] in b"ab")
        self.assertEqual(refused, b"a " + FULL)
        self.assertRegex(stored, rb"^b OK \[APPENDUID \d+ 2\]")
        self.assertEqual(me.say(b"c FETCH 1 BODY.PEEK[TEXT]")[1], b"before)")
        self.limit(10_000)
        self.assertEqual(me.append(b"box", bytes(50_000)), 3)
        self.assertEqual(self.database.notices, [])

    def test_other_commands(self) -> None:
        """So are mailboxes and flags; nothing is half done."""
        me = self.client(b"box")
        me.append(b"box", b"x")
        self.limit(self.pages())
        names = [b"n%d" % number + b"x" * 900 for number in range(20)]
        answers = [me.say(b"a CREATE " + name)[-1] for name in names]
        self.assertEqual(set(answers), {b"a OK CREATE completed", b"a " + FULL})
        listed = [line for line in me.say(b'b LIST "" n*') if line.startswith(b"* ")]
        self.assertEqual(len(listed), answers.count(b"a OK CREATE completed"))
        self.limit(10_000)
        self.assertEqual(me.say(b"c STORE 1 +FLAGS (\\Seen)")[-1], b"c OK STORE completed")


@contextlib.contextmanager
def file_limit(size: int, pid: int = 0) -> Iterator[None]:
    """No file of a process can grow beyond a size, as on a disk without room."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class FileLimitTests(SynchronousTestCase):
    """The system refuses to write."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def test_a_server_without_room(self) -> None:
        """A real server refuses what it cannot write, answers, works again with room, and has lost nothing."""
        server = start_server(self.directory)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        sent = Sent()
        sender = Sender(self.directory, sent, random.Random("full"))
        self.addCleanup(sender.close)
        sender.append(20)
        sender.hear(20)
        for round_ in range(3):
            room = random.Random(round_).randrange(30_000)
            with file_limit((self.directory / f"{NAME}-wal").stat().st_size + room, server.pid):
                sender.append(20)
                sender.hear(20)
                self.assertTrue(sender.ask(b"UID FETCH 1 (UID BODY.PEEK[])")[-1].startswith(b"x OK"))
            sender.append(5)
            sender.hear(5)
        self.assertGreater(len(sent.refused), 10)
        self.assertEqual({line.split(b" ", 1)[1].rstrip() for line in sent.refused} - {FULL, FAILING}, set())
        self.assertGreaterEqual(len(sent.acknowledged), 35)
        server.kill()
        server.wait()
        required = {uid: sent.messages[number] for uid, number in sent.acknowledged.items()}
        self.assertEqual(differences(self.directory / NAME, sent, required, list(required.values())), [])

    def test_no_room_at_the_start(self) -> None:
        """A database that cannot be made or opened for want of room is tried again later, and is as it was."""
        path = self.directory / NAME
        for size in (0, 30, 5000, 20_000):
            database = Database(path, InlineWorker())
            with file_limit(size):
                error = self.failureResultOf(database.open(), Unavailable).value
            self.assertIn("now", error.detail)
        self.assertEqual(signal.getsignal(signal.SIGXFSZ), signal.SIG_IGN)
        self.successResultOf(database.open())
        self.successResultOf(database.close())
        with file_limit(0):
            self.failureResultOf(database.open(), Unavailable)
        self.successResultOf(database.open())
        self.assertEqual(database.notices, [])
        self.successResultOf(database.close())
