"""The test vectors: messages that the reference programs wrote, and altered ones, with what is to come of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifap_twisted.core.dialects import IFAP, MAILFILE, Dialect
from ifap_twisted.core.keys import Key

ROOT = Path(__file__).parent.parent / "vectors"
MANIFEST = json.loads((ROOT / "manifest.json").read_text())
DIALECTS = {"ifaplib": IFAP, "mailfile": MAILFILE}


@dataclass(frozen=True)
class Vector:
    """One message; ``facts`` are its entry in the manifest."""

    name: str
    verdict: str
    dialect: Dialect
    keys: Sequence[Key]
    message: bytes
    facts: dict[str, Any]

    @property
    def head(self) -> bytes:
        """The header block, its empty line included."""
        ends = [self.message.find(mark) + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if mark in self.message]
        return self.message[: min(ends)] if ends else self.message


def vectors(*verdicts: str, made_by: str | None = None) -> Iterator[Vector]:
    """The messages with one of these verdicts, in both dialects."""
    for facts in MANIFEST["messages"]:
        if facts["verdict"] in verdicts and made_by in {None, facts["made_by"]}:
            yield Vector(
                name=facts["id"],
                verdict=facts["verdict"],
                dialect=DIALECTS[facts["dialect"]],
                keys=() if facts["key"] is None else (Key.from_text(facts["key"]),),
                message=(ROOT / facts["file"]).read_bytes(),
                facts=facts,
            )


def vector(name: str) -> Vector:
    """The message of this name, as ``ifaplib/enc-basic``."""
    verdict = next(facts["verdict"] for facts in MANIFEST["messages"] if facts["id"] == name)
    return next(found for found in vectors(verdict) if found.name == name)
