"""Setting a passphrase, making a recovery code and changing the key, with what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ifap_twisted.cli import opening
from ifap_twisted.cli.logging_in import hold_alone
from ifap_twisted.cli.passphrases import needed_passphrase, new_passphrase
from ifap_twisted.cli.problems import DAMAGED
from ifap_twisted.cli.progress import steps

if TYPE_CHECKING:
    from ifap_twisted.cli.printing import Console
    from ifap_twisted.cli.session import Session
    from ifap_twisted.filesystem.rekeying import Rekeyed

LEFT: Final = "The mail server did not remove the former {what}: it still opens the folder. Run the verb again later."


async def run_passphrase(session: Session, file: str | None, new_file: str | None) -> None:
    """Set the passphrase, and say what became of the former one."""
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        present = await needed_passphrase(session, basedir, settings, file)
        new = await new_passphrase(session, new_file)
        working = opening.change_passphrase(session, basedir, settings, new, present)
        removed = await session.during("Setting the passphrase", working)
    if console.json:
        console.object({"former_removed": removed})
    console.note("The passphrase is set. Without it and without a copy of the key nobody can read the folder.")
    if settings.keyring:
        console.note("It is in the keyring of the system, too.")
    if settings.passphrase_file is not None:
        console.note(f"{settings.passphrase_file} is read for the passphrase: write the new one into it.")
    if not removed:
        console.warning(LEFT.format(what="passphrase"))


async def run_recovery(session: Session, file: str | None) -> None:
    """Make a recovery code, print it, and say what became of the former one."""
    console = session.console

    def show(code: str) -> None:
        """At once: the former one is removed only when this one was told."""
        if console.json:
            console.object({"recovery_code": code})
        else:
            for row in code.splitlines():
                console.line(row)
        console.flush()

    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        present = await needed_passphrase(session, basedir, settings, file)
        working = opening.make_recovery_code(session, basedir, settings, show, present)
        removed = await session.during("Making a recovery code", working)
    if console.json:
        console.object({"former_removed": removed})
    console.note("Keep it on paper: with the account alone it opens the folder.")
    if removed:
        console.note("Any code that was printed before is void.")
    else:
        console.warning(LEFT.format(what="recovery code"))


async def run_rekey(session: Session, file: str | None) -> None:
    """Change the key, and say what became of it."""
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        present = await needed_passphrase(session, basedir, settings, file)
        with steps(console, "Sealing anew") as progress:
            done = await opening.change_key(session, basedir, settings, present, progress)
    _tell(console, done)
    what = "The key was changed" if done.drawn else "An earlier change of the key was gone on with"
    _tell_of_copies(console, what, done)


async def run_revoke(session: Session, file: str | None, new_file: str | None) -> None:
    """Revoke the key, and say what became of it, and what is to be done now."""
    console = session.console
    with opening.open_basedir(session.options) as basedir:
        settings = opening.settings_of(basedir)
        await hold_alone(session, basedir)
        present = await needed_passphrase(session, basedir, settings, file)
        with steps(console, "Sealing anew") as progress:
            done = await opening.revoke_key(
                session,
                basedir,
                settings,
                lambda: new_passphrase(session, new_file),
                wanted=new_file is not None,
                passphrase=present,
                progress=progress,
            )
    _tell(console, done)
    what = "The key was revoked" if done.drawn else "An earlier revocation of the key was gone on with"
    _tell_of_copies(console, what, done)
    console.note("Other devices stop until they log in anew. Keep a copy of what 'ifap info --show-key' prints.")
    console.note("A recovery code of before is void: 'ifap recovery --print' makes a new one.")
    if settings.passphrase_file is not None:
        console.note(f"{settings.passphrase_file} is read for the passphrase: write the new one into it.")


def _tell(console: Console, done: Rekeyed) -> None:
    told = done.to_json()
    if console.json:
        console.object(told)
    for failed in told["failed"]:
        console.warning(f"{failed['path']} (version {failed['version']}) keeps its former key: {failed['text']}.")
    if done.left:
        console.warning(f"{done.left} versions keep their former key; all devices go on reading them.")
    if done.failed:
        console.status = console.status or DAMAGED


def _tell_of_copies(console: Console, what: str, done: Rekeyed) -> None:
    console.note(f"{what}: {done.sealed} versions were sealed anew under the key {done.key}.")
    console.note("'ifap gc' removes the copies under the former key when their grace is over.")
