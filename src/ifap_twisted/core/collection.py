"""What a collection found and did, version by version; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.values import JSON, Notice

__all__ = ["COLLECTED", "FATES", "KEPT", "PLANNED", "REASONS", "WAITING", "Collection", "Verdict"]

KEPT: Final = "kept"
PLANNED: Final = "planned"
WAITING: Final = "waiting"
COLLECTED: Final = "collected"
FATES: Final = (KEPT, PLANNED, WAITING, COLLECTED)
"""Not touched; now written into a plan; in a plan whose grace is not over; gone for good (FORMAT 5.3)."""


REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "head": "Nothing has replaced it.",
        "not-understood": "A newer version of ifap-twisted wrote it, or what is the newest of the file.",
        "tombstone": "It is a removal, which is kept for a year.",
        "last": "It is one of the last versions, of which so many are kept.",
        "within": "It is not older than what is kept in any case.",
        "daily": "It is the last one of a day.",
        "weekly": "It is the last one of a week.",
        "monthly": "It is the last one of a month.",
        "old": "There are newer versions, and no rule keeps it.",
        "removed": "The file was removed more than a year ago.",
        "tombstone-over": "It is the removal of a file of which nothing is left, more than a year ago.",
        "in-use": "It is being read, or the file is being written.",
        "missing": "The newest version of the file is gone, and nobody has settled that yet.",
        "damaged": "A content of the file is damaged: what is whole may be all that there is.",
        "not-told-apart": "Another version carries the same id.",
        "not-covered": "What it was replaced by is too new, or something has to go before it.",
        "superseded": "There is a newer snapshot.",
        "done": "Nothing that the plan names is there any more.",
        "resealed": "It is a copy under an earlier key, or without proof of its content; a newer copy takes over.",
        "referenced": "A large file needs this chunk.",
        "unreferenced": "No version of a large file needs this chunk any more.",
        "repeated": "Later records, or checkpoints, say all that it says, or it is too old to count.",
    }
)
"""What each word of ``Verdict.reason`` says to a person."""


class Verdict(NamedTuple):
    """What becomes of one version.

    :ivar path: without a leading slash (JSON shows it with one); reserved ones for what is tidied up besides.
    :ivar size: bytes of content as sent, of one place.
    :ivar uids: its places; each takes room on the server.
    :ivar fate: ``kept``, ``planned``, ``waiting`` or ``collected``.
    :ivar reason: a stable word that says why it is kept, or why it may go; ``text`` says it to a person.
    :ivar left: of a waiting one the seconds until it may go, as far as is known.
    """

    path: str
    vid: str
    size: int
    uids: tuple[int, ...]
    fate: str
    reason: str
    text: str
    left: float | None = None

    def to_json(self) -> dict[str, JSON]:
        """A JSON object; of its UIDs only how many they are, because they mean nothing to others."""
        return {
            "path": "/" + self.path,
            "version": self.vid,
            "size": self.size,
            "places": len(self.uids),
            "fate": self.fate,
            "reason": self.reason,
            "text": self.text,
            "left": self.left,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Verdict:
        """The inverse of :meth:`to_json`; its UIDs are 0."""
        return cls(
            path=value["path"].removeprefix("/"),
            vid=value["version"],
            size=int(value["size"]),
            uids=(0,) * min(int(value["places"]), limits.PLAN_ENTRIES),
            fate=value["fate"],
            reason=value["reason"],
            text=value["text"],
            left=None if value["left"] is None else float(value["left"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The result of ``IFilesystem.collect``.

    :ivar verdicts: of all versions that were looked at, by path; empty when nothing could be done.
    :ivar messages: why nothing, or not everything, could be done.
    :ivar dry_run: nothing was written or removed: ``planned`` and ``collected`` tell what would be, by the clock of
        this machine in place of the server's.
    """

    verdicts: tuple[Verdict, ...] = ()
    messages: tuple[Notice, ...] = ()
    dry_run: bool = False

    def summary(self) -> dict[str, JSON]:
        """A JSON object of all but the verdicts."""
        return {
            "dry_run": self.dry_run,
            "counts": dict(self.counts()),
            "bytes": dict(self.sizes()),
            "messages": [message.to_json() for message in self.messages],
        }

    def listed(self) -> tuple[str, Sequence[Verdict]]:
        """The verdicts, and their key beside the summary."""
        return "verdicts", self.verdicts

    def counts(self) -> Mapping[str, int]:
        """How many versions met each fate; every fate is a key."""
        found = dict.fromkeys(FATES, 0)
        for verdict in self.verdicts:
            found[verdict.fate] += 1
        return found

    def sizes(self) -> Mapping[str, int]:
        """Bytes of content by fate, all places counted; every fate is a key."""
        found = dict.fromkeys(FATES, 0)
        for verdict in self.verdicts:
            found[verdict.fate] += verdict.size * len(verdict.uids)
        return found
