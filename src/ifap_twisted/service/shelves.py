"""From an account to a shelf: which endpoint, how secure, who logs in, how politely."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from ifap_twisted._version import __version__
from ifap_twisted.accounts import Account
from ifap_twisted.basedir import Basedir
from ifap_twisted.core import limits
from ifap_twisted.errors import BadSettings, IFAPError
from ifap_twisted.imap.connector import Connector
from ifap_twisted.imap.sasl import Authenticate, Dancer, password
from ifap_twisted.imap.security import Security, client_tls
from ifap_twisted.interfaces import IMessageStore
from ifap_twisted.secrecy import Credentials
from ifap_twisted.settings import Settings
from ifap_twisted.store.imap import ImapStore
from ifap_twisted.store.maildir import MaildirStore
from ifap_twisted.store.memory import MemoryStore
from ifap_twisted.store.polite import Politeness, PoliteStore
from ifap_twisted.workers import Worker

Random = Callable[[int], bytes]

SOCKET = "imap.socket"
"""Where the embedded server listens, in the basedir."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How to reach an account otherwise than by its URL (DESIGN 4.4).

    :ivar endpoint: an ``IStreamClientEndpoint``.
    :ivar tls: an ``IOpenSSLClientConnectionCreator``; with an endpoint and without it, the URL decides about TLS.
    :ivar authenticate: ``async (session) -> None``.
    """

    endpoint: IStreamClientEndpoint | None = None
    tls: Any = None
    authenticate: Callable[[Any], Awaitable[None]] | None = None


def shelf_for(
    settings: Settings,
    basedir: Basedir | None,
    credentials: Credentials | None,
    means: Means,
    reactor: Any,
    worker: Worker,
    random: Random,
) -> IMessageStore:
    """The shelf of an account; nothing is opened yet."""
    account = settings.account
    if account.kind == "memory":
        return MemoryStore()
    if account.kind == "maildir":
        return MaildirStore(account.path or "", settings.folder, worker=worker, clock=reactor, random=random)
    connector = Connector(
        reactor,
        means.endpoint or _endpoint(account, basedir, reactor),
        security=_security(settings, means),
        authenticate=means.authenticate or _authenticate(credentials),
        folder=settings.folder,
        random=lambda: _fraction(random),
        identity={"name": "ifap-twisted", "version": __version__},
    )
    store = ImapStore(connector)
    return store if account.kind == "embedded" else _polite(store, settings, reactor, random)


def is_reached(store: IMessageStore) -> bool:
    """Whether the server behind a shelf answers at present."""
    inner = store.inner if isinstance(store, PoliteStore) else store
    return isinstance(inner, ImapStore) and inner.state == "connected"


def heard_from(store: IMessageStore) -> int:
    """How often something came from the server behind a shelf; 0 for one that has none."""
    inner = store.inner if isinstance(store, PoliteStore) else store
    return inner.heard if isinstance(inner, ImapStore) else 0


def refusal_of(store: IMessageStore) -> IFAPError | None:
    """Why the server behind a shelf is not asked any more until a person mends that; None while it is."""
    inner = store.inner if isinstance(store, PoliteStore) else store
    return inner.last_error if isinstance(inner, ImapStore) and inner.state == "stopped" else None


def _polite(store: IMessageStore, settings: Settings, clock: Any, random: Random) -> IMessageStore:
    """A provider's bounds are kept by default (promise P10); our own server in this process has none."""
    politeness = Politeness(
        commands_per_second=settings.limits_commands_per_second,
        upload_per_day=settings.limits_upload_per_day,
        download_per_day=settings.limits_download_per_day,
    )
    return PoliteStore(store, clock=clock, random=lambda: _fraction(random), politeness=politeness)


def _fraction(random: Random) -> float:
    """From 0 to below 1."""
    return int.from_bytes(random(4)) / 2**32


def _endpoint(account: Account, basedir: Basedir | None, reactor: Any) -> IStreamClientEndpoint:
    if account.kind == "embedded":
        if basedir is None:
            raise BadSettings("The embedded account keeps its mail in a basedir; give one.")
        return UNIXClientEndpoint(reactor, basedir.socket_address(SOCKET))
    if account.kind == "imap+unix":
        return UNIXClientEndpoint(reactor, account.path or "")
    return HostnameEndpoint(reactor, account.host or "", account.port or 0, timeout=limits.CONNECT_SECONDS)


def _security(settings: Settings, means: Means) -> Security:
    account = settings.account
    if means.tls is not None:
        return Security.tls(means.tls) if account.implicit_tls else Security.starttls(means.tls)
    if account.implicit_tls:
        return Security.tls(client_tls(account.host or "", settings.ca_file))
    if account.requires_starttls or (account.kind == "imap" and settings.ca_file is not None):
        return Security.starttls(client_tls(account.host or "", settings.ca_file))
    return Security.plain()


def _authenticate(credentials: Credentials | None) -> Authenticate:
    if credentials is not None:
        return password(credentials.user.encode(), credentials.password.reveal_bytes())
    return _preauthenticated


async def _preauthenticated(_session: Dancer) -> None:
    """For a socket whose server knows who we are."""


__all__ = ["Means", "heard_from", "is_reached", "refusal_of", "shelf_for"]
