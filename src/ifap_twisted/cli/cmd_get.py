"""``ifap get``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, filesystem_verb
from ifap_twisted.cli.remote import RemoteName, remote_name, version_prefix

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def get(
    filesystem: IFilesystem,
    session: Session,
    *,
    source: Sequence[RemoteName],
    destination: str,
    recursive: bool,
    force: bool,
    version: str | None,
) -> None:
    """Get files from the folder.

    DEST is a local directory when it ends in a slash, exists as one, or several SRC are given. As with cp, -r /x/d out/
    makes out/d/...; with a final slash on SRC (/x/d/ or /) what is in it goes to out/. A directory that is not there is
    made with -r only. DEST - is stdout.

    A file that exists is not overwritten without -f (exit status 4); with -r and -f one that is the same already is
    left alone. A file appears whole or not at all, with its permissions (never setuid) and time. Nothing is written
    outside DEST, whatever the names in the folder are; symbolic links below DEST are not followed. Where two names of
    the folder are one for the local disk (they differ in case or Unicode form) the second one is refused, with -f too.

    With --json an Entry is printed for each file, and with -r at the end the object {"new", "unchanged", "failed"}.

    Example::

        ifap get notes/a.txt .
        ifap get -r /backup/photos ~/restored/
        ifap get --version q9fX notes/a.txt old.txt
    """
    from ifap_twisted.cli.cmd_cat import cat  # noqa: PLC0415 -- with what imports Twisted
    from ifap_twisted.cli.downloading import Download  # noqa: PLC0415 -- imports Twisted

    if version is not None and (recursive or len(source) > 1):
        raise click.UsageError("--version is about one file: leave out -r and further SRC.")
    if destination == "-":
        if recursive:
            raise click.UsageError("-r cannot go to stdout.")
        await cat(filesystem, session, path=[each.path for each in source], version=version)
        return
    download = Download(filesystem, session, recursive=recursive, replace=force, version=version)
    await download.run(source, destination)
    if recursive:
        download.summary()


command = filesystem_verb(
    get,
    click.Argument(["source"], type=remote_name, nargs=-1, required=True, metavar="SRC..."),
    click.Argument(["destination"], type=LOCAL_PATH, metavar="DEST"),
    click.Option(["-r", "recursive"], is_flag=True, help="Directories with all that is in them."),
    click.Option(["-f", "force"], is_flag=True, help="Overwrite what exists."),
    click.Option(
        ["--version"], type=version_prefix, metavar="V", help="An older version: its id, or the beginning of it."
    ),
)
