"""Composition: settings and a reactor become a filesystem, a service, a node; the only room that knows all others.

What a node needs besides is imported by ``service.node`` alone: a verb that opens the account itself starts without.
"""

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
from ifap_twisted.service.service import IFAPService

__all__ = [
    "IFAPService",
    "change_key",
    "change_passphrase",
    "connect",
    "login",
    "make_recovery_code",
    "open_local",
    "recover",
    "revoke_key",
]
