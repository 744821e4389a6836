"""One measurement in this process; prints a line of JSON. Started by ``benchmarks.probes``."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import endpoints, protocol, task
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from benchmarks.probes import KEY, SIZE
from ifap_twisted.service import connect

MIB = 1024 * 1024


class Turns:
    """Counts how often the client speaks after the server has: the round trips of a connection."""

    def __init__(self) -> None:
        self.turns = 0
        self.server_spoke = True

    def sent(self) -> None:
        """The client spoke."""
        if self.server_spoke:
            self.turns += 1
        self.server_spoke = False

    def received(self) -> None:
        """The server spoke."""
        self.server_spoke = True


@implementer(IStreamClientEndpoint)
class Counting:
    """An endpoint whose connections count their turns."""

    def __init__(self, endpoint: Any, turns: Turns) -> None:
        self._endpoint = endpoint
        self._turns = turns

    def connect(self, factory: Any) -> Any:
        """Connect, and listen in."""
        turns = self._turns

        class Listening(protocol.Factory):
            def buildProtocol(self, addr: Any) -> Any:
                wire = factory.buildProtocol(addr)
                received = wire.dataReceived

                def data_received(data: bytes) -> None:
                    turns.received()
                    received(data)

                wire.dataReceived = data_received
                return wire

        def listen_in(wire: Any) -> Any:
            for name in ("write", "writeSequence"):
                original = getattr(wire.transport, name)

                def spoke(data: Any, original: Any = original) -> Any:
                    turns.sent()
                    return original(data)

                setattr(wire.transport, name, spoke)
            return wire

        return self._endpoint.connect(Listening()).addCallback(listen_in)


def peak() -> float:
    """The most memory that this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def present() -> float:
    """The memory that it has now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


async def opened(reactor: Any, folder: str, turns: Turns | None = None) -> Any:
    """The folder, on a connection that counts if asked."""
    host, port, user, password = sys.argv[2:6]
    endpoint = endpoints.HostnameEndpoint(reactor, host, int(port))
    counting = endpoint if turns is None else Counting(endpoint, turns)
    url = f"imap://{user}@{host}:{port}"
    return await connect(reactor, url, folder=folder, password=password, key=KEY, endpoint=counting)


async def put(reactor: Any, folder: str, count: int) -> dict[str, Any]:
    """So many puts at once."""
    filesystem = await opened(reactor, folder)
    contents = [os.urandom(SIZE) for _ in range(count)]
    began = time.perf_counter()
    await gatherResults([filesystem.put(f"dir/file{number}", data) for number, data in enumerate(contents)])
    seconds = time.perf_counter() - began
    await filesystem.close()
    return {"seconds": seconds}


async def open_cold(reactor: Any, folder: str, count: int) -> dict[str, Any]:
    """Open a folder of which nothing is known, and list it."""
    before = present()
    turns = Turns()
    began = time.perf_counter()
    filesystem = await opened(reactor, folder, turns)
    entries = await filesystem.list("/", recursive=True)
    seconds = time.perf_counter() - began
    assert sum(entry.type == "file" for entry in entries) >= count
    result = {"seconds": seconds, "round_trips": turns.turns, "memory_mib": peak(), "before_mib": before}
    await filesystem.close()
    return result


async def get(reactor: Any, folder: str, count: int) -> dict[str, Any]:
    """Read every file."""
    filesystem = await opened(reactor, folder)
    began = time.perf_counter()
    await gatherResults([filesystem.get(f"dir/file{number}") for number in range(count)])
    seconds = time.perf_counter() - began
    await filesystem.close()
    return {"seconds": seconds}


async def refresh(reactor: Any, folder: str, _count: int) -> dict[str, Any]:
    """Look for news when there are none."""
    turns = Turns()
    filesystem = await opened(reactor, folder, turns)
    await filesystem.refresh()
    before = turns.turns
    began = time.perf_counter()
    await filesystem.refresh()
    result = {"seconds": time.perf_counter() - began, "round_trips": turns.turns - before}
    await filesystem.close()
    return result


async def put_large(reactor: Any, folder: str, size: int) -> dict[str, Any]:
    """One file of so many MiB."""
    filesystem = await opened(reactor, folder)
    data = os.urandom(size * MIB)
    began = time.perf_counter()
    await filesystem.put("large", data)
    result = {"seconds": time.perf_counter() - began, "peak_mib": peak()}
    await filesystem.close()
    return result


async def get_large(reactor: Any, folder: str, size: int) -> dict[str, Any]:
    """The file of so many MiB that ``put-large`` left in the folder."""
    filesystem = await opened(reactor, folder)
    began = time.perf_counter()
    data = await filesystem.get("large")
    assert len(data) == size * MIB
    result = {"seconds": time.perf_counter() - began, "peak_mib": peak()}
    await filesystem.close()
    return result


WHAT: dict[str, Callable[[Any, str, int], Coroutine[Deferred[Any], Any, dict[str, Any]]]] = {
    "put": put,
    "open": open_cold,
    "get": get,
    "refresh": refresh,
    "put-large": put_large,
    "get-large": get_large,
}


async def main(reactor: Any) -> None:
    """Measure and print."""
    print(json.dumps(await WHAT[sys.argv[1]](reactor, sys.argv[6], int(sys.argv[7]))))


if __name__ == "__main__":
    task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
