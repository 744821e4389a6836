"""``ifap undelete``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def undelete(filesystem: IFilesystem, session: Session, *, path: Sequence[str]) -> None:
    """Bring removed files back as they were before.

    ``ifap ls -a`` shows what was removed. With --json the Entry of each is printed.

    Example::

        ifap undelete notes/a.txt
    """
    from ifap_twisted.cli.several import for_each  # noqa: PLC0415 -- imports Twisted

    async def bring_back(one: str) -> None:
        session.console.entry(await filesystem.undelete(one))

    await for_each(session, "Bringing back", path, bring_back)


command = filesystem_verb(
    undelete,
    click.Argument(["path"], type=remote_path, nargs=-1, required=True, metavar="PATH..."),
    changes=True,
)
