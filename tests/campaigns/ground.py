"""What all campaigns share; it needs no reactor."""

from __future__ import annotations

import os
from pathlib import Path

from ifap_twisted.core.keys import Key

KEY = Key.from_text("a key for campaigns")
START = 1_800_000_000.0
"""When fast clocks begin."""


def in_memory() -> str | None:
    """Where files cost no disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def write_state(path: Path, text: str) -> None:
    """Replace a state file, so that a run that is ended meanwhile leaves the one before."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
