"""What others do with the same tree: rclone (crypt over WebDAV) and restic (over REST), served by ``rclone serve``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSPHRASE = "benchmark"


def missing() -> list[str]:
    """Programs that are not installed; ``benchmarks/install.sh`` installs them."""
    return [name for name in ("rclone", "restic") if shutil.which(name) is None]


def rclone(tree: Path) -> tuple[float, float]:
    """Seconds for copying a tree there, encrypted, and back into an empty directory."""
    with _served("webdav") as (base, port):
        obscured = subprocess.run(["rclone", "obscure", PASSPHRASE], check=True, capture_output=True, text=True).stdout
        remotes = {
            "DAV_TYPE": "webdav",
            "DAV_URL": f"http://127.0.0.1:{port}",
            "DAV_VENDOR": "other",
            "SECRET_TYPE": "crypt",
            "SECRET_REMOTE": "dav:",
            "SECRET_PASSWORD": obscured.strip(),
        }
        environment = {f"RCLONE_CONFIG_{name}": value for name, value in remotes.items()}
        put = _seconds(base, ["rclone", "copy", str(tree), "secret:tree"], environment)
        return put, _seconds(base, ["rclone", "copy", "secret:tree", str(base / "back")], environment)


def restic(tree: Path) -> tuple[float, float]:
    """Seconds for a backup of a tree, and for restoring it into an empty directory."""
    with _served("restic") as (base, port):
        environment = {"RESTIC_PASSWORD": PASSPHRASE, "RESTIC_REPOSITORY": f"rest:http://127.0.0.1:{port}/"}
        _seconds(base, ["restic", "init"], environment)
        put = _seconds(base, ["restic", "backup", str(tree)], environment)
        return put, _seconds(base, ["restic", "restore", "latest", "--target", str(base / "back")], environment)


@contextmanager
def _served(kind: str) -> Iterator[tuple[Path, int]]:
    """A directory in memory, served."""
    with tempfile.TemporaryDirectory(prefix="ifap-rival-", dir="/dev/shm") as name, socket.socket() as free:
        base = Path(name)
        (base / "data").mkdir()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = ["rclone", "serve", kind, str(base / "data"), "--addr", f"127.0.0.1:{port}"]
        with (base / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(base))
        try:
            _wait_for(port, server, base / "log")
            yield base, port
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rclone does not serve:\n{log.read_text()}") from None
            threading.Event().wait(0.05)
        else:
            return


def _seconds(base: Path, command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        command,
        check=False,
        env=_environment(base) | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"{command[:2]} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


def _environment(base: Path) -> dict[str, str]:
    """A home of its own: no configuration of the user's, no cache."""
    return os.environ | {"HOME": str(base), "XDG_CACHE_HOME": str(base / "cache"), "XDG_CONFIG_HOME": str(base)}
