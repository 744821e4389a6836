"""``ifap gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def gc(filesystem: IFilesystem, session: Session, *, dry_run: bool) -> None:
    """Remove for good the versions that need not be kept.

    How many are kept says ``ifap vers`` for a file, and [retention] in ifap.toml. What may go is first planned; it is
    removed by the first gc after a grace of seven days (retention.grace), unless it is needed again by then. A running
    node does this by itself every day (collect.every).

    Each line has what becomes of a version, its id, its size, the path, and why. With --dry-run all versions are
    listed, also those that stay, and nothing is changed. With --json each line is a Verdict.

    Example::

        ifap gc --dry-run
        ifap gc
    """
    from ifap_twisted.cli.collecting import show_collection  # noqa: PLC0415 -- with what imports Twisted

    show_collection(session.console, await session.during("Collecting", filesystem.collect(dry_run=dry_run)))


command = filesystem_verb(
    gc,
    click.Option(["--dry-run"], is_flag=True, help="Say what would be done with each version, and why."),
    changes=True,
)
