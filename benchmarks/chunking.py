"""Measures what a changed file costs, by how it is cut into chunks: which of them are new, and how fast that is found.

    python -m benchmarks.chunking [--json FILE] [--mib N]

All data is made here with a fixed seed, but for the sources of Python's own standard library. Each case is a row of
versions of one file; what is sent is the padded chunks that no version before had, and the manifests. Nothing is sealed
or sent. With the extra ``benchmark`` the library fastcdc is measured beside ours.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sqlite3
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.chunking import Chunker
from ifap_twisted.core.chunks import chunk_name, padded, padded_length
from ifap_twisted.core.cutting import Cutting
from ifap_twisted.core.manifests import Piece, grouped

SEED = 2026
KEY = b"k" * 32
KIB, MIB = limits.KIB, limits.MIB
VERSIONS = 6
"""Versions of each case, the first included."""

Cut = Callable[[bytes], Iterator[int]]
"""The lengths of the chunks of a file."""


# ---------------------------------------------------------------- ways to cut


def fixed(length: int) -> Cut:
    """Chunks of one length."""

    def cut(data: bytes) -> Iterator[int]:
        for start in range(0, len(data), length):
            yield min(length, len(data) - start)

    return cut


def keyed(least: int) -> Cut:
    """Our own, with a least length; the most is four times that, a boundary comes at one of as many places."""
    chunker = Chunker(KEY, Cutting(least=least, most=4 * least, bits=least.bit_length() - 1))

    def cut(data: bytes) -> Iterator[int]:
        view, start = memoryview(data), 0
        while start < len(view):
            length = chunker.cut(view[start : start + 4 * least])
            yield length
            start += length

    return cut


def public(least: int) -> Cut:
    """The library fastcdc, whose table everybody has."""
    from fastcdc import fastcdc  # noqa: PLC0415 -- an extra, which need not be there

    return lambda data: (chunk.length for chunk in fastcdc(data, least, 2 * least, 4 * least))


OURS = "keyed 512-2048 KiB *"


def ways() -> dict[str, Cut]:
    """By name."""
    found = {
        "keyed 128-512 KiB": keyed(128 * KIB),
        "keyed 256-1024 KiB": keyed(256 * KIB),
        OURS: keyed(limits.CHUNK_LEAST),
        "keyed 1-4 MiB": keyed(MIB),
        "fixed 512 KiB": fixed(512 * KIB),
        "fixed 1 MiB": fixed(MIB),
    }
    if find_spec("fastcdc") is None:
        print("fastcdc is not there: pip install 'ifap-twisted[benchmark]'", file=sys.stderr)
        return found
    return found | {"fastcdc 512-2048 KiB": public(512 * KIB)}


# ---------------------------------------------------------------- what is cut


def appended(size: int) -> Iterator[bytes]:
    """A log: each version is 1 MiB longer."""
    drawn = random.Random(SEED)
    data = drawn.randbytes(size)
    for _ in range(VERSIONS):
        yield data
        data += drawn.randbytes(MIB)


def inserted(size: int) -> Iterator[bytes]:
    """1 KiB comes in somewhere in each version."""
    drawn = random.Random(SEED + 1)
    data = drawn.randbytes(size)
    for _ in range(VERSIONS):
        yield data
        place = drawn.randrange(len(data))
        data = data[:place] + drawn.randbytes(KIB) + data[place:]


def rewritten(size: int) -> Iterator[bytes]:
    """1 MiB in the middle is another one in each version."""
    drawn = random.Random(SEED + 2)
    data = drawn.randbytes(size)
    for _ in range(VERSIONS):
        yield data
        data = data[: size // 2] + drawn.randbytes(MIB) + data[size // 2 + MIB :]


def indexed(size: int) -> Iterator[bytes]:
    """An SQLite database with an index in which new rows lie anywhere."""
    return _database(size, "sender")


def in_order(size: int) -> Iterator[bytes]:
    """An SQLite database with an index in which new rows lie at the end."""
    return _database(size, "received")


def _database(size: int, index: str) -> Iterator[bytes]:
    """In each version 100 rows are changed, most of them recent, and 100 are new."""
    drawn = random.Random(SEED + 3)

    def rows(first: int, count: int) -> Iterator[tuple[str, int, str, bytes]]:
        for number in range(first, first + count):
            yield f"user{drawn.randrange(10**9)}@example.org", number, str(drawn.random()), drawn.randbytes(400)

    with tempfile.TemporaryDirectory(prefix="ifap-") as place:
        path, count = Path(place) / "mail.sqlite", size // 500
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE mail (id INTEGER PRIMARY KEY, sender TEXT, received INTEGER, state TEXT, body BLOB)")
        base.execute(f"CREATE INDEX found ON mail ({index})")
        insert = "INSERT INTO mail (sender, received, state, body) VALUES (?, ?, ?, ?)"
        base.executemany(insert, rows(0, count))
        base.commit()
        for version in range(VERSIONS):
            yield path.read_bytes()
            for _ in range(100):
                recent = count - int(min(drawn.expovariate(20 / count), count - 1))
                base.execute("UPDATE mail SET state = ? WHERE id = ?", (str(drawn.random()), recent))
            base.executemany(insert, rows(count + 100 * version, 100))
            base.commit()
        base.close()


def sources(_size: int) -> Iterator[bytes]:
    """A tar of the sources of Python's standard library; 20 files are changed, 5 new, 5 gone in each version."""
    drawn = random.Random(SEED + 4)
    top = Path(sysconfig.get_path("stdlib"))
    files = {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*.py"))
        if "site-packages" not in path.parts
    }
    for version in range(VERSIONS):
        yield _tar(files)
        for name in drawn.sample(sorted(files), 20):
            lines = files[name].splitlines(keepends=True)
            place = drawn.randint(0, len(lines))
            files[name] = b"".join([*lines[:place], b"# changed in version %d\n" % version, *lines[place:]])
        for name in drawn.sample(sorted(files), 5):
            files[f"{name.removesuffix('.py')}_new{version}.py"] = files.pop(name)[::-1]


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


CASES: dict[str, Callable[[int], Iterable[bytes]]] = {
    "appends of 1 MiB": appended,
    "inserts of 1 KiB": inserted,
    "rewrites of 1 MiB": rewritten,
    "SQLite, by sender": indexed,
    "SQLite, by time": in_order,
    "tar of sources": sources,
}


# ---------------------------------------------------------------- measuring


class Sent(NamedTuple):
    """What one version costs."""

    size: int
    chunks: int
    new: int
    content: int
    manifests: int


def measure(versions: Iterable[bytes], cut: Cut) -> tuple[list[Sent], float]:
    """What each version costs; and how many seconds of the processor went into finding where to cut."""
    there: set[str] = set()
    sent, seconds = [], 0.0
    for data in versions:
        began = time.process_time()
        lengths = list(cut(data))
        seconds += time.process_time() - began
        sent.append(_sent(data, lengths, there))
    return sent, seconds


def _sent(data: bytes, lengths: list[int], there: set[str]) -> Sent:
    pieces, start, new, content = [], 0, 0, 0
    for length in lengths:
        name = chunk_name(KEY, padded(data[start : start + length]))
        pieces.append(Piece(name, length))
        start += length
        if name not in there:
            new, content = new + 1, content + padded_length(length)
        there.add(name)
    assert start == len(data)
    return Sent(len(data), len(lengths), new, content, _manifests(pieces, there))


def _manifests(pieces: list[Piece], there: set[str]) -> int:
    """The bytes of the manifests that are new: of the file itself, and those of which it consists."""
    depth, total = 0, 0
    while True:
        row = list(grouped(pieces, depth))
        if len(row) == 1:
            return total + len(row[0].encode())
        above = []
        for manifest in row:
            text = padded(manifest.encode())
            name = chunk_name(KEY, text)
            total += 0 if name in there else len(text)
            there.add(name)
            above.append(Piece(name, manifest.size))
        pieces, depth = above, depth + 1


def main() -> int:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chunking", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--mib", type=int, default=64, help="size of the files that are made (64)")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    print(f"{'(* ours)':43} {'size':>7} {'chunks':>7} {'sent anew in each version':>28} {'cut at':>11}")
    for case, make in CASES.items():
        versions = list(make(arguments.mib * MIB))
        for name, cut in ways().items():
            sent, seconds = measure(versions, cut)
            speed = None if name.startswith("fixed") else sum(map(len, versions)) / seconds / 1e6
            first, later = sent[0], sent[1:]
            anew = sum(one.content + one.manifests for one in later) / len(later)
            new = sum(one.new for one in later) / len(later)
            figures.setdefault(case, {})[name] = {
                "size": first.size,
                "chunks": first.chunks,
                "first": first.content + first.manifests,
                "anew": anew,
                "new_chunks": new,
                "mb_per_second": speed,
            }
            print(
                f"{case:20} {name:22} {first.size / MIB:5.1f} M {first.chunks:7} "
                f"{anew / MIB:8.2f} MiB in {new:5.1f} chunks " + ("" if speed is None else f"{speed:6.0f} MB/s"),
                flush=True,
            )
    if arguments.json:
        figures["machine"] = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
