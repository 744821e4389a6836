"""How ``ifap check`` shows what it found, says what it would do about it, asks, and does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ifap_twisted.cli import opening
from ifap_twisted.cli.asking import ask_yes, has_person
from ifap_twisted.cli.logging_in import hold_alone
from ifap_twisted.cli.passphrases import needed_passphrase
from ifap_twisted.cli.printing import Console, table
from ifap_twisted.cli.problems import DAMAGED
from ifap_twisted.cli.progress import steps
from ifap_twisted.core.findings import NOTE, REMEDIES, Checkup, Finding
from ifap_twisted.errors import ChunkLost
from ifap_twisted.interfaces import IFilesystem

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def checked(
    filesystem: IFilesystem,
    console: Console,
    read_data: float,
    *,
    bind: bool = False,
    repair: bool = False,
    accept: bool = False,
    sources: Path | None = None,
) -> Checkup:
    """Check, with a bar on the terminal."""
    with steps(console, "Mending" if repair else "Checking") as progress:
        return await filesystem.check(
            read_data=read_data, bind=bind, repair=repair, accept=accept, sources=sources, progress=progress
        )


async def run_recover(session: Session) -> None:
    """Recover with the basedir alone, and say what was done."""
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        passphrase = await needed_passphrase(session, basedir, settings)
        with steps(console, "Recovering") as progress:
            found = await opening.recover(session, basedir, settings, passphrase, progress)
    show_checkup(console, found)
    console.note("What is known of the folder was built anew from its messages alone.")


async def repaired(
    filesystem: IFilesystem,
    console: Console,
    read_data: float,
    *,
    bind: bool = False,
    accept: bool = False,
    sources: Path | None = None,
) -> None:
    """Check, say what would be done about it, ask where somebody is there, and do it; with JSON what came of it."""
    found = await checked(filesystem, console, read_data, bind=bind, accept=accept)
    lost = sources is not None and any(finding.code == ChunkLost.code for finding in found.findings)
    planned = [finding for finding in found.findings if finding.remedy]
    if not (planned or lost):
        show_checkup(console, found)
        console.note("There is nothing that can be mended.")
        return
    if not console.json:
        show_findings(console, found)
        if planned:
            show_plan(console, planned)
        if lost:
            console.line(f"Before anything else, lost chunks are looked for in {sources}.")
        console.flush()
    if has_person() and not ask_yes(
        f"Mend {len(planned)} of {len(found.findings)} findings?" if planned else "Look for lost chunks?"
    ):
        if console.json:
            show_findings(console, found)
        conclude(console, found)
        console.note("Nothing was mended.")
        return
    show_checkup(console, await checked(filesystem, console, 0.0, repair=True, sources=sources))


def show_checkup(console: Console, found: Checkup) -> None:
    """One line for each finding, and at the end what was looked at; damage is exit status 7."""
    show_findings(console, found)
    conclude(console, found)


def conclude(console: Console, found: Checkup) -> None:
    """What was looked at, and what is left of it for the exit status."""
    if not found.complete:
        console.warning("Not everything could be looked at; try again later.")
    console.note(summary(found))
    if found.damaged:
        console.status = console.status or DAMAGED


def show_findings(console: Console, found: Checkup) -> None:
    """One line for each; notes with ``-v`` or as JSON only."""
    everything = console.json or console.verbosity >= 1
    shown = [one for one in found.findings if everything or one.severity != NOTE or one.mended]
    if console.json:
        for finding in shown:
            console.object(finding.to_json())
    else:
        for line in table([_row(finding) for finding in shown], right=()):
            console.line(line)


def show_plan(console: Console, planned: list[Finding]) -> None:
    """What would be done, in the order in which it would be."""
    order = list(REMEDIES)
    rows = [
        (f"{number}.", finding.code, _path(finding), finding.version or "", REMEDIES[finding.remedy])
        for number, finding in enumerate(sorted(planned, key=lambda one: order.index(one.remedy)), 1)
    ]
    console.line("To be done; nothing is removed:")
    for line in table(rows, right=(0,)):
        console.line(line)


def summary(found: Checkup) -> str:
    """What was looked at, and how much damage there was, in a sentence."""
    damage = "no damage" if not found.damaged else f"{found.damaged} damaged"
    mended = f"{found.mended} mended, " if found.mended else ""
    read = f", {found.bodies} contents read ({found.bytes} bytes)" if found.share else ""
    return f"{found.headers} messages looked at{read}: {mended}{damage}{' left' if found.mended else ''}."


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    count = f" ({finding.places} messages)" if finding.places > 1 else ""
    what = "mended" if finding.mended else finding.severity
    return what, finding.code, _path(finding), finding.version or "", finding.text + count


def _path(finding: Finding) -> str:
    return "" if finding.path is None else f"/{finding.path}"
