"""``ifap recover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ifap_twisted.cli.loading import reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def recover(session: Session) -> None:
    """Build everything that is known of the folder anew, from its messages alone, and mend it.

    For after a loss: of the basedir, of messages, or of the order in them. The content of every message is read. What
    `ifap check --repair` mends is mended: the object that says which folder this is, files whose newest version cannot
    be read. A move that was cut is finished: the file stays at the place where it arrived. A snapshot is written, and
    what this device has seen is remembered. Nothing is removed from the mail server, and what is missing or in conflict
    is left to you. The node has to be stopped.

    Each line has what it is (mended, damage, warning), a code, the path, the version, and a text. With --json each line
    is a Finding. The exit status is 7 when damage is left.

    Example::

        ifap recover
    """
    from ifap_twisted.cli.checking import run_recover  # noqa: PLC0415 -- with what imports Twisted

    await run_recover(session)


command = reactor_verb(recover)
