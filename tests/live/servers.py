"""The IMAP servers of the live tests: started when first needed, once a process, ended with it.

Each process of pytest (each worker of pytest-xdist, too) has servers of its own: a start takes half a second to one and
a half, and a test never meets the folders of another process. All lies below one directory of short name, because UNIX
sockets have short addresses and the servers' mail processes run as ``nobody``. What a killed run left is ended by the
next one. A server that cannot be started is an error, never a skipped test: ``tests/servers/install.sh`` installs them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parents[1] / "servers"
_PREFIX = "ifap-live-"
_NUMBERS = count(1)
_TRIES = 3
"""Another process may take a free port between its choice and its use."""

NAMES = ("dovecot", "cyrus", "courier", "mailutils")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server on loopback.

    :ivar port: IMAP and STARTTLS; ``tlsport`` IMAPS.
    :ivar cafile: its self-signed certificate, for ``localhost`` and 127.0.0.1.
    :ivar users: all with the same password.
    :ivar prefix: what the names of all folders begin with (Courier's ``INBOX.``).
    """

    name: str
    version: str
    host: str
    port: int
    tlsport: int
    cafile: Path
    users: tuple[str, ...]
    password: str
    prefix: str
    pid: int
    log: Path
    directory: Path

    @property
    def user(self) -> str:
        """The first user."""
        return self.users[0]


class _Servers:
    """Those that run."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, ...], Server] = {}
        self._base: Path | None = None

    def get(self, name: str, settings: dict[str, str]) -> Server:
        """The server of this name and these settings; started when it does not run."""
        key = (name, *(f"{setting}={value}" for setting, value in sorted(settings.items())))
        if key not in self._running:
            self._running[key] = self._start(name, settings)
        return self._running[key]

    def stop(self) -> None:
        """End them all and remove their files."""
        running, self._running = self._running, {}
        base, self._base = self._base, None
        problems = [problem for server in running.values() for problem in _purge(server.name, server.directory)]
        if base is not None and not problems:
            shutil.rmtree(base)
        if problems:
            raise RuntimeError("; ".join(problems))

    def _start(self, name: str, settings: dict[str, str]) -> Server:
        if name not in NAMES:
            raise ValueError(f"There is no server called {name}.")
        base = self._directory()
        environment = os.environ | settings
        for attempt in range(1, _TRIES + 1):
            directory = base / f"{name[0]}{next(_NUMBERS)}"
            command = _command(name, "start", directory, "0", "0")
            started = subprocess.run(command, env=environment, capture_output=True, text=True)
            if started.returncode == 0:
                return _described(name, started.stdout, directory)
            if attempt == _TRIES or "in use" not in started.stderr:
                raise RuntimeError(f"{name} cannot be started (tests/servers/install.sh?):\n{started.stderr}")
        raise AssertionError("unreachable")

    def _directory(self) -> Path:
        if self._base is None:
            parent = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
            _end_leftovers(parent)
            self._base = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            self._base.chmod(0o755)
            (self._base / "owner").write_text(str(os.getpid()))
            atexit.register(self.stop)
        return self._base


def _command(name: str, verb: str, directory: Path, *ports: str) -> list[str]:
    """How a script is run; imap4d of mailutils can be run by root only."""
    script = [str(_SCRIPTS / f"{name}.sh"), verb, str(directory), *ports]
    return script if name != "mailutils" or os.geteuid() == 0 else ["sudo", "-n", *script]


def _described(name: str, told: str, directory: Path) -> Server:
    """What the script printed: ``key=value`` lines."""
    values = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    return Server(
        name=name,
        version=values["version"],
        host=values["host"],
        port=int(values["port"]),
        tlsport=int(values["tlsport"]),
        cafile=Path(values["cafile"]),
        users=tuple(values["users"].split(",")),
        password=values["password"],
        prefix=values.get("prefix", ""),
        pid=int(values["pid"]),
        log=Path(values["log"]),
        directory=directory,
    )


def _purge(name: str, directory: Path) -> Iterator[str]:
    """End the server of a directory and remove its files; tells what went wrong."""
    ended = subprocess.run(_command(name, "purge", directory), capture_output=True, text=True)
    if ended.returncode:
        yield f"{name} in {directory} does not end: {ended.stderr.strip()}"


def _end_leftovers(parent: Path) -> None:
    """End the servers of runs of this user that were killed."""
    for base in parent.glob(f"{_PREFIX}*"):
        owner = base / "owner"
        if base.stat().st_uid != os.geteuid() or not owner.exists() or _lives(int(owner.read_text())):
            continue
        problems = [
            problem
            for mark in base.glob("*/.ifap-test-server")
            for problem in _purge(mark.read_text().strip(), mark.parent)
        ]
        if problems:
            raise RuntimeError("; ".join(problems))
        shutil.rmtree(base)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_SERVERS = _Servers()


def server(name: str, **settings: str) -> Server:
    """The running server: one of :data:`NAMES`.

    :param settings: environment variables of its script (``IFAP_DOVECOT_QUOTA="20M"``): other settings are another
        server. Dovecot is by default the quick one that keeps nothing over a power failure.
    """
    if name == "dovecot":
        settings = {"IFAP_DOVECOT_FORMAT": "sdbox", "IFAP_DOVECOT_FSYNC": "never"} | settings
    return _SERVERS.get(name, settings)


def fresh_folder() -> str:
    """A name that no other test of this process uses; without the server's prefix."""
    return f"IFAP_{os.getpid()}_{next(_NUMBERS)}"


def stop_all() -> None:
    """End all servers of this process and remove their files; may be called again."""
    _SERVERS.stop()
