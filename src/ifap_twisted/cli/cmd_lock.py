"""``ifap lock``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import remote_path
from ifap_twisted.core import limits

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def lock(filesystem: IFilesystem, session: Session, *, path: str, seconds: int) -> None:
    """Lock a file for a while, so that other devices do not change it.

    Other devices can read the file, but neither overwrite nor remove it, until unlock is given or the time is over.
    The lock belongs to this basedir: further verbs with it change the file as before, and a second lock lasts anew.
    When somebody took it over or broke it meanwhile, the next put or unlock ends with 5 and says so, once.
    PATH need not exist; who puts the first file there waits for no lock. With --json the Lock is printed: path, id,
    holder, writer, mine, seconds, renewed.

    Example::

        ifap lock notes/a.txt --seconds 600
        ifap get notes/a.txt . && editor a.txt && ifap put a.txt notes/
        ifap unlock notes/a.txt
    """
    known = await session.during("Looking", filesystem.locks(path))
    mine = next((one.id for one in known if one.path == path and one.mine), None)
    taken = await session.during(f"Locking /{path}", filesystem.lock(path, seconds=seconds, renew=mine))
    if session.console.json:
        session.console.object(taken.to_json())
    else:
        session.console.note(f"/{path} is locked for {taken.seconds} seconds.")


command = filesystem_verb(
    lock,
    click.Argument(["path"], type=remote_path, metavar="PATH"),
    click.Option(
        ["--seconds"],
        type=click.IntRange(1, limits.LEASE_MOST),
        default=limits.LEASE_SECONDS,
        show_default=True,
        metavar="N",
        help="How long the lock lasts.",
    ),
    changes=True,
)
