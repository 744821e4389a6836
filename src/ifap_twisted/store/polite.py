"""Any shelf, made polite: no more at once, no faster and no more a day than the provider bears (promise P10).

It decides when a call goes out and never what it does. A call that the server throttled was certainly not done, and is
the only kind that is tried again; what may have been stored (``OutcomeUnknown``) is passed up.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from ifap_twisted.core import limits
from ifap_twisted.core.values import FolderState, HeaderBlock, Receipt, Traits
from ifap_twisted.deferreds import deferred
from ifap_twisted.errors import Throttled, TooLarge, Unavailable
from ifap_twisted.interfaces import IFolderListener, IMessageStore
from ifap_twisted.store.pace import BackOff, DayUse, Pace

T = TypeVar("T")

_HEADER_BYTES = 64
"""What a server sends around the headers of one message, and for one UID of a listing."""
_LARGEST_SIZE_TABLE = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """The bounds (DESIGN 4.6, ``[limits]``); None is no bound.

    :ivar calls: calls under way at a time.
    :ivar bytes_in_flight: bytes of messages under way; one larger message goes alone.
    :ivar upload_per_day: bytes of messages in any 24 hours; ``download_per_day`` of messages and headers.
    :ivar patience: how long a call waits, in seconds, for a throttling server or for the next day before it fails.
    """

    calls: int = limits.APPENDS_IN_FLIGHT
    bytes_in_flight: int = limits.BYTES_IN_FLIGHT
    commands_per_second: float | None = None
    upload_per_day: int | None = None
    download_per_day: int | None = None
    patience: float = 60.0


@dataclass(order=True, slots=True)
class _Turn:
    """One call that waits for its turn, or has it."""

    number: int
    kind: str = field(compare=False)
    size: int = field(compare=False)
    deadline: float | None = field(compare=False, default=None)
    started: float = field(compare=False, default=0.0)
    go: Deferred[None] = field(compare=False, default_factory=Deferred)  # fires at its turn


@implementer(IFolderListener)
class _Places:
    """What is known of the UIDs: the sizes of messages."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}

    def size(self, uid: int) -> int:
        """As its header told it; 0 when that is not known."""
        return self._sizes.get(uid, 0)

    def note(self, blocks: Mapping[int, HeaderBlock]) -> None:
        """Headers were read."""
        if len(self._sizes) + len(blocks) > _LARGEST_SIZE_TABLE:
            self._sizes.clear()
        self._sizes.update((uid, block.size) for uid, block in blocks.items())

    def renumbered(self, uidvalidity: int) -> None:  # noqa: ARG002 -- the interface
        self._sizes.clear()

    def arrived(self, state: FolderState) -> None:
        """Nothing to do."""

    def vanished(self, uids: Collection[int]) -> None:
        for uid in uids:
            self._sizes.pop(uid, None)

    def keep(self, first: int, last: int | None, listed: Collection[int]) -> None:
        """Of a range only these are there."""
        known = [uid for uid in self._sizes if first <= uid and (last is None or uid <= last)]
        self.vanished(set(known).difference(listed))

    def connected(self) -> None:
        """Nothing to do."""

    def disconnected(self, reason: BaseException) -> None:
        """Nothing to do."""


@implementer(IMessageStore)
class PoliteStore:
    """A shelf around another one.

    :param random: gives a number from 0 to below 1.
    :param uploaded: the bytes of the last 24 hours, when they are known from before; so ``downloaded``.
    """

    def __init__(
        self,
        store: IMessageStore,
        *,
        clock: IReactorTime,
        random: Callable[[], float],
        politeness: Politeness | None = None,
        uploaded: DayUse | None = None,
        downloaded: DayUse | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._politeness = politeness or Politeness()
        self._pace = Pace(self._politeness.commands_per_second)
        self._back_off = BackOff(random)
        self.uploaded = uploaded or DayUse()
        self.downloaded = downloaded or DayUse()
        self._lines: dict[str, list[_Turn]] = {"append": [], "read": [], "ask": []}
        self._number = 0
        self._calls = 0
        self._bytes = 0
        self._alarm: IDelayedCall | None = None
        self._closed = False
        self._letting_go = False
        self._places = _Places()
        store.listen(self._places)

    @property
    def inner(self) -> IMessageStore:
        """The shelf inside."""
        return self._store

    @property
    def traits(self) -> Traits:
        """Those of the shelf inside."""
        return self._store.traits

    @deferred
    async def open(self, *, create: bool = True) -> FolderState:
        """Open the folder."""
        self._closed = False
        return await self._call("ask", lambda: self._store.open(create=create))

    @deferred
    async def poll(self, *, thorough: bool = False) -> FolderState:
        """Ask for news."""
        return await self._call("ask", lambda: self._store.poll(thorough=thorough))

    @deferred
    async def uids(self, first: int, last: int | None = None) -> Sequence[int]:
        """The UIDs in a range."""
        listed = await self._call("ask", lambda: self._store.uids(first, last))
        self._places.keep(first, last, listed)
        return listed

    @deferred
    async def headers(self, first: int, last: int | None = None) -> Mapping[int, HeaderBlock]:
        """The metadata headers in a range; counted when they have come."""
        blocks = await self._call("read", lambda: self._store.headers(first, last))
        self._download(sum(len(block.fields) + _HEADER_BYTES for block in blocks.values()))
        self._places.note(blocks)
        return blocks

    @deferred
    async def message(self, uid: int) -> bytes:
        """One message; counted before, when its header told the size."""
        told = self._places.size(uid)
        message = await self._call("read", lambda: self._store.message(uid), told)
        self._download(len(message) - told)
        return message

    @deferred
    async def dates(self, uids: Collection[int]) -> Mapping[int, float]:
        """When messages were received."""
        return await self._call("ask", lambda: self._store.dates(uids))

    @deferred
    async def append(self, message: bytes) -> Receipt:
        """Store a message; one that can never go out is refused before anything is sent."""
        bounds = (self.traits.max_message, self._politeness.upload_per_day)
        limit = min((bound for bound in bounds if bound is not None), default=None)
        if limit is not None and len(message) > limit:
            raise TooLarge(f"No more than {limit} bytes can be sent at once.", limit=limit, size=len(message))
        return await self._call("append", lambda: self._store.append(message), len(message))

    @deferred
    async def remove(
        self,
        uids: Collection[int],
        uidvalidity: int,
        is_expected: Callable[[HeaderBlock], bool],
        due: Collection[int] | None = None,
    ) -> None:
        """Remove messages; the headers that are read before are counted."""
        await self._looking(is_expected, lambda look: self._store.remove(uids, uidvalidity, look, due))

    @deferred
    async def marked(self) -> Collection[int]:
        """The UIDs of messages that are marked as deleted."""
        return await self._call("ask", self._store.marked)

    @deferred
    async def unmark(self, uids: Collection[int], uidvalidity: int, is_expected: Callable[[HeaderBlock], bool]) -> None:
        """Take the marks off; the headers that are read before are counted."""
        await self._looking(is_expected, lambda look: self._store.unmark(uids, uidvalidity, look))

    def listen(self, listener: IFolderListener) -> Callable[[], None]:
        """Tell a listener of what happens to the shelf inside."""
        return self._store.listen(listener)

    @deferred
    async def close(self) -> None:
        """Let go; calls that wait for their turn fail as ``Unavailable``."""
        self._closed = True
        self._back_off.forget()
        for line in self._lines.values():
            while line:  # whoever hears of it may give up others
                line.pop(0).go.errback(Unavailable("The folder was closed."))
        self._set_alarm(None)
        await self._store.close()

    # One call

    async def _call(self, kind: str, call: Callable[[], Deferred[T]], size: int = 0) -> T:
        """Wait for the turn and call, again after each throttling within the patience."""
        self._number += 1
        turn = _Turn(self._number, kind, size)
        while True:
            await self._turn(turn)
            try:
                result = await call()
            except Throttled as error:
                self._back_off.throttled(self._clock.seconds(), error.seconds)
                if not self._may_wait(turn, self._back_off.until):
                    raise
            else:
                self._back_off.succeeded(turn.started)
                return result
            finally:
                self._calls -= 1
                self._bytes -= turn.size
                self._let_go()

    async def _turn(self, turn: _Turn) -> None:
        now = self._clock.seconds()
        if self._closed or self._may_go_at_once(turn, now):
            self._pace.take()
            self._admit(turn, now)
            return
        turn.go = Deferred(lambda _go: self._leave(turn))
        insort(self._lines[turn.kind], turn)
        self._let_go()
        await turn.go

    def _may_go_at_once(self, turn: _Turn, now: float) -> bool:
        """Nobody waits, and nothing stands in the way: by far the most."""
        return (
            not any(self._lines.values())
            and self._calls < self._politeness.calls
            and self._has_room(turn)
            and now >= self._back_off.until
            and self._within_budget_at(turn, now) <= now
            and self._pace.ready_at(now) <= now
        )

    def _leave(self, turn: _Turn) -> None:
        self._lines[turn.kind].remove(turn)
        self._let_go()

    async def _looking(
        self,
        is_expected: Callable[[HeaderBlock], bool],
        change: Callable[[Callable[[HeaderBlock], bool]], Deferred[None]],
    ) -> None:
        """Make a change before which headers are looked at, and count these."""
        read: list[int] = []

        def look(block: HeaderBlock) -> bool:
            read.append(len(block.fields) + _HEADER_BYTES)
            return is_expected(block)

        try:
            await self._call("ask", lambda: change(look))
        finally:
            self._download(sum(read))

    def _download(self, count: int) -> None:
        self.downloaded.add(count, self._clock.seconds())

    # Whose turn it is

    def _let_go(self) -> None:
        """Give the turn to all that may have it, oldest first; set the alarm for the next.

        A call that ends at once comes back here: the loop that is running goes on with what it left.
        """
        if self._letting_go or (self._alarm is None and not any(self._lines.values())):
            return
        self._letting_go = True
        try:
            alarm = self._let_go_now(self._clock.seconds())
        finally:
            self._letting_go = False
        self._set_alarm(alarm)

    def _let_go_now(self, now: float) -> float | None:
        """Let go; gives the time when more may go by itself."""
        alarm: list[float] = []
        blocked: set[str] = set()
        while heads := [line[0] for kind, line in self._lines.items() if line and kind not in blocked]:
            if now < self._back_off.until:
                return self._refuse_impatient(now)
            turn = min(heads)
            ready = self._within_budget_at(turn, now)
            if ready > now and not self._may_wait(turn, ready):
                self._refuse(turn, ready - now)
            elif ready > now:
                blocked.add(turn.kind)
                alarm.append(ready)
            elif self._calls >= self._politeness.calls or not self._has_room(turn):
                break
            elif (ready := self._pace.ready_at(now)) > now:
                alarm.append(ready)
                break
            else:
                self._lines[turn.kind].remove(turn)
                self._pace.take()
                self._admit(turn, now)
                turn.go.callback(None)
        return min(alarm, default=None)

    def _refuse_impatient(self, now: float) -> float:
        """Refuse those who would not wait until the server may be asked again; gives that time."""
        until = self._back_off.until
        waiting = (turn for line in self._lines.values() for turn in line)
        for turn in sorted(waiting):
            if turn in self._lines[turn.kind] and not self._may_wait(turn, until):
                self._refuse(turn, until - now)
        return until

    def _admit(self, turn: _Turn, now: float) -> None:
        turn.started = now
        self._calls += 1
        self._bytes += turn.size
        if turn.kind == "append":
            self.uploaded.add(turn.size, now)
        elif turn.kind == "read":
            self.downloaded.add(turn.size, now)

    def _has_room(self, turn: _Turn) -> bool:
        return self._bytes == 0 or self._bytes + turn.size <= self._politeness.bytes_in_flight

    def _within_budget_at(self, turn: _Turn, now: float) -> float:
        if turn.kind == "append" and self._politeness.upload_per_day is not None:
            return self.uploaded.ready_at(turn.size, self._politeness.upload_per_day, now)
        if turn.kind == "read" and self._politeness.download_per_day is not None:
            size = min(max(turn.size, 1), self._politeness.download_per_day)
            return self.downloaded.ready_at(size, self._politeness.download_per_day, now)
        return now

    def _may_wait(self, turn: _Turn, until: float) -> bool:
        """Whether a call's patience, which begins with its first wait, reaches until then."""
        if turn.deadline is None:
            turn.deadline = self._clock.seconds() + self._politeness.patience
        return until <= turn.deadline

    def _refuse(self, turn: _Turn, seconds: float) -> None:
        self._lines[turn.kind].remove(turn)
        turn.go.errback(
            Throttled(f"The mail server, or the budget for a day, asks to wait {seconds:.0f} seconds.", seconds=seconds)
        )

    def _set_alarm(self, when: float | None) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        delay = None if when is None else max(0.0, when - self._clock.seconds())
        self._alarm = None if delay is None else self._clock.callLater(delay, self._let_go)
