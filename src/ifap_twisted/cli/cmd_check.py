"""``ifap check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def check(filesystem: IFilesystem, session: Session, *, read_data: float) -> None:
    """Look whether everything in the folder is whole; nothing is changed.

    All headers are looked at, and the objects of the folder: what is damaged, forged, missing, in conflict. With
    --read-data the content of every message is read, too; with --read-data=PERCENT that of a random share, so that a
    check each day has seen everything after a while.

    Each line has how serious it is (damage, warning), a code, the path, the version, and what it is; notes are listed
    with -v. With --json each line is a Finding. The exit status is 7 when there is damage.

    Example::

        ifap check
        ifap check --read-data
        ifap check --read-data=5 && echo whole
    """
    from ifap_twisted.cli.checking import checked, show_checkup  # noqa: PLC0415 -- with what imports Twisted

    show_checkup(session.console, await checked(filesystem, session.console, read_data))


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
)
