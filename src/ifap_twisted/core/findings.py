"""What a check of a folder found; it looks at nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ifap_twisted.core.values import JSON

__all__ = [
    "DAMAGE",
    "FINISH_MOVE",
    "FOLDER_OBJECT",
    "NOTE",
    "REFILL",
    "REMEDIES",
    "RESTORE",
    "REWRITE",
    "SET_ASIDE",
    "SEVERITIES",
    "SNAPSHOT",
    "WARNING",
    "Checkup",
    "Finding",
]

DAMAGE: Final = "damage"
WARNING: Final = "warning"
NOTE: Final = "note"
SEVERITIES: Final = (DAMAGE, WARNING, NOTE)
"""Something is lost, forged or cannot be read; a person should look at it; good to know."""

REFILL: Final = "refill"
RESTORE: Final = "restore"
REWRITE: Final = "rewrite"
FOLDER_OBJECT: Final = "folder-object"
FINISH_MOVE: Final = "finish-move"
SNAPSHOT: Final = "snapshot"
SET_ASIDE: Final = "set-aside"
REMEDIES: Final[Mapping[str, str]] = {
    REFILL: "store the chunks that are lost again, from local files that have them",
    RESTORE: "make the newest version that is whole current again, as a new version",
    REWRITE: "write the file again under an id of its own",
    FOLDER_OBJECT: "write the object that says which folder this is again",
    FINISH_MOVE: "remove the file from the place from which it was moved: it has arrived whole at the other one",
    SET_ASIDE: "set it aside: it stays where it is, and is a note from then on",
    SNAPSHOT: "write a new snapshot",
}
"""What a repair does, in this order; none of it removes a message. Moves are finished by ``recover`` only."""


class Finding(NamedTuple):
    """One thing that a check found.

    :ivar code: a stable word: that of the error or warning of the same meaning, where there is one.
    :ivar severity: ``damage``, ``warning`` or ``note``.
    :ivar text: says it to a person.
    :ivar path: without a leading slash (JSON shows it with one), or None when it is about no single path.
    :ivar version: the id of the version that it is about, or None.
    :ivar places: how many messages it is about.
    :ivar remedy: what a repair does about it, a key of `REMEDIES`; empty for nothing: a person decides, or waits.
    :ivar mended: a repair has just done it.
    """

    code: str
    severity: str
    text: str
    path: str | None = None
    version: str | None = None
    places: int = 0
    remedy: str = ""
    mended: bool = False

    def to_json(self) -> dict[str, JSON]:
        """A JSON object."""
        return {
            "code": self.code,
            "severity": self.severity,
            "text": self.text,
            "path": None if self.path is None else "/" + self.path,
            "version": self.version,
            "places": self.places,
            "remedy": self.remedy or None,
            "mended": self.mended,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Finding:
        """The inverse of :meth:`to_json`."""
        path = value["path"]
        return cls(
            code=value["code"],
            severity=value["severity"],
            text=value["text"],
            path=None if path is None else path.removeprefix("/"),
            version=value["version"],
            places=int(value["places"]),
            remedy=value.get("remedy") or "",
            mended=bool(value.get("mended")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """The result of ``IFilesystem.check``.

    :ivar findings: most serious first.
    :ivar headers: messages whose headers were looked at, mail of others included.
    :ivar bodies: messages whose contents were read; ``bytes``: of content, as far as it was whole.
    :ivar share: the percentage of the messages with content that was asked for, 0 to 100.
    :ivar complete: everything that was to be looked at could be.
    """

    findings: tuple[Finding, ...] = ()
    headers: int = 0
    bodies: int = 0
    bytes: int = 0
    share: float = 0.0
    complete: bool = True

    @property
    def damaged(self) -> int:
        """How many findings are damage, and were not mended."""
        return sum(finding.severity == DAMAGE and not finding.mended for finding in self.findings)

    @property
    def mended(self) -> int:
        """How many findings a repair has mended."""
        return sum(finding.mended for finding in self.findings)

    def counts(self) -> Mapping[str, int]:
        """How many findings have which code, by code."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))

    def summary(self) -> dict[str, JSON]:
        """A JSON object of all but the findings."""
        return {
            "damaged": self.damaged,
            "mended": self.mended,
            "counts": dict(self.counts()),
            "headers": self.headers,
            "bodies": self.bodies,
            "bytes": self.bytes,
            "share": self.share,
            "complete": self.complete,
        }

    def listed(self) -> tuple[str, Sequence[Finding]]:
        """The findings, and their key beside the summary."""
        return "findings", self.findings

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> Checkup:
        """Of a summary with its findings."""
        return cls(
            findings=tuple(Finding.from_json(finding) for finding in value["findings"]),
            headers=int(value["headers"]),
            bodies=int(value["bodies"]),
            bytes=int(value["bytes"]),
            share=float(value["share"]),
            complete=bool(value["complete"]),
        )
