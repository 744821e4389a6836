"""The basedir: the one directory where a node keeps its local side (DESIGN 4.1).

One basedir is one account and one folder. It is private to one user, held by one process at a time, and nothing outside
it is touched. What its files mean is the business of the modules beside this one.
"""

from __future__ import annotations

import base64
import fcntl
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from twisted.internet.interfaces import IReactorTime

from ifap_twisted.basedir.directory import Directory
from ifap_twisted.basedir.holding import Flock, Held, hold, holder, is_held
from ifap_twisted.core import limits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import BadSettings
from ifap_twisted.secrecy import Secret

__all__ = ["Basedir", "Random", "default_basedir"]

Random: TypeAlias = Callable[[int], bytes]
"""So many random bytes: ``os.urandom`` or what stands for it."""

SETTINGS: Final = "ifap.toml"
CONTROL_URL: Final = "control.url"
CONTROL_TOKEN: Final = "control.token"  # noqa: S105 -- the name of a file
CONTROL_SOCKET: Final = "control.socket"
EMBEDDED_DATABASE: Final = "embedded.sqlite"
NODE_LOG: Final = "node.log"
JOURNAL: Final = "journal"
CACHE: Final = "cache"
TOKEN_BYTES: Final = 32
SOCKET_PATH_BYTES: Final = 103
"""What every system takes: macOS has 104 bytes with the final zero, Linux 108."""


def default_basedir(environment: Mapping[str, str]) -> Path:
    """``$IFAP_BASEDIR``, else ``~/.ifap``.

    :param environment: ``os.environ``.
    :raises BadSettings: there is no home directory.
    """
    return expanded(environment.get("IFAP_BASEDIR") or "~/.ifap")


def expanded(path: str | Path) -> Path:
    """A local path as a person writes it, absolute: ``~`` is the home directory.

    :raises BadSettings: there is no such home directory, or the path contains a NUL.
    """
    if "\0" in str(path):
        raise BadSettings("A local path contains a NUL.")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise BadSettings("Cannot tell which directory ~ stands for in a local path.") from error


class Basedir:
    """An open basedir.

    :param path: made (0700) when it is absent; its parent has to be there.
    :param uid: the user whose it has to be, as a rule the one who runs this.
    :param flock: ``fcntl.flock``.
    :raises BadSettings: it is another user's, or open to others and not to be closed, or cannot be made.
    """

    def __init__(self, path: Path, *, uid: int | None = None, flock: Flock = fcntl.flock) -> None:
        self.files = Directory.open(expanded(path), os.geteuid() if uid is None else uid)
        self._flock = flock
        self._held: Held | None = None
        self._journal: Directory | None = None

    @property
    def path(self) -> Path:
        """Where it is; symbolic links on the way are resolved."""
        return self.files.path

    @property
    def journal(self) -> Directory:
        """``journal/``, made (0700) when first asked for."""
        if self._journal is None:
            self._journal = self.files.subdirectory(JOURNAL)
        return self._journal

    @property
    def settings_file(self) -> Path:
        """``ifap.toml``."""
        return self.path / SETTINGS

    @property
    def node_log(self) -> Path:
        """``node.log``."""
        return self.path / NODE_LOG

    @property
    def embedded_database(self) -> Path:
        """``embedded.sqlite``."""
        return self.path / EMBEDDED_DATABASE

    @property
    def cache(self) -> Path:
        """``cache/``; nothing makes it before there is something to keep in it."""
        return self.path / CACHE

    @property
    def control_socket(self) -> str:
        """Where ``control.socket`` is bound and reached, however long the path of the basedir is."""
        return self.socket_address(CONTROL_SOCKET)

    def socket_address(self, name: str, descriptors: Path = Path("/proc/self/fd")) -> str:
        """A path for a UNIX socket in the basedir that is short enough for the system.

        A longer one goes through this object's descriptor, and is of use to this process until :meth:`close`.

        :param descriptors: where the system shows the open descriptors of a process.
        :raises BadSettings: it is too long, and the system shows no descriptors (it has no ``/proc``).
        """
        direct = str(self.path / name)
        if len(os.fsencode(direct)) <= SOCKET_PATH_BYTES:
            return direct
        through = descriptors / str(self.files.descriptor())
        if not through.exists():
            raise BadSettings(
                f"{direct} is too long for a socket on {sys.platform}: use a basedir with a shorter path."
            )
        return str(through / name)

    @deferred
    async def hold(self, wait: float, clock: IReactorTime) -> Held:
        """Hold the basedir for this process, waiting up to ``wait`` seconds for whoever has it.

        A node gives 0, a verb ``limits.BASEDIR_WAIT_SECONDS`` or what ``--wait`` says.

        :raises BasedirInUse: it is held still; the error names the pid.
        :raises BadSettings: the file system has no locks.
        """
        held = await hold(self.files, wait, clock, self._flock)
        self._held = held
        self.files.sweep()
        return held

    @property
    def holds(self) -> bool:
        """This object holds the basedir."""
        return self._held is not None and not self._held.released

    def require_hold(self) -> None:
        """See that this object holds the basedir, as everything that changes a file in it must.

        :raises RuntimeError: it does not, which is a bug of the caller.
        """
        if not self.holds:
            raise RuntimeError(f"{self.path} is to be changed by a process that does not hold it")

    def is_held(self) -> bool:
        """Whether any process holds it now: a number that was left in ``node.pid`` does not count."""
        return self.holds or is_held(self.files, self._flock)

    def holder(self) -> int | None:
        """The pid of the process that holds it, or None."""
        return os.getpid() if self.holds else holder(self.files, self._flock)

    def write_control_url(self, url: str) -> None:
        """Tell where the control interface listens; only while holding the basedir."""
        self.require_hold()
        self.files.write(CONTROL_URL, url.encode("ascii") + b"\n")

    def read_control_url(self) -> str | None:
        """Where the control interface of the running node listens; None when no node runs (DESIGN 4.3)."""
        raw = self.files.read(CONTROL_URL, limits.SECRET_BYTES) if self.is_held() else None
        return None if raw is None else raw.decode("utf-8", "replace").strip()

    def remove_control_url(self) -> None:
        """Take back what :meth:`write_control_url` told; only while holding the basedir."""
        self.require_hold()
        self.files.remove(CONTROL_URL)

    def new_control_token(self, random: Random) -> Secret:
        """Make and store (0600) the bearer token of this start; only while holding the basedir."""
        self.require_hold()
        token = base64.urlsafe_b64encode(random(TOKEN_BYTES)).rstrip(b"=")
        self.files.write(CONTROL_TOKEN, token + b"\n")
        return Secret(token)

    def read_control_token(self) -> Secret | None:
        """The bearer token of the last start, or None."""
        raw = self.files.read(CONTROL_TOKEN, limits.SECRET_BYTES)
        return None if raw is None else Secret(raw.strip())

    def close(self) -> None:
        """Let go of everything; harmless when done before."""
        if self._held is not None:
            self._held.release()
        if self._journal is not None:
            self._journal.close()
        self.files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Basedir {self.path}>"
