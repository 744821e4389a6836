"""``ifap cp``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import RemoteName, place_in, remote_name

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def cp(filesystem: IFilesystem, session: Session, *, source: RemoteName, destination: RemoteName) -> None:
    """Copy A to B within the folder, a file or a directory with all that is in it.

    When B ends in a slash or is a directory, A goes into it under its own name. A file that is there gets a new
    version. With --json the Entry of the new name is printed.

    Example::

        ifap cp notes/a.txt notes/b.txt
        ifap cp notes archive/
    """
    target = await place_in(filesystem, source, destination)
    session.console.entry(await session.during(f"Copying /{source.path}", filesystem.copy(source.path, target)))


command = filesystem_verb(
    cp,
    click.Argument(["source"], type=remote_name, metavar="A"),
    click.Argument(["destination"], type=remote_name, metavar="B"),
    changes=True,
)
