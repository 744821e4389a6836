"""What one session of the simulated server is shown and told: all there is, or less, or later.

The account and the mailbox are those of the embedded server; what is added here is what servers get wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ifap_twisted.deferreds import deferred
from ifap_twisted.server import storage
from ifap_twisted.server.account import Account, Shelf
from ifap_twisted.server.fetching import Block, Plan
from ifap_twisted.server.flags import Flags
from ifap_twisted.server.mailbox import Mailbox, Pairs
from ifap_twisted.server.messages import Appended, Message
from ifap_twisted.server.rows import Box
from ifap_twisted.server.view import View
from ifap_twisted.server.watching import Watcher, Watchers
from ifap_twisted.store.memory import Fate

__all__ = ["Backend", "LateNews", "SimulatedAccount", "Treatment"]


@dataclass(slots=True)
class Order:
    """The next commands of a name are answered so, instead of done."""

    command: bytes
    answer: bytes
    times: int


@dataclass(slots=True)
class Treatment:
    """How the server treats one device, until it is told otherwise.

    :ivar only_selecting: messages that arrive are shown when the mailbox is selected again, not before.
    :ivar lag: seconds after which this device sees what others, or itself, stored, as on a copy of the mailbox that is
        behind; ``search_lag``: after which SEARCH finds it.
    :ivar hidden: UIDs that are counted, but for which FETCH has no response, and which SEARCH does not find.
    :ivar misplaced: how many more APPENDs are answered with a UID that is not theirs.
    """

    only_selecting: bool = False
    lag: float = 0.0
    search_lag: float = 0.0
    hidden: frozenset[int] = frozenset()
    misplaced: int = 0
    fates: deque[Fate] = field(default_factory=deque)
    orders: list[Order] = field(default_factory=list)

    @property
    def incomplete(self) -> bool:
        """Whether what this device is shown is not all there is."""
        return bool(self.hidden or self.lag)

    def ordered(self, command: bytes) -> bytes | None:
        """What a command of this name is answered instead of being done, or None; orders are used up."""
        for order in self.orders:
            if order.command == command:
                order.times -= 1
                if not order.times:
                    self.orders.remove(order)
                return order.answer
        return None

    def behave(self) -> None:
        """From now on, no fault."""
        self.lag = 0.0
        self.misplaced = 0
        self.hidden = frozenset()
        self.fates.clear()
        self.orders.clear()


class Backend(Protocol):
    """What an account needs of its server."""

    shelf: Shelf

    def stored_at(self, mailbox: int, uid: int) -> float:
        """When a message was stored."""

    def store(
        self,
        account: SimulatedAccount,
        fate: Fate | None,
        name: str,
        flags: tuple[str, ...],
        date: tuple[int, int] | None,
        data: bytes,
    ) -> Deferred[Appended]:
        """Store a message, or what its fate makes of that."""


class LateNews:
    """Between the watchers and a view: passes on what happens in its order, as late as the treatment says."""

    def __init__(self, view: View, treatment: Treatment, clock: IReactorTime) -> None:
        self._view = view
        self._treatment = treatment
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._due: list[IDelayedCall] = []

    def messages_arrived(self, uids: Iterable[int]) -> None:
        """After a while, or not before the next SELECT."""
        if not self._treatment.only_selecting:
            self._pass(lambda: self._view.messages_arrived(uids))

    def messages_vanished(self, uids: Iterable[int]) -> None:
        """After a while."""
        self._pass(lambda: self._view.messages_vanished(uids))

    def flags_changed(self, changed: Mapping[int, Flags]) -> None:
        """After a while."""
        self._pass(lambda: self._view.flags_changed(changed))

    def mailbox_deleted(self) -> None:
        """At once."""
        self._view.mailbox_deleted()

    def owe(self, uid: int, delay: float) -> None:
        """A message that the view should have shown from the beginning arrives after a while."""
        if not self._treatment.only_selecting:
            self._wait(lambda: self._view.messages_arrived([uid]), delay)

    def stop(self) -> None:
        """Pass on nothing more."""
        self._waiting.clear()
        for call in self._due:
            if call.active():
                call.cancel()

    def _pass(self, what: Callable[[], None]) -> None:
        lag = self._treatment.lag
        if not (lag or self._waiting):
            what()
            return
        self._wait(what, lag)

    def _wait(self, what: Callable[[], None], delay: float) -> None:
        self._waiting.append(what)
        self._due = [call for call in self._due if call.active()]
        self._due.append(self._clock.callLater(delay, self._next))

    def _next(self) -> None:
        if self._waiting:
            self._waiting.popleft()()


class LateWatchers(Watchers):
    """The watchers as one session registers with them."""

    def __init__(self, watchers: Watchers, treatment: Treatment, clock: IReactorTime) -> None:
        super().__init__()
        self._all = watchers
        self._treatment = treatment
        self._clock = clock
        self._late: dict[Watcher, LateNews] = {}

    def add(self, mailbox: int, view: Watcher) -> None:
        """Tell this view, in its time."""
        assert isinstance(view, View)
        self._late[view] = late = LateNews(view, self._treatment, self._clock)
        self._all.add(mailbox, late)

    def owe(self, view: Watcher, uid: int, delay: float) -> None:
        """Show a message to this view after a while."""
        self._late[view].owe(uid, delay)

    def remove(self, mailbox: int, view: Watcher) -> None:
        """Tell it nothing any more."""
        late = self._late.pop(view, None)
        if late is not None:
            late.stop()
            self._all.remove(mailbox, late)

    def vanished(self, mailbox: int, uids: Iterable[int]) -> None:
        """Tell all sessions."""
        self._all.vanished(mailbox, uids)

    def changed(self, mailbox: int, flags: Mapping[int, Flags], by: Watcher) -> None:
        """Tell all other sessions."""
        self._all.changed(mailbox, flags, self._late.get(by, by))


class SimulatedMailbox(Mailbox):
    """A selected mailbox that leaves out what the treatment says."""

    treatment: Treatment
    is_found: Callable[[int], bool]

    @deferred
    async def fetch(self, pairs: Pairs, plan: Plan) -> Block:
        """FETCH responses for those of the messages that are not left out."""
        shown = [pair for pair in pairs if pair[1] not in self.treatment.hidden]
        if not shown:
            return Block(done=len(pairs))
        block = await super().fetch(shown, plan)
        block.done = len(pairs) if block.done == len(shown) else pairs.index(shown[block.done])
        return block

    def search(self, pairs: Pairs, criterion: Callable[[Message], bool]) -> Deferred[list[tuple[int, int]]]:
        """Those of the messages that meet a criterion, and are in the index of SEARCH by now."""
        return super().search([pair for pair in pairs if self.is_found(pair[1])], criterion)


class SimulatedAccount(Account):
    """The account of a device."""

    def __init__(self, backend: Backend, user: int, treatment: Treatment, cut: Callable[[], None]) -> None:
        super().__init__(backend.shelf, user)
        self.user = user
        self.treatment = treatment
        self.cut = cut
        self._backend = backend
        self._mailbox: Mailbox | None = None
        self._watchers = LateWatchers(backend.shelf.watchers, treatment, backend.shelf.clock)

    @deferred
    async def select(self, name: str, *, writable: bool) -> Mailbox:
        """Open a mailbox, as much of it as is shown."""
        database, treatment = self._shelf.database, self.treatment
        opened = await database.run(storage.open_mailbox, self.user, name, claim_recent=writable)
        box = opened.box
        late = [uid for uid in opened.uids if uid > self._shown(box) and not self._is_old(box.id, uid, treatment.lag)]
        late = [uid for uid in opened.uids if late and uid >= late[0]]
        if late:
            shown = opened.uids[: opened.uids.index(late[0])]
            opened = replace(opened, box=replace(box, uidnext=late[0]), uids=shown, unseen=None)
        self._mailbox = mailbox = SimulatedMailbox(database, self._watchers, opened, writable=writable)
        mailbox.treatment = treatment
        mailbox.is_found = lambda uid: uid not in treatment.hidden and self._is_old(box.id, uid, treatment.search_lag)
        for uid in late:
            due = self._backend.stored_at(box.id, uid) + treatment.lag
            self._watchers.owe(mailbox.view, uid, max(due - self._shelf.clock.seconds(), 0.0))
        return mailbox

    def _shown(self, box: Box) -> int:
        """The highest UID that this connection was shown: what it has seen stays."""
        before = self._mailbox
        if before is None or before.opened.box.uidvalidity != box.uidvalidity or not len(before.view):
            return 0
        return before.view.all()[-1][1]

    def _is_old(self, mailbox: int, uid: int, age: float) -> bool:
        return self._backend.stored_at(mailbox, uid) + age <= self._shelf.clock.seconds()

    def append(
        self, name: str, flags: tuple[str, ...], date: tuple[int, int] | None, data: bytearray | bytes
    ) -> Deferred[Appended]:
        """Store a message; or what the next fate makes of it."""
        return self._backend.store(self, self.next_fate(), name, flags, date, bytes(data))

    def next_fate(self) -> Fate | None:
        """What becomes of the next APPEND."""
        return self.treatment.fates.popleft() if self.treatment.fates else None

    def append_all(
        self, name: str, drafts: Sequence[tuple[tuple[str, ...], tuple[int, int] | None, bytes]]
    ) -> Deferred[list[Appended]]:
        """Store the messages of one MULTIAPPEND, all with the same fate."""
        fate = self.next_fate()
        return self._each([(name, flags, date, data) for flags, date, data in drafts], fate)

    @deferred
    async def _each(
        self, drafts: Collection[tuple[str, tuple[str, ...], tuple[int, int] | None, bytes]], fate: Fate | None
    ) -> list[Appended]:
        return [await self._backend.store(self, fate, *draft) for draft in drafts]
