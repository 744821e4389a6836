"""``ifap rekey``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def rekey(
    session: Session, *, revoke: bool, passphrase_file: str | None, new_passphrase_file: str | None
) -> None:
    """Give the folder a new key, and seal everything in it anew under that.

    All files can be read and written meanwhile, here and on other devices: those that have the former key find the new
    one, and go on with it. Passphrase and recovery code stay as they are. What was on its way under the former key is
    read, too, and sealed anew by the next run. Who has the former key therefore gets the new one: this replaces a key
    as a precaution, it does not lock anybody out: that is what --revoke is for. Keep a copy of what ``ifap info
    --show-key`` prints afterwards.

    The whole folder goes through this device once, and takes twice the room until ``ifap gc`` removes the copies
    under the former key, when their grace is over. Until then a further run makes no new key: it goes on with a
    change that was cut short, or has nothing to do. Where the mail server cannot remove single messages the copies
    stay. Do not use the reference programs between the start and the removal of the last copy; they need the new key.
    Bring all devices up to date first: an earlier version of ifap does not find the new key by itself.

    What cannot be read cannot be sealed anew: it is listed, stays where it is with the older versions of its file,
    and the exit status is 7. Other versions may keep the former key, too: those of a file of which something is
    missing, or which has been in conflict for less than 20 minutes, and those that are older than one that was
    written under the new key meanwhile. All devices go on reading them. With --json an object is printed: key (the
    fingerprint), drawn (false when no new key was made), sealed, planned (the copies that go), left (other versions
    that keep the former key), failed. Where the basedir keeps its key under a passphrase, that is asked for, or comes
    from --passphrase-file or the setting ``passphrase_file``. The node has to be stopped.

    With --revoke nobody gets the new key by the former one. All other devices stop with ``key-changed``, before they
    write anything more, until they log in with the new passphrase, a new recovery code or the new key; what waits in
    their journals goes out then. A folder that has a passphrase needs another one (--new-passphrase-file, or it is
    asked for), and the recovery code is void: ``ifap recovery --print`` makes a new one. What comes under the former
    key after that, from an earlier version of ifap, a reference program, or whoever else has it, is set aside: it is
    not served nor removed, ``ifap status`` counts it, and ``ifap check`` names its path and version, which ``ifap cat
    --version`` shows and ``ifap restore --version`` takes over. Change the password of the account first, so that who
    has the former key cannot get at the mailbox. A run that was cut short is gone on with by the next one, with the
    same options, on any device that has the new key; each further run revokes again.

    Example::

        ifap stop
        ifap rekey
        ifap info --show-key
        ifap start
        ifap rekey --revoke --new-passphrase-file new.txt
    """
    from ifap_twisted.cli.securing import run_rekey, run_revoke  # noqa: PLC0415 -- imports Twisted

    if (passphrase_file, new_passphrase_file) == ("-", "-"):
        raise click.UsageError("Only one secret can come from stdin.")
    if revoke:
        await run_revoke(session, passphrase_file, new_passphrase_file)
    elif new_passphrase_file is not None:
        raise click.UsageError("A new passphrase is for --revoke; otherwise 'ifap passphrase' sets one.")
    else:
        await run_rekey(session, passphrase_file)


command = reactor_verb(
    rekey,
    click.Option(["--revoke"], is_flag=True, help="Let nobody get the new key by the former one."),
    click.Option(["--passphrase-file"], type=LOCAL_PATH, metavar="F", help="The passphrase is in the first line of F."),
    click.Option(
        ["--new-passphrase-file"], type=LOCAL_PATH, metavar="F", help="The new one is in the first line of F."
    ),
)
