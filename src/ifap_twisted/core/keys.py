"""The data key of a folder, and what is derived from it (FORMAT 8.1).

It draws no randomness of its own, and it shows its secret only through ``text``, ``signing``, ``encryption`` and
``subkey``: never in a repr, a pickle or an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final, NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ifap_twisted.errors import CallerError

__all__ = ["Key", "new_key_text"]

_KEY_BYTES: Final = 32
_CONTEXT: Final = b"ifap-twisted/1/"


class Key:
    """A data key: the string that the reference calls its passphrase, and the two secrets that Fernet makes of it.

    Equal when the secrets are; safe to log, because only the fingerprint is shown. Cannot be pickled.
    """

    __slots__ = ("_fingerprint", "_secret", "_text")

    def __init__(self, text: str) -> None:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            # Without the cause: it would carry the key into a traceback.
            raise CallerError("The key is not Unicode text.") from None
        self._text = text
        self._secret = hashlib.sha256(encoded).digest()
        self._fingerprint = self.subkey("fingerprint", 8).hex()

    @classmethod
    def from_text(cls, text: str) -> Key:
        """The key of a key string or passphrase, exactly as the reference uses it (WIRE-FORMAT 2.2).

        :raises CallerError: the string holds lone surrogates.
        """
        return cls(text)

    @property
    def text(self) -> str:
        """The string itself: a secret, to be shown only when its owner asks for it."""
        return self._text

    @property
    def signing(self) -> bytes:
        """The 16 bytes under which tokens are authenticated."""
        return self._secret[:16]

    @property
    def encryption(self) -> bytes:
        """The 16 bytes under which tokens are encrypted (AES-128)."""
        return self._secret[16:]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name the key: safe to show and to log."""
        return self._fingerprint

    def subkey(self, purpose: str, length: int = 32) -> bytes:
        """An independent secret of ``length`` bytes (1 to 8,160) for one purpose; never used for messages."""
        context = _CONTEXT + purpose.encode()
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=context).derive(self._secret)

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._secret, other._secret) if isinstance(other, Key) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    def __repr__(self) -> str:
        return f"<Key {self._fingerprint}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key cannot be pickled or copied")


def new_key_text(random: Callable[[int], bytes]) -> str:
    """A new key string: 32 random bytes in base64, 44 characters, as the reference's CLI makes them.

    :param random: gives that many random bytes.
    """
    drawn = random(_KEY_BYTES)
    if len(drawn) != _KEY_BYTES:
        raise ValueError("the source of randomness gave another number of bytes")
    return base64.b64encode(drawn).decode("ascii")
