"""Listing, searching and fetching in the selected folder, each by UID.

Answers are recognised by UID and by what they carry, never by their place alone. A UID that was not asked for is never
handed on (mailutils answers for an absent UID with the highest message, and marks it, too).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from twisted.internet.defer import Deferred, FirstError, gatherResults

from ifap_twisted.core import limits
from ifap_twisted.core.values import HeaderBlock
from ifap_twisted.errors import Damaged, MessageGone, ProtocolViolation, Refused
from ifap_twisted.imap import names
from ifap_twisted.imap.answers import Body, Dates, Found, Headers, Listing
from ifap_twisted.imap.grammar import HIGHEST
from ifap_twisted.imap.requests import Overlap, Request
from ifap_twisted.imap.selected import Selected
from ifap_twisted.imap.wire import Wire

__all__ = ["Reading"]

_HEADERS: Final = b"(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-IFAP X-Mailfile)])"
_LIST: Final = "list the messages"
_SPARSE: Final = 2
"""With more UIDs than this for each message a folder is listed first, so that gaps are not asked for."""


class Reading:
    """The commands that change nothing.

    :ivar most_uids: what a listing holds at most: two million.
    :ivar unseen: something was appended that the server may not show before a NOOP (Courier).
    """

    most_uids = limits.RESPONSE_BACKLOG // 64

    def __init__(self, wire: Wire, selected: Selected) -> None:
        self._wire = wire
        self._selected = selected
        self.unseen = False

    def begin(self) -> None:
        """The folder was selected: all of it is shown."""
        self.unseen = False

    async def noop(self) -> None:
        """Let the server say what is new."""
        self.unseen = False
        await self._wire.perform(Request(b"NOOP", what="say what is new", overlap=Overlap.FREE))

    # Listing

    async def uids(self, first: int, last: int | None) -> list[int]:
        """The UIDs in a range, ascending."""
        if not await self._may_hold(first, last):
            return []
        first, end = max(first, 1), HIGHEST if last is None else min(last, HIGHEST)
        listed = await self.listed(b"%d:%b" % (first, b"*" if last is None else b"%d" % end))
        if listed is None:
            listed = await self._all_uids()
        return sorted(uid for uid in listed if first <= uid <= end)

    async def _may_hold(self, first: int, last: int | None) -> bool:
        """Whether a range can hold anything, for a folder that is empty as far as is known asked again."""
        if (last is not None and last < max(first, 1)) or first > HIGHEST:
            return False
        if not self._selected.exists:
            await self.noop()
        if self._selected.exists > self.most_uids:
            raise ProtocolViolation("The mail server says that the folder has more messages than can be held.")
        return self._selected.exists > 0

    async def listed(self, uid_set: bytes) -> set[int] | None:
        """UIDs that the server gives for a set; None when it does not understand the set (mailutils, for a gap)."""
        try:
            return await self._list(b"UID FETCH %b (UID)" % uid_set, Overlap.FREE)
        except Refused as refused:
            if refused.status == "BAD":
                return None
            raise

    async def by_number(self, first: int, last: int) -> set[int]:
        """UIDs by message numbers, which every server understands; alone on the connection (RFC 9051 5.5)."""
        return await self._list(b"FETCH %d:%d (UID)" % (first, last), Overlap.NONE)

    async def _all_uids(self) -> set[int]:
        return await self.by_number(1, max(self._selected.exists, 1))

    async def _list(self, text: bytes, overlap: Overlap) -> set[int]:
        listing = Listing(self.most_uids)
        await self._perform(Request(text, what=_LIST, overlap=overlap, receive=listing.receive))
        return listing.uids

    async def search(self, criteria: bytes) -> set[int]:
        """The UIDs that UID SEARCH finds."""
        found = Found(self.most_uids)
        text = b"UID SEARCH " + criteria
        await self._perform(Request(text, what="search", overlap=Overlap.SEARCH, receive=found.receive))
        return found.uids

    # Fetching

    async def headers(self, first: int, last: int | None) -> dict[int, HeaderBlock]:
        """The metadata headers in a range, in portions that are all asked for at once."""
        if not await self._may_hold(first, last):
            return {}
        first, end = max(first, 1), HIGHEST if last is None else min(last, HIGHEST)
        if self._selected.exists <= limits.UIDS_IN_A_RANGE:
            asked = [b"%d:%b" % (first, b"*" if last is None else b"%d" % end)]
        else:
            asked = [b"%d:%d" % (portion[0], portion[-1]) for portion in await self._portions(first, end)]
        try:
            return await self._blocks(asked, first, end)
        except Refused as refused:
            if refused.status != "BAD" and refused.response_code != "EXPUNGEISSUED":
                raise
        exact = [uid for uid in sorted(await self._all_uids()) if first <= uid <= end]
        portions = [names.uid_sets(portion) for portion in _portions(exact)]
        return await self._blocks([uid_set for sets in portions for uid_set in sets], first, end)

    async def _portions(self, first: int, last: int) -> Iterator[Sequence[int]]:
        """The UIDs in a range by portions, so that gaps in the numbering cost nothing."""
        uidnext = self._selected.uidnext
        if self._selected.complete:
            known = [uid for uid in self._selected.numbers.uids() if first <= uid <= last]
        elif uidnext is not None and first < uidnext <= _SPARSE * self._selected.exists:
            return _spans(first, last, uidnext)
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
        return dict(sorted(headers.blocks.items()))

    async def headers_at(self, uids: Collection[int]) -> dict[int, HeaderBlock]:
        """The metadata headers of those of these messages that are there."""
        first, last = min(uids, default=1), max(uids, default=0)
        if not await self._may_hold(first, last):
            return {}
        try:
            blocks = await self._blocks(list(names.uid_sets(uids)), first, last)
        except Refused as refused:  # mailutils, for a gap
            if refused.status != "BAD" and refused.response_code != "EXPUNGEISSUED":
                raise
            blocks = await self.headers(first, last)
        return {uid: block for uid, block in blocks.items() if uid in uids}

    async def message(self, uid: int) -> bytes:
        """The whole message.

        :raises MessageGone: it is not there now.
        """
        if await self._may_hold(uid, uid):
            try:
                body = await self._body(uid)
            except Refused:
                if uid in await self._all_uids():
                    raise
                body = None
            if body is not None:
                return body
        raise MessageGone(f"The message with UID {uid} is not there.")

    async def _body(self, uid: int) -> bytes | None:
        body = Body(uid)
        text = b"UID FETCH %d (UID BODY.PEEK[])" % uid
        await self._perform(Request(text, what="read a message", overlap=Overlap.FREE, receive=body.receive))
        return body.message

    async def dates(self, uids: Collection[int]) -> dict[int, float]:
        """The INTERNALDATE of those of these messages that are there."""
        wanted = frozenset(uid for uid in uids if 0 < uid <= HIGHEST)
        if not wanted or not await self._may_hold(1, None):
            return {}
        dates = Dates(wanted)
        texts = [b"UID FETCH %b (UID INTERNALDATE)" % uid_set for uid_set in names.uid_sets(wanted)]
        try:
            await self._perform(
                *[Request(text, what=_LIST, overlap=Overlap.FREE, receive=dates.receive) for text in texts]
            )
        except Refused as refused:  # mailutils, for a gap
            if refused.status != "BAD":
                raise
            by_number = b"FETCH 1:%d (UID INTERNALDATE)" % max(self._selected.exists, 1)
            await self._perform(Request(by_number, what=_LIST, overlap=Overlap.NONE, receive=dates.receive))
        return dates.dates

    async def _perform(self, *requests: Request, spare_damaged: bool = False) -> None:
        """Send reading commands together; behind a NOOP where an append may not be visible yet (Courier).

        :param spare_damaged: go on without messages of which the server says that they are damaged.
        """
        works = [Deferred.fromCoroutine(self.noop())] if self.unseen else []
        works += [Deferred.fromCoroutine(self._ask(request, spare_damaged)) for request in requests]
        try:
            await gatherResults(works, consumeErrors=True)
        except FirstError as first:
            raise (first.subFailure.value or first) from None

    async def _ask(self, request: Request, spare_damaged: bool) -> None:
        try:
            await self._wire.perform(request)
        except Damaged:  # what was not given is missing in the count, and never taken for removed (FORMAT 2.5)
            if not spare_damaged:
                raise


def _spans(first: int, last: int, uidnext: int) -> Iterator[Sequence[int]]:
    """A range in spans of bounded length; the last one goes to the end, for what arrived meanwhile."""
    starts = range(first, min(uidnext, last + 1), limits.UIDS_IN_A_RANGE)
    ends = [*starts[1:], last + 1]
    return (range(start, end) for start, end in zip(starts, ends, strict=True))


def _portions(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), limits.UIDS_IN_A_RANGE):
        yield uids[start : start + limits.UIDS_IN_A_RANGE]
