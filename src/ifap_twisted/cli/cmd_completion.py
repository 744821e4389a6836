"""``ifap completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ifap_twisted.cli.loading import plain_verb
from ifap_twisted.cli.options import Options


def completion(_options: Options, shell: str) -> None:
    """Print a script that completes verbs and options in a shell: bash, zsh or fish.

    Example::

        eval "$(ifap completion bash)"
        ifap completion fish > ~/.config/fish/completions/ifap.fish
    """
    root = click.get_current_context().find_root()
    script = get_completion_class(shell)
    assert script is not None, "click knows the shells that are offered"
    click.echo(script(root.command, {}, "ifap", "_IFAP_COMPLETE").source())


command = plain_verb(
    "completion", completion, click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
)
