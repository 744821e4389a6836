"""Key slots: the keys of a folder, wrapped under a passphrase or a recovery code (FORMAT 8.4).

A slot is read from a folder that anybody may have written to, so every number in it is held against its bounds before
any work is done for it. It draws no randomness of its own, and shows no secret in a repr or an error.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ifap_twisted.core import limits
from ifap_twisted.core.derivation import Derivation, Derive, argon2id
from ifap_twisted.core.keys import Key
from ifap_twisted.core.slot_fields import decode_bytes, encode_bytes, malformed, short_text, whole
from ifap_twisted.core.strictjson import check_json, strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import NewerVersionNeeded, TooLarge, WrongKey

__all__ = [
    "FOLDER_KINDS",
    "LOCAL",
    "PASSPHRASE",
    "PREVIOUS",
    "RECOVERY",
    "Slot",
    "Unwrapped",
    "earlier_secret",
    "wrap",
]

PASSPHRASE: Final = "passphrase"  # noqa: S105 -- the name of a kind
RECOVERY: Final = "recovery"
PREVIOUS: Final = "previous"
"""Under the key before: whoever has that gets the newer one (FORMAT 8.5)."""
LOCAL: Final = "local"
"""In ``key.json``: under a passphrase too, and of no use in a folder."""
FOLDER_KINDS: Final = (PASSPHRASE, RECOVERY)
"""With which a person opens a folder."""
_RANDOM: Final = (RECOVERY, PREVIOUS)
"""Of which the secret is random, so that it is not stretched."""

_VERSION: Final = 1
_CONTEXT: Final = "ifap-twisted/1/slot/"
_NONCE: Final = 12
_SECRET: Final = 32
_FIELDS: Final = frozenset({"commit", "generation", "home", "kdf", "nonce", "sealed", "type", "v"})
_KEYS: Final = frozenset({"dialect", "generation", "home", "keys"})
_REVOKED: Final = "revoked"

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwrapped:
    """What a slot holds.

    :ivar keys: of the folder, the newest first; ``generation`` counts them.
    :ivar home: of the folder; empty where it was not known yet.
    :ivar revoked: the fingerprints of those keys that count only for what was there when they were revoked.
    """

    keys: tuple[Key, ...]
    home: str
    generation: int
    dialect: str
    revoked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A slot as it lies in a folder or in ``key.json``: nothing of it is to be believed until it was opened."""

    kind: str
    home: str
    generation: int
    how: Derivation
    commit: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    @classmethod
    def read(cls, content: bytes) -> Slot:
        """The slot of a content.

        :raises Malformed: it is none, or its parameters are outside of their bounds.
        :raises NewerVersionNeeded: it is of a later format.
        """
        if len(content) > limits.SLOT_BYTES:
            raise malformed()
        try:
            value = strict_json(content.decode("ascii"))
            check_json(value)
        except ValueError:
            raise malformed() from None
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: JSON) -> Slot:
        """The slot of a JSON object; errors as of :meth:`read`."""
        if isinstance(value, dict) and _is_later(value.get("v")):
            raise NewerVersionNeeded("A key slot was written by a newer version of ifap-twisted.")
        if (
            not isinstance(value, dict)
            or value.keys() != _FIELDS
            or value["type"] not in (*FOLDER_KINDS, PREVIOUS, LOCAL)
        ):
            raise malformed()
        if whole(value["v"]) != _VERSION:
            raise malformed()
        return cls(
            kind=value["type"],
            home=short_text(value["home"]),
            generation=whole(value["generation"]),
            how=Derivation.from_json(value["kdf"], stretched=value["type"] not in _RANDOM),
            commit=decode_bytes(value["commit"], _SECRET),
            nonce=decode_bytes(value["nonce"], _NONCE),
            sealed=decode_bytes(value["sealed"]),
        )

    def to_json(self) -> dict[str, JSON]:
        """The JSON object of the slot."""
        return {**self.associated(), "nonce": encode_bytes(self.nonce), "sealed": encode_bytes(self.sealed)}

    def encode(self) -> bytes:
        """Canonical JSON."""
        return _canonical(self.to_json())

    def unwrap(self, secret: bytes, derive: Derive = argon2id) -> Unwrapped:
        """Open it.

        :param secret: the passphrase as :func:`ifap_twisted.core.passphrases.normalised`, the 32 bytes of a recovery
            code, or the sub-key ``slot`` of the key before.
        :raises WrongKey: it is another one, or the slot was changed.
        :raises Malformed: it opens, and holds something else than it says.
        """
        wrapping, commit = _wrapping(secret, self.kind, self.how, derive)
        if not hmac.compare_digest(commit, self.commit):
            raise _wrong(self.kind)
        try:
            content = AESGCM(wrapping).decrypt(self.nonce, self.sealed, _canonical(self.associated()))
        except InvalidTag:
            raise _wrong(self.kind) from None
        found = _unwrapped(content)
        if (found.home, found.generation) != (self.home, self.generation):
            raise malformed()
        return found

    def associated(self) -> dict[str, JSON]:
        """What is in the clear, and authenticated."""
        return {
            "v": _VERSION,
            "type": self.kind,
            "home": self.home,
            "generation": self.generation,
            "kdf": self.how.to_json(),
            "commit": encode_bytes(self.commit),
        }


def earlier_secret(key: Key) -> bytes:
    """What opens the slots of the type ``previous`` that are under a key."""
    return key.subkey("slot")


def wrap(
    found: Unwrapped, kind: str, secret: bytes, *, how: Derivation, random: Random, derive: Derive = argon2id
) -> Slot:
    """A slot that opens with a secret.

    :param kind: :data:`PASSPHRASE`, :data:`RECOVERY`, :data:`PREVIOUS` or :data:`LOCAL`.
    :param secret: as for :meth:`Slot.unwrap`.
    :raises TooLarge: the keys are longer than a slot may be.
    """
    wrapping, commit = _wrapping(secret, kind, how, derive)
    empty = Slot(
        kind=kind,
        home=found.home,
        generation=found.generation,
        how=how,
        commit=commit,
        nonce=random(_NONCE),
        sealed=b"",
    )
    held: dict[str, JSON] = {
        "dialect": found.dialect,
        "generation": found.generation,
        "home": found.home,
        "keys": [key.text for key in found.keys],
    }
    content = _canonical(held | ({_REVOKED: sorted(found.revoked)} if found.revoked else {}))
    sealed = AESGCM(wrapping).encrypt(empty.nonce, content, _canonical(empty.associated()))
    slot = replace(empty, sealed=sealed)
    if len(slot.encode()) > limits.SLOT_BYTES:
        raise TooLarge("The keys of the folder are too long for a key slot.", limit=limits.SLOT_BYTES)
    return slot


def _wrapping(secret: bytes, kind: str, how: Derivation, derive: Derive) -> tuple[bytes, bytes]:
    """The wrapping key, and what commits to it: AES-GCM alone would let one slot open under many passphrases."""
    strong = secret if kind in _RANDOM else derive(secret, how)
    context = (_CONTEXT + kind).encode("ascii")
    both = HKDF(algorithm=SHA256(), length=2 * _SECRET, salt=how.salt, info=context).derive(strong)
    return both[:_SECRET], both[_SECRET:]


def _unwrapped(content: bytes) -> Unwrapped:
    try:
        value = strict_json(content.decode("ascii"))
    except ValueError:
        raise malformed() from None
    if not isinstance(value, dict) or value.keys() - {_REVOKED} != _KEYS or not _are_keys(value["keys"]):
        raise malformed()
    revoked = value.get(_REVOKED, [])
    if not isinstance(revoked, list) or not all(isinstance(one, str) for one in revoked):
        raise malformed()
    return Unwrapped(
        keys=tuple(Key.from_text(text) for text in value["keys"]),
        home=short_text(value["home"]),
        generation=whole(value["generation"]),
        dialect=short_text(value["dialect"]),
        revoked=frozenset(revoked),
    )


def _are_keys(value: JSON) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_key, value))


def _is_key(value: JSON) -> bool:
    """A text that is not empty; JSON can hold halves of characters, and a key cannot."""
    return isinstance(value, str) and value != "" and not any("\ud800" <= one <= "\udfff" for one in value)


def _is_later(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > _VERSION


def _canonical(value: Mapping[str, JSON]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _wrong(kind: str) -> WrongKey:
    names = {RECOVERY: "recovery code", PREVIOUS: "earlier key"}
    return WrongKey(f"The {names.get(kind, 'passphrase')} is not the right one.")
