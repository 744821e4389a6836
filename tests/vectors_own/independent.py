"""An encoder written from the specification alone: it shares no line with ``ifap_twisted``.

It says what the bytes of a message have to be, so that a mistake of the project cannot hide in its own vectors, and it
makes the damaged ones, which the project's own writer cannot be brought to write.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

CRLF = "\r\n"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CONSTANTS = {
    "ifap": {
        "header": "X-IFAP",
        "type": "application/x-ifap",
        "to": ".. <to@ifap.example>",
        "from": ".. <from@ifap.example>",
        "subject": "[IFAP] File Storage",
        "filename": "ifap.enc",
        "extra": (),
    },
    "mailfile": {
        "header": "X-Mailfile",
        "type": "application/x-mailfile",
        "to": ".. <to@mailfile.example>",
        "from": ".. <from@mailfile.example>",
        "subject": "[Mailfile] File Storage",
        "filename": "mailfile.enc",
        "extra": ("X-Keep-On-Server: manual-delete, not-email",),
    },
}


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a message is made of: with the same, the same bytes come out.

    :ivar key: the key string, or None for a message that is not sealed.
    :ivar text: the metadata text, padding included; ``content`` as it is before padding.
    """

    dialect: str
    key: str | None
    text: bytes
    content: bytes
    time: int
    metadata_iv: bytes = b""
    content_iv: bytes = b""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """``metadata`` or ``content``: what stands there instead of what would be made (for damaged messages)."""


def metadata_text(values: Mapping[str, Any], *, sealed: bool) -> bytes:
    """The canonical text: sorted keys, no white space, UTF-8; padded to 11 modulo 148 when it is going to be sealed."""
    text = canonical(values)
    if not sealed:
        return text
    return canonical({**values, "_": "_" * (148 - len(text) % 148 + 11 - len('"_":"",'))})


def reference_text(values: Mapping[str, Any]) -> bytes:
    """The text of the reference programs (``indent=1`` of Python 2), with its own padding."""

    def dump(one: Mapping[str, Any]) -> str:
        return json.dumps(one, indent=1, separators=(", ", ": "))

    return dump({**values, "_": "_" * (148 - len(dump(values)) % 148)}).encode("ascii")


def canonical(values: Mapping[str, Any]) -> bytes:
    """The canonical JSON text without padding."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def token(key: str, data: bytes, *, now: int, iv: bytes) -> str:
    """``!`` and a Fernet token."""
    secret = hashlib.sha256(key.encode()).digest()
    padding = 16 - len(data) % 16
    encryptor = Cipher(AES128(secret[16:]), CBC(iv)).encryptor()
    encrypted = encryptor.update(data + bytes([padding]) * padding) + encryptor.finalize()
    signed = b"\x80" + now.to_bytes(8, "big") + iv + encrypted
    return "!" + base64.urlsafe_b64encode(signed + hmac.digest(secret[:16], signed, "sha256")).decode()


def padded(content: bytes) -> bytes:
    """The content and 1 to 2,048 blanks."""
    return content + b" " * (2048 - len(content) % 2048)


def sealed_id(metadata_token: str) -> str:
    """22 characters that name a metadata token."""
    return base64.urlsafe_b64encode(hashlib.sha256(metadata_token.encode()).digest()).decode()[:22]


def fingerprint(key: str) -> str:
    """16 hexadecimal digits that name a key: HKDF-SHA-256 (RFC 5869) without salt."""
    extracted = hmac.digest(bytes(32), hashlib.sha256(key.encode()).digest(), "sha256")
    return hmac.digest(extracted, b"ifap-twisted/1/fingerprint\x01", "sha256")[:8].hex()


def encode(made_of: Ingredients) -> bytes:
    """The message."""
    metadata, content = _tokens(made_of)
    lines = [*_head(made_of, metadata), ""]
    return (CRLF.join([*lines, *_cut(content, 78), ""])).encode()


def _tokens(made_of: Ingredients) -> tuple[str, str]:
    if made_of.key is None:
        metadata = base64.b64encode(made_of.text).decode()
        content = base64.b64encode(made_of.content).decode()
    else:
        metadata = token(made_of.key, made_of.text, now=made_of.time, iv=made_of.metadata_iv)
        content = token(made_of.key, padded(made_of.content), now=made_of.time, iv=made_of.content_iv)
    return made_of.tokens.get("metadata", metadata), made_of.tokens.get("content", content)


def _head(made_of: Ingredients, metadata: str) -> list[str]:
    own: Any = CONSTANTS[made_of.dialect]
    now = time.gmtime(made_of.time)
    date = (
        f"{DAYS[now.tm_wday]}, {now.tm_mday:02} {MONTHS[now.tm_mon - 1]} {now.tm_year} {time.strftime('%H:%M:%S', now)}"
    )
    return [
        f"{own['header']}:",
        *(" " + piece for piece in _cut(metadata, 77)),
        f"To: {own['to']}",
        f"From: {own['from']}",
        f"Subject: {own['subject']}",
        *own["extra"],
        f"Date: {date} +0000",
        f"Message-ID: <{sealed_id(metadata)}@ifap.invalid>",
        "MIME-Version: 1.0",
        f"Content-Type: {own['type']}",
        f"Content-Transfer-Encoding: {'base64' if made_of.key is None else '7bit'}",
        f'Content-Disposition: attachment; filename="{own["filename"]}"',
    ]


def _cut(text: str, columns: int) -> list[str]:
    return [text[start : start + columns] for start in range(0, len(text), columns)] or [""]


def opened(key: str, text: str) -> bytes:
    """What was sealed in a token that this module or the project made; its HMAC is checked."""
    secret = hashlib.sha256(key.encode()).digest()
    raw = base64.urlsafe_b64decode(text.removeprefix("!"))
    if not hmac.compare_digest(hmac.digest(secret[:16], raw[:-32], "sha256"), raw[-32:]):
        raise ValueError("the token was not made with this key")
    decryptor = Cipher(AES128(secret[16:]), CBC(raw[9:25])).decryptor()
    plain = decryptor.update(raw[25:-32]) + decryptor.finalize()
    return plain[: -plain[-1]]


# ---------------------------------------------------------------- large files


def chunk_content(data: bytes) -> bytes:
    """A part of a file with the NULs of its chunk (FORMAT 7.1)."""
    unit = 2 ** max(0, len(bin(len(data))) - 2 - 6)
    while len(data) % unit:
        data += b"\0"
    return data


def chunk_name(key: bytes, content: bytes) -> str:
    """The name of a chunk with this content, padding included."""
    return base64.urlsafe_b64encode(hmac.new(key, content, "sha256").digest()).decode().rstrip("=")


def boundaries(key: bytes, data: bytes) -> list[int]:
    """The ends of the chunks of a file, found byte by byte."""
    drawn = hashlib.shake_256(b"ifap-twisted/1/boundaries\0" + key).digest(1040)
    words = [int.from_bytes(drawn[at : at + 4], "little") for at in range(0, 1024, 4)]
    ends, start, total = list[int](), 0, 0
    for place, byte in enumerate(data):
        length = place - start
        if length >= 524_288 and (
            length == 2_097_152 or (not total >> 26 and _chosen(drawn, data[place - 32 : place]))
        ):
            ends.append(place)
            start = place
        total = (2 * total + words[byte]) % 2**32  # what is older than 32 bytes is shifted out
    return [*ends, len(data)]


def _chosen(drawn: bytes, window: bytes) -> bool:
    code = Cipher(AES128(drawn[1024:]), CBC(bytes(16))).encryptor().update(window)[16:]
    return int.from_bytes(code, "big") >> (128 - 13) == 0
