"""``ifap status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import filesystem_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def status(filesystem: IFilesystem, session: Session) -> None:
    """Say whether everything is uploaded, and what is pending, failing or in conflict.

    The exit status is 0 when everything is uploaded and the mail server was reached, else 8.

    With --json the Status is printed: state, account, folder, dialect, pending, failing, conflicts, locks, damaged,
    damage (how many of the damaged have which error), foreign (mail of somebody else), other_dialect, key (wrapped
    under a passphrase, clear, or none), warnings (objects with code, text and path), last_refresh, checked.

    Example::

        ifap status
        ifap --json status | jq .pending
        until ifap -q status >/dev/null; do sleep 10; done
    """
    from ifap_twisted.cli.problems import TEMPORARY  # noqa: PLC0415 -- as below
    from ifap_twisted.cli.reports import is_uploaded, status_lines  # noqa: PLC0415 -- with what imports Twisted

    found = await filesystem.status()
    if not is_uploaded(found):
        session.console.status = TEMPORARY
    if session.console.json:
        session.console.object(found.to_json())
        return
    for line in status_lines(found):
        session.console.line(line)


command = filesystem_verb(status, away=lambda _values: True)
