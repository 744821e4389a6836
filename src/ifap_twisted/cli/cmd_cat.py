"""``ifap cat``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
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

    The bytes are written as they are, also with --json, and as they come, each part checked; what fails is told on
    stderr and the others go on. Of a large file that is lost in part what comes before that was written then.

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
    """Write one file to stdout as it comes, off the reactor's thread."""
    from ifap_twisted.cli.contents import content_of  # noqa: PLC0415 -- imports Twisted
    from ifap_twisted.cli.progress import counting  # noqa: PLC0415 -- with it

    stream = await filesystem.stream(path, version=version)
    with counting(session.console, f"Reading /{path}", stream.entry.size) as progress:
        async for part in content_of(stream):
            await session.worker(partial(session.console.data, part))
            progress.advance(len(part))


command = filesystem_verb(
    cat,
    click.Argument(["path"], type=remote_path, nargs=-1, required=True, metavar="PATH..."),
    click.Option(
        ["--version"], type=version_prefix, metavar="V", help="An older version: its id, or the beginning of it."
    ),
)
