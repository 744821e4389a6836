"""How many versions of a file are kept: said by a new version of the same content, over the current one only."""

from __future__ import annotations

from ifap_twisted.core.values import Entry, Expect
from ifap_twisted.errors import CallerError
from ifap_twisted.filesystem.desk import Desk, Found, as_before

MOST_KEPT = 10_000


class _OvertakenError(Exception):
    """Somebody changed the file while it was rewritten; nothing was written."""


async def keep(desk: Desk, path: str, count: int, expect: Expect) -> Entry:
    """Set how many versions of a file are kept, 1 to ``MOST_KEPT``.

    :raises CallerError: the count is another one. :raises NotFound, Conflict:
    """
    if not 1 <= count <= MOST_KEPT:
        raise CallerError(f"Between 1 and {MOST_KEPT} versions can be kept, not {count}.", path=path)
    await desk.view.current()
    while True:
        found = desk.file(path)
        try:
            return await _keep_of(desk, found, count, expect)
        except _OvertakenError:  # an edit came meanwhile: say it of that one
            continue


async def _keep_of(desk: Desk, found: Found, count: int, expect: Expect) -> Entry:
    """Write a version again with another ``keep``, over itself only: other heads stay in conflict (FORMAT 3.4)."""
    vid = found.placed.version.vid

    def check() -> None:
        if desk.file(found.path).placed.version.vid != vid:
            raise _OvertakenError

    change = as_before(found, keep=count, replaced={vid})
    return await desk.rewrite(found.placed.version.path, found, change, expect=expect, check=check)
