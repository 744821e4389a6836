"""W9: programs that speak HTTP to a node."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.live.servers import fresh_folder

from benchmarks.devices import Device
from benchmarks.ground import SIZE, Ground
from benchmarks.report import Row
from benchmarks.samples import Samples

CLIENTS = 8
P99_MS = 10.0
LARGE = 100
FITS = 20
"""MiB: what is streamed when a file of 100 MiB is refused, to say what memory it takes."""
GROWTH_MIB = 32.0
MIB = 1024 * 1024


def w9(ground: Ground, samples: Samples) -> Iterator[Row]:
    """GET and PUT of 4 KB by 8 clients at a time, each with one connection; GET and PUT of 100 MiB.

    Of a GET of what was read before, the slowest but one in a hundred takes at most 10 ms. A large file goes through
    the node without its memory growing by more than 32 MiB.
    """
    each = ground.count(2000) // CLIENTS
    with Device(ground.memory, fresh_folder(), profile=ground.profile) as device:
        device.start()
        for method, limit in (("PUT", None), ("GET", None), ("GET", P99_MS)):
            latencies, seconds = asyncio.run(_crowd(device, method, each))
            again = " again (cached)" if limit else ""
            yield Row(
                bar="W9",
                work=f"{method} of 4 KB by {CLIENTS} clients{again}, p99",
                ours=statistics.quantiles(latencies, n=100)[98] * 1000,
                unit="ms",
                limit=limit,
                note=f"p50 {statistics.median(latencies) * 1000:.2f} ms, {len(latencies) / seconds:.0f} a second",
            )
        for size in (LARGE, FITS):
            rows = list(_large(device, size if not ground.quick else size // 10))
            yield from rows
            if rows[0].ours is not None:
                break
        device.stop()
        report = samples.one(device.reports[-1])
        yield Row(bar="W9", work="memory of the node at most", ours=report["peak_mib"], unit="MiB",
                  profile=report["profile"])  # fmt: skip


async def _crowd(device: Device, method: str, each: int) -> tuple[list[float], float]:
    """Latencies of all requests, and seconds for them together."""
    began = time.perf_counter()
    found = await asyncio.gather(*[_client(device, method, number, each) for number in range(CLIENTS)])
    return [latency for latencies in found for latency in latencies], time.perf_counter() - began


async def _client(device: Device, method: str, number: int, each: int) -> list[float]:
    client = device.client()
    reader, writer = await asyncio.open_connection(client.host, client.port)
    fixed = "".join(f"{name}: {value}\r\n" for name, value in device.headers.items())
    body = os.urandom(SIZE) if method == "PUT" else b""
    latencies = []
    for place in range(each):
        head = f"{method} /v1/files/web/{number}-{place} HTTP/1.1\r\nHost: {client.host}:{client.port}\r\n{fixed}"
        began = time.perf_counter()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await _answered(reader, SIZE if method == "GET" else None)
        latencies.append(time.perf_counter() - began)
    writer.close()
    return latencies


async def _answered(reader: asyncio.StreamReader, size: int | None) -> None:
    """Read one answer, which has to be a good one."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if fields.get(b"transfer-encoding") == b"chunked":
        content = b""
        while length := int(await reader.readline(), 16):
            content += await reader.readexactly(length)
            await reader.readline()
        await reader.readline()
    else:
        content = await reader.readexactly(int(fields.get(b"content-length", 0)))
    if not head.startswith(b"http/1.1 2") or (size is not None and len(content) != size):
        raise RuntimeError(f"The node answers {head[:200]!r} {content[:200]!r}")


def _large(device: Device, mebibytes: int) -> Iterator[Row]:
    """PUT and GET of one file; a file that is refused is told of in one row."""
    works: tuple[tuple[str, Callable[[Any, Device, int], int]], ...] = (("PUT", _put), ("GET", _get))
    for method, work in works:
        before = _forget_peak(device)
        client = device.client()
        began = time.perf_counter()
        status = work(client, device, mebibytes)
        seconds = time.perf_counter() - began
        client.close()
        name = f"{method} of {mebibytes} MiB, growth of the node"
        if status == 413:
            yield Row(bar="W9", work=name, ours=None, unit="MiB", limit=GROWTH_MIB, note="refused: too large (413)")
            return
        growth = device.memory() - before
        note = f"{seconds:.2f} s, {mebibytes / seconds:.0f} MiB/s"
        yield Row(bar="W9", work=name, ours=growth, unit="MiB", limit=GROWTH_MIB, note=note)


def _put(client: Any, device: Device, mebibytes: int) -> int:
    block = os.urandom(MIB)
    headers = device.headers | {"Content-Length": str(mebibytes * MIB)}
    with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent: the answer tells why
        client.request("PUT", "/v1/files/large", (block for _ in range(mebibytes)), headers)
    return _status(client)


def _get(client: Any, device: Device, mebibytes: int) -> int:
    client.request("GET", "/v1/files/large", headers=device.headers)
    answer = client.getresponse()
    size = 0
    while block := answer.read(MIB):
        size += len(block)
    if answer.status == 200 and size != mebibytes * MIB:
        raise RuntimeError(f"The node gave {size} bytes.")
    return int(answer.status)


def _status(client: Any) -> int:
    answer = client.getresponse()
    content = answer.read()
    if answer.status >= 400 and answer.status != 413:
        raise RuntimeError(f"The node answers {answer.status} {content[:200]!r}")
    return int(answer.status)


def _forget_peak(device: Device) -> float:
    """Let the node's peak be what it has now (``proc(5)``: 5 resets it), and give it."""
    Path(f"/proc/{device.pid}/clear_refs").write_text("5")
    return device.memory()
