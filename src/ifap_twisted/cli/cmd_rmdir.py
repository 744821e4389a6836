"""``ifap rmdir``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def rmdir(filesystem: IFilesystem, session: Session, *, path: str) -> None:
    """Remove an empty directory.

    With --json the object {"path", "removed": true} is printed.

    Example::

        ifap rmdir notes/2026
    """
    await session.during(f"Removing /{path}", filesystem.remove_directory(path))
    session.console.removed(path)


command = filesystem_verb(rmdir, click.Argument(["path"], type=remote_path, metavar="PATH"), changes=True)
