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
    resume: bool,
    salvage: bool,
) -> None:
    """Get files from the folder.

    DEST is a local directory when it ends in a slash, exists as one, or several SRC are given. As with cp, -r /x/d out/
    makes out/d/...; with a final slash on SRC (/x/d/ or /) what is in it goes to out/. A directory that is not there is
    made with -r only. DEST - is stdout.

    A file that exists is not overwritten without -f (exit status 4); with -r and -f one that is the same already is
    left alone, but a large one, of which that is not known, is got again. A file appears whole or not at all, with its
    permissions (never setuid) and time. Nothing is written outside DEST, whatever the names in the folder are; symbolic
    links below DEST are not followed. Where two names of the folder are one for the local disk (they differ in case or
    Unicode form) the second one is refused, with -f too.

    With --resume what came of a large file (more than 16 MiB) stays beside its name as .NAME.VERSION.ifap-part when the
    transfer is cut or stopped, and the same command goes on with it: 16 MiB before the end of what is there, because
    only what was synced to the disk is relied on. A part of another version is left alone, and named.

    A file of which some ranges of bytes are lost for good is not written (exit status 7, which names the first range).
    With --salvage the rest of it is, with NULs in the place of what is lost, and each lost range is told on stderr; the
    exit status is 7 all the same. A failure that may be over soon (8) is never salvaged over. Neither option goes with
    DEST -, and not both at a time.

    With --json an Entry is printed for each file, and with -r at the end the object {"new", "unchanged", "failed"},
    with --salvage also "salvaged"; each lost range is an error object on stderr with "offset" and "length" in "about".

    Example::

        ifap get notes/a.txt .
        ifap get -r /backup/photos ~/restored/
        ifap get --version q9fX notes/a.txt old.txt
        ifap get --resume /backup/disk.img .
    """
    from ifap_twisted.cli.cmd_cat import cat  # noqa: PLC0415 -- with what imports Twisted
    from ifap_twisted.cli.downloading import Download, Wishes  # noqa: PLC0415 -- imports Twisted

    if version is not None and (recursive or len(source) > 1):
        raise click.UsageError("--version is about one file: leave out -r and further SRC.")
    if resume and salvage:
        raise click.UsageError("--resume and --salvage exclude each other.")
    if destination == "-":
        if resume or salvage:
            raise click.UsageError("--resume and --salvage are about files on the disk, not about stdout.")
        if recursive:
            raise click.UsageError("-r cannot go to stdout.")
        await cat(filesystem, session, path=[each.path for each in source], version=version)
        return
    wishes = Wishes(recursive=recursive, replace=force, version=version, resume=resume, salvage=salvage)
    download = Download(filesystem, session, wishes)
    await download.run(source, destination)
    if recursive:
        download.summary()


command = filesystem_verb(
    get,
    click.Argument(["source"], type=remote_name, nargs=-1, required=True, metavar="SRC..."),
    click.Argument(["destination"], type=LOCAL_PATH, metavar="DEST"),
    click.Option(["-r", "recursive"], is_flag=True, help="Directories with all that is in them."),
    click.Option(["-f", "force"], is_flag=True, help="Overwrite what exists."),
    click.Option(["--resume"], is_flag=True, help="Go on with what a cut left, and keep what comes."),
    click.Option(["--salvage"], is_flag=True, help="Of a file that is lost in part, write the rest."),
    click.Option(
        ["--version"], type=version_prefix, metavar="V", help="An older version: its id, or the beginning of it."
    ),
)
