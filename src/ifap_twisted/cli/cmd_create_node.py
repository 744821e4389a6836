"""``ifap create-node``."""

from __future__ import annotations

import click

from ifap_twisted.cli.loading import LOCAL_PATH, plain_verb
from ifap_twisted.cli.options import Options


def create_node(options: Options, directory: str | None) -> None:
    """Make a basedir with an ifap.toml that shows every setting.

    DIR is by default the basedir that other verbs would take. What is there already is not touched (exit status 4).
    With --json an object is printed: basedir.

    Example::

        ifap create-node ~/work-folder
        ifap --basedir ~/work-folder start
    """
    from ifap_twisted.cli.creating import create  # noqa: PLC0415 -- only when it is run

    create(options, directory)


command = plain_verb(
    "create-node",
    create_node,
    click.Argument(["directory"], type=LOCAL_PATH, required=False, default=None, metavar="[DIR]"),
)
