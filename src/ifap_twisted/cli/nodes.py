"""The node of a basedir as a process: whether it runs and answers, starting it, stopping it. No reactor is needed.

A node runs when it answers on ``control.socket``; who holds ``node.pid`` is known by its lock, not by its number.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from ifap_twisted.basedir import Basedir
from ifap_twisted.core import limits
from ifap_twisted.errors import TimedOut, Unavailable

GLANCE_SECONDS: Final = 5.0
"""How long a node may take to say that it is there."""
POLL_SECONDS: Final = 0.05
LOG_LINES: Final = 20
LOG_TAIL_BYTES: Final = 64 * 1024
TWISTD: Final = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
LOGGER: Final = "ifap_twisted.cli.nodelog.observer"

Pause = Callable[[float], None]
"""Waits some seconds."""


def pause(seconds: float) -> None:
    """Wait; a signal still interrupts."""
    threading.Event().wait(seconds)


def answers(basedir: Basedir) -> bool:
    """Whether a node of ours answers on the control socket now."""
    try:
        with closing(_Connection(basedir.control_socket)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):  # nobody listens, or not yet, or not a node
        return False


def ask(basedir: Basedir, path: str) -> Any:
    """What the running node answers, as JSON.

    :raises Unavailable: it does not, or not so.
    """
    token = basedir.read_control_token()
    headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
    try:
        with closing(_Connection(basedir.control_socket)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            if answer.status == HTTPStatus.OK:
                return json.loads(answer.read(limits.LOCAL_FILE))
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable("The node does not answer as it should: is it stopping? Try again.") from error
    raise Unavailable(f"The node answers with status {answer.status}: is it being restarted? Try again.")


class _Connection(HTTPConnection):
    """HTTP over the control socket, which has to be our own."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=GLANCE_SECONDS)
        self._address = address

    def connect(self) -> None:
        if os.stat(self._address).st_uid != os.geteuid():  # noqa: PTH116 -- may go through a descriptor
            raise PermissionError(errno.EPERM, "The socket belongs to another user", self._address)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(GLANCE_SECONDS)
        self.sock.connect(self._address)


def start(basedir: Basedir, seconds: float, wait: Pause = pause) -> int | None:
    """Start a node in a process of its own, and wait until it answers.

    :return: None when it does, or the exit status with which it ended.
    :raises TimedOut: it does not answer in time, and was told to stop.
    """
    process = _spawn(basedir)
    for _glance in range(int(seconds / POLL_SECONDS) + 1):
        if answers(basedir):
            return None
        status = process.poll()
        if status is not None:
            return status
        wait(POLL_SECONDS)
    process.terminate()
    raise TimedOut(f"The node does not answer after {seconds:g} seconds and was stopped: see {basedir.node_log}.")


def _spawn(basedir: Basedir) -> subprocess.Popen[bytes]:
    descriptor = os.open(basedir.node_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    arguments = ["--nodaemon", "--pidfile=", f"--logger={LOGGER}", "ifap", "--basedir", str(basedir.path)]
    try:
        return subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-c", TWISTD, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd=basedir.path,
            env={**os.environ, "IFAP_BASEDIR": str(basedir.path)},
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(descriptor)


def stop(basedir: Basedir, seconds: float, wait: Pause = pause) -> int | None:
    """Ask whoever holds the basedir to end, and wait until it has; gives its pid, None when nobody does.

    :raises TimedOut: it goes on.
    """
    pid = _holder(basedir, wait)
    if pid is None:
        return None
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return pid
    for _glance in range(int(seconds / POLL_SECONDS) + 1):
        if not basedir.is_held() and has_ended(pid):
            return pid
        wait(POLL_SECONDS)
    raise TimedOut(f"Process {pid} is still there after {seconds:g} seconds: it may be finishing an upload.")


def _holder(basedir: Basedir, wait: Pause) -> int | None:
    """The pid of the holder, who may just be about to write it."""
    while basedir.is_held():
        pid = basedir.holder()
        if pid is not None:
            return pid
        wait(POLL_SECONDS)
    return None


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to notice."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (ProcessLookupError, PermissionError):  # the number belongs to nobody, or to somebody else by now
        return True
    except FileNotFoundError:  # gone meanwhile, or a system without /proc, where letting go of the lock has to do
        return True
    return state == b"Z"


def log_tail(path: Path, lines: int = LOG_LINES, *, since: int = 0) -> list[str]:
    """The last lines of a log.

    :param since: only what came after so many bytes; everything when the log is shorter by now, being a new one.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(since if since <= end else 0, end - LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]
