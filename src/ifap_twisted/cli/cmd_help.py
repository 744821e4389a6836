"""``ifap help``."""

from __future__ import annotations

import click

from ifap_twisted.cli.loading import VERBS, plain_verb
from ifap_twisted.cli.options import Options


def show_help(_options: Options, verb: str | None) -> None:
    """Show the help of ifap, or of a verb.

    Example::

        ifap help put
    """
    context = click.get_current_context()
    group = context.find_root()
    assert isinstance(group.command, click.Group)
    if verb is None:
        click.echo(group.get_help())
        return
    command = group.command.get_command(group, verb)
    if command is None:
        raise click.UsageError(f"There is no verb {verb!r}. All of them: {', '.join(VERBS)}.", context)
    click.echo(command.get_help(click.Context(command, info_name=verb, parent=group)))


command = plain_verb("help", show_help, click.Argument(["verb"], required=False, default=None, metavar="[VERB]"))
