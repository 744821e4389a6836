"""The embedded server as a process of its own, for tests that kill it: ``python -m tests.server.serving DIRECTORY``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from ifap_twisted.errors import AlreadyExists
from ifap_twisted.server.service import EmbeddedServer


async def serve(reactor, directory: str) -> None:
    """Serve until killed; prints READY."""
    base = Path(directory)
    server = EmbeddedServer(base / "embedded.sqlite", reactor, socket_path=base / "socket")
    server.startService()
    await server.when_ready()
    with contextlib.suppress(AlreadyExists):
        await server.add_user("me", "secret")
    print("READY", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(serve(reactor, sys.argv[1])))
