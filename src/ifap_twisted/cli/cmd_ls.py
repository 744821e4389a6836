"""``ifap ls``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ifap_twisted.cli.loading import filesystem_verb
from ifap_twisted.cli.printing import Console, table
from ifap_twisted.cli.problems import EXPECTED
from ifap_twisted.cli.remote import remote_path
from ifap_twisted.cli.times import local_time, time_or_ago

if TYPE_CHECKING:
    from ifap_twisted.cli.session import Session
    from ifap_twisted.core.values import Entry
    from ifap_twisted.interfaces import IFilesystem


async def ls(
    filesystem: IFilesystem,
    session: Session,
    *,
    path: Sequence[str],
    long: bool,
    everything: bool,
    recursive: bool,
    at: float | None,
    nul: bool,
) -> None:
    """List files and directories.

    Whole paths are shown, so that each line can be given to another verb; directories end in a slash. Control
    characters in names are shown escaped; -0 prints the names as they are, with a NUL after each.

    With -l each line has the permissions, the size in bytes, the local time of modification, the version id, how many
    versions are kept, and the path. A path in conflict is marked with !, a removed one with x, and with ? one whose
    message is gone from the mail server.

    With --json each line is an Entry: path, type, size, modified, version, parents, versions, keep, deleted, mode,
    mime, writer, conflict, locked, bound, missing, sha256, pending, doubtful (its message could not be used when it was
    read last, or another version was there first, and the device that wrote this one may take it back yet).

    Example::

        ifap ls -l notes/
        ifap ls -R --at 2h
        ifap ls -R -0 photos | xargs -0 ifap get -r --
    """
    for each in path or ("",):
        try:
            listed = filesystem.list(each, recursive=recursive, everything=everything, at=at)
            entries = await session.during("Listing", listed)
        except EXPECTED as error:
            session.console.failed(error)
        else:
            show(session.console, entries, long=long, nul=nul)


def show(console: Console, entries: Sequence[Entry], *, long: bool = False, nul: bool = False) -> None:
    """Print entries as ``ls`` does."""
    if console.json:
        for entry in entries:
            console.object(entry.to_json())
    elif nul:
        for entry in entries:
            console.raw("/" + entry.path)
    elif long:
        for line in table([_long(entry) for entry in entries], right=(2, 5)):
            console.line(line)
    else:
        for entry in entries:
            console.line(_shown(entry))


def _shown(entry: Entry) -> str:
    return "/" + entry.path + ("/" if entry.type == "directory" else "")


def _long(entry: Entry) -> tuple[str, ...]:
    mark = "?" if entry.missing else "!" if entry.conflict else "x" if entry.deleted else " "
    if entry.type == "directory":
        made = local_time(entry.modified) if entry.version else "-"  # one that exists by its files only has no time
        return (mark, "drwx------", "-", made, entry.version or "-", "-", _shown(entry))
    permissions = "-" + "".join(
        letter if entry.mode >> (8 - number) & 1 else "-" for number, letter in enumerate("rwxrwxrwx")
    )
    return (
        mark,
        permissions,
        str(entry.size),
        local_time(entry.modified),
        entry.version,
        f"{entry.versions}/{entry.keep}",
        _shown(entry),
    )


command = filesystem_verb(
    ls,
    click.Argument(["path"], type=remote_path, nargs=-1, metavar="[PATH]..."),
    click.Option(["-l", "long"], is_flag=True, help="Size, time, version and versions kept, too."),
    click.Option(["-a", "everything"], is_flag=True, help="Reserved files and removed ones, too."),
    click.Option(["-R", "recursive"], is_flag=True, help="What is below directories, too."),
    click.Option(["--at"], type=time_or_ago, metavar="TIME", help="As it was then: ISO 8601, or how long ago: 2h, 3d."),
    click.Option(["-0", "nul"], is_flag=True, help="Raw names, a NUL after each."),
)
