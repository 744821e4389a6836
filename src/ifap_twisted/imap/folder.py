"""The selected folder: its state, and the commands on its messages, each by UID.

Answers are recognised by UID and by what they carry, never by their place alone. A UID that was not asked for is never
handed on (mailutils answers for an absent UID with the highest message, and marks it, too). Nothing but the given UIDs
is expunged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt
from ifap_twisted.deferreds import Slots
from ifap_twisted.errors import (
    Damaged,
    MessageGone,
    NotSupported,
    ProtocolViolation,
    ReadOnly,
    Refused,
    Renumbered,
    TooLarge,
    Unavailable,
)
from ifap_twisted.imap import names
from ifap_twisted.imap.answers import Body, Dates, Found, Headers, Listing, Selection
from ifap_twisted.imap.appending import Appends
from ifap_twisted.imap.expunging import Marks, expunge_by_uid, expunge_marked
from ifap_twisted.imap.grammar import HIGHEST, Data, Fetch, Numbered, Reply
from ifap_twisted.imap.refusals import SELECT
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.sequence import SequenceMap
from ifap_twisted.imap.wire import Wire

__all__ = ["Folder", "FolderObserver"]

T = TypeVar("T")

_HEADERS: Final = b"(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])"
_LIST: Final = "list the messages"
_SPARSE: Final = 2
"""With more UIDs than this for each message a folder is listed first, so that gaps are not asked for."""


class FolderObserver(Protocol):
    """Told of what the server says about the folder, after each block of its answers."""

    def arrived(self, state: FolderState) -> None:
        """There may be messages that were not there before, or the folder must be looked through again."""

    def vanished(self, uids: Collection[int]) -> None:
        """Exactly these are gone."""

    def renumbered(self, uidvalidity: int) -> None:
        """All UIDs mean nothing any more."""


class Folder:
    """One folder on one connection, selected by :meth:`select`.

    :param max_message: the largest message that the server takes, or None when it does not say.
    :ivar most_uids: what a listing holds at most: two million.
    """

    most_uids = limits.RESPONSE_BACKLOG // 64

    def __init__(
        self,
        wire: Wire,
        path: str,
        observer: FolderObserver,
        *,
        uidplus: bool,
        multiappend: bool,
        max_message: int | None,
    ) -> None:
        self._wire = wire
        self.mailbox = names.mailbox(path)
        self._observer = observer
        self._appends = Appends(wire.perform, self.mailbox, clock=wire.clock, together=multiappend)
        self._uidplus = uidplus
        self.max_message = max_message
        self._map = SequenceMap()
        self._selection: Selection | None = None
        self._state = FolderState(uidvalidity=0, uidnext=None, exists=0)
        self._uidnext: int | None = None
        self._exists = 0
        self._gone: list[int] = []
        self._look_again = False
        self._grown = False
        self._unseen = False
        self._choosing = Slots(1)
        self._looked_at: set[int] = set()

    @property
    def state(self) -> FolderState:
        """What the server said last."""
        return FolderState(
            uidvalidity=self._state.uidvalidity,
            uidnext=self._uidnext,
            exists=self._exists,
            read_only=self._state.read_only,
        )

    # What the server says by itself

    def observe(self, reply: Reply) -> None:
        """Take note of an untagged reply."""
        if self._selection is not None:
            return
        if isinstance(reply, Fetch):
            uid = reply.uid
            if uid is not None:
                self._learn(reply.sequence, uid)
        elif isinstance(reply, Numbered):
            if reply.name == b"EXISTS":
                self._count(reply.number)
            elif reply.name != b"RECENT":
                self._expunge(reply.number)
        elif isinstance(reply, Data) and reply.name == b"VANISHED":
            self._map.forget()
            self._look_again = True

    def _learn(self, sequence: int, uid: int) -> None:
        if not self._map.learn(sequence, uid):
            self._look_again = True
        if self._uidnext is not None and uid >= self._uidnext:
            self._uidnext = uid + 1

    def _count(self, exists: int) -> None:
        if exists < len(self._map):
            self._map.forget()
        if exists > self._exists:
            self._grown = True
        if exists != self._exists:
            self._look_again = True
        self._exists = exists

    def _expunge(self, sequence: int) -> None:
        uid = self._map.expunge(sequence)
        self._exists = max(self._exists - 1, 0)
        if uid is None:
            self._look_again = True
        else:
            self._gone.append(uid)

    def settle(self) -> None:
        """Tell the observer, once for each received block."""
        gone, self._gone = self._gone, []
        if gone:
            self._observer.vanished(gone)
        if self._look_again:
            self._look_again = False
            self._observer.arrived(self.state)

    # Selecting

    async def select(self) -> FolderState:
        """SELECT, the first time or again; UIDVALIDITY is compared (FORMAT 2.5).

        :raises NotFound: the server says that there is no such folder.
        """
        async with self._choosing:
            return await self._select()

    async def _select(self) -> FolderState:
        known = list(self._map.uids()) if self._map.complete(self._exists) else []
        before, exists = self._state, self._exists
        await self._take_selection()
        if before.uidvalidity == 0:
            return self.state
        if before.uidvalidity != self._state.uidvalidity:
            self._observer.renumbered(self._state.uidvalidity)
        elif known and self._uidnext is not None and known[-1] >= self._uidnext:
            self._look_again = True  # it shows an older state than before: what is missing may come again
        elif known:
            await self._compare(known)
        self._look_again = self._look_again or self._exists != exists
        self.settle()
        return self.state

    async def _take_selection(self) -> None:
        selection = self._selection = Selection()
        request = Request(b"SELECT " + self.mailbox, what=SELECT, receive=selection.receive)
        try:
            status = await self._wire.perform(request)
        finally:
            self._selection = None
        if selection.uidvalidity is None:
            raise ProtocolViolation("The mail server does not tell the UIDVALIDITY of the folder.")
        self._map.forget()
        self._looked_at.clear()
        self._unseen = self._grown = False
        self._exists, self._uidnext = selection.exists, selection.uidnext
        read_only = status.code == b"READ-ONLY"
        self._state = FolderState(
            uidvalidity=selection.uidvalidity, uidnext=selection.uidnext, exists=selection.exists, read_only=read_only
        )

    async def _compare(self, known: list[int]) -> None:
        """After selecting again, say what vanished meanwhile.

        Numbers only ever close up, so the last known message having its old number proves that all before it are there.
        """
        last = len(known)
        if self._exists >= last:
            await self._fetch_numbers(last, last)
            if self._map.last() == (last, known[-1]):
                for sequence, uid in enumerate(known, 1):
                    self._map.learn(sequence, uid)
                return
        if self._exists:
            await self._fetch_numbers(1, self._exists)
        self._gone.extend(sorted(set(known).difference(self._map.uids())))

    async def noop(self) -> None:
        """Let the server say what is new."""
        self._unseen = False
        await self._wire.perform(Request(b"NOOP", what="say what is new", overlap=Overlap.FREE))

    async def poll(self, *, thorough: bool) -> FolderState:
        """Let the server say what is new; ``thorough`` selects the folder again."""
        await self.noop()
        if thorough:
            return await self.select()
        if self._grown and self._uidnext is not None:
            self._grown = False
            await self._listed(b"%d:*" % self._uidnext)
        self.settle()
        return self.state

    # Reading

    async def uids(self, first: int, last: int | None) -> list[int]:
        """The UIDs in a range, ascending."""
        if not await self._may_hold(first, last):
            return []
        first, end = max(first, 1), HIGHEST if last is None else min(last, HIGHEST)
        listed = await self._listed(b"%d:%b" % (first, b"*" if last is None else b"%d" % end))
        if listed is None:
            listed = await self._fetch_numbers(1, self._exists)
        return sorted(uid for uid in listed if first <= uid <= end)

    async def _may_hold(self, first: int, last: int | None) -> bool:
        """Whether a range can hold anything, for a folder that is empty as far as is known asked again."""
        if (last is not None and last < max(first, 1)) or first > HIGHEST:
            return False
        if not self._exists:
            await self.noop()
        if self._exists > self.most_uids:
            raise ProtocolViolation("The mail server says that the folder has more messages than can be held.")
        return self._exists > 0

    async def _listed(self, uid_set: bytes) -> set[int] | None:
        """UIDs that the server gives for a set; None when it does not understand the set (mailutils, for a gap)."""
        try:
            return await self._list(b"UID FETCH %b (UID)" % uid_set, Overlap.FREE)
        except Refused as refused:
            if refused.status == "BAD":
                return None
            raise

    async def _fetch_numbers(self, first: int, last: int) -> set[int]:
        """UIDs by message numbers, which every server understands; alone on the connection (RFC 9051 5.5)."""
        return await self._list(b"FETCH %d:%d (UID)" % (first, last), Overlap.NONE)

    async def _list(self, text: bytes, overlap: Overlap) -> set[int]:
        listing = Listing(self.most_uids)
        await self._perform(Request(text, what=_LIST, overlap=overlap, receive=listing.receive))
        return listing.uids

    async def headers(self, first: int, last: int | None) -> dict[int, HeaderBlock]:
        """The metadata headers in a range, in portions that are all asked for at once."""
        if not await self._may_hold(first, last):
            return {}
        first, end = max(first, 1), HIGHEST if last is None else min(last, HIGHEST)
        if self._exists <= limits.UIDS_IN_A_RANGE:
            asked = [b"%d:%b" % (first, b"*" if last is None else b"%d" % end)]
        else:
            asked = [b"%d:%d" % (portion[0], portion[-1]) for portion in await self._portions(first, end)]
        try:
            return await self._blocks(asked, first, end)
        except Refused as refused:
            if refused.status != "BAD" and refused.response_code != "EXPUNGEISSUED":
                raise
        listed = await self._fetch_numbers(1, max(self._exists, 1))
        exact = [uid for uid in sorted(listed) if first <= uid <= end]
        portions = [names.uid_sets(portion) for portion in _portions(exact)]
        return await self._blocks([uid_set for sets in portions for uid_set in sets], first, end)

    async def _portions(self, first: int, last: int) -> Iterator[Sequence[int]]:
        """The UIDs in a range by portions, so that gaps in the numbering cost nothing."""
        if self._map.complete(self._exists):
            known = [uid for uid in self._map.uids() if first <= uid <= last]
        elif self._uidnext is not None and first < self._uidnext <= _SPARSE * self._exists:
            return _spans(first, last, self._uidnext)
        else:
            known = await self.uids(first, None if last == HIGHEST else last)
        return _portions(known)

    async def _blocks(self, uid_sets: list[bytes], first: int, last: int) -> dict[int, HeaderBlock]:
        headers = Headers(first, last)
        headers.most = limits.RESPONSE_BACKLOG * len(uid_sets)
        texts = [b"UID FETCH %b %b" % (uid_set, _HEADERS) for uid_set in uid_sets]
        await self._perform(
            *[Request(text, what="read headers", overlap=Overlap.FREE, receive=headers.receive) for text in texts],
            spare_damaged=True,
        )
        if not self._uidplus:
            self._looked_at.update(headers.blocks)
        return dict(sorted(headers.blocks.items()))

    async def message(self, uid: int) -> bytes:
        """The whole message.

        :raises MessageGone: it is not there now.
        """
        if await self._may_hold(uid, uid):
            try:
                body = await self._body(uid)
            except Refused:
                if uid in await self._fetch_numbers(1, max(self._exists, 1)):
                    raise
                body = None
            if body is not None:
                return body
        raise MessageGone(f"The message with UID {uid} is not there.")

    async def dates(self, uids: Collection[int]) -> dict[int, float]:
        """The INTERNALDATE of those of these messages that are there."""
        wanted = frozenset(uid for uid in uids if 0 < uid <= HIGHEST)
        if not wanted or not await self._may_hold(1, None):
            return {}
        dates = Dates(wanted)
        requests = [
            Request(
                b"UID FETCH %b (UID INTERNALDATE)" % uid_set, what=_LIST, overlap=Overlap.FREE, receive=dates.receive
            )
            for uid_set in names.uid_sets(wanted)
        ]
        try:
            await self._perform(*requests)
        except Refused as refused:  # mailutils, for a gap
            if refused.status != "BAD":
                raise
            by_number = b"FETCH 1:%d (UID INTERNALDATE)" % max(self._exists, 1)
            await self._perform(Request(by_number, what=_LIST, overlap=Overlap.NONE, receive=dates.receive))
        return dates.dates

    async def _body(self, uid: int) -> bytes | None:
        body = Body(uid)
        text = b"UID FETCH %d (UID BODY.PEEK[])" % uid
        await self._perform(Request(text, what="read a message", overlap=Overlap.FREE, receive=body.receive))
        return body.message

    async def _search(self, criteria: bytes) -> set[int]:
        found = Found(self.most_uids)
        text = b"UID SEARCH " + criteria
        await self._perform(Request(text, what="search", overlap=Overlap.SEARCH, receive=found.receive))
        return found.uids

    # Writing

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
        self._unseen = True
        return receipt  # UIDNEXT stays as it was shown: what is stored need not be visible yet

    async def remove(self, uids: Iterable[int], uidvalidity: int, due: Collection[int] | None = None) -> None:
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
        if self._state.read_only:
            raise ReadOnly("The folder was opened read-only.")
        self._check_numbers(uidvalidity)
        wanted = {uid for uid in uids if 0 < uid <= HIGHEST}
        if self._uidplus:
            await self._remove_by_uid(wanted, uidvalidity)
        elif wanted:
            await self._remove_marked(wanted, due or (), uidvalidity)
        self.settle()

    async def _remove_by_uid(self, wanted: set[int], uidvalidity: int) -> None:
        marks = self._marks(uidvalidity)
        for uid_set in names.uid_sets(wanted):
            await expunge_by_uid(marks, wanted.intersection(await self._listed(uid_set) or ()))

    def _marks(self, uidvalidity: int) -> Marks:
        return Marks(self.uids, self._listed, self.marked, partial(self._change, uidvalidity))

    async def _remove_marked(self, wanted: set[int], due: Collection[int], uidvalidity: int) -> None:
        async with self._choosing:
            if not wanted <= self._looked_at:  # mailutils can give other numbers under the same UIDVALIDITY
                raise Unavailable("The folder was opened anew before messages were removed; try again.")
            await expunge_marked(self._marks(uidvalidity), wanted, due)

    async def marked(self) -> set[int]:
        """The UIDs of all messages that are marked as deleted, whoever marked them."""
        await self.noop()
        return await self._search(b"DELETED")

    async def unmark(self, uids: Collection[int], uidvalidity: int) -> None:
        """Let these messages not be marked as deleted.

        :raises ReadOnly: the folder may not be changed. :raises Renumbered: UIDVALIDITY is another one.
        """
        if self._state.read_only:
            raise ReadOnly("The folder was opened read-only.")
        self._check_numbers(uidvalidity)
        await self._marks(uidvalidity).mark(uids, deleted=False)

    async def _change(self, uidvalidity: int, text: bytes, what: str, overlap: Overlap = Overlap.FREE) -> None:
        """Send a command that changes messages, unless their UIDs are those of others now."""
        while self._selection is not None:  # the folder is being selected again: this comes after that
            await self._wire.perform(Request(b"NOOP", what="say what is new", overlap=Overlap.FREE))
        self._check_numbers(uidvalidity)
        await self._wire.perform(Request(text, what=what, overlap=overlap))

    def _check_numbers(self, uidvalidity: int) -> None:
        if self._state.uidvalidity != uidvalidity:
            raise Renumbered("The mail server renumbered the folder meanwhile.")

    async def _perform(self, *requests: Request, spare_damaged: bool = False) -> None:
        """Send reading commands together; behind a NOOP where an append may not be visible yet (Courier).

        :param spare_damaged: go on without messages of which the server says that they are damaged.
        """
        works: list[Deferred[Any]] = [Deferred.fromCoroutine(self.noop())] if self._unseen else []
        for request in requests:
            work: Deferred[Any] = self._wire.perform(request)
            works.append(work.addErrback(_spare_damaged) if spare_damaged else work)
        try:
            await gatherResults(works, consumeErrors=True)
        except FirstError as first:
            raise cast("BaseException", first.subFailure.value) from None


def _spare_damaged(failure: Failure) -> None:
    """What was not given is missing in the count, and never taken for removed (FORMAT 2.5)."""
    failure.trap(Damaged)  # type: ignore[no-untyped-call]


def _spans(first: int, last: int, uidnext: int) -> Iterator[Sequence[int]]:
    """A range in spans of bounded length; the last one goes to the end, for what arrived meanwhile."""
    starts = range(first, min(uidnext, last + 1), limits.UIDS_IN_A_RANGE)
    ends = [*starts[1:], last + 1]
    return (range(start, end) for start, end in zip(starts, ends, strict=True))


def _portions(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), limits.UIDS_IN_A_RANGE):
        yield uids[start : start + limits.UIDS_IN_A_RANGE]
