"""``ifap vers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def vers(filesystem: IFilesystem, session: Session, *, count: int, path: Sequence[str]) -> None:
    """Set how many versions of files are kept.

    Nothing is removed by this verb itself. With --json the Entry of each is printed.

    Example::

        ifap vers 20 notes/a.txt
    """
    from ifap_twisted.cli.several import for_each  # noqa: PLC0415 -- imports Twisted

    async def keep(one: str) -> None:
        session.console.entry(await filesystem.keep(one, count))

    await for_each(session, "Setting", path, keep)


command = filesystem_verb(
    vers,
    click.Argument(["count"], type=click.IntRange(min=1), metavar="N"),
    click.Argument(["path"], type=remote_path, nargs=-1, required=True, metavar="PATH..."),
    changes=True,
)
