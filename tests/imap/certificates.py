"""Throw-away certificates: an authority, and what it issued."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet.ssl import PrivateCertificate


class Authority:
    """Issues certificates that its own certificate proves."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test authority")])
        self.certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None), -30, 30)

    def _sign(self, name, key, *extensions_and_days):
        *extensions, first, last = extensions_and_days
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + timedelta(days=first)).not_valid_after(now + timedelta(days=last))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def file(self, path):
        """Write the authority's certificate; gives the path."""
        path.setContent(self.certificate.public_bytes(Encoding.PEM))
        return path.path

    def server(self, host="localhost", *, first=-10, last=10):
        """Options for a server with a certificate for a host, valid between two days."""
        return PrivateCertificate.loadPEM(self.pem(host, first=first, last=last)).options()

    def pem(self, host="localhost", *, first=-10, last=10):
        """A certificate for a host, valid between two days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        named = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        signed = self._sign(name, key, x509.SubjectAlternativeName([named]), first, last)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return signed.public_bytes(Encoding.PEM) + secret
