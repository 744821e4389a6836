"""Temporary basedirs and free ports for tests that run services for real."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater


class Basedirs:
    """Mixed into a test case: directories that go with the test."""

    addCleanup: Any
    fail: Any

    def basedir(self) -> Path:
        """A private directory with a short path."""
        path = Path(tempfile.mkdtemp(prefix="ifap-"))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path / "b"

    async def until(self, reactor: Any, fact: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Wait until something holds; gives what it gave, which may be awaited first."""
        for _ in range(int(seconds / 0.05)):
            found = fact()
            if isinstance(found, Deferred):
                found = await found
            if found:
                return found
            await deferLater(reactor, 0.05, lambda: None)
        self.fail("it did not happen in time")
        return None


def free_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
