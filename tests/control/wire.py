"""A node in memory: the real filesystem over the in-memory shelf, behind a real site, spoken to in raw bytes.

Everything happens at once, in the caller's thread, without a socket; what takes time runs on ``node.clock``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from ifap_twisted.basedir.writer import MemoryWriter
from ifap_twisted.control.resource import control_resource
from ifap_twisted.control.site import control_site
from ifap_twisted.filesystem.desk import Options
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.filesystem.opening import Membership, Surroundings, open_folder
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.store.memory import MemoryStore
from ifap_twisted.workers import InlineWorker

TOKEN = "a-token-that-nobody-guesses"
PORT = 4327
HERE = IPv4Address("TCP", "127.0.0.1", PORT)


def pseudo_random(seed: str = "control"):
    """The same random bytes in every run."""
    numbers = itertools.count()

    def random(count: int) -> bytes:
        return hashlib.shake_256(f"{seed}-{next(numbers)}".encode()).digest(count)

    return random


def memory_filesystem(
    clock, store: IMessageStore | None = None, *, max_file_size: int = 1 << 20, seed: str = "control"
) -> Filesystem:
    """A filesystem on a shelf in memory; with the store of another one it sees the same folder."""
    clock.advance(1_700_000_000 - clock.seconds() if clock.seconds() < 1_700_000_000 else 0)
    random = pseudo_random(seed)
    opening = Deferred.fromCoroutine(
        open_folder(
            MemoryStore(clock=clock) if store is None else store,
            Membership(encrypted=False),
            Surroundings(clock=clock, worker=InlineWorker(), random=random, identity=MemoryWriter(random)),
            options=Options(max_file_size=max_file_size, chunk_threshold=0),
            account="memory:",
            name="IFAP_DATA",
        )
    )
    opened: list = []
    opening.addCallback(opened.append)
    (found,) = opened
    return found.filesystem


def own_directory(case) -> Path:
    """A directory with a short name that nobody else may look into; removed after the test."""
    directory = Path(tempfile.mkdtemp(prefix="ifap"))
    case.addCleanup(shutil.rmtree, directory)
    return directory


@dataclass
class Reply:
    """A parsed answer."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        """The one value of a header field."""
        values = self.headers.get(name.lower(), [])
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


class Wire(StringTransport):
    """One connection to the site."""

    def __init__(self, site, address=HERE) -> None:
        super().__init__(hostAddress=address, peerAddress=IPv4Address("TCP", "127.0.0.1", 50000))
        self.aborted = False
        self.protocol = site.buildProtocol(self.peerAddr)
        self.protocol.makeConnection(self)

    def send(self, data: bytes) -> None:
        """Bytes from the client."""
        self.protocol.dataReceived(data)

    def lose(self) -> None:
        """The client goes away."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def unregisterProducer(self) -> None:
        """Like a real transport it does not mind doing so twice."""
        self.producer = self.streaming = None

    @property
    def paused(self) -> bool:
        """Whether the site does not read at present."""
        return self.producerState == "paused"


def parse(data: bytes, *, head: bool = False) -> Reply:
    """The one answer in some bytes."""
    replies = parse_all(data, head=head)
    assert len(replies) == 1, f"{len(replies)} answers in {data!r}"
    return replies[0]


def parse_all(data: bytes, *, head: bool = False) -> list[Reply]:
    """All answers in some bytes; 100 Continue is an answer."""
    found = []
    while data:
        block, separator, data = data.partition(b"\r\n\r\n")
        assert separator, f"no end of the header in {block!r}"
        first, *lines = block.decode("latin-1").split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        status = int(first.split(" ")[1])
        if head or status in {100, 204, 304}:
            body = b""
        elif headers.get("transfer-encoding") == ["chunked"]:
            body, data = _unchunked(data)
        elif "content-length" not in headers:  # a connection that is closed is the end of the answer
            assert status == 400, f"an answer without an end: {block!r}"
            body, data = data, b""
        else:
            length = int(headers["content-length"][0])
            assert len(data) >= length, f"{len(data)} of {length} bytes"
            body, data = data[:length], data[length:]
        found.append(Reply(status, headers, body))
    return found


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    pieces = []
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        piece, data = data[:length], data[length + 2 :]
        if not length:
            return b"".join(pieces), data
        pieces.append(piece)


def request(
    method: str,
    path: str | bytes,
    headers: Mapping[str, str | None] | None = None,
    body: bytes | None = None,
    *,
    version: str = "HTTP/1.1",
) -> bytes:
    """The bytes of a request: with our token and Host, unless the headers say otherwise (None leaves one out)."""
    fields: dict[str, str | None] = {"Host": f"127.0.0.1:{PORT}", "Authorization": f"Bearer {TOKEN}"}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    fields.update(headers or {})
    target = path if isinstance(path, bytes) else path.encode("ascii")
    lines = [method.encode("ascii") + b" " + target + b" " + version.encode("ascii")]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in fields.items() if value is not None]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


@dataclass
class Node:
    """A site over a filesystem in memory."""

    max_file_size: int = 1 << 20
    filesystem: object = None
    info: object = dict
    hosts: tuple[str, ...] = ()
    run: str = ""
    clock: MemoryReactorClock = field(default_factory=MemoryReactorClock)

    def __post_init__(self) -> None:
        if self.filesystem is None:
            self.filesystem = memory_filesystem(self.clock, max_file_size=self.max_file_size)
        numbers = itertools.count()
        self.resource = control_resource(
            self.filesystem,
            reactor=self.clock,
            token=TOKEN,
            hosts=self.hosts,
            max_file_size=self.max_file_size,
            info=self.info,
            new_id=lambda: f"{self.run}{next(numbers):04d}",
        )
        self.site = control_site(self.resource, reactor=self.clock)

    def connect(self, address=HERE) -> Wire:
        """A new connection."""
        return Wire(self.site, address)

    def ask(self, method: str, path: str | bytes, headers=None, body: bytes | None = None) -> Reply:
        """One request on a connection of its own, and its answer."""
        wire = self.connect()
        wire.send(request(method, path, headers, body))
        self.clock.pump([0] * 50)
        return parse(wire.value(), head=method == "HEAD")

    def post(self, path: str, body: object, headers=None) -> Reply:
        """One POST of JSON, and its answer."""
        fields = {"Content-Type": "application/json", **(headers or {})}
        return self.ask("POST", path, fields, json.dumps(body).encode())
