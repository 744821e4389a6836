"""``ifap unlock``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def unlock(filesystem: IFilesystem, session: Session, *, path: str, force: bool) -> None:
    """Give back a lock of this basedir.

    With --force the lock of another device is broken, and its holder is named: what it writes from then on is kept as
    a version in conflict, and it is told that it lost the lock. With --json the Lock that it was is printed.

    Example::

        ifap unlock notes/a.txt
    """
    ended = await session.during(f"Unlocking /{path}", filesystem.unlock(path, force=force))
    if session.console.json:
        session.console.object(ended.to_json())
    elif ended.mine:
        session.console.note(f"/{path} is not locked any more.")
    else:
        session.console.note(f"/{path} was locked by {ended.who}; that lock is broken.")


command = filesystem_verb(
    unlock,
    click.Argument(["path"], type=remote_path, metavar="PATH"),
    click.Option(["--force"], is_flag=True, help="Break the lock of another device."),
    changes=True,
)
