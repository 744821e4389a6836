"""What was acknowledged survives kill -9."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.server import messages, storage
from ifap_twisted.server.schema import open_database

ROOT = Path(__file__).resolve().parents[2]
APPENDED = re.compile(rb"a(\d+) OK \[APPENDUID \d+ (\d+)\]")


class KillTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.random = random.Random(4)
        self.acknowledged: dict[int, bytes] = {}

    def test_acknowledged_messages_survive(self) -> None:
        """Killed while pipelined APPENDs are under way, again and again, every acknowledged message is there."""
        for _round in range(3):
            self.append_until_killed()
        connection = open_database(self.directory / "embedded.sqlite")
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        box = storage.find_mailbox(connection, 1, "INBOX")
        self.assertGreater(len(self.acknowledged), 100)
        pairs = [(0, uid) for uid in self.acknowledged]
        stored = {each.uid: each.header + each.text for each in messages.read(connection, box.id, pairs)}
        self.assertEqual(stored.keys(), self.acknowledged.keys())
        for uid, message in self.acknowledged.items():
            self.assertTrue(stored[uid] == message, uid)
        self.assertGreater(box.uidnext, max(self.acknowledged))

    def append_until_killed(self) -> None:
        """Send without waiting; kill when enough answers came, wherever the server is then."""
        process = self.start()
        sent: list[bytes] = []
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.directory / "socket"))
            connection.sendall(b"l LOGIN me secret\r\n")
            with connection.makefile("rb") as answers:
                while not answers.readline().startswith(b"l OK"):
                    pass
                for _batch in range(4):
                    self.send(connection, sent)
                    for _ in range(20):
                        self.note(answers.readline(), sent)
                process.kill()
                process.wait()
                self.note_rest(answers, sent)

    def start(self) -> subprocess.Popen[bytes]:
        """A server process that is ready."""
        path = os.pathsep.join((str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.serving", str(self.directory)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), b"READY\n")
        return process

    def send(self, connection: socket.socket, sent: list[bytes]) -> None:
        """Fifty messages."""
        data = b""
        for _ in range(50):
            message = self.random.randbytes(self.random.randrange(12000))
            data += b"a%d APPEND INBOX {%d+}\r\n%b\r\n" % (len(sent), len(message), message)
            sent.append(message)
        connection.sendall(data)

    def note(self, line: bytes, sent: list[bytes]) -> None:
        """An acknowledgement."""
        found = APPENDED.match(line)
        assert found is not None, line
        uid = int(found[2])
        self.assertNotIn(uid, self.acknowledged)
        self.acknowledged[uid] = sent[int(found[1])]

    def note_rest(self, answers, sent: list[bytes]) -> None:
        """What had been answered when it died."""
        try:
            for line in answers:
                if line.endswith(b"\r\n"):
                    self.note(line, sent)
        except ConnectionResetError:
            pass
