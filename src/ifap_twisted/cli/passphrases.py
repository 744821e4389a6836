"""Passphrases at the command line: the present one where the basedir keeps its key under one, and a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.basedir.wrapping import Wrapping
from ifap_twisted.cli import asking
from ifap_twisted.credentials import read_secret_file
from ifap_twisted.errors import PassphraseRequired
from ifap_twisted.keyrings import keyring_of
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def needed_passphrase(
    session: Session, basedir: Basedir, settings: Settings, file: str | None = None
) -> Secret | None:
    """The passphrase under which the basedir keeps the key: asked for, unless a file, a setting or the keyring has it.

    None where none is needed, or it is found when it is needed.

    :param file: that was given for it.
    :raises UsageError: there is nobody to ask, or no passphrase is needed and a file was given.
    """
    entry = await session.worker(lambda: KeyFile(basedir).find(settings.account, settings.folder))
    if file is not None:
        if entry is not None and entry.key is not None:
            raise click.UsageError("The basedir keeps the key without a passphrase: leave --passphrase-file out.")
        return await asking.secret_from(session, file)
    if entry is None or entry.wrapped is None or settings.passphrase_file is not None:
        return None
    if settings.encryption == "off" or settings.key_file is not None:
        return None
    return None if await _in_keyring(session, settings) is not None else ask_passphrase(settings)


async def _in_keyring(session: Session, settings: Settings) -> Secret | None:
    """The passphrase in the keyring; None when there is none, or when the keyring fails and a person can be asked."""
    keyring = keyring_of(settings)
    if keyring is None:
        return None
    try:
        return await session.worker(keyring.find)
    except PassphraseRequired as error:
        if not asking.has_person():
            raise
        session.console.warning(error.detail)
        return None


def ask_passphrase(settings: Settings) -> Secret:
    """Ask for the present one.

    :raises UsageError: there is nobody to ask.
    """
    if not asking.has_person():
        raise click.UsageError(
            f"The key of the folder {settings.folder} is kept under a passphrase, and there is no terminal to ask for "
            "it: set passphrase_file (or IFAP_PASSPHRASE_FILE)."
        )
    return asking.ask_secret(f"Passphrase of the folder {settings.folder}: ")


async def new_passphrase(session: Session, file: str | None) -> Secret:
    """A new one, from a file or asked for twice.

    :raises UsageError: there is nobody to ask, or the two are not the same.
    """
    if file is not None:
        return await asking.secret_from(session, file)
    if not asking.has_person():
        raise click.UsageError("There is no terminal to ask for the new passphrase: give --new-passphrase-file F.")
    new = asking.ask_secret("New passphrase: ")
    if asking.ask_secret("Once more: ") != new:
        raise click.UsageError("The two are not the same; nothing was changed.")
    return new


async def kept_keys(session: Session, settings: Settings, entry: KeyEntry) -> tuple[Secret, ...]:
    """The keys that the basedir keeps, the newest first; the passphrase is asked for where it is needed.

    :raises WrongKey: it is another one.
    """
    wrapped = entry.wrapped
    if wrapped is None:
        return () if entry.key is None else (entry.key, *reversed(entry.earlier_keys))
    file = settings.passphrase_file
    if file is not None:
        passphrase = (await session.worker(lambda: read_secret_file(file)))[0]
    else:
        passphrase = await _in_keyring(session, settings) or ask_passphrase(settings)
    return await session.worker(lambda: Wrapping(passphrase, _no_random).open(wrapped))


def _no_random(_count: int) -> bytes:
    raise AssertionError("nothing is wrapped here")
