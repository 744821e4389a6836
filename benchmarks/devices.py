"""A device as a person has one: a basedir, the command line, and a node as a process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.ground import KEY, Account, environment
from benchmarks.ours import Failed
from benchmarks.watchdog import memory

PROGRAM = "import sys; from ifap_twisted.cli.main import run; sys.exit(run())"
PATIENCE = 600.0


class Device:
    """Opens the folder of an account with the key of the benchmarks.

    :ivar reports: what the watched processes told at their end.
    """

    def __init__(self, account: Account, folder: str, *, profile: bool = False, settings: str = "") -> None:
        self._home = Path(tempfile.mkdtemp(prefix="ifap-device-"))
        self.basedir = self._home / "basedir"
        self.basedir.mkdir(0o700)
        for name, secret in (("password", account.password), ("key", KEY)):
            (self._home / name).write_text(secret)
            (self._home / name).chmod(0o600)
        values = {
            "account": account.url,
            "folder": folder,
            "password_file": str(self._home / "password"),
            "key_file": str(self._home / "key"),
            "control": "tcp:0:interface=127.0.0.1",
        }
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
        (self.basedir / "ifap.toml").write_text("".join(lines) + settings)
        self._mode = "profile" if profile else "plain"
        self._node: subprocess.Popen[bytes] | None = None
        self.reports: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()
        shutil.rmtree(self._home)

    def seconds(self, *arguments: str | Path) -> float:
        """How long a person waits for a verb."""
        began = time.perf_counter()
        self._run([sys.executable, "-c", PROGRAM, *map(str, arguments)])
        return time.perf_counter() - began

    def watched(self, *arguments: str | Path) -> tuple[float, dict[str, Any]]:
        """The same with a watch on its reactor, whose report is given, too."""
        report = self._home / "report"
        began = time.perf_counter()
        self._run([*self._watched(report), "ifap", *map(str, arguments)])
        return time.perf_counter() - began, self._reported(report)

    def start(self) -> None:
        """Run the node, with a watch on it, until it answers."""
        log = self._home / "node.log"
        arguments = ["twistd", "-n", f"--pidfile={self._home}/pid", "ifap", "--basedir", str(self.basedir)]
        command = [*self._watched(self._home / "node.json"), *arguments]
        with log.open("ab") as out:
            self._node = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environment()
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The node does not start:\n{log.read_text()}")
            threading.Event().wait(0.02)

    def stop(self) -> None:
        """End the running node, and take its report."""
        self._end()
        self._reported(self._home / "node.json")

    def _end(self) -> None:
        if self._node is not None:
            node, self._node = self._node, None
            node.send_signal(signal.SIGTERM)
            node.wait(60)

    @property
    def pid(self) -> int:
        """Of the running node."""
        assert self._node is not None
        return self._node.pid

    def memory(self) -> float:
        """The most that the node ever had, in MiB."""
        return memory("VmHWM", self.pid)

    def client(self) -> HTTPConnection:
        """A connection to the node."""
        url = urlsplit((self.basedir / "control.url").read_text().strip())
        assert url.hostname is not None
        return HTTPConnection(url.hostname, url.port, timeout=PATIENCE)

    @property
    def headers(self) -> dict[str, str]:
        """What a program has to send to the node."""
        return {"Authorization": f"Bearer {(self.basedir / 'control.token').read_text().strip()}"}

    def _answers(self) -> bool:
        if not (self.basedir / "control.url").exists():
            return False
        connection = self.client()
        try:
            connection.request("GET", "/v1/status", headers=self.headers)
            answer = connection.getresponse()
            return answer.status == 200 and json.loads(answer.read())["state"] == "connected"
        except OSError:
            return False
        finally:
            connection.close()

    def _watched(self, report: Path) -> list[str]:
        return [sys.executable, "-m", "benchmarks.watched", str(report), self._mode]

    def _reported(self, report: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(report.read_text())
        report.unlink()
        self.reports.append(found)
        return found

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(" ".join(command[3:]), done.stderr)

    def _environment(self) -> dict[str, str]:
        return environment(HOME=str(self._home), IFAP_BASEDIR=str(self.basedir))
