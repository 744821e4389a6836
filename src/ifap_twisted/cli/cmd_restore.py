"""``ifap restore``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import full_version, remote_path, version_prefix

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def restore(filesystem: IFilesystem, session: Session, *, path: str, version: str) -> None:
    """Make an old version of a file the current one again.

    It becomes a new version; nothing is lost. With --json its Entry is printed.

    Example::

        ifap versions notes/a.txt
        ifap restore notes/a.txt --version q9fX
    """
    wanted = await full_version(filesystem, path, version)
    session.console.entry(await session.during(f"Restoring /{path}", filesystem.restore(path, wanted)))


command = filesystem_verb(
    restore,
    click.Argument(["path"], type=remote_path, metavar="PATH"),
    click.Option(
        ["--version"], type=version_prefix, required=True, metavar="V", help="The version: its id, or its beginning."
    ),
    changes=True,
)
