"""A reference program at work in a simulated folder: it saves, removes and cleans up without knowing of anybody else.

It reads as much as it needs: which message of a path is the newest, and its metadata, from which a save starts
(FORMAT 1.3). How the reference reads a whole folder is told by the tests' own reader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ifap_twisted.core import envelope, sealing
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.values import Version
from ifap_twisted.errors import DataError
from ifap_twisted.store.headers import metadata_fields
from ifap_twisted.testing.reference_writer import Stamp, encode

KEYLESS = Key.from_text("not told yet")


class ReferenceProgram:
    """One client of the reference, which sees the folder as it is.

    :param messages: gives the folder; ``add`` and ``expunge`` change it.
    :param random: gives that many random bytes.
    :ivar key: that of the folder, as soon as somebody knows it.
    """

    def __init__(
        self,
        messages: Callable[[], Mapping[int, bytes]],
        add: Callable[[bytes], int],
        expunge: Callable[[int], None],
        *,
        now: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._messages = messages
        self._add = add
        self._expunge = expunge
        self.key = KEYLESS
        self._now = now
        self._random = random
        self._known: dict[bytes, dict[str, Any] | None] = {}

    def save(self, path: str, content: bytes) -> Version:
        """Store a new version of a file, started from the metadata of the newest message of its path."""
        return self._store(path, content, {"deleted": None})

    def remove(self, path: str) -> Version | None:
        """Write a tombstone, when there is something to remove."""
        newest = self._of(path)[-1:]
        if not newest or newest[0][1].get("deleted"):
            return None
        return self._store(path, b"", {"deleted": True})

    def clean_up(self, path: str) -> list[Version]:
        """Expunge all versions of a path but the newest, as a client without a snapshot does (WIRE-FORMAT 5.2.1)."""
        gone = [(uid, self._version(self._messages()[uid])) for uid, _metadata in self._of(path)[:-1]]
        for uid, _version in gone:
            self._expunge(uid)
        return [version for _uid, version in gone]

    def _store(self, path: str, content: bytes, changes: Mapping[str, Any]) -> Version:
        known = self._of(path)
        metadata = {} if not known else {k: v for k, v in known[-1][1].items() if k not in {"_", "fn", "bytes"}}
        metadata.update({"versions": 5, "ts": int(self._now()), **changes})
        values = {name: value for name, value in metadata.items() if value is not None}
        stamps = (Stamp(int(self._now()), self._random(16)), Stamp(int(self._now()), self._random(16)))
        message = encode(path, content, values, key=self.key.text, stamps=stamps)
        self._add(message)
        return self._version(message)

    def _of(self, path: str) -> list[tuple[int, dict[str, Any]]]:
        """The messages of a path and their metadata, by ascending UID."""
        found = [(uid, self._metadata(message)) for uid, message in sorted(self._messages().items())]
        return [(uid, metadata) for uid, metadata in found if metadata is not None and metadata.get("fn") == path]

    def _metadata(self, message: bytes) -> dict[str, Any] | None:
        fields = metadata_fields(message)
        if fields not in self._known:
            self._known[fields] = self._opened(fields)
        return self._known[fields]

    def _opened(self, fields: bytes) -> dict[str, Any] | None:
        try:
            return dict(json.loads(sealing.open_token(self.key, fields.partition(b":")[2].strip())))
        except (DataError, ValueError):
            return None

    def _version(self, message: bytes) -> Version:
        return envelope.read_header(metadata_fields(message), dialect=IFAP, keys=(self.key,), home=None)
