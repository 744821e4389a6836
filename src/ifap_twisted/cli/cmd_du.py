"""``ifap du``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def du(filesystem: IFilesystem, session: Session, *, path: tuple[str, ...]) -> None:
    """Tell how much room files take.

    Of a directory there is a line for all that is directly in it, and one for the whole at the end; without PATH that
    is the root. Each line has three numbers of bytes and the path: the files as they are now; what is stored for them,
    with all versions, also of removed files; and how much of that is stored once for several versions, of these files
    or of others (chunks of large files). So the lines can add up to more than the whole.

    The bytes are those of contents: encrypted in a message they are a third more. With --json each line is a Usage.

    Example::

        ifap du
        ifap du photos notes/a.txt
    """
    from ifap_twisted.cli.problems import EXPECTED  # noqa: PLC0415 -- likewise
    from ifap_twisted.cli.tables import show_usage  # noqa: PLC0415 -- with what imports Twisted

    for one in path or ("/",):
        try:
            show_usage(session.console, await session.during("Counting", filesystem.usage(one)))
        except EXPECTED as error:
            session.console.failed(error, one)


command = filesystem_verb(du, click.Argument(["path"], type=remote_path, nargs=-1, metavar="[PATH...]"))
