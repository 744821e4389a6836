"""The embedded account: our own IMAP server in this process, and the user that we are on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.errors import BadSettings
from ifap_twisted.filesystem.drafting import Random
from ifap_twisted.server.service import EmbeddedServer
from ifap_twisted.service.shelves import SOCKET
from ifap_twisted.settings import Settings
from ifap_twisted.workers import Worker


async def start_embedded(
    settings: Settings, basedir: Basedir | None, reactor: Any, random: Random, worker: Worker | None
) -> EmbeddedServer:
    """Start the server on its socket in the basedir, with our user on it.

    :raises BadSettings: there is no basedir, or the database cannot be opened.
    """
    if basedir is None or worker is None:
        raise BadSettings("The embedded account keeps its mail in a basedir; give one.")
    credentials = await worker(lambda: PasswordFile(basedir).make_embedded(random))
    server = EmbeddedServer(
        basedir.embedded_database,
        reactor,
        socket_path=Path(basedir.path / SOCKET),
        listen=settings.embedded_listen,
        owner=credentials,
    )
    server.startService()
    try:
        await server.when_ready()
    except BaseException:
        await server.stopService()
        raise
    return server
