"""``ifap versions``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def versions(filesystem: IFilesystem, session: Session, *, path: str) -> None:
    """List the versions of a file that are still there, newest first.

    Each line has the version id, the local time, the size in bytes, the device that wrote it, and marks: removed,
    conflict. With --json each line is an Entry.

    Example::

        ifap versions notes/a.txt
        ifap cat --version q9fX notes/a.txt
    """
    from ifap_twisted.cli.tables import show_versions  # noqa: PLC0415 -- with what imports Twisted

    found = await session.during("Looking", filesystem.versions(path))
    show_versions(session.console, found, paths=False)


command = filesystem_verb(versions, click.Argument(["path"], type=remote_path, metavar="PATH"))
