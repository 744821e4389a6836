"""Composition: settings and a reactor become a filesystem, a service, a node; the only room that knows all others."""

from ifap_twisted.service.joining import (
    change_key,
    change_passphrase,
    connect,
    login,
    make_recovery_code,
    open_local,
    recover,
    revoke_key,
)
from ifap_twisted.service.node import make_node
from ifap_twisted.service.service import IFAPService

__all__ = [
    "IFAPService",
    "change_key",
    "change_passphrase",
    "connect",
    "login",
    "make_node",
    "make_recovery_code",
    "open_local",
    "recover",
    "revoke_key",
]
