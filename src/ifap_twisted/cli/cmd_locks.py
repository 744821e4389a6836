"""``ifap locks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def locks(filesystem: IFilesystem, session: Session) -> None:
    """List the locks that hold, as far as can be told.

    Each line has how long the lock lasts after its last renewal, when that was by the mail server's clock, its holder,
    `mine` for a lock of this basedir, and the path. With --json each line is a Lock.

    Example::

        ifap locks
        ifap unlock --force notes/a.txt
    """
    from ifap_twisted.cli.tables import show_locks  # noqa: PLC0415 -- with what imports Twisted

    found = await session.during("Looking", filesystem.locks())
    show_locks(session.console, found)
    if not found:
        session.console.note("No locks.")


command = filesystem_verb(locks)
