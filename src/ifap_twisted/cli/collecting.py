"""How ``ifap gc`` shows what became of each version."""

from __future__ import annotations

from typing import Final

from ifap_twisted.cli.printing import Console, table
from ifap_twisted.core.collection import COLLECTED, KEPT, PLANNED, WAITING, Collection, Verdict

_WHOLE: Final = {PLANNED: "planned", WAITING: "waiting", COLLECTED: "removed"}
_HYPOTHETIC: Final = {PLANNED: "would be planned", WAITING: "waiting", COLLECTED: "would be removed"}
_DAY: Final = 86400.0
_HOUR: Final = 3600.0


def show_collection(console: Console, found: Collection) -> None:
    """One line for each version, and at the end how many there were; those that stay with ``dry_run`` only."""
    shown = [verdict for verdict in found.verdicts if found.dry_run or verdict.fate != KEPT]
    if console.json:
        for verdict in shown:
            console.object(verdict.to_json())
    else:
        for line in table([_row(verdict) for verdict in shown], right=(2,)):
            console.line(line)
    for message in found.messages:
        console.warning(message.text)
    if found.verdicts or not found.messages:  # or it could not even look
        console.note(summary(found))


def summary(found: Collection) -> str:
    """How many versions met which fate, in a sentence."""
    counts, sizes = found.counts(), found.sizes()
    words = _HYPOTHETIC if found.dry_run else _WHOLE
    parts = [f"{counts[fate]} {word} ({sizes[fate]} bytes)" for fate, word in reversed(words.items()) if counts[fate]]
    return ", ".join([*parts, f"{counts[KEPT]} kept"]) + "."


def _row(verdict: Verdict) -> tuple[str, str, str, str, str]:
    left = "" if verdict.left is None else f" It goes in {_span(verdict.left)} at the earliest."
    return verdict.fate, verdict.vid, str(verdict.size), f"/{verdict.path}", verdict.text + left


def _span(seconds: float) -> str:
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:.0f} days"
    return f"{max(1, round(seconds / _HOUR))} h"
