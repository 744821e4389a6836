"""``ifap conflicts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def conflicts(filesystem: IFilesystem, session: Session, *, path: str | None) -> None:
    """List files that were changed in two places at once, with all their versions that nobody joined yet.

    Each line has the version id, the local time, the size in bytes, the device that wrote it, marks, and the path.
    Without PATH all files are looked at. With --json each line is an Entry.

    Example::

        ifap conflicts
        ifap resolve notes/a.txt --keep q9fX
    """
    from ifap_twisted.cli.tables import show_versions  # noqa: PLC0415 -- with what imports Twisted

    found = await session.during("Looking", filesystem.conflicts(path or None))
    show_versions(session.console, found, paths=True)
    if not found:
        session.console.note("No conflicts.")


command = filesystem_verb(
    conflicts, click.Argument(["path"], type=remote_path, required=False, default=None, metavar="[PATH]")
)
