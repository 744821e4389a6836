"""Passwords and keys as values that cannot be printed by mistake.

Nothing here reads, stores or sends a secret: a value hides itself, and whoever needs the text says ``reveal``.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Final, NoReturn, Self

__all__ = ["Credentials", "Secret"]

REDACTED: Final = "<secret>"
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Secret:
    """A password or key that shows itself as ``<secret>`` everywhere.

    Equality takes constant time for equal lengths; pickling is refused, because a pickle would hold the text.

    :param value: text (kept as UTF-8) or bytes.
    :raises ValueError: the text has a lone surrogate; the error shows nothing of it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        if isinstance(value, str) and LONE_SURROGATE.search(value):
            raise ValueError("the secret is not text")  # the codec's own error would carry it
        self._value = value.encode("utf-8") if isinstance(value, str) else bytes(value)

    def reveal(self) -> str:
        """The text itself.

        :raises ValueError: it was made from bytes that are not UTF-8; the error shows nothing of them.
        """
        if not self.is_text:
            raise ValueError("the secret is not text")
        return self._value.decode("utf-8")

    @property
    def is_text(self) -> bool:
        """It is valid UTF-8."""
        return not LONE_SURROGATE.search(self._value.decode("utf-8", "surrogateescape"))

    def reveal_bytes(self) -> bytes:
        """The bytes themselves; of a text its UTF-8."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, specification: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an account is opened with."""

    user: str
    password: Secret
