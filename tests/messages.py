"""Messages for tests of shelves: in the form of FORMAT 1.1, but with tokens that no key opens."""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Collection

from ifap_twisted.core.values import HeaderBlock

CRLF = b"\r\n"


def sealed_id(name: str) -> str:
    """22 characters, always the same for the same name."""
    return urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()[:22]


def letter(
    name: str, *, header: bytes = b"X-IFAP", size: int = 120, lines: int = 5, body: bytes | None = None
) -> bytes:
    """A message of ours: ``lines`` folded lines of metadata, and a body of about ``size`` bytes."""
    token = _token(name, 77 * lines)
    metadata = CRLF.join(b" " + token[at : at + 77] for at in range(0, len(token), 77))
    text = _token(name, size)
    head = [
        header + b":",
        metadata,
        b"To: .. <to@ifap.example>",
        b"From: .. <from@ifap.example>",
        b"Subject: [IFAP] File Storage",
        b"Message-ID: <" + sealed_id(name).encode() + b"@ifap.invalid>",
        b"Date: Thu, 01 Jan 2026 00:00:00 +0000",
        b"MIME-Version: 1.0",
        b"Content-Type: application/x-ifap",
        b"Content-Transfer-Encoding: 7bit",
        b'Content-Disposition: attachment; filename="ifap.enc"',
        b"",
        b"",
    ]
    folded = CRLF.join(text[at : at + 78] for at in range(0, len(text), 78)) + CRLF
    return CRLF.join(head) + (folded if body is None else body)


def metadata_of(name: str, *, header: bytes = b"X-IFAP", lines: int = 5) -> bytes:
    """The value of the metadata header of such a message, without white space."""
    return _token(name, 77 * lines)


def anything(_block: object) -> bool:
    """Whatever lies at a place may be removed."""
    return True


def is_letter(names: Collection[str]) -> Callable[[HeaderBlock], bool]:
    """Whether a header is that of one of these messages."""
    expected = {metadata_of(name) for name in names}
    return lambda block: b"".join(block.fields.partition(b":")[2].split()) in expected


def mail(text: bytes = b"Hello\r\n") -> bytes:
    """A message of somebody else."""
    return b"From: a@example.org\r\nTo: b@example.org\r\nSubject: hello\r\n\r\n" + text


def _token(name: str, length: int) -> bytes:
    seed = hashlib.sha256(name.encode()).digest()
    return (b"!" + b64encode(hashlib.shake_256(seed).digest(length), altchars=b"-_"))[:length]
