"""Whole messages, as a mail server gives them: headers, tokens, parts, content (FORMAT 1; WIRE-FORMAT 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from ifap_twisted.core import envelope, sealing
from ifap_twisted.core.dialects import IFAP, MAILFILE, Dialect
from ifap_twisted.core.envelope import is_foreign, is_sealed, read_header, read_message
from ifap_twisted.core.keys import Key
from ifap_twisted.core.mime import head_end
from ifap_twisted.errors import DataError
from tests.vectors_own import generate

OTHER_DIALECT: Final = 1
KEYED: Final = 2
AT_HOME: Final = 4
BOUND_ONLY: Final = 8
OWN_SEAL: Final = 16
"""The rest of the input is two texts, which whoever has the key seals: what is behind the HMAC."""

_MANIFEST: Final = json.loads((generate.HERE / "manifest.json").read_text(encoding="utf-8"))
_KEY: Final = Key.from_text(_MANIFEST["keys"]["main"]["text"])
_LARGEST: Final = 8 * 1024
WORDS: Final = (
    *(field.encode() for field in (IFAP.header, MAILFILE.header, IFAP.media_type, MAILFILE.media_type)),
    *b"Content-Type: |multipart/mixed; boundary=|message/rfc822|--|\r\n\r\n|\r\n |!gAAAAA|==".split(b"|"),
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """Only our own errors; and of what is sealed only what the vectors' writer wrote is accepted."""
    mode, rest = data[:1] or b"\0", data[1:]
    flags = mode[0]
    dialect = MAILFILE if flags & OTHER_DIALECT else IFAP
    keys = (_KEY,) if flags & (KEYED | OWN_SEAL) else ()
    message = _sealed(rest, dialect) if flags & OWN_SEAL else rest
    _look(message, dialect)
    home = _MANIFEST["home"] if flags & AT_HOME else None
    try:
        version, content = read_message(
            message, dialect=dialect, keys=keys, home=home, require_bound=bool(flags & BOUND_ONLY)
        )
    except DataError:
        return
    assert len(content) == version.length
    assert version.bound or not flags & BOUND_ONLY
    if keys and not flags & OWN_SEAL and version.bound:
        assert (version.sealed_id, sha256(content).hexdigest()) in _written(), "a forged message was accepted"


def seeds() -> Iterator[bytes]:
    """The vectors of the specification, each as its reader would read it, and texts to be sealed."""
    for entry in _MANIFEST["messages"]:
        flags = OTHER_DIALECT if entry["dialect"] == "mailfile" else 0
        flags |= KEYED if entry["key"] is not None else 0
        message = (generate.HERE / entry["file"]).read_bytes()
        if len(message) <= _LARGEST:
            yield bytes([flags | AT_HOME]) + message
    for text in (b'{"_":"","bytes":1,"fn":"a"}', b"{\n}", b"no metadata"):
        yield bytes([OWN_SEAL]) + len(text).to_bytes(2, "big") + text + b"x" + b" " * 2047


def _look(message: bytes, dialect: Dialect) -> None:
    """What is asked of a header block before a message is fetched."""
    head = message[: head_end(message)[0]]
    assert is_sealed(head) or not is_sealed(message)
    foreign = is_foreign(head, dialect)
    for keys in ((), (_KEY,)):
        try:
            read_header(head, dialect=dialect, keys=keys, home=None)
        except DataError:
            continue
        assert not foreign


def _sealed(rest: bytes, dialect: Dialect) -> bytes:
    length = int.from_bytes(rest[:2], "big")
    text, content = rest[2:][:length], rest[2:][length:]
    token, body = (sealing.seal(_KEY, part, now=1_700_000_000, iv=b"\7" * 16) for part in (text, content))
    fields = f"{dialect.header}: {token.decode('ascii')}\r\nContent-Type: {dialect.media_type}\r\n\r\n"
    return fields.encode("ascii") + body + b"\r\n"


def _written() -> Sequence[tuple[str, str]]:
    """What the key has sealed: sealed id, and hash of the content."""
    if not _WRITTEN:
        good = (entry for entry in _MANIFEST["messages"] if entry["made_by"] == "project" and entry["key"] == "main")
        for entry in good:
            dialect = MAILFILE if entry["dialect"] == "mailfile" else IFAP
            message = (generate.HERE / entry["file"]).read_bytes()
            try:
                version, content = envelope.read_message(message, dialect=dialect, keys=(_KEY,), home=None)
            except DataError:  # of a newer release, say: nothing of it is accepted
                continue
            _WRITTEN.append((version.sealed_id, sha256(content).hexdigest()))
    return _WRITTEN


_WRITTEN: Final[list[tuple[str, str]]] = []
