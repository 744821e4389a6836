"""``ifap passphrase``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def passphrase(session: Session, *, passphrase_file: str | None, new_passphrase_file: str | None) -> None:
    """Set or change the passphrase of the folder.

    The key of the folder is wrapped under it, in the folder, so that another device needs only the account and the
    passphrase (``ifap login --passphrase-file``), and in the basedir, so that it opens nothing without the passphrase.
    No file is written anew. Whoever knows a former passphrase and kept a copy of the folder can still read that copy;
    other devices keep the passphrase that they have until they log in again.

    It has to have 12 characters and must not be easy to guess. Afterwards the verbs ask for it; a node, and whatever
    runs without a terminal, reads it from the file that the setting ``passphrase_file`` names. F is the name of a
    file, whose first line counts, or - for stdin. The node has to be stopped.

    With --json an object is printed: former_removed, which is false when the mail server cannot remove single
    messages, so that the former passphrase still opens the folder.

    Example::

        ifap passphrase
        ifap passphrase --passphrase-file old.txt --new-passphrase-file new.txt
    """
    from ifap_twisted.cli.securing import run_passphrase  # noqa: PLC0415 -- imports Twisted

    if (passphrase_file, new_passphrase_file) == ("-", "-"):
        raise click.UsageError("Only one secret can come from stdin.")
    await run_passphrase(session, passphrase_file, new_passphrase_file)


command = reactor_verb(
    passphrase,
    click.Option(
        ["--passphrase-file"], type=LOCAL_PATH, metavar="F", help="The present one is in the first line of F."
    ),
    click.Option(
        ["--new-passphrase-file"], type=LOCAL_PATH, metavar="F", help="The new one is in the first line of F."
    ),
)
