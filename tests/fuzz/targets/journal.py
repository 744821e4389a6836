"""Files of the journal (FORMAT 4.1, 8.1): records with and without a key, and the facts that are sealed in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ifap_twisted.core.frozen import EARLIER, MAGIC, Frozen, freeze, thaw
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import ABSENT
from ifap_twisted.errors import DataError

OWN_SEAL: Final = 1
"""The rest of the input is the facts of a record, sealed by whoever has the key."""
FIRST_FORMAT: Final = 2
IN_CLEAR: Final = 4

_KEY, _OTHER = Key.from_text("correct horse"), Key.from_text("battery staple")
_NONCE: Final = b"\5" * 12
_ENTRY: Final = Frozen(
    account="embedded", folder="IFAP_DATA", home="AAAAAAAA", dialect="ifap", sealed_id="x", message=b""
)
WORDS: Final = (
    *(MAGIC, EARLIER, b"IFAPJ3\r\n", bytes(8), b"\0" * 7 + b"\x10"),
    *b'"account"|"expect": [|"replaced": [|"accepted": true|null|"sha256"|-----'.split(b"|"),
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """Each byte is in one record; of each record a message or one of our errors; a message can be kept again."""
    flags, rest = (data[0], data[1:]) if data else (0, b"")
    content = _record(rest, flags) if flags & OWN_SEAL else rest
    found = list(thaw(content, (_KEY,)))
    assert b"".join(record for record, _ in found) == content
    for _, what in found:
        if isinstance(what, Frozen):
            kept = b"".join(freeze(what, _KEY, lambda count: _NONCE[:count]))
            assert [again for _, again in thaw(kept, (_OTHER, _KEY))] == [what]
        else:
            assert isinstance(what, DataError)


def seeds() -> Iterator[bytes]:
    """Files with several records, cut ones, and facts of all shapes."""
    entries = (
        _ENTRY,
        replace(_ENTRY, message=b"X-IFAP: !\r\n\r\n" + MAGIC, accepted=True, expect=ABSENT),
        replace(_ENTRY, expect="v" * 22, replaced=("a", "b"), folder="f\u00fcr"),
    )
    for key in (_KEY, _OTHER, None):
        records = [b"".join(freeze(entry, key, lambda count: _NONCE[:count])) for entry in entries]
        yield b"\0" + b"".join(records)
        yield b"\0" + records[0][:-3] + records[1]
        yield b"\0" + MAGIC.replace(b"2", b"7") + records[2]
    for entry in entries[::2]:
        facts = json.dumps(_facts(entry)).encode("ascii")
        yield from (bytes([OWN_SEAL | more]) + facts for more in (0, FIRST_FORMAT, IN_CLEAR))


def _facts(entry: Frozen) -> dict[str, Any]:
    return {
        "account": entry.account,
        "folder": entry.folder,
        "home": entry.home,
        "dialect": entry.dialect,
        "sealed_id": entry.sealed_id,
        "sha256": hashlib.sha256(b"").hexdigest(),
        "accepted": entry.accepted,
        "expect": [],
        "replaced": list(entry.replaced),
    }


def _record(text: bytes, flags: int) -> bytes:
    """The record of a message without a byte, of which these facts are told."""
    magic = EARLIER if flags & FIRST_FORMAT else MAGIC
    name = b"-" * 16 if flags & IN_CLEAR else _KEY.fingerprint.encode("ascii")
    head = magic + name + _NONCE + (len(text) + 16).to_bytes(8, "big") + bytes(8)
    if flags & IN_CLEAR:
        return head + text + hashlib.sha256(head + text).digest()[:16]
    return head + AESGCM(_KEY.subkey("journal")).encrypt(_NONCE, text, head)
