"""How the secret that wraps keys is made of what a person has (FORMAT 8.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from ifap_twisted.core import limits
from ifap_twisted.core.slot_fields import decode_bytes, encode_bytes, malformed, whole
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import Malformed, NotSupported

__all__ = ["Derivation", "Derive", "argon2id"]

_SALT: Final = 16
_SECRET: Final = 32
_ARGON2ID: Final = frozenset({"lanes", "memory", "name", "passes", "salt"})
_HKDF: Final = frozenset({"name", "salt"})

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """How the wrapping key comes from what a person has.

    :ivar salt: 16 random bytes.
    :ivar memory: of Argon2id, in KiB; 0 for a recovery code, which is random already and is not stretched.
    :ivar passes: over the memory; ``lanes`` of it.
    """

    salt: bytes
    memory: int = 0
    passes: int = 0
    lanes: int = 0

    @classmethod
    def draw(cls, random: Random, *, stretched: bool) -> Derivation:
        """A new one of local defaults, whatever an older slot had."""
        salt = random(_SALT)
        if not stretched:
            return cls(salt=salt)
        return cls(salt=salt, memory=limits.KDF_MEMORY, passes=limits.KDF_PASSES, lanes=limits.KDF_LANES)

    def check(self) -> None:
        """Refuse what is weaker than the floor, or takes more than a folder may make a device use.

        :raises Malformed:
        """
        least = (limits.KDF_MEMORY_LEAST, limits.KDF_PASSES_LEAST, 1)
        most = (limits.KDF_MEMORY_MOST, limits.KDF_PASSES_MOST, limits.KDF_LANES_MOST)
        asked = (self.memory, self.passes, self.lanes)
        if any(number < low for number, low in zip(asked, least, strict=True)):
            raise Malformed("A key slot is derived more weakly than is allowed.", section="slot")
        if any(number > high for number, high in zip(asked, most, strict=True)):
            raise Malformed("A key slot asks for more memory or time than is allowed.", section="slot")
        if self.memory * self.passes > limits.KDF_WORK_MOST or self.memory < 8 * self.lanes:
            raise Malformed("A key slot asks for more memory or time than is allowed.", section="slot")

    def to_json(self) -> dict[str, JSON]:
        """The object in a slot."""
        salt = encode_bytes(self.salt)
        if not self.memory:
            return {"name": "hkdf", "salt": salt}
        return {
            "name": "argon2id",
            "salt": salt,
            "memory": self.memory,
            "passes": self.passes,
            "lanes": self.lanes,
        }

    @classmethod
    def from_json(cls, value: JSON, *, stretched: bool) -> Derivation:
        """The inverse of :meth:`to_json`, with its bounds checked.

        :raises Malformed: it is none, or outside its bounds.
        """
        wanted, name = (_ARGON2ID, "argon2id") if stretched else (_HKDF, "hkdf")
        if not isinstance(value, dict) or value.keys() != wanted or value["name"] != name:
            raise malformed()
        salt = decode_bytes(value["salt"], _SALT)
        if not stretched:
            return cls(salt=salt)
        found = cls(
            salt=salt, memory=whole(value["memory"]), passes=whole(value["passes"]), lanes=whole(value["lanes"])
        )
        found.check()
        return found


Derive = Callable[[bytes, Derivation], bytes]
"""From what a person has, and the parameters, 32 bytes."""


def argon2id(secret: bytes, how: Derivation) -> bytes:
    """Stretch a passphrase (RFC 9106, version 0x13): takes a tenth of a second and ``how.memory``; call it in a worker.

    :raises NotSupported: the cryptography library here was built without it.
    """
    try:
        kdf = Argon2id(salt=how.salt, length=_SECRET, iterations=how.passes, lanes=how.lanes, memory_cost=how.memory)
    except UnsupportedAlgorithm:
        raise NotSupported(
            "The cryptography library of this system has no Argon2id; install its wheel from PyPI."
        ) from None
    return kdf.derive(secret)
