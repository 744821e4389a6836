"""Messages of our own that were appended and are looked for among what is read (FORMAT 4.2, 4.3).

What is recognised need not be opened: its bytes are known. It decides nothing about success.
"""

from __future__ import annotations

from ifap_twisted.core import envelope
from ifap_twisted.core.dialects import Dialect
from ifap_twisted.core.values import HeaderBlock, Sealed, Version
from ifap_twisted.errors import DataError


class Lookout:
    """What is looked for, and where it was seen."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._sought: dict[str, Sealed] = {}
        self._seen: dict[str, int] = {}
        self._changed: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._sought)

    def begin(self, sealed: Sealed) -> None:
        """Look out for a message that is about to be appended."""
        self._sought[sealed.sealed_id] = sealed

    def end(self, sealed: Sealed) -> None:
        """Look out for it no more."""
        self._sought.pop(sealed.sealed_id, None)
        self._seen.pop(sealed.sealed_id, None)
        self._changed.discard(sealed.sealed_id)

    def recognised(self, block: HeaderBlock) -> Version | None:
        """The version of a header that is that of a message looked for: its token is equal and its size is right."""
        if not self._sought:
            return None
        try:
            sealed = self._sought.get(envelope.sealed_id_of(block.fields, self._dialect))
        except DataError:
            return None
        if sealed is None:
            return None
        if not envelope.same_size(sealed, block.size):
            self._changed.add(sealed.sealed_id)
            return None
        self._seen[sealed.sealed_id] = block.uid
        return sealed.version

    def uid(self, sealed: Sealed) -> int | None:
        """Where it was seen last."""
        return self._seen.get(sealed.sealed_id)

    def is_changed(self, sealed: Sealed) -> bool:
        """Whether a message with its token and another size was seen."""
        return sealed.sealed_id in self._changed

    def forget_places(self) -> None:
        """The UIDs mean nothing any more."""
        self._seen.clear()
