"""Whether what is put is there already: the same content under the same name, with nothing that speaks against it."""

from __future__ import annotations

from ifap_twisted.core import envelope
from ifap_twisted.core.values import Entry, Version
from ifap_twisted.errors import CallerError
from ifap_twisted.filesystem.desk import Desk
from ifap_twisted.filesystem.drafting import Change

__all__ = ["equal_entry"]


async def equal_entry(desk: Desk, path: str, content: bytes, change: Change) -> Entry | None:
    """The entry of the current version, if a new one would be its equal; None also where that is in doubt.

    :param content: of the message that would be written: of a large file its manifest (FORMAT 7.1).
    """
    version = _certain(desk, path)
    if version is None or not _looks_equal(version, content, change):
        return None
    digest = await desk.worker(lambda: envelope.content_hash(content))
    if digest != (version.sha256 or "").rstrip("=") or _certain(desk, path) is not version:
        return None
    return desk.entry_of(desk.file(path))


def _certain(desk: Desk, path: str) -> Version | None:
    """The current version, unless there is another head, or something is known against this one."""
    try:
        found = desk.file(path)
    except CallerError:
        return None
    entry = desk.entry_of(found)
    if entry.conflict or entry.missing or entry.doubtful or entry.path != path or desk.writer.backlog.accepted(path):
        return None
    return found.placed.version


def _looks_equal(version: Version, content: bytes, change: Change) -> bool:
    size = len(content) if change.size is None else change.size
    same = (version.size, version.chunked) == (size, change.size is not None)
    return same and change.mode in (None, version.mode) and change.mime in (None, version.mime)
