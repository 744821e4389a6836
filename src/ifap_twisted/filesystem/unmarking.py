"""Taking marks as deleted off messages that stay: the next EXPUNGE of any program would remove them (FORMAT 5.4).

A removal marks and then expunges; when the connection is cut or the process killed in between, the marks stay. Nobody
can tell who set a mark. A version of ours is removed by a collection or its own writer only, and both mark it anew, so
that without its mark nothing can be lost; foreign mail, and what only a reference program wrote, keep theirs.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.logger import Logger

from ifap_twisted.filesystem.view import View

_log = Logger()


async def unmark_kept(view: View) -> None:
    """Look which messages are marked, and take the marks off those of ours that are not being removed here and now.

    :raises StoreError, ReadOnly: marks may be left.
    """
    generation = view.generation
    view.check_generation(generation)
    marked = await view.store.marked()
    view.check_generation(generation)
    left = _left_over(view, marked)
    if left and not view.read_only:
        _log.warn("marks of a removal that was cut short are taken off messages that stay: {many}", many=len(left))
        await view.store.unmark(left, view.uidvalidity)


def _left_over(view: View, marked: Collection[int]) -> list[int]:
    return [uid for uid in sorted(marked) if uid not in view.being_removed and _is_ours(view, uid)]


def _is_ours(view: View, uid: int) -> bool:
    """Ours to remove: we wrote it, or a collection of ours put it on record."""
    version = view.index.at(uid)
    return version is not None and (version.ours or view.records.is_collected(version.vid))
