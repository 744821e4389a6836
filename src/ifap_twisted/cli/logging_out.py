"""Forgetting a password, and a key when that is really meant (FORMAT 8.3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.journal import FileJournal
from ifap_twisted.basedir.keyfile import KeyEntry, KeyFile
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.cli import asking, opening
from ifap_twisted.cli.logging_in import forget_in_keyring, hold_alone
from ifap_twisted.cli.printing import Console
from ifap_twisted.core.keys import Key
from ifap_twisted.errors import CallerError
from ifap_twisted.settings import Settings

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def run_logout(session: Session, *, forget_key: bool, sure: bool) -> None:
    """Forget what was asked for, and say what was.

    :param sure: the key may go without a question.
    """
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        keys = KeyFile(basedir)
        entry = keys.find(settings.account, settings.folder)
        if forget_key and entry is not None:
            await _require_nothing_waits(session, basedir, entry)
            _require_sure(console, settings, sure=sure)
        password = PasswordFile(basedir).forget_password(settings.account)
        key = forget_key and keys.forget(settings.account, settings.folder)
        if forget_key and settings.keyring:
            await forget_in_keyring(session, settings)
    if console.json:
        console.object({"forgot_password": password, "forgot_key": key})
        return
    console.note("The password was forgotten." if password else f"No password of {settings.account} was stored.")
    if forget_key:
        console.note("The key was forgotten." if key else f"No key of the folder {settings.folder} was stored.")


async def _require_nothing_waits(session: Session, basedir: Basedir, entry: KeyEntry) -> None:
    """Nothing that was accepted is in the journal: without its key it could never be sent.

    :raises CallerError:
    """
    secrets = [secret for secret in (entry.key, *entry.earlier_keys) if secret is not None]
    keys = [Key.from_text(secret.reveal()) for secret in secrets]
    content = await FileJournal(basedir, keys, random=os.urandom, worker=session.worker).left()
    sealed = entry.wrapped is not None and content.foreign  # under a passphrase, which may be lost
    if (keys and content.frozen) or sealed:
        raise CallerError(
            "Writes wait in the journal, and without their key they are lost: 'ifap sync' stores them. To give them "
            f"up, move the files away from {basedir.path / 'journal'}."
        )


def _require_sure(console: Console, settings: Settings, *, sure: bool) -> None:
    console.note(
        f"Without its key nobody can read the folder {settings.folder} again. `ifap info --show-key` prints it."
    )
    if sure:
        return
    if not asking.has_person():
        raise click.UsageError("There is no terminal to ask whether the key shall be forgotten: give --yes.")
    if not asking.ask_yes("Forget the key?"):
        raise click.Abort
