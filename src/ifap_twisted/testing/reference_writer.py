"""An encoder of the messages of the reference programs, written from WIRE-FORMAT 2 alone.

It refuses to share a line with the project: it imports only the standard library and cryptography, so that the project
can be judged by what it reads of it. It reproduces all 160 messages of the test vectors that the reference wrote.

How to use it::

    message = encode("dir/a.txt", b"hello", {"ts": 1573400100}, dialect="mailfile", key="passphrase")
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet

CRLF = b"\r\n"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What differs between the messages of the two programs (WIRE-FORMAT 1)."""

    header: str
    media_type: str
    to: str
    sender: str
    subject: str
    filename: str
    extra: tuple[str, ...] = ()


DIALECTS = {
    "ifaplib": Dialect(
        "X-IFAP",
        "application/x-ifap",
        ".. <to@ifap.example>",
        ".. <from@ifap.example>",
        "[IFAP] File Storage",
        "ifap.enc",
    ),
    "mailfile": Dialect(
        "X-Mailfile",
        "application/x-mailfile",
        ".. <to@mailfile.example>",
        ".. <from@mailfile.example>",
        "[Mailfile] File Storage",
        "mailfile.enc",
        ("X-Keep-On-Server: manual-delete, not-email",),
    ),
}


@dataclasses.dataclass(frozen=True)
class Stamp:
    """The time and the initialisation vector of a token."""

    time: int = 1573400000
    iv: bytes = bytes(16)


def encode(
    path: str,
    content: bytes,
    metadata: Mapping[str, Any] | None = None,
    *,
    dialect: str = "ifaplib",
    key: str | None = None,
    order: Sequence[str] = (),
    stamps: tuple[Stamp, Stamp] = (Stamp(), Stamp()),
    addresses: Mapping[str, str] | None = None,
) -> bytes:
    """The message of one version, as the reference appends it.

    :param order: the order of the keys of the JSON object, ``_`` included; arbitrary in the reference (2.1).
    :param stamps: of the metadata's and of the payload's token.
    :param addresses: ``to``, ``sender`` and ``subject``, where they are not the dialect's.
    """
    changes: dict[str, Any] = dict(addresses or {})
    kind = dataclasses.replace(DIALECTS[dialect], **changes)
    values = {**(metadata or {}), "fn": path, "bytes": len(content)}
    if key is None:
        header = base64.b64encode(json_text(values, order))
        body = fold(base64.b64encode(content), 78, CRLF)
        subject, encoding, filename = f"{kind.subject}: {path}", "base64", path.rpartition("/")[2]
    else:
        fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
        header = fold(token(fernet, padded_metadata(values, order), stamps[0]), 77, CRLF + b" ")
        body = fold(token(fernet, padded_content(content), stamps[1]), 78, CRLF)
        subject, encoding, filename = kind.subject, "7bit", kind.filename
    lines = [
        f"To: {kind.to}",
        f"From: {kind.sender}",
        f"Subject: {subject}",
        *kind.extra,
        f"{kind.header}:",
        f" {header.decode('ascii')}",
        f"Content-Type: {kind.media_type}",
        f"Content-Transfer-Encoding: {encoding}",
        f'Content-Disposition: attachment; filename="{filename}"',
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def json_text(values: Mapping[str, Any], order: Sequence[str] = ()) -> bytes:
    """``json.dumps(values, indent=1)`` of Python 2 (2.1)."""
    ordered = {name: values[name] for name in order if name in values} | dict(values)
    return json.dumps(ordered, indent=1, separators=(", ", ": ")).encode("ascii")


def padded_metadata(values: Mapping[str, Any], order: Sequence[str] = ()) -> bytes:
    """The text with ``_`` added, by the length that it has without (2.2, steps 2 to 4)."""
    length = len(json_text(values, order))
    return json_text({"_": "_" * (148 - length % 148), **values}, order)


def padded_content(content: bytes) -> bytes:
    """The content with 1 to 2,048 blanks (2.2, step 5)."""
    return content + b" " * (2048 - len(content) % 2048)


def token(fernet: Fernet, data: bytes, stamp: Stamp) -> bytes:
    """``!`` and a token of a given time and vector."""
    return b"!" + fernet._encrypt_from_parts(data, stamp.time, stamp.iv)  # noqa: SLF001 -- the only way to a given vector


def fold(text: bytes, columns: int, separator: bytes) -> bytes:
    """Pieces of exactly so many characters, no empty last one."""
    return separator.join(text[start : start + columns] for start in range(0, len(text), columns))
