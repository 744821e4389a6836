"""The limit: what one Python process can do with a socket and commands written by hand, all sent before any answer.

Nothing is parsed but where the last answer ends. Our messages are base64, so that no tag occurs in them.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from benchmarks.ground import Account

TOGETHER: Final = 100
"""Messages in one MULTIAPPEND; more gain nothing."""
HEADERS: Final = b"(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])"
_LITERAL: Final = re.compile(rb"\{(\d+)\}\r\n")


class Session:
    """One connection, logged in."""

    def __init__(self, account: Account) -> None:
        self._socket = socket.create_connection((account.host, account.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tags = 0
        self._wait(b"* OK")
        self._command(b"LOGIN %b %b" % (account.user.encode(), account.password.encode()))
        self.multiappend = b" MULTIAPPEND" in self._command(b"CAPABILITY")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _t: TracebackType | None) -> None:
        self._socket.close()

    def create(self, folder: str) -> None:
        """Make a folder."""
        self._command(b"CREATE " + folder.encode())

    def select(self, folder: str) -> None:
        """Select a folder."""
        self._command(b"SELECT " + folder.encode())

    def upload(self, folder: str, messages: Sequence[bytes]) -> float:
        """Seconds for storing messages: in batches by MULTIAPPEND, or one by one, pipelined with LITERAL+."""
        size = TOGETHER if self.multiappend else 1
        batches = [messages[start : start + size] for start in range(0, len(messages), size)]
        texts = []
        for batch in batches:
            literals = b"".join(b" {%d+}\r\n%b" % (len(message), message) for message in batch)
            texts.append(b"APPEND %b%b" % (folder.encode(), literals))
        return self._pipelined(texts)[0]

    def headers(self) -> tuple[float, list[bytes]]:
        """Seconds for one FETCH of the metadata headers of everything, and these."""
        seconds, answer = self._pipelined([b"UID FETCH 1:* " + HEADERS])
        return seconds, literals(answer)

    def bodies(self, uids: Sequence[int]) -> tuple[float, list[bytes]]:
        """Seconds for one FETCH a message, all sent at once, and the messages."""
        seconds, answer = self._pipelined([b"UID FETCH %d (UID BODY.PEEK[])" % uid for uid in uids])
        return seconds, literals(answer)

    def _command(self, text: bytes) -> bytes:
        return self._pipelined([text])[1]

    def _pipelined(self, texts: Sequence[bytes]) -> tuple[float, bytes]:
        """Send all, by a thread of its own, and read until the last is answered."""
        sent = b"".join(b"a%d %b\r\n" % (self._tags + place, text) for place, text in enumerate(texts, 1))
        self._tags += len(texts)
        began = time.perf_counter()
        sender = threading.Thread(target=self._socket.sendall, args=(sent,))
        sender.start()
        answer = self._wait(b"a%d " % self._tags)
        sender.join()
        seconds = time.perf_counter() - began
        if b"\r\na%d OK" % self._tags not in b"\r\n" + answer[-4096:]:
            raise RuntimeError(f"The mail server refuses: {answer[-200:]!r}")
        return seconds, answer

    def _wait(self, start: bytes) -> bytes:
        """All up to a line that starts so and ends what came."""
        blocks, tail = [], b"\r\n"
        while True:
            block = self._socket.recv(1 << 18)
            if not block:
                raise RuntimeError("The mail server has gone.")
            blocks.append(block)
            tail = (tail + block)[-8192:]
            if tail.endswith(b"\r\n") and b"\r\n" + start in tail:
                return b"".join(blocks)


def literals(answer: bytes) -> list[bytes]:
    """The literals of an answer."""
    found, place = [], 0
    while match := _LITERAL.search(answer, place):
        place = match.end() + int(match[1])
        found.append(answer[match.end() : place])
    return found
