"""``ifap sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def sync(filesystem: IFilesystem, session: Session) -> None:
    """See what other devices did, and send what waits in the journal, now.

    A running node does both by itself within minutes. The exit status is 8 when something could not be sent; `ifap
    status` says why. With --json the Status is printed, as by ``ifap status``.

    Example::

        ifap sync
    """
    from ifap_twisted.cli.problems import TEMPORARY  # noqa: PLC0415 -- as below
    from ifap_twisted.cli.reports import answer  # noqa: PLC0415 -- with what imports Twisted

    await session.during("Refreshing", filesystem.refresh())
    found = await filesystem.status()
    if found.failing:
        session.console.status = TEMPORARY
        session.console.warning(answer(found))
    if session.console.json:
        session.console.object(found.to_json())
    session.console.detail("Refreshed.")


command = filesystem_verb(sync)
