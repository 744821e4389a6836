"""The verified in-memory shelf (account ``memory:``): what a test, or a first try, uses in place of a server.

Several stores on one :class:`MemoryShelf` are several sessions of one mailbox. It does no I/O and imports no reactor:
Deferreds have fired when they are returned, unless a gate holds them. Nothing is kept when the process ends. All that
real servers do to a client can be ordered by name; nothing of it happens by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits
from ifap_twisted.deferreds import deferred, detach, within
from ifap_twisted.errors import (
    IFAPError,
    MarkedByOthers,
    MessageGone,
    NotFound,
    NotSupported,
    OutcomeUnknown,
    ReadOnly,
    Renumbered,
    TimedOut,
    TooLarge,
    Unavailable,
)
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from ifap_twisted.store.headers import metadata_fields
from ifap_twisted.store.listeners import Listeners
from ifap_twisted.store.memory_shelf import Fate, Gate, MemoryShelf, Turnstile, Visibility

__all__ = ["FULL_TRAITS", "Fate", "Gate", "MemoryShelf", "MemoryStore", "Turnstile", "Visibility"]

FULL_TRAITS = Traits(reports_uid=True, expunges_by_uid=True, pushes=True)


@implementer(IMessageStore)
class MemoryStore:
    """One session on a shelf.

    :param traits: what it says and does: without ``reports_uid`` receipts are empty, without ``expunges_by_uid``
        nothing can be removed but by plain EXPUNGE, without ``pushes`` what others do is told when polled,
        ``max_message`` is enforced.
    :param visibility: when appended messages, its own too, show up.
    :param tells_uidnext: UIDNEXT is in the folder's state (not so on Courier).
    :param gate: holds calls, for what has to happen meanwhile; by default none is held.
    :param clock: where calls wait while it is offline, up to ``limits.CONNECT_SECONDS``; without one they fail at once.
    """

    _log = Logger()

    def __init__(
        self,
        shelf: MemoryShelf | None = None,
        *,
        traits: Traits = FULL_TRAITS,
        visibility: Visibility = Visibility.AT_ONCE,
        read_only: bool = False,
        tells_uidnext: bool = True,
        gate: Gate = lambda _method: succeed(None),
        clock: IReactorTime | None = None,
    ) -> None:
        self.shelf = MemoryShelf() if shelf is None else shelf
        self.traits = traits
        self.read_only = read_only
        self.gate = gate
        self.online = True
        self._visibility = visibility
        self._tells_uidnext = tells_uidnext
        self._clock = clock
        self._open = False
        self._listeners = Listeners()
        self._errors: dict[str, deque[Exception]] = {}
        self._fates: deque[Fate] = deque()
        self._hidden: set[int] = set()
        self._uidvalidity = 0
        self._horizon = 0
        self._told = 0
        self._gone: list[int] = []
        self._line = DeferredLock()
        self._at_gate: list[Deferred[None]] = []
        self._offline: list[Deferred[None]] = []
        self._cuts = 0
        self._closings = 0

    # IMessageStore

    @deferred
    async def open(self, *, create: bool = True) -> FolderState:
        """Open the folder; opening it again is a thorough poll."""
        await self._pass("open")
        if not (create or self.shelf.created):
            raise NotFound("The folder does not exist.")
        self._open = True
        self.shelf.attach(self)
        self._uidvalidity = self.shelf.uidvalidity
        self._horizon = self._told = self.shelf.uidnext - 1
        self._gone.clear()
        return self._state()

    @deferred
    async def poll(self, *, thorough: bool = False) -> FolderState:
        """Ask for news."""
        await self._pass("poll")
        if thorough or self._visibility is not Visibility.THOROUGH:
            self._horizon = self.shelf.uidnext - 1
        self._announce()
        return self._state()

    @deferred
    async def uids(self, first: int, last: int | None = None) -> Sequence[int]:
        """The UIDs in a range."""
        await self._read("uids")
        return [uid for uid, _message in self._range(first, last)]

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        """The metadata headers in a range."""
        await self._read("headers")
        return {uid: header_block(uid, message) for uid, message in self._range(first, last)}

    @deferred
    async def message(self, uid: int) -> bytes:
        """One message."""
        await self._read("message")
        for _uid, message in self._range(uid, uid):
            return message
        raise MessageGone(f"There is no message {uid} in the folder.")

    @deferred
    async def dates(self, uids: Collection[int]) -> Mapping[int, float]:
        """When messages were received, by the clock of the session that stored them."""
        await self._read("dates")
        return {uid: self.shelf.dates[uid] for uid, _message in self._range(1, None) if uid in uids}

    @deferred
    async def append(self, message: bytes) -> Receipt:
        """Store a message, after those of the calls before."""
        limit = self.traits.max_message
        if limit is not None and len(message) > limit:
            raise TooLarge(f"The server takes messages of up to {limit} bytes.", limit=limit, size=len(message))
        place = self._line.acquire()
        try:
            await self._pass("append")
        except BaseException:
            self._leave_line(place)
            raise
        await place
        try:
            await self._reachable()  # the connection may have broken in the line
            self._refuse_when_read_only()
            receipt = self._store(message)
        finally:
            self._line.release()
        await self._pass_answer()
        return receipt

    @deferred
    async def remove(
        self,
        uids: Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,
    ) -> None:
        """Remove messages."""
        plainly = not self.traits.expunges_by_uid
        if plainly and due is None:
            raise NotSupported("This server cannot remove single messages (no UIDPLUS).")
        await self._pass("remove")
        self._refuse_when_read_only()
        present = self._seen(uids, uidvalidity, is_expected)
        if plainly and self.shelf.marked.difference(uids, due or ()):
            raise MarkedByOthers
        new = set(present) - self.shelf.marked
        self.shelf.marked |= new
        try:
            self._raise_ordered("expunge")
        except Unavailable:
            raise  # there is no connection to take the marks off again
        except IFAPError:
            self.shelf.marked -= new
            raise
        self.shelf.remove(present, by=self)
        self._raise_ordered("answer to remove")

    @deferred
    async def marked(self) -> Collection[int]:
        """The UIDs of messages that are marked as deleted."""
        await self._read("marked")
        return self.shelf.marked.intersection(uid for uid, _message in self._range(1, None))

    @deferred
    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Take the marks off."""
        await self._pass("unmark")
        self._refuse_when_read_only()
        self.shelf.marked.difference_update(self._seen(uids, uidvalidity, is_expected))

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener."""
        return self._listeners.add(listener)

    @deferred
    async def close(self) -> None:
        """Let go; what is held at the gate or waits for the server fails."""
        self._open = False
        self._closings += 1
        self.shelf.detach(self)
        self._cut()
        waiting, self._offline = self._offline, []
        for call in waiting:
            call.errback(Unavailable("The folder was closed."))

    # Orders

    def fail_next(self, method: str, error: Exception, count: int = 1) -> None:
        """Let the next calls of a method raise, having done nothing.

        ``expunge`` stands for the second step of ``remove``: the messages were marked as deleted. When the error is
        ``Unavailable``, the connection broke, and they stay marked. ``answer to remove`` is when they are gone.
        """
        self._errors.setdefault(method, deque()).extend([error] * count)

    def doom_next(self, fate: Fate, count: int = 1) -> None:
        """Decide what becomes of the next appends."""
        self._fates.extend([fate] * count)

    def hide(self, *uids: int) -> None:
        """Leave messages out of every listing while EXISTS goes on counting them."""
        self._hidden.update(uids)

    def reveal(self) -> None:
        """Show what was hidden again."""
        self._hidden.clear()

    def pardon(self) -> None:
        """Forget every order that has not struck yet, and show what was hidden."""
        self._errors.clear()
        self._fates.clear()
        self.reveal()

    def go_offline(self, reason: Exception | None = None) -> None:
        """Break the connection: reading waits, appends on their way end as ``OutcomeUnknown``."""
        self.online = False
        self._cut()
        self._listeners.disconnected(reason or Unavailable("The connection to the server is broken."))

    def go_online(self) -> None:
        """Connect again; what was announced meanwhile is not told, but a renumbering is."""
        self.online = True
        self._gone.clear()
        self._horizon = self._told = self.shelf.uidnext - 1
        if self._open:
            self.notice_renumbering()
            self._listeners.connected()
        waiting, self._offline = self._offline, []
        for call in waiting:
            call.callback(None)

    # Told by the shelf

    def changed(self, gone: Iterable[int] = (), *, own: bool) -> None:
        """Messages came or went."""
        if not self.online:
            return
        self._gone.extend(uid for uid in gone if uid <= self._horizon or self._shows_at_once)
        if own or self.traits.pushes:
            self._announce()

    def notice_renumbering(self) -> None:
        """The shelf may have other numbers now."""
        if self.online and self._uidvalidity != self.shelf.uidvalidity:
            self._uidvalidity = self.shelf.uidvalidity
            self._horizon = self._told = self.shelf.uidnext - 1
            self._gone.clear()
            self._hidden.clear()
            self._listeners.renumbered(self._uidvalidity)

    # Inside

    def _seen(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> list[int]:
        """Those that are there, each seen to be what is expected.

        :raises Renumbered:
        """
        if uidvalidity != self._uidvalidity:
            raise Renumbered
        there = {uid: message for uid, message in self._range(1, None) if uid in uids}
        if not all(is_expected(header_block(uid, message)) for uid, message in there.items()):
            raise Renumbered
        return list(there)

    @property
    def _shows_at_once(self) -> bool:
        return self._visibility is Visibility.AT_ONCE

    @property
    def _highest(self) -> int:
        """The highest UID that is shown."""
        return self.shelf.uidnext - 1 if self._shows_at_once else self._horizon

    def _state(self) -> FolderState:
        messages = self.shelf.messages
        late = self._highest < self.shelf.uidnext - 1
        return FolderState(
            uidvalidity=self.shelf.uidvalidity,
            uidnext=self.shelf.uidnext if self._tells_uidnext else None,
            exists=sum(1 for uid in messages if uid <= self._highest) if late else len(messages),
            read_only=self.read_only,
        )

    def _range(self, first: int, last: int | None) -> list[tuple[int, bytes]]:
        messages = self.shelf.messages
        first, end = max(first, 1), self._highest if last is None else min(last, self._highest)
        near = range(first, end + 1) if end - first < len(messages) else messages
        return [
            (uid, messages[uid]) for uid in near if first <= uid <= end and uid in messages and uid not in self._hidden
        ]

    def _announce(self) -> None:
        gone, self._gone = self._gone, []
        self._listeners.vanished(gone)
        if self._highest > self._told:
            self._told = self._highest
            self._listeners.arrived(self._state())

    def _store(self, message: bytes) -> Receipt:
        fate = self._fates.popleft() if self._fates else None
        if fate in (None, Fate.CUT_AFTER, Fate.DOUBLED) and self.shelf.drops(message):
            fate = Fate.DROPPED
        if fate is Fate.CUT_LATE:
            self.shelf.keep_for_later(message)
        if fate in (Fate.CUT_BEFORE, Fate.CUT_LATE):
            raise OutcomeUnknown
        self.shelf.passed(0.0 if self._clock is None else self._clock.seconds())
        uid = self.shelf.uidnext if fate is Fate.DROPPED else self.shelf.add(message, by=self)
        if fate is Fate.DROPPED:
            self.shelf.uidnext += 1
        if fate is Fate.DOUBLED:
            self.shelf.add(message, by=self)
        if fate is Fate.CUT_AFTER:
            raise OutcomeUnknown
        return Receipt(uidvalidity=self.shelf.uidvalidity, uid=uid) if self.traits.reports_uid else Receipt()

    def _refuse_when_read_only(self) -> None:
        if self.read_only:
            raise ReadOnly

    async def _read(self, method: str) -> None:
        uidvalidity = self._uidvalidity
        await self._pass(method)
        if uidvalidity != self._uidvalidity:
            raise Renumbered

    async def _pass(self, method: str) -> None:
        """Wait for the server and at the gate, again after each cut; then raise what was ordered."""
        closings = self._closings
        if not (self._open or method == "open"):
            raise Unavailable("The folder is not open.")
        while True:
            await self._reachable()
            cuts = self._cuts
            try:
                await self._wait_at_gate(method)
                break
            except CancelledError:
                if closings != self._closings:
                    raise Unavailable("The folder was closed.") from None
                if cuts == self._cuts:
                    raise
        self._raise_ordered(method)

    def _raise_ordered(self, method: str) -> None:
        ordered = self._errors.get(method)
        if ordered:
            raise ordered.popleft()

    async def _pass_answer(self) -> None:
        try:
            await self._wait_at_gate("answer")
        except CancelledError:
            raise OutcomeUnknown from None

    async def _wait_at_gate(self, method: str) -> None:
        waiting = self.gate(method)
        self._at_gate.append(waiting)
        try:
            await waiting
        finally:
            self._at_gate.remove(waiting)

    async def _reachable(self) -> None:
        if self.online:
            return
        if self._clock is None:
            raise Unavailable
        waiting: Deferred[None] = Deferred(self._offline.remove)
        self._offline.append(waiting)
        try:
            await within(waiting, limits.CONNECT_SECONDS, self._clock, "waiting for the server")
        except TimedOut as error:
            raise Unavailable from error

    def _cut(self) -> None:
        self._cuts += 1
        for waiting in list(self._at_gate):
            waiting.cancel()

    def _leave_line(self, place: Deferred[DeferredLock]) -> None:
        if place.called:
            self._line.release()
        else:
            detach(place.addErrback(_expect_cancelled), self._log, "leaving the line of appends")
            place.cancel()


def header_block(uid: int, message: bytes) -> HeaderBlock:
    """The metadata headers of a message, as a server cuts them out."""
    return HeaderBlock(uid=uid, size=len(message), fields=metadata_fields(message))


def _expect_cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)  # type: ignore[no-untyped-call]
