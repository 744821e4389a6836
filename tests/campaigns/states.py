"""Where campaigns keep how far they came."""

from __future__ import annotations

from pathlib import Path


def write_state(path: Path, text: str) -> None:
    """Replace a state file, so that a run that is ended meanwhile leaves the one before."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)
