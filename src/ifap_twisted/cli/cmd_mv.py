"""``ifap mv``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import RemoteName, place_in, remote_name

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def mv(filesystem: IFilesystem, session: Session, *, source: RemoteName, destination: RemoteName) -> None:
    """Move A to B, a file or a directory.

    When B ends in a slash or is a directory, A goes into it under its own name. The new name has to be free. Old
    versions stay reachable under the old name. With --json the Entry of the new name is printed.

    Example::

        ifap mv notes/a.txt notes/b.txt
        ifap mv notes/a.txt archive/
    """
    target = await place_in(filesystem, source, destination)
    session.console.entry(await session.during(f"Moving /{source.path}", filesystem.move(source.path, target)))


command = filesystem_verb(
    mv,
    click.Argument(["source"], type=remote_name, metavar="A"),
    click.Argument(["destination"], type=remote_name, metavar="B"),
    changes=True,
)
