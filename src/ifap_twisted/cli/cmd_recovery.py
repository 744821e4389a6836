"""``ifap recovery``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def recovery(session: Session, *, show: bool, passphrase_file: str | None) -> None:
    """Make a recovery code and print it; it is kept nowhere, so print it on paper.

    With the account and the code alone ``ifap login --recovery-code-file`` opens the folder on any device, whatever
    became of key and passphrase. Each time a new code is made, and the one before is void. Four rows are printed, each
    with a checksum: a row that was mistyped is told.

    Where the basedir keeps its key under a passphrase, that is asked for, or comes from --passphrase-file or the
    setting ``passphrase_file``. The node has to be stopped.

    With --json two objects are printed: one with recovery_code, and one with former_removed, which is false when the
    mail server cannot remove single messages, so that a former code still opens the folder.

    Example::

        ifap recovery --print | lp
    """
    from ifap_twisted.cli.securing import run_recovery  # noqa: PLC0415 -- imports Twisted

    if not show:
        raise click.UsageError("Give --print: a new recovery code is made and printed, and the one before is void.")
    await run_recovery(session, passphrase_file)


command = reactor_verb(
    recovery,
    click.Option(["--print", "show"], is_flag=True, help="Make a new code and print it."),
    click.Option(["--passphrase-file"], type=LOCAL_PATH, metavar="F", help="The passphrase is in the first line of F."),
)
