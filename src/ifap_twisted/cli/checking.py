"""How ``ifap check`` shows what it found."""

from __future__ import annotations

from ifap_twisted.cli.printing import Console, table
from ifap_twisted.cli.problems import DAMAGED
from ifap_twisted.cli.progress import counting
from ifap_twisted.core.findings import NOTE, Checkup, Finding
from ifap_twisted.interfaces import IFilesystem

WHOLE = 1000
"""Steps of the bar: how many messages there are is known only later."""


async def checked(filesystem: IFilesystem, console: Console, read_data: float, *, bind: bool = False) -> Checkup:
    """Check, with a bar on the terminal."""
    with counting(console, "Checking", WHOLE, unit="") as bar:
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal shown
            now = WHOLE * done // max(total, 1)
            bar.advance(now - shown)
            shown = now

        return await filesystem.check(read_data=read_data, bind=bind, progress=progress)


def show_checkup(console: Console, found: Checkup) -> None:
    """One line for each finding, and at the end what was looked at; damage is exit status 7."""
    shown = [one for one in found.findings if console.json or one.severity != NOTE or console.verbosity >= 1]
    if console.json:
        for finding in shown:
            console.object(finding.to_json())
    else:
        for line in table([_row(finding) for finding in shown], right=()):
            console.line(line)
    if not found.complete:
        console.warning("Not everything could be looked at; try again later.")
    console.note(summary(found))
    if found.damaged:
        console.status = console.status or DAMAGED


def summary(found: Checkup) -> str:
    """What was looked at, and how much damage there was, in a sentence."""
    damage = "no damage" if not found.damaged else f"{found.damaged} damaged"
    read = f", {found.bodies} contents read ({found.bytes} bytes)" if found.share else ""
    return f"{found.headers} messages looked at{read}: {damage}."


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    count = f" ({finding.places} messages)" if finding.places > 1 else ""
    path = "" if finding.path is None else f"/{finding.path}"
    return finding.severity, finding.code, path, finding.version or "", finding.text + count
