"""Key slots: contents that anybody may put into a folder, what is sealed in them, and headers that announce them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ifap_twisted.core import limits
from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slots import PASSPHRASE, RECOVERY, Slot, Unwrapped, wrap
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import Malformed, NewerVersionNeeded, WrongKey
from ifap_twisted.filesystem.unlocking import SLOTS, announced

OWN_SEAL: Final = 1
"""The rest of the input is what whoever has the secret seals: what is behind the authentication."""
HEADER: Final = 2
"""The rest of the input is a header block."""

_SECRET: Final = bytes(range(32))
_HOW: Final = Derivation(salt=b"s" * 16)
_KEYS: Final = (Key.from_text("one"), Key.from_text("two"))
_HELD: Final = Unwrapped(keys=_KEYS, home="AAAAAAAA", generation=2, dialect="ifap")
_VECTORS: Final = Path(__file__).parent.parent.parent / "vectors_slots"
WORDS: Final = (
    *b'"v":1|"type":"passphrase"|"type":"recovery"|"kdf":{"name":"hkdf"|"name":"argon2id"|"memory":'.split(b"|"),
    *b'"passes":|"lanes":|"salt":"|"commit":"|"sealed":"|"generation":|"keys":["|"dialect":"|\\ud800|=='.split(b"|"),
    *b"9007199254740993|X-IFAP: {".split(b"|"),
)
"""What such inputs are made of."""


def one(data: bytes) -> None:
    """A slot or one of our errors; its bounds hold before anything is derived, and only what was wrapped opens."""
    mode, rest = data[:1] or b"\0", data[1:]
    if mode[0] & HEADER:
        found = announced(HeaderBlock(1, len(rest), rest))
        assert found is None or b"slot-" in rest.replace(b"\r\n ", b"")
        return
    try:
        slot = _sealed(rest) if mode[0] & OWN_SEAL else Slot.read(rest)
    except (Malformed, NewerVersionNeeded):
        return
    assert Slot.read(slot.encode()) == slot
    assert slot.how.memory * slot.how.passes <= limits.KDF_WORK_MOST
    try:
        held = slot.unwrap(_SECRET, derive=_derive)
    except (Malformed, WrongKey):
        return
    if not mode[0] & OWN_SEAL:
        assert held == _HELD, "a forged slot opened"
    again = wrap(held, slot.kind, _SECRET, how=slot.how, random=bytes, derive=_derive)
    assert again.unwrap(_SECRET, derive=_derive) == held


def seeds() -> Iterator[bytes]:
    """Slots of each kind, what one would change in them, what a key holder could seal, and headers."""
    stretched = replace(_HOW, memory=64 * 1024, passes=3, lanes=4)
    for kind, how in ((PASSPHRASE, stretched), (RECOVERY, _HOW)):
        slot = wrap(_HELD, kind, _SECRET, how=how, random=bytes, derive=_derive)
        yield b"\0" + slot.encode()
        for name, value in (("v", 2), ("type", ["recovery"]), ("generation", True), ("home", "\u00e4"), ("sealed", "")):
            yield b"\0" + json.dumps({**slot.to_json(), name: value}).encode("ascii")
    for memory, passes, lanes in ((1, 1, 1), (2**40, 3, 4), (256 * 1024, 16, 16), (19 * 1024, 2, 1)):
        kdf = {"name": "argon2id", "salt": "c" * 22 + "==", "memory": memory, "passes": passes, "lanes": lanes}
        yield b"\0" + json.dumps({**slot.to_json(), "type": PASSPHRASE, "kdf": kdf}).encode("ascii")
    yield from (b"\0" + path.read_bytes() for path in sorted(_VECTORS.glob("*.json")))
    held = {"dialect": "ifap", "generation": 2, "home": "AAAAAAAA", "keys": ["one"]}
    for change in ({}, {"keys": []}, {"keys": ["\ud800"]}, {"keys": [1]}, {"generation": 1}, {"home": None}):
        yield bytes([OWN_SEAL]) + json.dumps({**held, **change}).encode("ascii")
    for text in (f'{{"bytes":1,"fn":"{SLOTS}recovery-x","v":1}}', f'{{"fn":"{SLOTS}","v":1}}', '{"fn":"a","v":1}'):
        yield bytes([HEADER]) + b"X-IFAP: " + text.encode() + b"\r\n\r\n"


def _sealed(text: bytes) -> Slot:
    """A slot that opens, whatever is in it; by the specification, not by the program (FORMAT 8.4)."""
    slot = wrap(_HELD, RECOVERY, _SECRET, how=_HOW, random=bytes)
    info = b"ifap-twisted/1/slot/recovery"
    wrapping = HKDF(algorithm=SHA256(), length=64, salt=_HOW.salt, info=info).derive(_SECRET)[:32]
    associated = json.dumps(slot.associated(), sort_keys=True, separators=(",", ":")).encode("ascii")
    return replace(slot, sealed=AESGCM(wrapping).encrypt(slot.nonce, text, associated))


def _derive(secret: bytes, how: Derivation) -> bytes:
    """In the place of what takes a tenth of a second; that its bounds were held is all that matters here."""
    how.check()
    return sha256(secret + how.salt).digest()
