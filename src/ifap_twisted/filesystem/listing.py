"""What a listing of the folder says, and whether anything happened while it was made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TypeAlias

from zope.interface import implementer

from ifap_twisted.core.index import Index
from ifap_twisted.core.values import FolderState, NoVersion, Version
from ifap_twisted.errors import DataError
from ifap_twisted.garbage import made_to_stay
from ifap_twisted.interfaces import IFolderListener, IMessageStore

Decoded: TypeAlias = Version | DataError | NoVersion | None
"""What a message is: a version, why it is none, a key slot or of the other dialect, or mail of somebody else."""


@implementer(IFolderListener)
class EarlyNews:
    """Listens while the folder is listed for the first time, and only notes whether anything happened.

    :ivar since: from when on, on the elapsed clock.
    """

    def __init__(self, store: IMessageStore, since: float) -> None:
        self.since = since
        self.any = False
        self.renumbering = False
        self.offline = False
        self.stop = store.listen(self)

    def arrived(self, state: FolderState) -> None:
        """Something happened."""
        del state
        self.any = True

    def vanished(self, uids: Collection[int]) -> None:
        """Something happened, if any."""
        self.any = self.any or bool(uids)

    def renumbered(self, uidvalidity: int) -> None:
        """Something happened."""
        del uidvalidity
        self.any = self.renumbering = True

    def connected(self) -> None:
        """Something may have happened."""
        self.any = True
        self.offline = False

    def disconnected(self, reason: BaseException) -> None:
        """What happens then is told by ``connected``."""
        del reason
        self.offline = True


def made_of(decoded: Mapping[int, Decoded], before: Index, validity: int, moment: float, date: float) -> Index:
    """The index of a listing; what was there before under other numbers and is not now is missing in it.

    :param moment: now, on the elapsed clock, ``date`` in Unix time: a version may have been there for long.
    """
    index = Index(before.records, validity)
    with made_to_stay():
        fill(index, decoded, lambda version: moment - max(0.0, date - version.written))
        index.miss_from(before, moment)
        index.settle()
    return index


def fill(index: Index, decoded: Mapping[int, Decoded], seen: Callable[[Version], float]) -> None:
    """Note what was decoded; ``seen`` says since when a version is known."""
    for uid, found in decoded.items():
        if isinstance(found, Version):
            index.observe(uid, found, seen(found))
        else:
            index.reject(uid, found)


def runs(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive UIDs as (first, last), ascending."""
    for _, run in groupby(enumerate(sorted(uids)), key=lambda pair: pair[1] - pair[0]):
        members = [uid for _, uid in run]
        yield members[0], members[-1]
