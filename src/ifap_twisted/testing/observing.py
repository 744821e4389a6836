"""What a client shows when everything is quiet: asked for as a program would."""

from __future__ import annotations

from collections.abc import Sequence

from ifap_twisted.core import paths
from ifap_twisted.core.values import Entry
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import IFAPError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.testing.trace import Observation, Seen


@deferred
async def observe(who: str, filesystem: Filesystem, *, contents: bool) -> Observation:
    """Look at all versions of all paths, their contents too where asked for, and at the conflicts."""
    index = filesystem.desk.view.index
    names = sorted(name for name in index.paths() if not paths.is_reserved(name))
    versions = {}
    for name in names:
        versions[name] = tuple([await _seen(filesystem, e, contents=contents) for e in await filesystem.versions(name)])
    ranks = {(name, placed.version.vid): placed.rank for name in names for placed in index.history(name).versions}
    return Observation(
        who,
        versions,
        _listed(await filesystem.list("/", recursive=True)),
        tuple(sorted((entry.path, entry.version) for entry in await filesystem.conflicts())),
        ranks,
        (await filesystem.status()).pending,
    )


def _listed(entries: Sequence[Entry]) -> tuple[tuple[str, str, str], ...]:
    return tuple((entry.path, entry.type, entry.version) for entry in entries)


async def _seen(filesystem: Filesystem, entry: Entry, *, contents: bool) -> Seen:
    directory = entry.type == "directory"
    content, error = None, None
    if contents and not (entry.deleted or directory):
        try:
            content = await filesystem.get(entry.path, version=entry.version)
        except IFAPError as problem:
            error = problem.code
    return Seen(entry.path, entry.version, entry.deleted, directory, content, error)
