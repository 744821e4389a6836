"""What a client shows when everything is quiet: asked for as a program would."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ifap_twisted.core import envelope, paths
from ifap_twisted.core.dialects import IFAP
from ifap_twisted.core.keys import Key
from ifap_twisted.core.leases import is_lock_object
from ifap_twisted.core.records import RECORDS, Record
from ifap_twisted.core.values import Entry, Lease, Version
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import DataError, IFAPError
from ifap_twisted.filesystem.filesystem import Filesystem
from ifap_twisted.store.headers import metadata_fields
from ifap_twisted.testing.trace import Observation, Seen, Trace


@deferred
async def observe(who: str, filesystem: Filesystem, *, contents: bool) -> Observation:
    """Look at all versions of all paths, their contents too where asked for, and at the conflicts."""
    idle = filesystem.idle  # first: a snapshot or a checkpoint may be due while the rest is looked at
    status = await filesystem.status()
    vanished, _removed = filesystem.desk.view.index.missing()
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
        0 if idle else status.pending,
        filesystem.desk.view.uidvalidity,
        frozenset((placed.version.path, placed.version.vid) for placed in vanished if placed.recalled),
        tuple(notice.text for notice in status.warnings if notice.code == "hidden"),
    )


def leases_in(trace: Trace) -> dict[int, Lease]:
    """What the lock objects in the folder say, by UID."""
    if not any(call.verb in {"lock", "hold"} for call in trace.calls):
        return {}
    versions = ((uid, _version(trace, message)) for uid, message in trace.messages.items())
    return {
        uid: one.lease for uid, one in versions if one is not None and one.lease is not None and is_lock_object(one)
    }


def recorded_in(trace: Trace) -> set[str]:
    """The ids in the collection records in the folder."""
    found: set[str] = set()
    for message in trace.messages.values() if trace.collected else ():
        version = _version(trace, message)
        if version is not None and version.path.startswith(RECORDS):
            keys = (Key.from_text(trace.key),)
            content = envelope.read_message(message, dialect=IFAP, keys=keys, home=None)[1]
            found |= {one.vid for one in Record.decode(content).gone}
    return found


def _version(trace: Trace, message: bytes) -> Version | None:
    with suppress(DataError):
        keys = (Key.from_text(trace.key),)
        return envelope.read_header(metadata_fields(message), dialect=IFAP, keys=keys, home=None)
    return None


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
