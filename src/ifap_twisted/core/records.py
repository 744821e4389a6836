"""Collection records: which versions were removed for good, so that a copy that turns up later is known (FORMAT 5.3).

A copy of a recorded version is no head beside any other, and where the end of a file was collected, nothing that its
end descends from is one. Neither hides what is the only thing left of a path whose end is not on record.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.history import Bygone, Placed
from ifap_twisted.core.strictjson import strict_json
from ifap_twisted.core.values import JSON, Version
from ifap_twisted.core.vocabulary import LATEST, is_right
from ifap_twisted.errors import Malformed

__all__ = ["RECORDS", "Gone", "Record", "Records", "path_hash"]

RECORDS: Final = "IFAP/collected/"
"""What the reserved names of collection records begin with (FORMAT 6.1)."""


def path_hash(path: str) -> str:
    """By which a record names a path: 22 characters of base64url of its SHA-256."""
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest)[:22].decode("ascii")


class Gone(NamedTuple):
    """One version that was collected.

    :ivar path: the :func:`path_hash` of its path.
    :ivar clock: ``writer`` and ``clock`` as in its metadata; for the reference, as they were inherited.
    :ivar time: when, by the server's clock, in whole seconds of Unix time.
    :ivar end: it was the last of its path, a tombstone past its age.
    """

    path: str
    vid: str
    writer: str
    clock: tuple[tuple[str, int], ...]
    time: int
    end: bool = False

    @classmethod
    def of(cls, version: Version, *, time: float, end: bool = False) -> Gone:
        """The entry of a version."""
        clock = tuple(sorted(version.clock.items()))
        return cls(path_hash(version.path), version.vid, version.writer, clock, int(time), end)

    def is_copy(self, version: Version) -> bool:
        """Whether this is the version that was collected: an id alone can be borrowed."""
        return (
            (version.ours or version.encrypted)  # the ids of others do not tell one from another
            and self.vid == version.vid
            and self.writer == version.writer
            and self.clock == tuple(sorted(version.clock.items()))
        )

    def descends_from(self, version: Version) -> bool:
        """Whether a version of ours was an ancestor of it (FORMAT 3.1)."""
        number = version.clock.get(version.writer, 0)
        return version.ours and self.vid != version.vid and dict(self.clock).get(version.writer, 0) >= number > 0


@dataclass(frozen=True, slots=True)
class Record:
    """One collection record; at most ``limits.RECORD_ENTRIES`` entries."""

    gone: tuple[Gone, ...]

    def encode(self) -> bytes:
        """Canonical JSON."""
        shown = [
            {
                "clock": dict(one.clock),
                "path": one.path,
                "time": one.time,
                "vid": one.vid,
                "writer": one.writer,
                **({"end": True} if one.end else {}),
            }
            for one in self.gone
        ]
        return json.dumps({"collected": shown, "v": 1}, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, content: bytes, path: str = RECORDS) -> Record:
        """The inverse of :meth:`encode`.

        :raises Malformed: anything odd, or more than ``limits.RECORD_BYTES`` or ``limits.RECORD_ENTRIES``.
        """
        try:
            if len(content) > limits.RECORD_BYTES:
                raise ValueError("it is too long")
            value = strict_json(content.decode("ascii"))
            if type(value) is not dict or type(value.get("collected")) is not list:
                raise ValueError("it has the wrong shape")
            if type(value.get("v")) is not int or value["v"] != 1:
                raise ValueError("it has the wrong shape")
            if len(value["collected"]) > limits.RECORD_ENTRIES:
                raise ValueError("it has too many entries")
            return cls(tuple(_gone(one) for one in value["collected"]))
        except ValueError as error:
            raise Malformed(f"A collection record cannot be used: {error}.", section="body", path=path) from None


def _gone(value: JSON) -> Gone:
    if type(value) is not dict:
        raise ValueError("an entry has the wrong shape")
    facts: Sequence[JSON] = [value.get(name) for name in ("path", "vid", "writer", "clock", "time", "end")]
    path, vid, writer, clock, time, end = facts
    right = is_right("vid", path) and is_right("vid", vid) and type(end) in {bool, type(None)}
    right = right and (writer == "" or is_right("writer", writer)) and (clock == {} or is_right("clock", clock))
    if not right or type(time) is not int or not 0 <= time <= LATEST:
        raise ValueError("an entry has the wrong shape")
    return Gone(path, vid, writer, tuple(sorted(clock.items())), time, end is True)


class Records:
    """All that is on record; it only grows while the process lives."""

    def __init__(self) -> None:
        self._vids: dict[str, list[Gone]] = {}
        self._ends: dict[str, list[Gone]] = {}
        self._greatest: dict[str, int] = {}

    def add(self, gone: Iterable[Gone]) -> Collection[str]:
        """Take entries in; the hashes of the paths that they are about, where anything is new."""
        touched = set()
        for one in gone:
            known = self._vids.setdefault(one.vid, [])
            if one in known:
                continue
            known.append(one)
            if one.end:
                self._ends.setdefault(one.path, []).append(one)
            for writer, number in one.clock:
                self._greatest[writer] = max(number, self._greatest.get(writer, 0))
            touched.add(one.path)
        return touched

    def greatest(self, writer: str) -> int:
        """The greatest number of a writer that a clock on record names; 0 for an unknown one (FORMAT 3.2)."""
        return self._greatest.get(writer, 0)

    def is_collected(self, vid: str) -> bool:
        """There is a record for this id."""
        return vid in self._vids

    def holds(self, gone: Gone) -> bool:
        """The same is on record already, whenever it was collected."""
        return any(one == gone._replace(time=one.time) for one in self._vids.get(gone.vid, ()))

    def was_collected(self, version: Version) -> bool:
        """This very version is on record."""
        return version.vid in self._vids and self._is_copy(path_hash(version.path), version, inf)

    def explains(self, version: Version) -> bool:
        """It was collected, or the end of its file was, from which it is certain that nothing of it is left."""
        if not self._vids:
            return False
        ends = self._ends.get(path_hash(version.path), ())
        return self.was_collected(version) or any(end.descends_from(version) for end in ends)

    def has_rival(self, version: Version) -> bool:
        """A version of the same path was collected that neither descends from this one of ours nor it from that."""
        path = path_hash(version.path)
        gone = [one for known in self._vids.values() for one in known if one.path == path and one.vid != version.vid]
        return version.ours and any(
            dict(one.clock).get(one.writer, 0) > version.clock.get(one.writer, 0) and not one.descends_from(version)
            for one in gone
        )

    def __bool__(self) -> bool:
        return bool(self._vids)

    def bygone(self, versions: Sequence[Placed], before: float = inf) -> Bygone:
        """Which of all versions of a path were collected once: that stays so, whoever sends them again.

        :param before: only what was recorded until then counts, in Unix time.
        """
        if not (self._vids and versions):
            return Bygone()
        digest = path_hash(versions[0].version.path)
        ends = [end for end in self._ends.get(digest, ()) if end.time <= before]
        ended = frozenset(one.rank for one in versions if any(end.descends_from(one.version) for end in ends))
        return Bygone(frozenset(one.rank for one in versions if self._is_copy(digest, one.version, before)), ended)

    def _is_copy(self, digest: str, version: Version, before: float) -> bool:
        known = self._vids.get(version.vid, ())
        return any(one.path == digest and one.time <= before and one.is_copy(version) for one in known)
