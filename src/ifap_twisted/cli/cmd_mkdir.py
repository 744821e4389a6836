"""``ifap mkdir``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def mkdir(filesystem: IFilesystem, session: Session, *, path: str, parents: bool) -> None:
    """Make an empty directory.

    Files need none: putting one makes the directories above it. With --json the Entry is printed.

    Example::

        ifap mkdir -p notes/2026/january
    """
    made = filesystem.make_directory(path, parents=parents)
    session.console.entry(await session.during(f"Making /{path}", made))


command = filesystem_verb(
    mkdir,
    click.Argument(["path"], type=remote_path, metavar="PATH"),
    click.Option(["-p", "parents"], is_flag=True, help="Those above it, too; one that exists is no error."),
    changes=True,
)
