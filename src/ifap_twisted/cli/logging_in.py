"""A login: which secrets it needs, where they come from, and asking for what opens a folder that has files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ifap_twisted.basedir import Basedir
from ifap_twisted.basedir.passwords import PasswordFile
from ifap_twisted.cli import asking, opening
from ifap_twisted.errors import BadSettings, BasedirInUse, KeyRequired, PassphraseRequired
from ifap_twisted.keyrings import Keyring, keyring_of
from ifap_twisted.secrecy import Secret
from ifap_twisted.settings import Settings
from ifap_twisted.settings.editing import save_settings

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


class Ways(NamedTuple):
    """The files in which something is that opens the folder; at most one is given."""

    key_file: str | None = None
    passphrase_file: str | None = None
    recovery_code_file: str | None = None


class Opening(NamedTuple):
    """What opens the folder; at most one is there."""

    key: Secret | None = None
    passphrase: Secret | None = None
    recovery_code: Secret | None = None


async def run_login(
    session: Session, options: Mapping[str, Any], ways: Ways, *, password_file: str | None
) -> Mapping[str, Any]:
    """Log in, and give what is to be told of it.

    :param options: settings that were given, by name; None is "not given".
    """
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir, options)
        await hold_alone(session, basedir)
        keyring = keyring_of(settings)
        if keyring is not None:
            await session.worker(keyring.require)
        password = await _password(session, basedir, settings, options, password_file)
        given = await _given(session, ways)
        try:
            report = await _attempt(session, basedir, options, password, given)
        except KeyRequired as error:
            if any(given):
                raise
            report = await _attempt(session, basedir, options, password, _asked(settings, error))
        if password is not None:
            _prefer_the_stored(basedir, settings)
        if options["keyring"] is False:
            await forget_in_keyring(session, settings)
        return report


async def forget_in_keyring(session: Session, settings: Settings) -> None:
    """Remove the passphrase from the keyring; one that cannot be used is no failure, but told."""
    try:
        await session.worker(Keyring(settings).forget)
    except BadSettings as error:
        session.console.warning(f"Nothing was removed from a keyring. {error.detail}")


async def _given(session: Session, ways: Ways) -> Opening:
    """What is in the files."""
    if ways.key_file is not None:
        return Opening(key=await asking.secret_from(session, ways.key_file))
    if ways.passphrase_file is not None:
        return Opening(passphrase=await asking.secret_from(session, ways.passphrase_file))
    if ways.recovery_code_file is not None:
        return Opening(recovery_code=await asking.text_from(session, ways.recovery_code_file))
    return Opening()


async def hold_alone(session: Session, basedir: Basedir) -> None:
    """Hold the basedir, for a change that a running node must not miss.

    :raises BasedirInUse: a node runs.
    """
    if not await opening.hold_unless_node_runs(session, basedir):
        text = "The node of this basedir is running: `ifap stop` first, and `ifap start` afterwards."
        raise BasedirInUse(text, pid=basedir.holder())


async def _attempt(
    session: Session, basedir: Basedir, options: Mapping[str, Any], password: Secret | None, given: Opening
) -> Mapping[str, Any]:
    working = opening.log_in(session, basedir, options, password=password, **given._asdict())
    return await session.during("Logging in", working)


async def _password(
    session: Session, basedir: Basedir, settings: Settings, options: Mapping[str, Any], file: str | None
) -> Secret | None:
    """The password to try and store; None where none is needed, or the settings say where it comes from."""
    if not settings.account.takes_password:
        if file is not None or options["password_command"] is not None:
            raise click.UsageError(f"The account {settings.account} takes no password.")
        return None
    if file is not None:
        return await asking.secret_from(session, file)
    if settings.password_command is not None or settings.password_file is not None:
        return None
    if asking.has_person():
        return asking.ask_secret(f"Password for {settings.account}: ")
    if PasswordFile(basedir).password(settings.account) is not None:
        return None
    raise click.UsageError("A password is needed, and there is no terminal to ask: give --password-file F.")


def _prefer_the_stored(basedir: Basedir, settings: Settings) -> None:
    """Take back what ``ifap.toml`` says of where the password comes from: the one just given is to be used."""
    old = [name for name in ("password_command", "password_file") if settings.sources[name] == "file"]
    save_settings(basedir, dict.fromkeys(old))


def _asked(settings: Settings, error: KeyRequired) -> Opening:
    """The passphrase where one is set, else the key, from whoever sits at the terminal."""
    wanted = "passphrase" if isinstance(error, PassphraseRequired) else "key"
    if not asking.has_person():
        raise click.UsageError(
            f"The folder {settings.folder} holds encrypted files, and there is no terminal to ask for its {wanted}: "
            f"give --{wanted}-file F."
        )
    secret = asking.ask_secret(f"{wanted.capitalize()} of the folder {settings.folder}: ")
    return Opening(passphrase=secret) if wanted == "passphrase" else Opening(key=secret)
