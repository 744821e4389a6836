"""Conflicts: shown with all heads, ended by a version that descends from all of them (FORMAT 3.4, 3.5)."""

from __future__ import annotations

from ifap_twisted.core import limits, paths
from ifap_twisted.core.history import Placed
from ifap_twisted.core.values import ABSENT, Entry, Expect
from ifap_twisted.errors import Conflict, NotFound
from ifap_twisted.filesystem.desk import Desk, Found, as_before
from ifap_twisted.filesystem.drafting import Change
from ifap_twisted.filesystem.entries import entry_of

SHOWN_OF_A_VID = 8


async def conflicts(desk: Desk, path: str | None) -> list[Entry]:
    """All heads of everything in conflict at or below a path; the current one of each file first."""
    await desk.view.current()
    found: list[Entry] = []
    for name in desk.view.index.conflicts():
        if path and name != path and not name.startswith(path + "/"):
            continue
        history = desk.view.index.history(name)
        ordered = sorted(history.heads, key=lambda head: head is not history.current)
        found.extend(entry_of(history, head, locked=desk.book.locked(name)) for head in ordered)
    return found


async def resolve(desk: Desk, path: str, *, version: str | None, both: bool, expect: Expect) -> Entry:
    """Make one head the only one, or keep every live head, the others beside it under names of their own.

    A head that is missing is settled in the same way, by the version that is to take its place (FORMAT 5.5).
    """
    await desk.view.current()
    history = desk.view.index.history(path)
    if version is not None and not both and any(head.missing for head in history.heads):
        chosen = desk.file(path, version)
    elif history.in_conflict and history.current is not None:
        chosen = Found(history, history.current, path) if version is None else desk.file(path, version)
    else:
        raise NotFound(f"/{path} is not in conflict.", path=path)
    heads = {head.version.vid for head in history.heads}
    now = None if history.current is None else history.current.version.vid
    if isinstance(expect, str) and expect != now:
        raise Conflict("The file is not the version that was expected.", path=path, expected=expect, found=now)
    if both:
        for head in history.heads:
            if head is not chosen.placed and not (head.version.deleted or head.version.directory):
                await _keep_beside(desk, path, Found(history, head, path))

    def check() -> None:
        present = desk.view.index.history(path)
        if {head.version.vid for head in present.heads} != heads or desk.writer.backlog.accepted(path):
            raise Conflict("The conflict changed meanwhile; look at it again.", path=path, found=None)

    if chosen.placed.version.deleted:
        placed = await desk.writer.write(path, b"", Change(deleted=True, late_too=True), check=check)
        return desk.entry(path, placed)
    return await desk.rewrite(path, chosen, as_before(chosen, late_too=True), check=check)


async def _keep_beside(desk: Desk, path: str, found: Found) -> None:
    name = beside(path, found.placed)
    kept = desk.view.index.file(name)
    expect: Expect = ABSENT
    if kept is not None and (kept.missing or await _is_kept(desk, kept, found.placed)):  # by a try before this one
        if not kept.missing and desk.view.index.is_settled(kept, desk.view.elapsed()):
            return
        expect = kept.version.vid
    await desk.rewrite(name, found, as_before(found), expect=expect)


async def _is_kept(desk: Desk, kept: Placed, head: Placed) -> bool:
    """Whether a file holds what a head holds; that of a reference program tells no digest of its content.

    Of large files the lists of their chunks are compared: what was kept has that of the head.
    """
    if (kept.version.size, kept.version.chunked) != (head.version.size, head.version.chunked):
        return False
    if kept.version.bound and head.version.sha256 is not None:
        return kept.version.sha256 == head.version.sha256
    async with desk.admitted(2 * head.version.length):
        return await desk.reader.content(kept) == await desk.reader.content(head)


def beside(path: str, placed: Placed) -> str:
    """The name under which a head of a conflict is kept: ``report~x7Yd2KqA.txt``; a long one is shortened.

    Where the path above is so long that no name would fit, it is a directory above that.
    """
    mark = "~" + placed.version.vid[:SHOWN_OF_A_VID]
    above, name = paths.parent(path), paths.basename(path)
    while (room := _room(above) - len(mark)) < 0:
        above = paths.parent(above)
    stem, dot, ending = name.rpartition(".")
    if not (dot and stem) or len((dot + ending).encode()) > room:
        stem, dot, ending = name, "", ""
    stem = stem.encode()[: room - len((dot + ending).encode())].decode(errors="ignore")
    return paths.join(above, f"{stem}{mark}{dot}{ending}")


def _room(directory: str) -> int:
    """So many bytes a name in a directory may have."""
    return min(limits.SEGMENT_BYTES, limits.PATH_BYTES + 1 - len(paths.join(directory, "?").encode()))
