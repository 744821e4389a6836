"""Remote paths and version ids as they are typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from ifap_twisted.core import paths
from ifap_twisted.errors import InvalidPath, NotADirectory, NotFound, UnknownVersion

if TYPE_CHECKING:  # the seams import Twisted, which a usage error need not wait for
    from ifap_twisted.core.values import Entry
    from ifap_twisted.interfaces import IFilesystem

PREFIX_LENGTH: Final = 4
"""The shortest beginning of a version id that may stand for it (DESIGN 4.2)."""


@dataclass(frozen=True, slots=True)
class RemoteName:
    """A remote path, and whether it was written with a final slash (the root always is)."""

    path: str
    slash: bool


def remote_name(text: str) -> RemoteName:
    """Parse a remote path; no leading slash is needed.

    :raises InvalidPath: it is empty, holds ``..``, or cannot name a file for another reason (FORMAT 11.1).
    """
    if not text:
        raise InvalidPath("The empty path names nothing: write / for the root.", path="")
    path = paths.clean(text)
    return RemoteName(path, slash=text.endswith("/") or not path)


def remote_path(text: str) -> str:
    """Parse a remote path into its canonical form."""
    return remote_name(text).path


def version_prefix(text: str) -> str:
    """A version id, or the beginning of one that is long enough to mean one version."""
    if len(text) < PREFIX_LENGTH:
        raise click.BadParameter(f"{text!r} is too short: give at least {PREFIX_LENGTH} characters of the version id.")
    return text


async def find(filesystem: IFilesystem, path: str) -> Entry | None:
    """What is at a path, or None; the root is always a directory."""
    try:
        return await filesystem.stat(path)
    except NotFound:
        return None


async def is_directory(filesystem: IFilesystem, path: str) -> bool:
    """Whether there is a directory at a path; the root always is one, also in an empty folder."""
    if not path:
        return True
    found = await find(filesystem, path)
    return found is not None and found.type == "directory"


async def place_in(filesystem: IFilesystem, source: RemoteName, destination: RemoteName) -> str:
    """Where a source goes, as with ``mv`` and ``cp``: into a directory under its own name, else to the name given.

    :raises NotADirectory: the source was written with a final slash and is none.
    """
    if source.slash and not await is_directory(filesystem, source.path):
        raise NotADirectory(path=source.path)
    if destination.slash or await is_directory(filesystem, destination.path):
        return paths.join(destination.path, paths.basename(source.path))
    return destination.path


async def full_version(filesystem: IFilesystem, path: str, prefix: str) -> str:
    """The one version id of a path that begins so.

    :raises UnknownVersion: none does, or several do.
    """
    found = {entry.version for entry in await filesystem.versions(path) if entry.version.startswith(prefix)}
    if len(found) == 1:
        return found.pop()
    if prefix in found:
        return prefix
    how_many = "Several versions begin" if found else "No version begins"
    raise UnknownVersion(f"{how_many} with {prefix}: `ifap versions` lists them.", path=path)
