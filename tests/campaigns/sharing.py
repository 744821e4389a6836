"""``python -m tests.campaigns.sharing``: two nodes share chunks while a third collects all the time (FORMAT 7.2).

All are processes with basedirs of their own, in one folder of Dovecot. The writers put, change, copy, move and remove
large files that are made of a few stretches, so that nearly every chunk is one that was there before, or was given up a
moment ago. The dates that the server gives are read as if a day were a second, so that plans are carried out while
writers that rely on the same chunks are at work. Each reads what it wrote and what others wrote. In the end a fresh
client reads every version of every file. Exit status: 1 when something was missing, or another.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from ifap_twisted import connect
from ifap_twisted.core.limits import KIB, MIB
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import CallerError, IFAPError, StoreError
from tests.campaigns.ground import KEY, in_memory
from tests.live.servers import fresh_folder, server

HASTE = 100_000.0
"""Seconds that seem to go by in one of ours: the least grace is less than one."""
STRETCHES = 6
OWN = 700 * KIB
NAMES = 5
WRITERS = 2


def stretch(number: int) -> bytes:
    """One of those that files are made of: some chunks."""
    return random.Random(f"stretch {number}").randbytes(3 * MIB + number * 100 * KIB)


def content_of(numbers: list[int], mark: bytes) -> bytes:
    """A file: stretches, one that no other has, and at its end what tells which."""
    data = b"".join([*map(stretch, numbers), random.Random(mark).randbytes(OWN)])
    tail = json.dumps([numbers, mark.decode(), zlib.crc32(data)]).encode()
    return data + tail + len(tail).to_bytes(4)


def is_whole(content: bytes) -> bool:
    """Whether it is one of these, unmixed."""
    tail = content[-4 - int.from_bytes(content[-4:]) : -4]
    try:
        numbers, mark, _crc = json.loads(tail)
    except ValueError:
        return False
    return content == content_of(numbers, mark.encode())


def hurry(filesystem: Any, since: float) -> None:
    """Let days go by in seconds since a moment, by the dates that the server gives."""
    store = filesystem._service.store
    dates = store.dates

    @deferred
    async def hurried(uids: Any) -> dict[int, float]:
        found = await dates(uids)
        return {uid: since + (date - since) * HASTE for uid, date in found.items()}

    store.dates = hurried


class Writer:
    """One of the processes."""

    def __init__(self, name: str, filesystem: Any, seed: int) -> None:
        self.name = name
        self._filesystem = filesystem
        self._random = random.Random(f"{name} {seed}")
        self.known: dict[str, bytes | None] = {}
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._marks = 0

    async def work(self) -> None:
        """Do one thing."""
        act = self._random.choice((self._put, self._put, self._put, self._copy, self._move, self._remove, self._read))
        try:
            await act()
        except (CallerError, StoreError) as error:
            self.done[f"{act.__name__[1:]}: {error.code}"] += 1
        except IFAPError as error:
            self.wrong.append(f"{self.name}, {act.__name__[1:]}: {error!r} {error}")
        else:
            self.done[act.__name__[1:]] += 1

    def _own(self, *, there: bool) -> str:
        names = [f"{self.name}/{number}" for number in range(NAMES)]
        return self._random.choice([name for name in names if (self.known.get(name) is not None) is there] or names)

    async def _put(self) -> None:
        self._marks += 1
        numbers = self._random.choices(range(STRETCHES), k=self._random.randint(2, 3))
        path, content = (
            self._own(there=self._random.random() < 0.7),
            content_of(numbers, f"{self.name} {self._marks}".encode()),
        )
        self.known.pop(path, None)
        await self._filesystem.put(path, content)
        self.known[path] = content

    async def _copy(self) -> None:
        source, other = self._own(there=True), self._own(there=False)
        content = self.known.get(source)
        self.known.pop(other, None)
        await self._filesystem.copy(source, other)
        if content is not None:
            self.known[other] = content

    async def _move(self) -> None:
        source, other = self._own(there=True), self._own(there=False)
        content = self.known.get(source)
        self.known.pop(other, None)
        self.known.pop(source, None)
        await self._filesystem.move(source, other)
        self.known[source] = None
        if content is not None:
            self.known[other] = content

    async def _remove(self) -> None:
        path = self._own(there=True)
        self.known.pop(path, None)
        await self._filesystem.remove(path)
        self.known[path] = None

    async def _read(self) -> None:
        files = [one for one in await self._filesystem.list("/", recursive=True) if one.type == "file"]
        if files:
            entry = self._random.choice(files)
            content = await self._filesystem.get(entry.path, version=entry.version)
            if not is_whole(content):
                self.wrong.append(f"{self.name} read a mix at {entry.path}")
            if entry.path in self.known and self.known[entry.path] not in {None, content}:
                self.wrong.append(f"{self.name} read another content at {entry.path}")


async def write(
    reactor: Any, account: str, folder: str, since: float, name: str, base: Path, seconds: float, seed: int
) -> None:
    """The life of a writer; what it knows it prints at its end."""
    filesystem = await _connected(reactor, account, folder, since, base)
    writer = Writer(name, filesystem, seed)
    end = reactor.seconds() + seconds
    while reactor.seconds() < end and not writer.wrong:
        await writer.work()
    await filesystem.close()
    known = {path: None if content is None else zlib.crc32(content) for path, content in writer.known.items()}
    print(json.dumps({"known": known, "done": writer.done, "wrong": writer.wrong}))


async def collect(reactor: Any, account: str, folder: str, since: float, base: Path, seconds: float) -> None:
    """The life of the collector."""
    filesystem = await _connected(reactor, account, folder, since, base)
    done: Counter[str] = Counter()
    end = reactor.seconds() + seconds
    while reactor.seconds() < end:
        try:
            found = await filesystem.collect()
        except StoreError as error:
            done[f"collections: {error.code}"] += 1
        else:
            done["collections"] += 1
            chunks = [one for one in found.verdicts if one.path.startswith("IFAP/chunks/")]
            done.update(f"chunks {one.fate}" for one in chunks)
            done.update(f"told: {notice.code}" for notice in found.messages)
        await deferLater(reactor, 0.05)
    await filesystem.close()
    print(json.dumps({"known": {}, "done": done, "wrong": []}))


async def _connected(reactor: Any, account: str, folder: str, since: float, base: Path) -> Any:
    url, password = account.rsplit(" ", 1)
    filesystem = await connect(
        reactor,
        url,
        folder=folder,
        key=KEY.text,
        password=password,
        basedir=base,
        retention_keep=1,
        chunk_threshold=MIB,
    )
    hurry(filesystem, since)
    return filesystem


def run(seconds: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Let them work, and look at what is left."""
    live, folder = server("dovecot"), fresh_folder()
    account = f"imap://{live.user}@{live.host}:{live.port} {live.password}"
    base = Path(tempfile.mkdtemp(prefix="ifap-sharing-", dir=in_memory()))
    words = [sys.executable, "-m", "tests.campaigns.sharing", "--account", account, "--folder", folder]
    words += ["--seconds", str(seconds), "--seed", str(seed), "--since", str(time.time())]  # noqa: TID251 -- for all of them
    found: Counter[str] = Counter()
    wrong: list[str] = []
    known: dict[str, int | None] = {}
    try:
        first = [*words, "--base", str(base / "first"), "--seconds", "0", "--process", "founder"]
        subprocess.run(first, check=True, stdout=subprocess.DEVNULL)
        names = [f"w{number}" for number in range(WRITERS)]
        running = [
            subprocess.Popen([*words, "--base", str(base / name), "--process", name], stdout=subprocess.PIPE)
            for name in [*names, "collector"]
        ]
        for process in running:
            out = process.communicate()[0]
            if process.returncode:
                wrong.append(f"a process ended with {process.returncode}")
                continue
            told = json.loads(out)
            known.update(told["known"])
            found.update(told["done"])
            wrong += told["wrong"]
        looked = subprocess.run([*words, "--base", "-", "--process", "judge"], check=True, stdout=subprocess.PIPE)
        judged = json.loads(looked.stdout)
        found["versions read in the end"] = judged["read"]
        wrong += judged["wrong"]
        for path, crc in known.items():
            if judged["files"].get(path) != crc:
                wrong.append(f"{path} is {judged['files'].get(path)}, not {crc}")
    finally:
        shutil.rmtree(base)
    return found, wrong


async def judge(reactor: Any, account: str, folder: str) -> None:
    """What a fresh client reads: all versions of all files."""
    url, password = account.rsplit(" ", 1)
    filesystem = await connect(reactor, url, folder=folder, key=KEY.text, password=password)
    wrong, files, read = [], {}, 0
    for current in await filesystem.list("/", recursive=True, everything=True):
        if current.type != "file" or current.path.startswith("IFAP"):
            continue
        for entry in await filesystem.versions(current.path):
            if entry.deleted:
                continue
            read += 1
            try:
                content = await filesystem.get(entry.path, version=entry.version)
            except IFAPError as error:
                wrong.append(f"{entry.path} {entry.version}: {error!r} {error}")
                continue
            if not is_whole(content):
                wrong.append(f"{entry.path} {entry.version} is a mix")
            if entry.version == current.version and not current.deleted:
                files[entry.path] = zlib.crc32(content)
    await filesystem.close()
    print(json.dumps({"files": files, "wrong": wrong, "read": read}))


@click.command(help=__doc__)
@click.option("--seconds", type=click.FloatRange(min=0), default=600.0, help="How long they work; default: 600.")
@click.option("--seed", type=int, default=0)
@click.option("--account", hidden=True)
@click.option("--folder", hidden=True)
@click.option("--since", type=float, default=0.0, hidden=True)
@click.option("--base", hidden=True, type=click.Path(path_type=Path))
@click.option("--process", hidden=True)
def main(
    seconds: float,
    seed: int,
    account: str | None,
    folder: str | None,
    since: float,
    base: Path | None,
    process: str | None,
) -> None:
    """Run the campaign, or one of its processes."""
    if process is None or account is None or folder is None or base is None:
        found, wrong = run(seconds, seed)
        print(
            "\n".join([*(f"{name}: {count}" for name, count in sorted(found.items())), *(f"WRONG {w}" for w in wrong)])
        )
        sys.exit(1 if wrong else 0)

    def begun(reactor: Any) -> Deferred[None]:
        if process == "judge":
            return Deferred.fromCoroutine(judge(reactor, account, folder))
        if process in {"collector", "founder"}:
            return Deferred.fromCoroutine(collect(reactor, account, folder, since, base, seconds))
        return Deferred.fromCoroutine(write(reactor, account, folder, since, process, base, seconds, seed))

    react(begun)


if __name__ == "__main__":
    main()
