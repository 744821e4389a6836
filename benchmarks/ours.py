"""Ours: each measurement in a process of its own, so that memory and imports of one do not count for another."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.live.servers import fresh_folder

from benchmarks.ground import SIZE, Account, Ground, environment, fill


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a process is to measure.

    :ivar work: a method of ``benchmarks.measure.Measurement``.
    :ivar count: files that are put, read or expected.
    :ivar tree: a local directory.
    :ivar control: the port of the line's control socket, where there is a line.
    """

    work: str
    account: Account
    folder: str
    count: int
    tree: str = ""
    basedir: str | None = None
    control: int | None = None
    profile: bool = False

    @classmethod
    def from_json(cls, text: str) -> Task:
        """What :meth:`to_json` made."""
        values = json.loads(text)
        return cls(**{**values, "account": Account(**values["account"])})

    def to_json(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))


class Failed(Exception):
    """A work of ours did not come to its end; ``told`` is all that its process said."""

    def __init__(self, work: str, told: str) -> None:
        super().__init__(f"{work}: {told.strip().splitlines()[-1] if told.strip() else 'it says nothing'}")
        self.told = told


def filled(ground: Ground, count: int, size: int = SIZE, account: Account | None = None) -> str:
    """A new folder with so many files, and with the folder object that its first device writes: its first message."""
    folder = fresh_folder()
    run(ground, "open", folder, 0, account=account)
    fill(account or ground.memory, folder, count, size)
    return folder


def run(
    ground: Ground,
    work: str,
    folder: str,
    count: int,
    *,
    account: Account | None = None,
    tree: Path | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Run one measurement in a new process and give what it found."""
    wanted = Task(
        work=work,
        account=account or ground.memory,
        folder=folder,
        count=count,
        tree=str(tree or ""),
        profile=ground.profile,
        **more,
    )
    command = [sys.executable, "-m", "benchmarks.measure", wanted.to_json()]
    printed = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
    if printed.returncode:
        raise Failed(work, printed.stderr)
    found: dict[str, Any] = json.loads(printed.stdout.splitlines()[-1])
    return found
