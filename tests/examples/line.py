"""A line between a client and a server that a test can slow down, cut in the middle of something, and mend.

It listens on loopback and hands bytes on in threads of its own; TLS would be handed on like anything else.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time

APPEND = re.compile(rb"^X-IFAP:", re.MULTILINE)
"""What each message begins with: one APPEND may hold many."""
APPENDED = re.compile(rb"APPENDUID \d+ ([\d:,]+)")


class Line:
    """Hands connections on to a server.

    :ivar delay: seconds that every answer of the server takes more.
    :ivar rate: how many bytes a second the server can say, or None.
    :ivar connections: how many there were.
    :ivar appends: messages that the client has sent; ``most`` how many of them were unanswered at a time.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.delay = 0.0
        self.rate: int | None = None
        self.connections = 0
        self.appends = self.answered = self.most = 0
        self.cuts = 0
        self._cut_at: re.Pattern[bytes] | None = None
        self._open = True
        self._ended = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._begin(self._accept)

    def cut(self) -> None:
        """Break all connections; new ones are broken at once until ``mend``."""
        with self._lock:
            self._open = False
            self.cuts += 1
            sockets = set(self._sockets)
        for one in sockets:
            _shut(one)

    def cut_at(self, pattern: bytes) -> None:
        """Cut as soon as the client says this, and hand on only the first half of what came with it."""
        self._cut_at = re.compile(pattern, re.MULTILINE)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """End it."""
        self._ended = True
        self.cut()
        _shut(self._listening)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _begin(self, work, *args) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _address = self._listening.accept()
            except OSError:
                return
            if not self._open:
                client.close()
                continue
            self.connections += 1
            self._begin(self._hand_on, client)

    def _hand_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            with self._lock:
                self._sockets |= {client, server}
            other = threading.Thread(target=self._pump, args=(server, client, self._from_server), daemon=True)
            other.start()
            self._pump(client, server, self._from_client)
            other.join()
            with self._lock:
                self._sockets -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket, look) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(look(data))
        except OSError:
            pass  # cut, or one side is gone: so is the other
        _shut(source)
        _shut(sink)

    def _from_client(self, data: bytes) -> bytes:
        with self._lock:
            self.appends += len(APPEND.findall(data))
            self.most = max(self.most, self.appends - self.answered)
        if self._cut_at is not None and self._cut_at.search(data):
            self._cut_at = None
            threading.Timer(0.05, self.cut).start()
            return data[: len(data) // 2]
        return data

    def _from_server(self, data: bytes) -> bytes:
        time.sleep(self.delay + (len(data) / self.rate if self.rate else 0))  # noqa: TID251 -- it is a slow line
        with self._lock:
            self.answered += sum(_count(uids) for uids in APPENDED.findall(data))
        return data


def _count(uids: bytes) -> int:
    """How many UIDs a set has."""
    ends = [part.split(b":") for part in uids.split(b",")]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ends)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is shut already
        one.shutdown(socket.SHUT_RDWR)
