"""Measures one large file: memory of the node, what goes over the wire, and seconds, in one run against one Dovecot.

    python -m benchmarks.large [--mib N] [--json FILE]

A node as a process has an account on Dovecot (sdbox in memory, mail_fsync=never), through a proxy that counts bytes. A
file of random bytes is put and got by the command line and over HTTP, from a file and from a pipe, copied, put once
more, and changed in the middle. Memory is the most that the node held while it did that, less what it holds when idle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.live import servers

from benchmarks.counting import CountingProxy

MIB = 1 << 20
PROGRAM = "import sys; from ifap_twisted.cli.main import run; sys.exit(run())"


class Node:
    """A node, its basedir, and the way to its server."""

    def __init__(self, base: Path) -> None:
        live = servers.server("dovecot")
        self.proxy = CountingProxy(live.host, live.port)
        self.basedir = base / "node"
        password = base / "password"
        password.write_text(live.password)
        password.chmod(0o600)
        url = f"imap://{live.user}@127.0.0.1:{self.proxy.port}"
        self.ifap("login", "--account", url, "--folder", servers.fresh_folder(), "--password-file", str(password))
        with (self.basedir / "ifap.toml").open("a") as settings:
            settings.write('control = "tcp:0:interface=127.0.0.1"\n')
        self.ifap("start")
        self.pid = int((self.basedir / "node.pid").read_text().split()[0])
        self.ifap("ls", "/")
        time.sleep(1)  # noqa: TID251 -- let it come to rest
        self.idle = self._status("VmRSS")

    def ifap(self, *words: str, stdin: Any = None, stdout: Any = subprocess.DEVNULL) -> None:
        """Run a verb."""
        command = [sys.executable, "-c", PROGRAM, "--basedir", str(self.basedir), "-q", *words]
        subprocess.run(command, check=True, stdin=stdin, stdout=stdout)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """An answer of the node over TCP, to be read."""
        url = urlsplit((self.basedir / "control.url").read_text().strip())
        connection = HTTPConnection(url.hostname or "", url.port, timeout=600)
        token = (self.basedir / "control.token").read_text().strip()
        connection.request(method, path, body, {"Authorization": f"Bearer {token}", **headers})
        answer = connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(answer.read().decode())
        return answer

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(name)

    def measured(self, work: Callable[[], Any]) -> dict[str, float]:
        """What some work takes."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # the peak begins anew
        sent, received, began = self.proxy.sent, self.proxy.received, time.perf_counter()
        work()
        return {
            "seconds": round(time.perf_counter() - began, 2),
            "peak_mib": round((self._status("VmHWM") - self.idle) / MIB, 1),
            "sent_mib": round((self.proxy.sent - sent) / MIB, 3),
            "received_mib": round((self.proxy.received - received) / MIB, 3),
        }


def pieces(source: Path, start: int = 0) -> Iterator[bytes]:
    """The content of a file, as a body without a length."""
    with source.open("rb") as file:
        file.seek(start)
        while piece := file.read(MIB):
            yield piece


def digest(source: Any) -> str:
    """Of all that is in a file or an answer."""
    found = hashlib.sha256()
    while piece := source.read(MIB):
        found.update(piece)
    return found.hexdigest()


def works(node: Node, base: Path, source: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is measured, in this order."""
    size, back = source.stat().st_size, base / "back"

    def piped(name: str) -> None:
        with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as cat:
            node.ifap("put", "-", name, stdin=cat.stdout)

    def same(found: Path) -> None:
        with found.open("rb") as one, source.open("rb") as other:
            assert digest(one) == digest(other), "the content is another"
        found.unlink()

    def got() -> None:
        node.ifap("get", "/file", str(back))
        same(back)

    def got_over_http() -> None:
        with source.open("rb") as file:
            assert digest(node.request("GET", "/v1/files/http")) == digest(file), "the content is another"

    def changed() -> None:
        with source.open("r+b") as file:
            file.seek(size // 2)
            file.write(os.urandom(MIB))
        node.ifap("put", str(source), "/file")

    def make_new() -> None:
        with source.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))

    yield "ifap put FILE", lambda: node.ifap("put", str(source), "/file")
    yield "ifap get", got
    yield "ifap cp", lambda: node.ifap("cp", "/file", "/copy")
    yield "ifap put FILE, another name", lambda: node.ifap("put", str(source), "/again")
    yield "ifap put FILE, 1 MiB in the middle is another", changed
    yield "ifap put -, the same", lambda: piped("/piped")
    make_new()
    yield "ifap put -, new", lambda: piped("/new")
    make_new()
    yield (
        "HTTP PUT with a length",
        lambda: node.request("PUT", "/v1/files/http", source.open("rb"), **{"Content-Length": str(size)}),
    )
    yield "HTTP GET", got_over_http
    make_new()
    yield (
        "HTTP PUT without a length",
        lambda: node.request("PUT", "/v1/files/chunked", pieces(source)),
    )


def main() -> int:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (1024)")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="ifap-large-"))
    figures: dict[str, dict[str, float]] = {}
    source = base / "source"
    with source.open("wb") as file:
        for _ in range(arguments.mib):
            file.write(os.urandom(MIB))
    node = Node(base)
    try:
        print(f"{'':48} {'seconds':>8} {'MiB/s':>7} {'peak MiB':>9} {'sent MiB':>9} {'received':>9}", flush=True)
        for name, work in works(node, base, source):
            found = figures[name] = node.measured(work)
            speed = arguments.mib / max(found["seconds"], 0.01)
            print(
                f"{name:48} {found['seconds']:8.2f} {speed:7.0f} {found['peak_mib']:9.1f} "
                f"{found['sent_mib']:9.2f} {found['received_mib']:9.2f}",
                flush=True,
            )
    finally:
        node.ifap("stop")
        node.proxy.stop()
        shutil.rmtree(base)
        servers.stop_all()
    if arguments.json:
        arguments.json.write_text(json.dumps({"mib": arguments.mib, "idle": node.idle, "figures": figures}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
