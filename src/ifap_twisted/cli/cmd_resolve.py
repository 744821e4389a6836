"""``ifap resolve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.remote import full_version, remote_path, version_prefix

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def resolve(filesystem: IFilesystem, session: Session, *, path: str, keep: str | None, both: bool) -> None:
    """End a conflict.

    With --keep one version becomes the current one, and the others stay as old versions. With --both the current one
    stays, and the others get names of their own beside it. Where the newest version is gone from the mail server
    without a word, --keep names the one that is to take its place. With --json the Entry of PATH is printed.

    Example::

        ifap conflicts
        ifap resolve notes/a.txt --keep q9fX
    """
    if both == (keep is not None):
        raise click.UsageError("Give either --keep V or --both.")
    version = None if keep is None else await full_version(filesystem, path, keep)
    resolved = filesystem.resolve(path, version=version, both=both)
    session.console.entry(await session.during(f"Resolving /{path}", resolved))


command = filesystem_verb(
    resolve,
    click.Argument(["path"], type=remote_path, metavar="PATH"),
    click.Option(["--keep"], type=version_prefix, metavar="V", help="The version to go on with."),
    click.Option(["--both"], is_flag=True, help="Keep all of them, under different names."),
    changes=True,
)
