"""``ifap sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def sync(filesystem: IFilesystem, session: Session) -> None:
    """See what other devices did, now.

    A running node notices by itself within minutes. With --json the Status is printed, as by ``ifap status``.

    Example::

        ifap sync
    """
    await session.during("Refreshing", filesystem.refresh())
    if session.console.json:
        session.console.object((await filesystem.status()).to_json())
    session.console.detail("Refreshed.")


command = filesystem_verb(sync)
