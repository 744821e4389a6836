"""Taking marks as deleted off messages that stay: the next EXPUNGE of any program would remove them (FORMAT 5.4).

A removal marks and then expunges; when the connection is cut or the process killed in between, the marks stay. Nobody
can tell who set a mark. A version of ours is removed by a collection or its own writer only, and both mark it anew, so
that without its mark nothing can be lost; foreign mail, and what only a reference program wrote, keep theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from twisted.logger import Logger

from ifap_twisted.filesystem.known import Known

_log = Logger()


async def unmark_kept(known: Known) -> None:
    """Look which messages are marked, and take the marks off those of ours that are not being removed here and now.

    :raises Renumbered: one of them is another message by now; no mark was taken off.
    :raises StoreError, ReadOnly: marks may be left.
    """
    generation = known.generation
    known.check_generation(generation)
    marked = await known.store.marked()
    known.check_generation(generation)
    left = _left_over(known, marked)
    if left and not known.read_only:
        _log.warn("marks of a removal that was cut short are taken off messages that stay: {many}", many=len(left))
        await unmark(known, left)


async def unmark(known: Known, uids: Collection[int]) -> None:
    """Take the marks off versions that were just found to stay.

    :raises Renumbered: one of them is another message by now; no mark was taken off.
    :raises StoreError, ReadOnly: marks may be left.
    """
    expected = known.index.sealed_ids(uids)
    await known.store.unmark(list(expected), known.uidvalidity, partial(known.is_known_as, expected))


def _left_over(known: Known, marked: Collection[int]) -> list[int]:
    return [uid for uid in sorted(marked) if uid not in known.removing and _is_ours(known, uid)]


def _is_ours(known: Known, uid: int) -> bool:
    """Ours to remove: we wrote it, or a collection of ours put it on record."""
    version = known.index.at(uid)
    return version is not None and (version.ours or known.records.is_collected(version.vid))
