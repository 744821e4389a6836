"""``ifap cat``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.remote import remote_path, version_prefix

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def cat(filesystem: IFilesystem, session: Session, *, path: Sequence[str], version: str | None) -> None:
    """Write the content of files to stdout, one after the other.

    The bytes are written as they are, also with --json; what fails is told on stderr and the others go on.

    Example::

        ifap cat notes/a.txt
        ifap cat --version q9fX notes/a.txt
    """
    if version is not None and len(path) > 1:
        raise click.UsageError("--version goes with one PATH only.")
    for each in path:
        try:
            await write_out(filesystem, session, each, version)
        except EXPECTED as error:
            session.console.failed(error)


async def write_out(filesystem: IFilesystem, session: Session, path: str, version: str | None) -> None:
    """Write one file to stdout, off the reactor's thread."""
    data = await session.during(f"Reading /{path}", filesystem.get(path, version=version))
    await session.worker(lambda: session.console.data(data))


command = filesystem_verb(
    cat,
    click.Argument(["path"], type=remote_path, nargs=-1, required=True, metavar="PATH..."),
    click.Option(
        ["--version"], type=version_prefix, metavar="V", help="An older version: its id, or the beginning of it."
    ),
)
