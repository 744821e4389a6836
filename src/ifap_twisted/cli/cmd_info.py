"""``ifap info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def info(session: Session, *, show_key: bool, show_password: bool, settings: bool) -> None:
    """Tell of the account: folder, dialect, key fingerprint, capabilities, quota, counts and sizes.

    The flags show what is kept in the basedir instead, without opening the account: the key as the text that ifaplib
    takes, the password of the embedded account, each setting and where it came from.

    The counts are of files and versions; ``bytes`` are those of the files as they are now, ``stored`` what is stored
    for all versions of them, ``shared`` how much of that is stored once for several (see ifap du).

    With --json an object is printed: the Status, and key_fingerprint, counts (files, bytes, ...) and what the
    server tells; with the flags an object with key, password, settings (objects with name, value, source).

    Example::

        ifap info
        ifap info --show-key > key.txt
    """
    from ifap_twisted.cli import informing  # noqa: PLC0415 -- imports Twisted

    if show_key or show_password or settings:
        await informing.show_local(session, key=show_key, password=show_password, settings=settings)
    else:
        await informing.show_account(session)


command = reactor_verb(
    info,
    click.Option(["--show-key"], is_flag=True, help="Print the key of the folder."),
    click.Option(["--show-password"], is_flag=True, help="Print the password of the embedded account."),
    click.Option(["--settings"], is_flag=True, help="Print each setting and where it came from."),
)
