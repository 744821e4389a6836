"""Removing messages and taking marks off, only while their UIDs are still theirs. Nothing else is expunged."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import NotSupported, ReadOnly, Renumbered, Unavailable
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
        self._marks = Marks(reading.uids, reading.listed, self.marked, self._change)

    async def remove(
        self,
        uids: Iterable[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None,
    ) -> None:
        """Expunge exactly these of the messages that are there now (FORMAT 5.4).

        What is seen stays so until it is removed: meanwhile the folder is not selected again, here or elsewhere.

        :param uidvalidity: under which their UIDs were learnt.
        :param is_expected: as for ``IMessageStore.remove``; so is ``due``.
        :raises NotSupported: the server has no UID EXPUNGE. :raises ReadOnly: the folder may not be changed.
        :raises MarkedByOthers: it has none, and EXPUNGE would remove others.
        :raises Unavailable: a message is there and its header is not shown.
        :raises Renumbered: UIDVALIDITY is another one, or a message is not what is expected; nothing was removed.
        """
        if not self._uidplus and due is None:
            raise NotSupported("The mail server cannot remove single messages (UIDPLUS).")
        wanted = {uid for uid in uids if 0 < uid <= HIGHEST}
        async with self._selecting.turn:
            self._check_may_change(uidvalidity)
            there = await self._seen(wanted, is_expected)
            if self._uidplus:
                await expunge_by_uid(self._marks, there)
            elif wanted:
                await expunge_marked(self._marks, there, due or ())
        self._selected.settle()

    async def _seen(self, wanted: set[int], is_expected: Callable[[HeaderBlock], bool]) -> set[int]:
        """Those that are there, each seen to be what is expected."""
        blocks = await self._reading.headers_at(wanted)
        if not all(is_expected(block) for block in blocks.values()):
            raise Renumbered("The mail server shows another message under a number than before.")
        hidden = wanted - blocks.keys()
        if hidden and hidden.intersection(await self._reading.uids(min(hidden), max(hidden))):
            raise Unavailable("The mail server does not show the headers of messages that are to be changed.")
        return set(blocks)

    async def marked(self) -> set[int]:
        """The UIDs of all messages that are marked as deleted, whoever marked them."""
        await self._reading.noop()
        return await self._reading.search(b"DELETED")

    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Let exactly these of the messages that are there now not be marked as deleted.

        :param is_expected: as for ``IMessageStore.remove``.
        :raises ReadOnly: the folder may not be changed.
        :raises Unavailable: a message is there and its header is not shown.
        :raises Renumbered: UIDVALIDITY is another one, or a message is not what is expected; nothing was changed.
        """
        wanted = {uid for uid in uids if 0 < uid <= HIGHEST}
        async with self._selecting.turn:
            self._check_may_change(uidvalidity)
            await self._marks.mark(await self._seen(wanted, is_expected), deleted=False)

    async def _change(self, text: bytes, what: str, overlap: Overlap = Overlap.FREE) -> None:
        """Send a command that changes messages: only while the folder is not selected again."""
        await self._wire.perform(Request(text, what=what, overlap=overlap))

    def _check_may_change(self, uidvalidity: int) -> None:
        if self._selected.read_only:
            raise ReadOnly("The folder was opened read-only.")
        if self._selected.uidvalidity != uidvalidity:
            raise Renumbered("The mail server renumbered the folder meanwhile.")
