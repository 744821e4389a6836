"""``ifap snapshot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def snapshot(filesystem: IFilesystem, session: Session) -> None:
    """Write a snapshot of the folder.

    It makes opening the folder faster for new devices and for the programs of the reference; nothing depends on it.
    With --json the Status is printed, as by ``ifap status``.

    Example::

        ifap snapshot
    """
    await session.during("Writing a snapshot", filesystem.snapshot())
    if session.console.json:
        session.console.object((await filesystem.status()).to_json())
    session.console.detail("The snapshot was written.")


command = filesystem_verb(snapshot, changes=True)
