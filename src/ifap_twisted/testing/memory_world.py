"""A world for simulated runs over the in-memory shelf: sessions that take their time, and orders that strike them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ifap_twisted.core.values import Traits
from ifap_twisted.errors import QuotaExceeded, Refused, Throttled, Unavailable
from ifap_twisted.store.memory import FULL_TRAITS, Fate, MemoryShelf, MemoryStore, Visibility
from ifap_twisted.testing.scenario import Place, Step

POOR = Traits(reports_uid=False, expunges_by_uid=False, pushes=False)
FATES = {
    "lose": Fate.CUT_BEFORE,
    "answer-lost": Fate.CUT_AFTER,
    "late": Fate.CUT_LATE,
    "drop": Fate.DROPPED,
    "double": Fate.DOUBLED,
}
METHODS = ("append", "append", "headers", "poll", "uids", "message", "remove", "open")
ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: Unavailable("The server is away."),
    lambda: Refused("The server says NO.", status="NO"),
    lambda: Throttled("Too fast.", seconds=5.0),
    lambda: QuotaExceeded("The mailbox is full."),
)


DAYS = 90_000.0
"""Seconds that pass on every clock while nothing happens: more than the least grace."""


class Session:
    """One session of a device: the store, and how long its answers take."""

    def __init__(self, shelf: MemoryShelf, place: Place, clock: IReactorTime, seed: str) -> None:
        self.store = MemoryStore(
            shelf,
            traits=POOR if place.poor else FULL_TRAITS,
            visibility=Visibility.THOROUGH if place.late else Visibility.AT_ONCE,
            gate=self._gate,
            clock=clock,
        )
        self.hiding = False
        self.gone = False
        self._clock = clock
        self._latency = place.latency
        self._random = Random(seed)  # noqa: S311 -- repeatable on purpose
        self._slow_until = 0.0

    def _gate(self, _method: str) -> Deferred[None]:
        mean = self._latency + (5.0 if self._clock.seconds() < self._slow_until else 0.0)
        if not mean or self._random.random() < 0.2:
            return succeed(None)
        return deferLater(self._clock, min(self._random.expovariate(1 / mean), 20.0), lambda: None)

    def hide(self, uids: Collection[int]) -> None:
        """Leave messages out of its listings."""
        self.store.hide(*uids)
        self.hiding = bool(uids)

    def reveal(self) -> None:
        """Leave out nothing any more."""
        self.store.reveal()
        self.hiding = False

    def slow_down(self, seconds: float) -> None:
        """Let every answer take seconds for a while."""
        self._slow_until = self._clock.seconds() + seconds

    def hang_up(self, *, before: bool) -> None:
        """The device died: what is on its way arrives, or does not."""
        self.gone = True
        if before:
            self.store.go_offline()
        self.store.shelf.detach(self.store)


class Shelf(MemoryShelf):
    """A shelf that counts what it drops, and on whose clock days may go by at once.

    :ivar dropped: messages that it said it had stored; ``ahead``: seconds that went by so.
    """

    dropped = 0
    ahead = 0.0

    def passed(self, now: float) -> None:
        """The clock of the world says so much."""
        super().passed(now + self.ahead)

    def drops(self, message: bytes) -> bool:
        """Whether it says OK to this message without storing it."""
        found = super().drops(message)
        self.dropped += found
        return found


class MemoryWorld:
    """One folder on the shelf, and the sessions that devices have of it."""

    def __init__(self, seed: int, clock: IReactorTime, quirks: Collection[str]) -> None:
        self.shelf = Shelf(drops_known="drops-known" in quirks)
        self._seed = seed
        self._clock = clock
        self._sessions: dict[int, Session] = {}
        self._hidden: dict[int, Collection[int]] = {}
        self._count = 0

    @property
    def messages(self) -> Mapping[int, bytes]:
        """What is in the folder."""
        return self.shelf.messages

    @property
    def fingerprint(self) -> str:
        """There are no wires."""
        return ""

    def connect(self, device: int, place: Place, clock: IReactorTime) -> MemoryStore:  # noqa: ARG002 -- the world's
        """A new session for a device."""
        self._count += 1
        seed = f"session {self._seed} {device} {self._count}"
        self._sessions[device] = session = Session(self.shelf, place, self._clock, seed)
        session.hide(self._hidden.get(device, ()))  # no process is shown more than the one before, because it is new
        return session.store

    def hang_up(self, device: int, *, before: bool) -> None:
        """A device died; ``before``: nothing that was on its way is stored any more."""
        if device in self._sessions:
            self._sessions.pop(device).hang_up(before=before)

    @property
    def dropped(self) -> int:
        """How many messages the server said it had stored, and did not, because it knew their Message-ID."""
        return self.shelf.dropped

    def is_hiding(self, device: int) -> bool:
        """Whether messages are left out of the listings of a device."""
        return device in self._sessions and self._sessions[device].hiding

    def add(self, message: bytes) -> int:
        """Store a message of somebody else."""
        self.shelf.passed(self._clock.seconds())
        return self.shelf.add(message)

    def expunge(self, uid: int) -> None:
        """Somebody else removes a message."""
        self.shelf.remove([uid])

    def strike(self, step: Step) -> bool:
        """Let a fault happen; tells whether there was anything to strike."""
        if step.verb == "renumber":
            self._renumber(step.number)
            return True
        if step.verb == "deliver":
            self.shelf.deliver_late()
            return True
        if step.verb == "days":
            self.shelf.ahead += DAYS
            return True
        session = self._sessions.get(step.who)
        if session is None:
            return False
        if step.verb in FATES:
            session.store.doom_next(FATES[step.verb], 1 + step.number % 2)
        elif step.verb == "offline":
            self._cut(session, step.number)
        elif step.verb == "slow":
            session.slow_down(1.0 + step.number % 30)
        elif step.verb == "fail":
            error = ERRORS[step.number % len(ERRORS)]()
            session.store.fail_next(METHODS[step.number % len(METHODS)], error, 1 + step.number % 3)
        else:
            self._hide(step.who, session, step.number)
        return True

    def heal(self) -> None:
        """From now on the server behaves."""
        self._hidden.clear()
        self.shelf.deliver_late()
        for session in self._sessions.values():
            session.store.pardon()
            session.hiding = False
            session.slow_down(0.0)
            if not session.store.online:
                session.store.go_online()

    def end(self) -> None:
        """Nothing waits."""

    def _renumber(self, number: int) -> None:
        order = list(self.shelf.messages)
        if number % 3 == 0:
            Random(number).shuffle(order)  # noqa: S311 -- repeatable on purpose
        self.shelf.renumber(order)
        self._hidden.clear()
        for session in self._sessions.values():
            session.hiding = session.hiding and not session.store.online

    def _cut(self, session: Session, number: int) -> None:
        if not session.store.online:
            session.store.go_online()
            return
        session.store.go_offline()
        self._clock.callLater(0.5 + number % 40, self._reconnect, session)

    @staticmethod
    def _reconnect(session: Session) -> None:
        if not (session.gone or session.store.online):
            session.store.go_online()

    def _hide(self, device: int, session: Session, number: int) -> None:
        """Some messages, or the newest, as on a copy of the mailbox that is behind."""
        uids = list(self.shelf.messages)
        random = Random(number)  # noqa: S311 -- repeatable on purpose
        hidden = uids[-1 - number % 4 :] if number % 2 else [uid for uid in uids if random.random() < 0.3]
        self._hidden[device] = hidden
        session.hide(hidden)
        self._clock.callLater(1.0 + number % 50, self._reveal, device)

    def _reveal(self, device: int) -> None:
        self._hidden.pop(device, None)
        if device in self._sessions:
            self._sessions[device].reveal()
