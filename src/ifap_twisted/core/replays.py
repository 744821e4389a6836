"""Old messages of a reference program that were stored again, and so are in front of newer ones (FORMAT 3.3, 9.1).

Nothing in such a message says what it replaced: its place in the order of the folder is its place in history. A version
of ours says it itself, and an old one that is stored again is old.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ifap_twisted.core import limits
from ifap_twisted.core.history import History, Placed
from ifap_twisted.core.marks import Mark

__all__ = ["Seen", "in_front", "older_than"]


class Seen(NamedTuple):
    """What has to be known of a mark that is kept: :class:`Mark` without its version.

    :ivar vid: of the version; a message of the reference that was sealed anew kept its own.
    """

    vid: str
    rank: float
    validity: int
    since: float
    below: tuple[str, ...] = ()

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> tuple[Seen, ...]:
        """Of the marks of one path."""
        return tuple(cls(one.version.vid, one.rank, one.validity, one.since, one.below) for one in marks)


def older_than(head: Placed, history: History, seen: Sequence[Seen]) -> tuple[str, ...]:
    """The ids of the messages of a reference program that were seen to be older than a head that is one, too.

    :param seen: what was known before.
    :return: the newest ``limits.MARKED_BELOW``, the newest last; none for a version of ours.
    """
    if head.version.ours or not head.version.encrypted:
        return ()
    before = [vid for one in seen for vid in (*one.below, one.vid)]
    now = [one.version.vid for one in history.ancestors(head) if not one.version.ours]
    found = dict.fromkeys([*before, *now])
    found.pop(head.version.vid, None)
    return tuple(found)[-limits.MARKED_BELOW :]


def in_front(history: History, seen: Collection[Seen]) -> Placed | None:
    """A head that was seen to be older than a version that is no head now; None where there is none.

    That one need not be there: who withholds it and stores the older one again hides it.
    """
    heads = {head.version.vid: head for head in history.heads if not head.missing}
    told = {head.version.vid for head in history.heads if head.missing}
    for one in seen:
        if one.vid not in heads and one.vid not in told:
            found = next((heads[vid] for vid in one.below if vid in heads), None)
            if found is not None:
                return found
    return None
