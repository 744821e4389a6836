"""One folder on one connection, selected: what a shelf asks of it, and where each part of it is done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt
from ifap_twisted.errors import TooLarge
from ifap_twisted.imap import names
from ifap_twisted.imap.appending import Appends
from ifap_twisted.imap.grammar import Reply
from ifap_twisted.imap.reading import Reading
from ifap_twisted.imap.removing import Removing
from ifap_twisted.imap.selected import FolderObserver, Selected
from ifap_twisted.imap.selecting import Selecting
from ifap_twisted.imap.wire import Wire

__all__ = ["Folder"]


class Folder:
    """A folder, selected by :meth:`select`.

    :ivar mailbox: its name as it goes onto the wire.
    :ivar max_message: the largest message that the server takes, in bytes, or None when it does not say.
    :ivar reading: the commands that change nothing.
    :ivar removing: those that remove messages.
    """

    def __init__(
        self,
        wire: Wire,
        path: str,
        observer: FolderObserver,
        *,
        uidplus: bool,
        multiappend: bool,
    ) -> None:
        self.mailbox = names.mailbox(path)
        self.max_message: int | None = None
        self._appends = Appends(wire.perform, self.mailbox, clock=wire.clock, together=multiappend)
        self._selected = Selected(observer)
        self.reading = Reading(wire, self._selected)
        self._selecting = Selecting(wire, self.mailbox, self._selected, self.reading)
        self.removing = Removing(wire, self._selected, self.reading, self._selecting, uidplus=uidplus)

    @property
    def state(self) -> FolderState:
        """What the server said last."""
        return self._selected.state

    def observe(self, reply: Reply) -> None:
        """Take note of an untagged reply."""
        self._selected.observe(reply)

    def settle(self) -> None:
        """Tell the observer, once for each received block."""
        self._selected.settle()

    async def select(self) -> FolderState:
        """SELECT, the first time or again; UIDVALIDITY is compared (FORMAT 2.5).

        :raises NotFound: the server says that there is no such folder.
        """
        return await self._selecting.select()

    async def noop(self) -> None:
        """Let the server say what is new."""
        await self.reading.noop()

    async def poll(self, *, thorough: bool) -> FolderState:
        """Let the server say what is new; ``thorough`` selects the folder again."""
        return await self._selecting.poll(thorough=thorough)

    async def uids(self, first: int, last: int | None) -> list[int]:
        """The UIDs in a range, ascending."""
        return await self.reading.uids(first, last)

    async def headers(self, first: int, last: int | None) -> dict[int, HeaderBlock]:
        """The metadata headers in a range, in portions that are all asked for at once."""
        return await self.reading.headers(first, last)

    async def message(self, uid: int) -> bytes:
        """The whole message.

        :raises MessageGone: it is not there now.
        """
        return await self.reading.message(uid)

    async def dates(self, uids: Collection[int]) -> dict[int, float]:
        """The INTERNALDATE of those of these messages that are there."""
        return await self.reading.dates(uids)

    async def append(self, message: bytes) -> Receipt:
        """Add a message.

        :raises OutcomeUnknown: the connection broke, or this was cancelled, after a byte of it may have left.
        """
        if self.max_message is not None and len(message) > self.max_message:
            raise TooLarge(
                f"The mail server takes messages of at most {self.max_message} bytes.",
                limit=self.max_message,
                size=len(message),
            )
        receipt = await self._appends.add(message)
        self.reading.unseen = True
        return receipt  # UIDNEXT stays as it was shown: what is stored need not be visible yet

    async def remove(
        self,
        uids: Iterable[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,
    ) -> None:
        """Expunge exactly these of the messages that are there now: see :meth:`Removing.remove`."""
        await self.removing.remove(uids, uidvalidity, is_expected, due)

    async def marked(self) -> set[int]:
        """The UIDs of all messages that are marked as deleted, whoever marked them."""
        return await self.removing.marked()

    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Let these messages not be marked as deleted: see :meth:`Removing.unmark`."""
        await self.removing.unmark(uids, uidvalidity, is_expected)
