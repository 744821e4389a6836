"""The embedded server as a child process, and a client that appends without waiting and notes what was acknowledged."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPENDED = re.compile(rb"a(\d+) OK \[APPENDUID (\d+) (\d+)\]")
EXPUNGED = re.compile(rb"e(\d+) OK UID EXPUNGE")


def start_server(directory: Path, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A server process that is ready.

    :param before: the beginning of its command line.
    """
    path = os.pathsep.join((str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "tests.server.serving", str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    process.stdout.close()
    if ready != b"READY\n":
        process.kill()
        process.wait()
        raise RuntimeError("The server did not start.")
    return process


@dataclass
class Sent:
    """What a client sent, and what it was told.

    :ivar messages: in the order of their tags; ``acknowledged``: by UID the number of the message.
    :ivar expunged: UIDs of which it was told that they are gone; ``leaving``: those that were to go.
    :ivar refused: the answers that were not OK.
    """

    messages: list[bytes] = field(default_factory=list)
    acknowledged: dict[int, int] = field(default_factory=dict)
    uidvalidity: set[int] = field(default_factory=set)
    expunged: set[int] = field(default_factory=set)
    leaving: set[int] = field(default_factory=set)
    refused: list[bytes] = field(default_factory=list)

    def note(self, line: bytes) -> bool:
        """Take note of a line; whether it is a tagged answer."""
        appended, expunged = APPENDED.match(line), EXPUNGED.match(line)
        if appended is not None:
            assert int(appended[3]) not in self.acknowledged, line
            self.acknowledged[int(appended[3])] = int(appended[1])
            self.uidvalidity.add(int(appended[2]))
        elif expunged is not None:
            self.expunged.add(int(expunged[1]))
        elif not line.startswith(b"* ") and b" OK" not in line:
            self.refused.append(line)
        return not line.startswith(b"* ")


class Sender:
    """A client on the socket of the server."""

    def __init__(self, directory: Path, sent: Sent, random: random.Random) -> None:
        self._sent = sent
        self._random = random
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(str(directory / "socket"))
        self._answers = self._socket.makefile("rb")
        self._socket.sendall(b"l LOGIN me secret\r\ns SELECT INBOX\r\n")
        while not self._answers.readline().startswith(b"s OK"):
            pass

    def append(self, count: int, size: int = 12_000) -> None:
        """Send messages, without waiting for any answer."""
        data = b""
        for _ in range(count):
            message = self._random.randbytes(self._random.randrange(size))
            data += b"a%d APPEND INBOX {%d+}\r\n%b\r\n" % (len(self._sent.messages), len(message), message)
            self._sent.messages.append(message)
        self._socket.sendall(data)

    def expunge(self, uid: int) -> None:
        """Remove a message; two answers."""
        self._sent.leaving.add(uid)
        mark = b"f%d UID STORE %d +FLAGS.SILENT (\\Deleted)\r\n" % (uid, uid)
        self._socket.sendall(mark + b"e%d UID EXPUNGE %d\r\n" % (uid, uid))

    def hear(self, count: int) -> None:
        """Wait for so many tagged answers."""
        while count:
            line = self._answers.readline()
            if not line.endswith(b"\n"):
                raise ConnectionResetError
            count -= self._sent.note(line)

    def ask(self, command: bytes) -> list[bytes]:
        """Give a command when all before are answered; what is answered."""
        self._socket.sendall(b"x " + command + b"\r\n")
        lines = []
        while not lines or not lines[-1].startswith(b"x "):
            lines.append(self._answers.readline())
            if not lines[-1]:
                raise ConnectionResetError
        return lines

    def hear_rest(self) -> None:
        """What had been answered when the server died."""
        try:
            for line in self._answers:
                if line.endswith(b"\r\n"):
                    self._sent.note(line)
        except ConnectionResetError:
            pass

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()
