"""``ifap login``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ifap_twisted.cli.loading import LOCAL_PATH, reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def login(
    session: Session,
    *,
    password_file: str | None,
    password_command: str | None,
    key_file: str | None,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    **given: Any,
) -> None:
    """Check an account, create or open its folder, and remember how.

    Without --account the embedded account is taken: an IMAP server of our own, in the basedir. Others are
    imaps://USER@HOST[:PORT], imap://USER@HOST[:PORT], imap+unix:///PATH, maildir:///PATH and memory:.

    The password is asked for on a terminal; else it comes from --password-file or --password-command. A key is made
    only in an empty folder; any other folder needs its passphrase (``ifap passphrase``), a recovery code (``ifap
    recovery``) or the key itself, from a file or asked for. With --passphrase-file an empty folder gets that
    passphrase, and the key is kept under it here too. With --keyring the passphrase is kept in the keyring of the
    system, where verbs and the node of this basedir find it (extra ``keyring``); --no-keyring removes it.

    Secrets are never taken from the command line. F is the name of a file, whose first line counts (of a recovery code
    all of it), or - for stdin. Keep a copy of a key that was made (``ifap info --show-key``), or set a passphrase:
    without any of them nobody can read the folder.

    With --json an object is printed: account, folder, dialect, encryption, key_fingerprint and what else is known.

    Example::

        ifap login --account imaps://me@imap.example.org
        pass show mail | ifap login --account imaps://me@imap.example.org --password-file -
        ifap login --account imaps://me@imap.example.org --passphrase-file passphrase.txt
    """
    from ifap_twisted.cli.logging_in import Ways, run_login  # noqa: PLC0415 -- imports Twisted

    if password_file is not None and password_command is not None:
        raise click.UsageError("--password-file and --password-command exclude each other.")
    ways = Ways(key_file=key_file, passphrase_file=passphrase_file, recovery_code_file=recovery_code_file)
    if sum(way is not None for way in ways) > 1:
        raise click.UsageError("--key-file, --passphrase-file and --recovery-code-file exclude each other.")
    if given["keyring"] and (key_file or recovery_code_file) is not None:
        raise click.UsageError("--keyring keeps a passphrase: log in with it, or set one with `ifap passphrase` later.")
    if [password_file, *ways].count("-") > 1:
        raise click.UsageError("Only one secret can come from stdin.")
    options: Mapping[str, Any] = {**given, "password_command": password_command}
    report = await run_login(session, options, ways, password_file=password_file)
    if session.console.json:
        session.console.object(report)
        return
    session.console.line(f"Logged in to {report['account']}, folder {report['folder']}.")


command = reactor_verb(
    login,
    click.Option(["--account"], metavar="URL", help="The account [default: the configured one, else embedded]."),
    click.Option(["--folder"], metavar="F", help="The folder [default: the configured one, else IFAP_DATA]."),
    click.Option(["--dialect"], type=click.Choice(["ifap", "mailfile"]), help="How messages are written."),
    click.Option(["--encryption"], type=click.Choice(["required", "off"]), help="[default: required]"),
    click.Option(["--password-file"], type=LOCAL_PATH, metavar="F", help="The password is in the first line of F."),
    click.Option(["--password-command"], metavar="C", help="C prints the password, now and whenever it is needed."),
    click.Option(["--key-file"], type=LOCAL_PATH, metavar="F", help="The key of the folder is in the first line of F."),
    click.Option(["--passphrase-file"], type=LOCAL_PATH, metavar="F", help="The passphrase is in the first line of F."),
    click.Option(["--recovery-code-file"], type=LOCAL_PATH, metavar="F", help="The recovery code is in F."),
    click.Option(["--keyring/--no-keyring"], default=None, help="Keep the passphrase in the keyring of the system."),
    click.Option(
        ["--ca-file"], type=LOCAL_PATH, metavar="F", help="Trust the certificates in F (PEM) for this account."
    ),
)
