"""Ours: each measurement in a process of its own, so that memory and imports of one do not count for another."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.live.servers import Server, fresh_folder

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Draft

KEY = "benchmark"
HOME = "AAAAAAAA"
SIZE = 4096


def sealed_messages(count: int) -> list[bytes]:
    """Messages of ours with 4 KB each; the same bytes are given to imaplib and read by us.

    The first is no folder object: opening such a folder for the first time makes one.
    """
    key = Key.from_text(KEY)
    content = os.urandom(SIZE)
    messages = []
    for number in range(count):
        draft = Draft(
            path=f"dir{number // 100}/file{number}",
            vid=f"{number:022d}",
            writer="bench1",
            clock={"bench1": number + 1},
            home=HOME,
            modified=1.7e9,
        )
        messages.append(envelope.seal(draft, content, dialect=IFAP, key=key, now=1.7e9, random=os.urandom).message)
    return messages


def run(what: str, server: Server, count: int, folder: str | None = None) -> dict[str, Any]:
    """Run one measurement of ``benchmarks.measure`` in a new process and give what it printed."""
    command = [sys.executable, "-m", "benchmarks.measure", what, server.host, str(server.port), server.user]
    command += [server.password, folder or fresh_folder(), str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(printed.stdout.splitlines()[-1])
    return found


def put_tree(server: Server, count: int) -> float:
    """Seconds that a person waits for ``ifap put -r`` without a running node."""
    with tempfile.TemporaryDirectory(prefix="ifap-") as base:
        tree, basedir = Path(base) / "tree", Path(base) / "basedir"
        tree.mkdir()
        for number in range(count):
            (tree / f"file{number}").write_bytes(os.urandom(SIZE))
        (Path(base) / "password").write_text(server.password)
        (Path(base) / "password").chmod(0o600)
        ifap = [shutil.which("ifap", path=Path(sys.executable).parent) or "ifap", "--basedir", str(basedir), "-q"]
        url = f"imap://{server.user}@{server.host}:{server.port}"
        login = ["login", "--account", url, "--folder", fresh_folder(), "--password-file", str(Path(base) / "password")]
        subprocess.run([*ifap, *login], check=True, stdout=subprocess.DEVNULL)
        began = time.perf_counter()
        subprocess.run([*ifap, "put", "-r", str(tree), "/tree/"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began
