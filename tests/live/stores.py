"""Shelves on the servers of the live tests."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet import reactor  # noqa: TID251 -- real connections
from twisted.internet.endpoints import TCP4ClientEndpoint

from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import password
from ifap_twisted.imap.security import Security, client_tls
from ifap_twisted.store.imap import ImapStore
from tests.live.servers import Server


def imap_store(server: Server, folder: str, *, security: str = "plain", port: int | None = None, user: str = "") -> Any:
    """A store on a folder of a live server, not open yet.

    :param security: ``plain``, ``starttls`` or ``tls``.
    :param port: another port, of a proxy in between.
    """
    kinds = {
        "plain": Security.plain,
        "starttls": lambda: Security.starttls(client_tls("localhost", server.cafile)),
        "tls": lambda: Security.tls(client_tls("localhost", server.cafile)),
    }
    connector = Connector(
        reactor,
        TCP4ClientEndpoint(reactor, server.host, port or (server.tlsport if security == "tls" else server.port)),
        security=kinds[security](),
        authenticate=password(user or server.user, server.password),
        folder=folder,
        random=Random(0).random,
    )
    return ImapStore(connector)
