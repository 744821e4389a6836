"""``ifap put``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import LOCAL_PATH, filesystem_verb
from ifap_twisted.cli.remote import RemoteName, remote_name, version_prefix

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.interfaces import IFilesystem


async def put(
    filesystem: IFilesystem,
    session: Session,
    *,
    source: Sequence[str],
    destination: RemoteName,
    recursive: bool,
    if_absent: bool,
    if_match: str | None,
    always: bool,
    queue: bool,
    exclude: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Store local files in the folder.

    DEST is a directory when it ends in a slash, exists as one, or several SRC are given. As with cp, -r d /x/ makes
    /x/d/...; with a final slash on SRC (d/ or .) what is in it goes to /x/. SRC - is stdin, which may say nothing for
    up to an hour. With --queue and the mail server away, one of the two slashes has to be there for a directory.

    A GLOB without a slash is about the last name, at any depth; one with a slash about the whole path below SRC.

    A file may have any size: it is sent as it is read. What the folder has of a large one already is not sent again,
    so that a command that was cut can be given again. Large files are above the setting chunk_threshold.

    With -r a file whose content and permissions are those of the current version is skipped, so that the same command
    can be given again and again; the end says how many were new, unchanged, and failed. A large file is read for that,
    and with --dry-run it is not compared. Hidden files and empty
    directories are included. Symbolic links named as SRC are followed, those inside a directory are skipped with a
    warning, as are sockets, FIFOs and devices. A name that is not UTF-8 is refused, and so is a file that changes
    while it is read; the others go on.

    With --queue a file is accepted while the mail server is away: it is kept, sealed, in the journal of the basedir and
    sent when the server is back, by a running node at once, otherwise by the next verb (`ifap sync`, for example);
    `ifap status` tells what waits. It descends from what this device knew of the file; where somebody changed the file
    meanwhile both versions stay and the conflict is reported, whatever --if-absent and --if-match said. A running node
    knows more than this verb by itself: without one, what is accepted is in conflict with any version that is on the
    server already, and -r accepts all files, those that are there, too. Empty directories and large files are not
    accepted.

    A file is stored when this verb says so: its path and version are printed (with -r only when -v is given). With
    --json an Entry is printed for each (one that was only accepted has "pending": true), and with -r at the end the
    object {"new", "unchanged", "failed"}, with --queue also "pending"; with --dry-run objects {"action": "put", "path",
    "size"} and {"action": "mkdir", "path"}.

    Example::

        ifap put notes.txt /notes/
        ifap put -r --exclude '*.o' --exclude .git project /backup/
        tar c /etc | ifap put - /backup/etc.tar
        ifap put --queue diary.txt /diary.txt
    """
    from ifap_twisted.cli.uploading import Upload, Wishes  # noqa: PLC0415 -- imports Twisted
    from ifap_twisted.core.values import ABSENT  # noqa: PLC0415 -- with it

    _require_sense(source, if_absent=if_absent, if_match=if_match, recursive=recursive)
    expect = ABSENT if if_absent else if_match
    wishes = Wishes(recursive=recursive, expect=expect, always=always, queue=queue, exclude=exclude, dry_run=dry_run)
    upload = Upload(filesystem, session, wishes)
    if list(source) == ["-"]:
        await upload.run_stdin(destination)
    else:
        await upload.run(source, destination)
    if recursive:
        upload.summary()


def _require_sense(source: Sequence[str], *, if_absent: bool, if_match: str | None, recursive: bool) -> None:
    if if_absent and if_match is not None:
        raise click.UsageError("--if-absent and --if-match exclude each other.")
    if if_match is not None and (recursive or len(source) > 1):
        raise click.UsageError("--if-match is about one file: leave out -r and further SRC.")
    if "-" in source and (recursive or len(source) > 1):
        raise click.UsageError("`-` (stdin) goes alone, without -r; write ./- for a file of that name.")


command = filesystem_verb(
    put,
    click.Argument(["source"], type=LOCAL_PATH, nargs=-1, required=True, metavar="SRC..."),
    click.Argument(["destination"], type=remote_name, metavar="DEST"),
    click.Option(["-r", "recursive"], is_flag=True, help="Directories with all that is in them."),
    click.Option(["--if-absent"], is_flag=True, help="Only where there is no file yet."),
    click.Option(["--if-match"], type=version_prefix, metavar="V", help="Only while this version is the current one."),
    click.Option(["--always"], is_flag=True, help="With -r: store what is unchanged, too."),
    click.Option(["--queue"], is_flag=True, help="While the mail server is away, accept now and store later."),
    click.Option(
        ["--exclude"], multiple=True, metavar="GLOB", help="Leave out what matches; may be given several times."
    ),
    click.Option(["--dry-run"], is_flag=True, help="Only say what would be stored."),
    away=lambda values: bool(values["queue"]),
    changes=True,
)
