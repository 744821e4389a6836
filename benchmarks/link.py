"""A line to the mail server that takes its time and counts round trips, in a process of its own.

    python -m benchmarks.link HOST PORT MILLISECONDS

It prints two ports: that of the line, and that of a control socket, which answers each line ``counts`` with JSON, and
ends all connections for a line ``cut``.

A round trip is counted as what it is: something that the client said after it had heard an answer, to something that it
had said before. What is sent without waiting counts once, however many answers come in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.ground import Account, environment

LOGIN = re.compile(rb"^\S+ (LOGIN|AUTHENTICATE) ", re.IGNORECASE | re.MULTILINE)


class Counts:
    """How deep question and answer are nested.

    :ivar asked: of what the server has heard; ``told``: of what the client has heard.
    :ivar login: what ``told`` was when the last login was sent, its answer included.
    """

    def __init__(self) -> None:
        self.asked = self.told = self.login = 0
        self.sent = self.received = self.connections = 0

    def client_says(self, data: bytes) -> Callable[[], None]:
        """Gives what to do when the server has heard it."""
        depth = self.told
        self.sent += len(data)
        if LOGIN.search(data[:200]):
            self.login = depth + 1

        def heard() -> None:
            self.asked = max(self.asked, depth)

        return heard

    def server_says(self, data: bytes) -> Callable[[], None]:
        """Gives what to do when the client has heard it."""
        depth = self.asked + 1
        self.received += len(data)

        def heard() -> None:
            self.told = max(self.told, depth)

        return heard


class Line:
    """All connections."""

    def __init__(self, host: str, port: int, milliseconds: float) -> None:
        self._server = (host, port)
        self._delay = milliseconds / 2000
        self._writers: set[asyncio.StreamWriter] = set()
        self.counts = Counts()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client came; connecting takes a round trip, too."""
        await asyncio.sleep(2 * self._delay)
        there, here = await asyncio.open_connection(*self._server)
        self.counts.connections += 1
        both = {writer, here}
        self._writers |= both
        ways = [self._pass(reader, here, self.counts.client_says), self._pass(there, writer, self.counts.server_says)]
        await asyncio.gather(*ways)
        self._writers -= both

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Any) -> None:
        loop = asyncio.get_running_loop()
        travelling: deque[tuple[bytes, Callable[[], None]]] = deque()

        def deliver() -> None:
            data, heard = travelling.popleft()
            heard()
            if not writer.is_closing():
                writer.write(data)

        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 18):
                travelling.append((data, note(data)))
                if self._delay:
                    loop.call_later(self._delay, deliver)
                else:
                    deliver()
                    await writer.drain()
        await asyncio.sleep(self._delay)
        writer.close()

    async def controlled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer questions."""
        while line := await reader.readline():
            if line.strip() == b"cut":
                for open_ in list(self._writers):
                    open_.transport.abort()
            writer.write(json.dumps(vars(self.counts)).encode() + b"\n")
            await writer.drain()
        writer.close()


async def serve(host: str, port: int, milliseconds: float) -> None:
    """Until stdin ends."""
    line = Line(host, port, milliseconds)
    mail = await asyncio.start_server(line.connected, "127.0.0.1", 0, limit=1 << 20)
    control = await asyncio.start_server(line.controlled, "127.0.0.1", 0)
    print(mail.sockets[0].getsockname()[1], control.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class Control:
    """Asks a line; may be used by any process."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rw")

    def ask(self, word: str = "counts") -> dict[str, int]:
        """The counts up to now; with ``cut`` all connections end."""
        self._file.write(f"{word}\n")
        self._file.flush()
        found: dict[str, int] = json.loads(self._file.readline())
        return found

    def close(self) -> None:
        """Ask no more."""
        self._file.close()
        self._socket.close()


@contextmanager
def line_to(account: Account, milliseconds: float) -> Iterator[tuple[Account, int]]:
    """The account through a line, and the port of its control socket."""
    command = [sys.executable, "-m", "benchmarks.link", account.host, str(account.port), str(milliseconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    try:
        mail, control = map(int, process.stdout.readline().split())
        yield account.at(mail), control
    finally:
        process.communicate()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
