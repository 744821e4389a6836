"""``ifap check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def check(
    filesystem: IFilesystem,
    session: Session,
    *,
    read_data: float,
    bind: bool,
    repair: bool,
    accept: bool,
    sources: Path | None,
) -> None:
    """Look whether everything in the folder is whole; nothing is changed, unless that is asked for.

    All headers are looked at, and the objects of the folder: what is damaged, forged, missing, in conflict. With
    --read-data the content of every message is read, too; with --read-data=PERCENT that of a random share, so that a
    check each day has seen everything after a while.

    With --bind the newest version of each file that the reference programs wrote is written anew before that, as the
    same version, bound to its content: from then on nobody can put another content under its name unnoticed. Where a
    message was written by them, nothing proves that; so do it when the content is known to be right, and while no
    reference program runs. The unbound copies of what was bound go with ``ifap gc`` when their grace is over; until
    then the reference programs count both, so that their cleanup keeps one older version less. Older versions stay
    unbound: written again, the reference programs would take them for the newest. A file in conflict, or of which
    something is missing, is left alone, and so is what lies below a message that cannot be read and was not set aside
    with --repair. An earlier version of ifap, without this option, does not see what was bound: bring all devices up
    to date first.

    With --repair what would be done is listed first. On a terminal it is done when you say yes, otherwise at once. A
    file whose newest version cannot be read gets the newest whole one again, as a new version. A lost folder object, a
    bad snapshot, and a file that shares its id with another one are written anew. What is of no use to anybody is set
    aside: it stays where it is, and later checks on this device call it a note. Nothing is ever removed. What is
    missing or in conflict, and a file of which no version is whole, is left to you: see ifap versions, restore, rm and
    resolve. While the mail server does not list or give everything, what that is about is left alone.

    With --repair --from DIR chunks of large files that are gone or damaged (chunk-lost) are stored again, when a
    regular file in DIR, or below it, has them: a copy of the file, of an earlier or a later version of it, or of any
    other that has that part in common. No name counts, only the content; links are not followed. What is not found
    stays lost, and is listed; then an older version of which nothing is lost is made current again. DIR may be a file.

    With --accept you say that what other devices have seen, and the mail server does not show to this one (hidden), is
    gone for good, as after a reference program removed a file: all devices are told, and no new one warns of it. Say
    it only when you know what is gone: ifap status of the other devices tells. Whoever remembers to have seen it goes
    on to say so, and what goes missing later is told as before. Nothing is removed by it.

    Each line has how serious it is (damage, warning, or mended), a code, the path, the version, and what it is; notes
    are listed with -v. With --json each line is a Finding, with --repair as it is afterwards. The exit status is 7 when
    there is damage, or some is left.

    Example::

        ifap check
        ifap check --read-data
        ifap check --read-data=5 && echo whole
        ifap check --bind
        ifap check --read-data --repair
        ifap check --repair --from ~/backup
    """
    from ifap_twisted.cli.checking import checked, repaired, show_checkup  # noqa: PLC0415 -- with what imports Twisted

    if sources is not None and not repair:
        raise click.UsageError("--from goes with --repair.")
    if repair:
        await repaired(filesystem, session.console, read_data, bind=bind, accept=accept, sources=sources)
    else:
        found = await checked(filesystem, session.console, read_data, bind=bind, accept=accept)
        show_checkup(session.console, found)


command = filesystem_verb(
    check,
    click.Option(
        ["--read-data"],
        is_flag=False,
        flag_value=100.0,
        default=0.0,
        type=click.FloatRange(0, 100),
        metavar="[PERCENT]",
        help="Read the contents, too: all, or a random share.",
    ),
    click.Option(["--bind"], is_flag=True, help="Bind what the reference programs wrote to its contents."),
    click.Option(["--repair"], is_flag=True, help="Say what can be mended, and mend it."),
    click.Option(
        ["--from", "sources"],
        type=click.Path(exists=True, path_type=Path),
        metavar="DIR",
        help="With --repair: store lost chunks again from local files.",
    ),
    click.Option(["--accept"], is_flag=True, help="Say that what is hidden is known to be gone for good."),
    changes=lambda values: any(values[name] for name in ("bind", "repair", "accept")),
)
