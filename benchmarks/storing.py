"""W1 and W3: a thousand small files into the folder, and out of it again."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.live.servers import fresh_folder

from benchmarks import cipher, ours, raw
from benchmarks.devices import Device
from benchmarks.ground import SIZE, Account, Ground, tree
from benchmarks.report import Row, times
from benchmarks.samples import Samples

FACTOR = 1.5


def w1(ground: Ground, samples: Samples) -> Iterator[Row]:
    """``put -r`` of 1,000 files of 4 KB into an empty folder, from files on disk to the summary.

    Against 1.5 times what sealing the same on one core, storing them by MULTIAPPEND (else APPEND), all pipelined, and
    one FETCH of their headers take. The folder is open; the whole command, with its start, is told below it.
    """
    count = ground.count(1000)
    with tempfile.TemporaryDirectory(prefix="ifap-w1-") as base:
        source = Path(base)
        tree(source, [SIZE] * count)
        parts = upload_parts(ground, ground.memory, count)
        row = _row("W1", f"put -r of {count} x 4 KB", samples.of(_put(ground, source, count)), parts)
        yield replace(row, note=f"{row.note}; two bare Fernet tokens a file: {cipher.bare(count):.4f} s")
        yield Row(
            bar="W1",
            work="  the same with a basedir (journal on disk)",
            ours=samples.of(_put(ground, source, count, durable=True)).median("seconds"),
        )
        api = samples.of(lambda: ours.run(ground, "put", fresh_folder(), count, tree=source))
        yield Row(bar="W1", work="  the same by IFilesystem.put", ours=api.median("seconds"), profile=api.profile)
        yield Row(
            bar="W1",
            work="  the whole command `ifap put -r`, start included",
            ours=ground.median(lambda: _command(ground, source)),
            note="with a basedir, no node",
        )
        disk = ground.disk()
        found = samples.of(_put(ground, source, count, account=disk))
        yield _row("W1", "  put -r to a Maildir on disk", found, upload_parts(ground, disk, count))


def upload_parts(ground: Ground, account: Account, count: int) -> Mapping[str, float]:
    """Sealing, raw upload and raw headers of so many messages: medians."""
    found = [_upload(account, count) for _ in range(1 if ground.quick else 3)]
    names = ("sealing", "raw upload", "raw headers")
    return {name: statistics.median(one[place] for one in found) for place, name in enumerate(names)}


def _upload(account: Account, count: int) -> tuple[float, float, float]:
    sealing, messages = cipher.sealing(count)
    folder = fresh_folder()
    with raw.Session(account) as session:
        session.create(folder)
        uploading = session.upload(folder, messages)
        session.select(folder)
        return sealing, uploading, session.headers()[0]


def _put(ground: Ground, source: Path, count: int, *, account: Account | None = None, durable: bool = False) -> Any:
    def put() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="ifap-") as basedir:
            more = {"basedir": basedir} if durable else {}
            return ours.run(ground, "put_tree", fresh_folder(), count, tree=source, account=account, **more)

    return put


def _command(ground: Ground, source: Path) -> float:
    with Device(ground.memory, fresh_folder()) as device:
        return device.seconds("put", "-r", f"{source}/", "/tree/")


def w3(ground: Ground, samples: Samples) -> Iterator[Row]:
    """Reading 1,000 files of 4 KB of an open folder, all asked for at once, nothing cached.

    Against 1.5 times one FETCH a message, all sent at once, and opening the messages on one core.
    """
    count = ground.count(1000)
    folder = ours.filled(ground, count)
    found = samples.of(lambda: ours.run(ground, "get", folder, count))
    yield _row("W3", f"read {count} x 4 KB", found, read_parts(ground, ground.memory, folder, count))
    disk = ground.disk()
    folder = ours.filled(ground, count, account=disk)
    found = samples.of(lambda: ours.run(ground, "get", folder, count, account=disk))
    yield _row("W3", "  from a Maildir on disk", found, read_parts(ground, disk, folder, count))


def read_parts(ground: Ground, account: Account, folder: str, count: int) -> Mapping[str, float]:
    """Raw FETCH and opening of the files of a folder: medians."""
    found = []
    for _ in range(1 if ground.quick else 3):
        with raw.Session(account) as session:
            session.select(folder)
            seconds, messages = session.bodies(range(2, count + 2))
        found.append((seconds, cipher.opening(messages)))
    return {name: statistics.median(one[place] for one in found) for place, name in enumerate(("raw FETCH", "opening"))}


def _row(bar: str, work: str, found: Any, parts: Mapping[str, float]) -> Row:
    ours_ = found.median("seconds")
    return Row(
        bar=bar,
        work=work,
        ours=ours_,
        limit=times(FACTOR, parts),
        parts=parts,
        profile=found.profile,
        note=f"CPU {found.median('cpu'):.3f} s",
    )
