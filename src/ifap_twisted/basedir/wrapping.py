"""The keys in ``key.json`` under a passphrase, so that a stolen basedir does not open the folder (FORMAT 8.3, 8.4).

Everything here takes a tenth of a second and 64 MiB: call it in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ifap_twisted.core.derivation import Derivation
from ifap_twisted.core.keys import Key
from ifap_twisted.core.passphrases import normalised
from ifap_twisted.core.slots import LOCAL, Slot, Unwrapped, wrap
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import CallerError
from ifap_twisted.secrecy import Secret

__all__ = ["Wrapping"]

Random = Callable[[int], bytes]


class Wrapping:
    """Wraps keys under one passphrase, and opens them again.

    :raises CallerError: it cannot be a passphrase.
    """

    def __init__(self, passphrase: Secret, random: Random) -> None:
        if not passphrase.is_text:
            raise CallerError("The passphrase is not Unicode text.")
        self._secret = Secret(normalised(passphrase.reveal()))
        self._random = random
        self._known: list[tuple[JSON, tuple[Secret, ...]]] = []

    def wrap(self, keys: Sequence[Secret]) -> JSON:
        """What stands in the file in place of the keys, the newest first; it was opened again.

        :raises TooLarge: they are too long.
        """
        held = Unwrapped(keys=tuple(Key.from_text(key.reveal()) for key in keys), home="", generation=1, dialect="")
        how = Derivation.draw(self._random, stretched=True)
        wrapped = wrap(held, LOCAL, self._secret.reveal_bytes(), how=how, random=self._random).to_json()
        if self.open(wrapped) != tuple(keys):
            raise AssertionError("what was wrapped does not open")
        return wrapped

    def open(self, wrapped: JSON) -> tuple[Secret, ...]:
        """The keys that were wrapped, the newest first.

        :raises WrongKey: under another passphrase.
        :raises Malformed: it is damaged.
        """
        for known, keys in self._known:
            if known == wrapped:
                return keys
        held = Slot.from_json(wrapped).unwrap(self._secret.reveal_bytes())
        keys = tuple(Secret(key.text) for key in held.keys)
        self._known.append((wrapped, keys))
        return keys
