"""``ifap rm``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path
from ifap_twisted.errors import IsADirectory

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def rm(filesystem: IFilesystem, session: Session, *, path: Sequence[str], recursive: bool) -> None:
    """Remove files.

    A removed file keeps its versions until they are collected, so that undelete brings it back. With --json the object
    {"path", "removed": true} is printed for each PATH.

    Example::

        ifap rm notes/a.txt
        ifap rm -r notes
    """
    from ifap_twisted.cli.several import for_each  # noqa: PLC0415 -- imports Twisted

    async def remove(one: str) -> None:
        try:
            await filesystem.remove(one, recursive=recursive)
        except IsADirectory:
            raise IsADirectory("It is a directory: give -r to remove all that is in it.", path=one) from None
        session.console.removed(one)

    await for_each(session, "Removing", path, remove)


command = filesystem_verb(
    rm,
    click.Argument(["path"], type=remote_path, nargs=-1, required=True, metavar="PATH..."),
    click.Option(["-r", "recursive"], is_flag=True, help="Directories with all that is in them."),
    changes=True,
)
