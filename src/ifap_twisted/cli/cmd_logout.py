"""``ifap logout``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import reactor_verb

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session


async def logout(session: Session, *, forget_key: bool, yes: bool) -> None:
    """Forget the password of the account; with --forget-key the key of its folder, too.

    What is in the folder stays. Without its key nobody can read it again, so this is asked for unless --yes is given;
    print the key before. With --json an object is printed: forgot_password, forgot_key.

    Example::

        ifap logout
        ifap info --show-key > key.txt && ifap logout --forget-key --yes
    """
    from ifap_twisted.cli.logging_out import run_logout  # noqa: PLC0415 -- imports Twisted

    if yes and not forget_key:
        raise click.UsageError("--yes goes with --forget-key.")
    await run_logout(session, forget_key=forget_key, sure=yes)


command = reactor_verb(
    logout,
    click.Option(["--forget-key"], is_flag=True, help="Forget the key of the folder, too."),
    click.Option(["--yes"], is_flag=True, help="Do not ask whether the key shall be forgotten."),
)
