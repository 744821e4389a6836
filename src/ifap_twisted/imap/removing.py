"""Removing messages and taking marks off, only while their UIDs are still theirs. Nothing else is expunged."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from ifap_twisted.errors import NotSupported, ReadOnly, Renumbered, Unavailable
from ifap_twisted.imap import names
from ifap_twisted.imap.expunging import Marks, expunge_by_uid, expunge_marked
from ifap_twisted.imap.grammar import HIGHEST
from ifap_twisted.imap.reading import Reading
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.selected import Selected
from ifap_twisted.imap.selecting import Selecting
from ifap_twisted.imap.wire import Wire

__all__ = ["Removing"]


class Removing:
    """The commands that remove messages from the selected folder.

    :param uidplus: the server has UID EXPUNGE (RFC 4315).
    """

    def __init__(
        self, wire: Wire, selected: Selected, reading: Reading, selecting: Selecting, *, uidplus: bool
    ) -> None:
        self._wire = wire
        self._selected = selected
        self._reading = reading
        self._selecting = selecting
        self._uidplus = uidplus

    async def remove(self, uids: Iterable[int], uidvalidity: int, due: Collection[int] | None) -> None:
        """Expunge exactly these of the messages that are there now (FORMAT 5.4).

        :param uidvalidity: under which their UIDs were learnt.
        :param due: as for ``IMessageStore.remove``; then the headers of what goes must have been read since the folder
            was selected.
        :raises NotSupported: the server has no UID EXPUNGE. :raises ReadOnly: the folder may not be changed.
        :raises MarkedByOthers: it has none, and EXPUNGE would remove others. :raises Unavailable: see ``due``.
        :raises Renumbered: UIDVALIDITY is another one, or became so meanwhile; the rest was left alone.
        """
        if not self._uidplus and due is None:
            raise NotSupported("The mail server cannot remove single messages (UIDPLUS).")
        self._check_may_change(uidvalidity)
        wanted = {uid for uid in uids if 0 < uid <= HIGHEST}
        if self._uidplus:
            await self._remove_by_uid(wanted, uidvalidity)
        elif wanted:
            await self._remove_marked(wanted, due or (), uidvalidity)
        self._selected.settle()

    async def _remove_by_uid(self, wanted: set[int], uidvalidity: int) -> None:
        marks = self._marks(uidvalidity)
        for uid_set in names.uid_sets(wanted):
            await expunge_by_uid(marks, wanted.intersection(await self._reading.listed(uid_set) or ()))

    async def _remove_marked(self, wanted: set[int], due: Collection[int], uidvalidity: int) -> None:
        async with self._selecting.turn:
            if not wanted <= self._reading.looked_at:  # mailutils can give other numbers under the same UIDVALIDITY
                raise Unavailable("The folder was opened anew before messages were removed; try again.")
            await expunge_marked(self._marks(uidvalidity), wanted, due)

    async def marked(self) -> set[int]:
        """The UIDs of all messages that are marked as deleted, whoever marked them."""
        await self._reading.noop()
        return await self._reading.search(b"DELETED")

    async def unmark(self, uids: Collection[int], uidvalidity: int) -> None:
        """Let these messages not be marked as deleted.

        :raises ReadOnly: the folder may not be changed. :raises Renumbered: UIDVALIDITY is another one.
        """
        self._check_may_change(uidvalidity)
        await self._marks(uidvalidity).mark(uids, deleted=False)

    def _marks(self, uidvalidity: int) -> Marks:
        return Marks(self._reading.uids, self._reading.listed, self.marked, partial(self._change, uidvalidity))

    async def _change(self, uidvalidity: int, text: bytes, what: str, overlap: Overlap = Overlap.FREE) -> None:
        """Send a command that changes messages, unless their UIDs are those of others now."""
        while self._selected.selecting:  # the folder is being selected again: this comes after that
            await self._wire.perform(Request(b"NOOP", what="say what is new", overlap=Overlap.FREE))
        self._check_numbers(uidvalidity)
        await self._wire.perform(Request(text, what=what, overlap=overlap))

    def _check_may_change(self, uidvalidity: int) -> None:
        if self._selected.read_only:
            raise ReadOnly("The folder was opened read-only.")
        self._check_numbers(uidvalidity)

    def _check_numbers(self, uidvalidity: int) -> None:
        if self._selected.uidvalidity != uidvalidity:
            raise Renumbered("The mail server renumbered the folder meanwhile.")
