"""``ifap rekey``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def rekey(session: Session, *, passphrase_file: str | None) -> None:
    """Give the folder a new key, and seal everything in it anew under that.

    All files can be read and written meanwhile, here and on other devices: those that have the former key find the new
    one, and go on with it. Passphrase and recovery code stay as they are. What was on its way under the former key is
    read, too, and sealed anew by the next run. Who has the former key therefore gets the new one: this replaces a key
    as a precaution, it does not lock anybody out. Keep a copy of what ``ifap info --show-key`` prints afterwards.

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

    Example::

        ifap stop
        ifap rekey
        ifap info --show-key
        ifap start
    """
    from ifap_twisted.cli.securing import run_rekey  # noqa: PLC0415 -- imports Twisted

    await run_rekey(session, passphrase_file)


command = reactor_verb(
    rekey,
    click.Option(["--passphrase-file"], type=LOCAL_PATH, metavar="F", help="The passphrase is in the first line of F."),
)
