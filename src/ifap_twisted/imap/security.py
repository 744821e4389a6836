"""How far a connection is to be trusted, and why one was not.

There is no setting that turns verification off: ``plain`` is for loopback and sockets, and a caller must say it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from ifap_twisted.errors import BadSettings, NotTrusted, StoreError, Unavailable

__all__ = ["Security", "client_tls", "connection_failure"]

_NO_TLS: Final = frozenset({"wrong version number", "packet length too long", "record layer failure", "http request"})


@dataclass(frozen=True, slots=True)
class Security:
    """What a connection must be before anything secret is sent over it: made by ``tls``, ``starttls`` and ``plain``.

    :ivar kind: ``tls``: verified TLS from the first byte; ``starttls``: verified TLS before the login, and no login
        without; ``plain``: none.
    """

    kind: str
    creator: Any = None

    @classmethod
    def tls(cls, creator: IOpenSSLClientConnectionCreator) -> Self:
        """TLS from the first byte (IMAPS); ``creator`` is :func:`client_tls` or the caller's own."""
        return cls("tls", creator)

    @classmethod
    def starttls(cls, creator: IOpenSSLClientConnectionCreator) -> Self:
        """STARTTLS, required: a server, or a man in the middle, that does not offer it gets no login."""
        return cls("starttls", creator)

    @classmethod
    def plain(cls) -> Self:
        """Clear text: for loopback and UNIX sockets."""
        return cls("plain")


def client_tls(hostname: str, ca_file: str | Path | None = None) -> IOpenSSLClientConnectionCreator:
    """Verified TLS: the certificate must be valid, for this name, and from an authority that is trusted.

    :param ca_file: PEM certificates to trust instead of the system's.
    :raises BadSettings: the file cannot be read or holds no certificate.
    """
    if ca_file is None:
        return optionsForClientTLS(hostname)
    try:
        found = x509.load_pem_x509_certificates(Path(ca_file).read_bytes())
    except OSError as failed:
        raise BadSettings(f"The ca_file {ca_file} cannot be read: {failed.strerror}.") from None
    except ValueError:
        raise BadSettings(f"The ca_file {ca_file} holds no certificate in PEM form.") from None
    roots = [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in found]
    trusted = trustRootFromCertificates(roots)  # type: ignore[no-untyped-call]
    return optionsForClientTLS(hostname, trustRoot=trusted)


def connection_failure(reason: BaseException, transport: object, now: float, *, established: bool) -> StoreError:
    """Why a connection ended: ``NotTrusted`` with which of the reasons it was, else ``Unavailable``.

    :param transport: the connection, asked for the certificates that the server showed.
    :param now: Unix time, to be compared with their dates.
    :param established: whether the server had been heard, so that the TLS handshake cannot have failed.
    """
    if isinstance(reason, StoreError):
        return reason
    if isinstance(reason, VerificationError):
        return NotTrusted("The mail server showed a certificate for another host name: check the host of the account.")
    if isinstance(reason, SSL.Error) and not established:
        return NotTrusted(_handshake_failure(reason, transport, now))
    return Unavailable(f"The connection to the mail server was lost: {_told(reason)}")


def _told(reason: BaseException) -> str:
    return str(reason).strip().rstrip(".") + "."


def _handshake_failure(reason: SSL.Error, transport: object, now: float) -> str:
    problems = [str(entry[-1]) for entry in (reason.args[0] if reason.args else ()) if entry]
    if "certificate verify failed" in problems:
        return _certificate_failure(_shown(transport), now)
    if _NO_TLS.intersection(problems):
        return "The mail server does not speak TLS on this port: check the account (imaps: port 993, imap: STARTTLS)."
    return f"No TLS connection could be agreed on with the mail server: {', '.join(problems) or 'it broke off'}."


def _certificate_failure(chain: list[x509.Certificate], now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    if any(moment > shown.not_valid_after_utc for shown in chain):
        return "The mail server's certificate has expired: its owner has to renew it."
    if any(moment < shown.not_valid_before_utc for shown in chain):
        return "The mail server's certificate is not valid yet (or the clock here is wrong)."
    return (
        "The mail server's certificate was not issued by an authority that is trusted here; "
        "if it is the right server, name that authority's certificate with ca_file (--ca-file)."
    )


def _shown(transport: object) -> list[x509.Certificate]:
    """The certificates that the server showed, or none where the transport cannot tell."""
    handle = getattr(transport, "getHandle", None)
    connection = None if handle is None else handle()
    if not isinstance(connection, SSL.Connection):
        return []
    return [shown.to_cryptography() for shown in connection.get_peer_cert_chain() or ()]
