"""A command line over the real filesystem on an in-memory shelf, run in this process without a reactor."""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ifap_twisted.cli.main import run
from ifap_twisted.cli.options import Options, Work
from ifap_twisted.cli.printing import Console
from ifap_twisted.cli.session import Session, conclude
from ifap_twisted.interfaces import IFilesystem
from ifap_twisted.workers import InlineWorker
from tests.filesystem.folders import Folder


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    status: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()


class Terminal(io.TextIOWrapper):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class CommandLineTestCase(SynchronousTestCase):
    """A test with an empty folder, an empty local directory, and ``self.ifap(...)``."""

    def setUp(self) -> None:
        """Open an empty folder."""
        self.folder = Folder()
        self.clock, self.shelf = self.folder.clock, self.folder.shelf
        self.filesystem: IFilesystem = self.folder.device()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.local = Path(directory.name)

    def ifap(self, *arguments: str | Path, terminal: bool = False, options: Options | None = None) -> Outcome:
        """Run ``ifap`` as a shell would."""
        kind = Terminal if terminal else io.TextIOWrapper
        out, err = kind(io.BytesIO(), encoding="utf-8"), kind(io.BytesIO(), encoding="utf-8")
        chosen = options or Options()
        chosen.opener, chosen.runner = self.opener, self.runner
        with redirect_stdout(out), redirect_stderr(err):
            status = run([str(argument) for argument in arguments], chosen)
            out.flush()
            err.flush()
        return Outcome(status, out.buffer.getvalue(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]

    @asynccontextmanager
    async def opener(self, _session: Session) -> AsyncIterator[IFilesystem]:
        """The same open folder each time."""
        yield self.filesystem

    def runner(self, options: Options, work: Work) -> int:
        """Run a verb that needs no reactor to turn."""
        console = Console(as_json=options.json, verbosity=options.verbosity)
        session = Session(options, console, InlineWorker(), self.clock)

        async def whole() -> None:
            await work(session)
            console.flush()

        outcome: list[Any] = []
        Deferred.fromCoroutine(whole()).addBoth(outcome.append)
        self.assertEqual(1, len(outcome), "the verb still waits for something")
        return conclude(console, outcome[0].value if isinstance(outcome[0], Failure) else None)

    # What is in the folder and on the disk

    def stored(self, path: str, data: bytes, **more: Any) -> str:
        """Store a file and give its version."""
        return self.successResultOf(self.filesystem.put(path, data, **more)).version

    def content(self, path: str) -> bytes:
        """What is in a file of the folder."""
        return self.successResultOf(self.filesystem.get(path))

    def names(self) -> list[str]:
        """All files and directories of the folder."""
        return [entry.path for entry in self.successResultOf(self.filesystem.list("/", recursive=True))]

    def write(self, name: str, data: bytes = b"", mode: int = 0o644) -> Path:
        """Make a local file, and the directories above it."""
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
        return path
