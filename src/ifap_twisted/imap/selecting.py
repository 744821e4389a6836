"""Selecting the folder, the first time and again: what it holds now is compared with what was known (FORMAT 2.5)."""

from __future__ import annotations

from ifap_twisted.core.values import FolderState
from ifap_twisted.deferreds import Slots
from ifap_twisted.errors import ProtocolViolation
from ifap_twisted.imap.answers import Selection
from ifap_twisted.imap.reading import Reading
from ifap_twisted.imap.refusals import SELECT
from ifap_twisted.imap.requests import Request
from ifap_twisted.imap.selected import Selected
from ifap_twisted.imap.wire import Wire

__all__ = ["Selecting"]


class Selecting:
    """Selects one folder.

    :param mailbox: its name as it goes onto the wire.
    :ivar turn: held while the folder is selected, and by whoever needs that it is not selected meanwhile.
    """

    def __init__(self, wire: Wire, mailbox: bytes, selected: Selected, reading: Reading) -> None:
        self._wire = wire
        self._mailbox = mailbox
        self._selected = selected
        self._reading = reading
        self.turn = Slots(1)

    async def select(self) -> FolderState:
        """SELECT; what vanished and arrived meanwhile is told.

        :raises NotFound: the server says that there is no such folder.
        """
        async with self.turn:
            return await self._select()

    async def _select(self) -> FolderState:
        selected = self._selected
        known = list(selected.numbers.uids()) if selected.complete else []
        before = selected.state
        await self._take_selection()
        if before.uidvalidity == 0:
            return selected.state
        if before.uidvalidity != selected.uidvalidity:
            selected.renumbered()
        elif known and selected.uidnext is not None and known[-1] >= selected.uidnext:
            selected.look_again = True  # it shows an older state than before: what is missing may come again
        elif known:
            await self._compare(known)
        selected.look_again = selected.look_again or selected.exists != before.exists
        selected.settle()
        return selected.state

    async def _take_selection(self) -> None:
        selection = Selection()
        request = Request(b"SELECT " + self._mailbox, what=SELECT, receive=selection.receive)
        self._selected.selecting = True
        try:
            status = await self._wire.perform(request)
        finally:
            self._selected.selecting = False
        if selection.uidvalidity is None:
            raise ProtocolViolation("The mail server does not tell the UIDVALIDITY of the folder.")
        self._reading.begin()
        self._selected.begin(
            FolderState(
                uidvalidity=selection.uidvalidity,
                uidnext=selection.uidnext,
                exists=selection.exists,
                read_only=status.code == b"READ-ONLY",
            )
        )

    async def _compare(self, known: list[int]) -> None:
        """After selecting again, say what vanished meanwhile, when each message that is there was listed (FORMAT 2.5).

        Numbers only ever close up, so the last known message having its old number proves that all before it are there.
        """
        selected, last = self._selected, len(known)
        if selected.exists >= last:
            await self._reading.by_number(last, last)
            if selected.numbers.last() == (last, known[-1]):
                for sequence, uid in enumerate(known, 1):
                    selected.numbers.learn(sequence, uid)
                return
        if selected.exists:
            await self._reading.by_number(1, selected.exists)
        if selected.complete:
            selected.note_gone(sorted(set(known).difference(selected.numbers.uids())))
        else:
            selected.look_again = True

    async def poll(self, *, thorough: bool) -> FolderState:
        """Let the server say what is new; ``thorough`` selects the folder again."""
        await self._reading.noop()
        if thorough:
            return await self.select()
        if self._selected.grown and self._selected.uidnext is not None:
            self._selected.grown = False
            await self._reading.listed(b"%d:*" % self._selected.uidnext)
        self._selected.settle()
        return self._selected.state
