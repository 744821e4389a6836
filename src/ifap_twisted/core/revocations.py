"""Revoking the keys of a folder: the notice at which their holders stop, and what still counts under them (FORMAT 8.5).

A *notice* is sealed under the key that is given up, so that nobody makes one who does not have that key; all that it
says is in its name. A *record* is sealed under the new key: it names every message that was there before. Whatever else
is under a revoked key came too late.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.keys import Key
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON
from ifap_twisted.errors import Malformed

__all__ = ["NOTICES", "RECORDS", "Notice", "Revocation", "notice_in", "notice_kind"]

NOTICES: Final = "IFAP/keys/changed-"
"""What the reserved names of notices begin with (FORMAT 6.1)."""
RECORDS: Final = "IFAP/keys/revoked-"
"""What the reserved names of records begin with."""

_NOTICE: Final = re.compile(re.escape(NOTICES) + r"([0-9a-f]{16})-([0-9a-f]{16})-.*", re.ASCII)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
ID_LENGTH: Final = 22
"""Characters of a sealed id (FORMAT 2.1)."""


class Notice(NamedTuple):
    """The fingerprints of the key that was given up, and of the one that came instead."""

    former: str
    newer: str


def notice_kind(former: Key, newer: Key) -> str:
    """What the name of a notice begins with."""
    return f"{NOTICES}{former.fingerprint}-{newer.fingerprint}-"


def notice_in(path: str) -> Notice | None:
    """The notice that a reserved name is; None for any other."""
    found = _NOTICE.fullmatch(path)
    return None if found is None else Notice(found[1], found[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Which keys count no more, but for messages that were there before.

    :ivar keys: the fingerprints of the revoked keys.
    :ivar accepted: the sealed ids of these messages (FORMAT 2.1); at most ``limits.REVOCATION_IDS``.
    """

    keys: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()

    def refuses(self, fingerprint: str, sealed_id: str) -> bool:
        """Whether a message under a key came too late."""
        return fingerprint in self.keys and sealed_id not in self.accepted

    def joined(self, keys: Collection[str], accepted: Collection[str] = ()) -> Revocation:
        """With what else counts no more, and what else was there before."""
        return Revocation(keys=self.keys | frozenset(keys), accepted=self.accepted | frozenset(accepted))

    def encode(self) -> bytes:
        """Canonical JSON; the ids one after the other."""
        value = {"accepted": "".join(sorted(self.accepted)), "keys": sorted(self.keys), "v": 1}
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, path: str = RECORDS) -> Revocation:
        """The inverse of :meth:`encode`.

        :raises Malformed: anything odd, or more than ``limits.REVOCATION_IDS``.
        """
        try:
            if len(content) > ID_LENGTH * limits.REVOCATION_IDS + limits.SLOT_BYTES:
                raise ValueError("it is too long")
            return _revocation(strict_json(content.decode("ascii")))
        except ValueError as error:
            raise Malformed(f"What is on record of revoked keys cannot be used: {error}.", path=path) from None


def _revocation(value: JSON) -> Revocation:
    if type(value) is not dict or type(value.get("v")) is not int or value["v"] != 1:
        raise ValueError("it has the wrong shape")
    keys, ids = value.get("keys"), value.get("accepted")
    if type(keys) is not list or not keys or not all(type(one) is str and _FINGERPRINT.fullmatch(one) for one in keys):
        raise ValueError("its keys are none")
    if type(ids) is not str or len(ids) % ID_LENGTH or not _ID.fullmatch(ids):
        raise ValueError("its ids are none")
    accepted = frozenset(ids[start : start + ID_LENGTH] for start in range(0, len(ids), ID_LENGTH))
    return Revocation(keys=frozenset(keys), accepted=accepted)
