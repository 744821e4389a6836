"""What the benchmarks stand on: servers, folders full of sealed messages, and how large everything is."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.live import servers

import ifap_twisted
from benchmarks import raw
from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Draft

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(ifap_twisted.__file__).parents[1]
KEY = "benchmark"
HOME = "AAAAAAAA"
SIZE = 4096
WRITTEN = 1.7e9
_DOVECOT = Path(servers.__file__).parents[1] / "servers" / "dovecot.sh"


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of a mail server."""

    host: str
    port: int
    user: str
    password: str

    @property
    def url(self) -> str:
        """Without the password."""
        return f"imap://{self.user}@{self.host}:{self.port}"

    def at(self, port: int) -> Account:
        """The same, through something that listens on another port."""
        return replace(self, port=port)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One run of the benchmarks.

    :ivar memory: a Dovecot that keeps its mail in memory (sdbox, ``mail_fsync=never``): shows the client.
    :ivar disk: one with a Maildir on disk, started when it is first asked for.
    :ivar rtt: milliseconds that the link of the far bars adds to each round trip.
    :ivar profile: tell for each of our works which functions it spent its time in.
    :ivar quick: everything small, to see that it runs.
    """

    memory: Account
    disk: Callable[[], Account]
    rtt: float = 50.0
    profile: bool = False
    quick: bool = False

    def count(self, files: int) -> int:
        """So many files, or few of them when it has to be quick."""
        return max(files // 100, 20) if self.quick else files

    def median(self, work: Callable[[], float]) -> float:
        """Of three rounds; of one when it has to be quick."""
        return statistics.median(work() for _ in range(1 if self.quick else 3))


@contextmanager
def server_in_memory() -> Iterator[Account]:
    """A Dovecot whose mail is in memory, for as long as the block lasts."""
    found = servers.server("dovecot")
    try:
        yield Account(host=found.host, port=found.port, user=found.user, password=found.password)
    finally:
        servers.stop_all()


@contextmanager
def server_on_disk() -> Iterator[Account]:
    """A Dovecot with a Maildir on the disk of the temporary directory, as a provider would have one."""
    base = Path(tempfile.mkdtemp(prefix="ifap-disk-", dir="/var/tmp"))
    base.chmod(0o755)
    directory = base / "d"
    environment = os.environ | {"IFAP_DOVECOT_FORMAT": "maildir"}
    try:
        command = [str(_DOVECOT), "start", str(directory), "0"]
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        yield Account(host=values["host"], port=int(values["port"]), user=values["user"], password=values["password"])
    finally:
        subprocess.run([str(_DOVECOT), "purge", str(directory)], check=True, capture_output=True)
        base.rmdir()


def environment(**more: str) -> dict[str, str]:
    """For a process that imports the same as this one, wherever it is started; compiled, as what is installed is."""
    paths = [str(SOURCE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": os.pathsep.join(paths)} | more


def seal(key: Key, number: int, content: bytes, home: str = HOME) -> bytes:
    """The message of one file, as a device writes it.

    :param home: of the folder, as its folder object says.
    """
    draft = Draft(
        path=path_of(number),
        vid=f"{number:022d}",
        writer="bench1",
        clock={"bench1": number + 1},
        home=home,
        modified=WRITTEN,
    )
    return envelope.seal(draft, content, dialect=IFAP, key=key, now=WRITTEN, random=os.urandom).message


def path_of(number: int) -> str:
    """Of the file with this number, a hundred to a directory."""
    return f"dir{number // 100}/file{number}"


def fill(account: Account, folder: str, count: int, size: int = SIZE) -> None:
    """Put so many files into a folder that one of ours has opened; in portions, so that it needs little memory here."""
    key = Key.from_text(KEY)
    with raw.Session(account) as session:
        session.select(folder)
        _seconds, (folder_object,) = session.bodies([1])
        home = envelope.read_message(folder_object, dialect=IFAP, keys=(key,), home=None)[0].home
        assert home is not None
        for start in range(0, count, 2000):
            numbers = range(start, min(start + 2000, count))
            session.upload(folder, [seal(key, number, os.urandom(size), home) for number in numbers])


def tree(directory: Path, sizes: list[int], seed: int = 6) -> None:
    """Files of these sizes, the same for the same seed, thirty to a directory."""
    drawn = random.Random(seed)
    for number, size in enumerate(sizes):
        parent = directory / f"d{number // 30}"
        parent.mkdir(parents=True, exist_ok=True)
        (parent / f"file{number}").write_bytes(drawn.randbytes(size))
